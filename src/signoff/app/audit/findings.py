# SPDX-License-Identifier: Apache-2.0
"""What an audit finds: each finding says what is wrong, why it is, how to mend it, and where.

The list is bounded, the count is not, and no table is crowded out by another. The first finding is the one with the
lowest place in the log, since what was altered there explains what follows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FINDINGS_MAX: Final = 100
EACH: Final = 3
KEEP: Final = "Stop writing, keep this database as it is, and compare it with the last backup that verifies."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; `index` is the entry's place in the log, where one entry can be named."""

    table: str
    what: str
    why: str
    fix: str = KEEP
    stream: str | None = None
    seq: int | None = None
    index: int | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit of one tenant saw.

    `size` and `root` are the tree's, `proved` the size of the last checkpoint that held, `rows` how many rows of each
    table were compared. `unchecked` names, in words, what could not be looked at, and why; it is no finding.
    """

    origin: str
    entries: int
    pending: int
    size: int
    root: bytes
    checkpoints: int
    proved: int
    rows: Mapping[str, int]
    receipts: int
    payloads: int
    findings: tuple[Finding, ...]
    findings_total: int
    first: Finding | None
    unchecked: tuple[str, ...] = ()
    erased: int = 0  # payloads of which an entry tells that they were erased
    earlier: tuple[tuple[str, int, bytes], ...] = ()  # origin, size and root of the epochs before

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return self.findings_total == 0


@dataclass(slots=True)
class Findings:
    """Collects findings: all are counted, the first hundred are kept, and the first few of each table."""

    kept: list[Finding] = field(default_factory=list)
    by_table: Counter[str] = field(default_factory=Counter)
    total: int = 0
    first: Finding | None = None

    def add(
        self,
        table: str,
        what: str,
        why: str,
        fix: str = KEEP,
        *,
        stream: str | None = None,
        seq: int | None = None,
        index: int | None = None,
        column: str | None = None,
    ) -> None:
        """Add a finding."""
        found = Finding(table, what, why, fix, stream, seq, index, column)
        self.total += 1
        self.by_table[table] += 1
        if len(self.kept) < FINDINGS_MAX or self.by_table[table] <= EACH:
            self.kept.append(found)
        first = self.first
        if first is None or (index is not None and (first.index is None or index < first.index)):
            self.first = found
