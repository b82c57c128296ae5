# SPDX-License-Identifier: Apache-2.0
"""State against entries: each stream is folded as it passes by, and its row compared column by column.

Streams and rows both come in the order of their ids, so that they meet like the teeth of a zip, and one stream is held
at a time. Rows are compared as they are stored: no enum, no truth value stands between.
"""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

from signoff.app.audit.findings import Findings
from signoff.app.record import IDS, NOT_FOLDED, folded_names
from signoff.core.action.lifecycle import Action
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.page import digest
from signoff.core.authority.publication import Publication
from signoff.core.errors import Corrupt, SignoffError
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run
from signoff.core.subject import Subject
from signoff.ledger.entry import Entry
from signoff.ledger.epochs import STREAM as OPENINGS
from signoff.ledger.errors import Refused
from signoff.ports.storage import Stored, Transaction

TABLES: Final[dict[type, str]] = {
    Action: "actions",
    Run: "runs",
    Person: "people",
    Agent: "agents",
    ApiKey: "api_keys",
    Halt: "halts",
    Publication: "publications",
    Clearance: "clearances",
    Delegation: "delegations",
    Subject: "subjects",
}
KINDS: Final[dict[str, type]] = {
    "act": Action,
    "run": Run,
    "prs": Person,
    "agt": Agent,
    "key": ApiKey,
    "hlt": Halt,
    "env": Publication,
    "con": Publication,
    "clr": Clearance,
    "dlg": Delegation,
    "rol": Publication,
    "sub": Subject,
}
"""What a stream is, by the prefix of its id."""
NAMES: Final = {kind: frozenset(folded_names(kind)) for kind in IDS}
DEFAULTS: Final[dict[type, dict[str, Any]]] = {
    kind: {one.name: None if one.default is MISSING else one.default for one in fields(kind)} for kind in IDS
}


@dataclass(slots=True)
class Told:
    """What the entries of one stream have told so far."""

    kind: type
    stream: str
    state: dict[str, Any] = field(default_factory=dict)
    seq: int = 0
    head: str = ""
    index: int | None = None
    votes: list[dict[str, Any]] = field(default_factory=list)
    impacts: list[dict[str, Any]] = field(default_factory=list)  # the last told: an edit replaces them
    payloads: dict[str, str] = field(default_factory=dict)  # name by commitment, where no column holds it

    def noun(self, tenant: str) -> Any:
        """Return the stream's noun as it stands now; enums are left as the text they are stored as."""
        values = DEFAULTS[self.kind] | self.state
        values["tenant"], values["seq"], values["head"] = tenant, self.seq, self.head
        return self.kind(**values)

    def get(self, name: str) -> Any:
        """Return a column's value as the entries tell it."""
        return self.state.get(name, DEFAULTS[self.kind][name])


class Rows:
    """The rows of a table in the order of their first key, handed out as their owner passes by."""

    def __init__(self, stored: Stored, table: str, found: Findings) -> None:
        self._table, self._found = table, found
        self._cursor = _readable(stored, table, found)
        self._next: tuple[Any, ...] | None = next(self._cursor, None)
        self.count = 0

    def of(self, owner: str) -> list[tuple[Any, ...]]:
        """Return the rows of `owner`; those of earlier ids that nobody asked for are findings."""
        self._refuse_until(owner)
        mine: list[tuple[Any, ...]] = []
        while self._next is not None and self._next[1] == owner:
            mine.append(self._next)
            self._step()
        self.count += len(mine)
        return mine

    def end(self) -> None:
        self._refuse_until(None)

    def _refuse_until(self, owner: str | None) -> None:
        while self._next is not None and (owner is None or self._next[1] < owner):
            name = self._next[1]
            what = f"The table {self._table} has a row of {name[:64]} that no entry tells of."
            self._found.add(
                self._table, what, "It was inserted past the log, or its entries were removed.", stream=name
            )
            self._step()

    def _step(self) -> None:
        self._next = next(self._cursor, None)


def _readable(stored: Stored, table: str, found: Findings) -> Iterator[tuple[Any, ...]]:
    try:
        yield from stored.rows(table)
    except Corrupt as error:
        found.add(table, error.what, error.why, error.fix)


Step = Callable[[Told, Entry, Mapping[str, Any]], None]
"""Looks at one entry: what the stream has told with it, the entry, and what the stream had told before it."""
End = Callable[[Told], None]


class Fold:
    """A visitor of the log that compares every row of state with the entries of its stream."""

    def __init__(
        self, tx: Transaction, found: Findings, steps: Mapping[type, list[Step]], ends: Mapping[type, list[End]]
    ) -> None:
        self._tenant, self._found = tx.tenant, found
        self._steps, self._ends = steps, ends
        self._columns = {kind: tx.stored.columns(table) for kind, table in TABLES.items()}
        cursors = [_named(tx.stored, kind, table, found) for kind, table in TABLES.items()]
        self._rows = heapq.merge(*cursors, key=lambda one: one[0])
        self._next = next(self._rows, None)
        self._told: Told | None = None
        self.counts = dict.fromkeys(TABLES.values(), 0)

    def entry(self, entry: Entry, index: int | None, leaf: str) -> None:
        """Fold the next entry."""
        told, stream = self._told, entry["stream"]
        if told is None:
            if stream == OPENINGS:
                return  # no row hangs on them: they are read as entries, and the tree is held against them
            kind = KINDS.get(stream.partition("_")[0])
            if kind is None:
                what = f"The stream {stream[:64]} belongs to no table."
                why = "No noun has ids of this kind: the entry was forged."
                self._found.add("entries", what, why, stream=stream, seq=entry["seq"], index=index, column="stream")
                return
            told = self._told = Told(kind, stream)
        changes, names = entry["set"], NAMES[told.kind]
        steps = self._steps.get(told.kind, ())
        before: Mapping[str, Any] = dict(told.state) if steps else {}
        if names.issuperset(changes):
            told.state.update(changes)
        else:
            told.state.update((name, value) for name, value in changes.items() if name in names)
            odd = min(changes.keys() - names)
            what = f"Entry {entry['seq']} of {stream} tells of {odd[:64]!r}."
            why = f"The table {TABLES[told.kind]} has no such column that entries tell."
            self._found.add("entries", what, why, stream=stream, seq=entry["seq"], index=index, column="entry")
        told.seq, told.head, told.index = entry["seq"], leaf, index
        for table, rows in entry.get("rows", {}).items():
            if table == "votes":
                told.votes += rows
            elif table == "impacts":
                told.impacts = rows
            elif table == "payloads":
                told.payloads |= {str(row.get("commitment")): str(row.get("name")) for row in rows}
            else:
                what = f"Entry {entry['seq']} of {stream} tells of rows of {table[:64]!r}."
                why = "No such rows are kept beside a stream."
                self._found.add("entries", what, why, stream=stream, seq=entry["seq"], index=index, column="entry")
        for step in steps:
            self._ask(told, lambda step=step: step(told, entry, before))  # type: ignore[misc]

    def end(self) -> None:
        """Compare the row of the stream that has passed by."""
        told, self._told = self._told, None
        if told is None:
            return
        self._refuse_until(told.stream)
        is_there = False
        while self._next is not None and self._next[0] == told.stream:
            _, kind, row = self._next
            if kind is told.kind:
                is_there = True
                self.counts[TABLES[kind]] += 1
                self._compare(told, row)
            else:
                what = f"{told.stream} has a row in {TABLES[kind]}."
                self._found.add(TABLES[kind], what, "Its entries are of another kind.", stream=told.stream)
            self._next = next(self._rows, None)
        if not is_there:
            what = f"{told.stream} has no row in {TABLES[told.kind]}."
            why = f"The log tells of it in {told.seq} entries: its row, or the entries that end it, were removed."
            self._found.add(TABLES[told.kind], what, why, stream=told.stream, seq=told.seq, index=told.index)
        for end in self._ends.get(told.kind, ()):
            self._ask(told, lambda end=end: end(told))  # type: ignore[misc]

    def _ask(self, told: Told, look: Callable[[], None]) -> None:
        """Let a rule look; what is too broken to be looked at is a finding, never the end of the audit."""
        try:
            look()
        except Corrupt as error:
            table = str(error.detail.get("table", "entries"))
            self._found.add(table, error.what, error.why, error.fix, stream=told.stream)
        except (Refused, SignoffError, KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"Entry {told.seq} of {told.stream} tells what no use case writes."
            why = error.why if isinstance(error, Refused | SignoffError) else f"It leads to a {type(error).__name__}."
            self._found.add("entries", what, why, stream=told.stream, seq=told.seq, index=told.index, column="entry")

    def finish(self) -> None:
        """Find the rows that are left over; call it once the whole log has passed by."""
        self._refuse_until(None)

    def _refuse_until(self, stream: str | None) -> None:
        while self._next is not None and (stream is None or self._next[0] < stream):
            name, kind, _ = self._next
            what = f"The table {TABLES[kind]} has a row {name[:64]} that no entry tells of."
            why = "It was inserted past the log, or all entries of its stream were removed."
            self._found.add(TABLES[kind], what, why, stream=name)
            self._next = next(self._rows, None)

    def _compare(self, told: Told, row: tuple[Any, ...]) -> None:
        values = DEFAULTS[told.kind] | told.state
        values["tenant"], values["seq"], values["head"] = self._tenant, told.seq, told.head
        columns = self._columns[told.kind]
        plain = tuple(map(values.get, columns))
        if plain == row and told.kind is not Publication:  # columns hold texts and numbers only: none needs rewriting
            return
        expected = tuple(map(_column, plain))
        if told.kind is Publication:
            expected = self._with_text(expected, row, columns)
        if expected == row:
            return
        for name, want, there in zip(columns, expected, row, strict=True):
            if want != there:
                what = f"{TABLES[told.kind]}.{name} of {told.stream} is not what its entries tell."
                self._found.add(
                    TABLES[told.kind],
                    what,
                    f"Folded up to entry {told.seq} it is {_shown(want)}, and the row says {_shown(there)}.",
                    stream=told.stream,
                    seq=told.seq,
                    index=told.index,
                    column=name,
                )

    @staticmethod
    def _with_text(expected: tuple[Any, ...], row: tuple[Any, ...], columns: tuple[str, ...]) -> tuple[Any, ...]:
        """A page's text is in no entry; its digest is, and must be that of the text."""
        at, of = columns.index("text"), columns.index("digest")
        is_same = digest(row[at].encode()) == expected[of]
        return (*expected[:at], row[at] if is_same else f"the text of {expected[of]}", *expected[at + 1 :])


def _named(stored: Stored, kind: type, table: str, found: Findings) -> Iterator[tuple[str, type, tuple[Any, ...]]]:
    at = stored.columns(table).index(IDS[kind])
    for row in _readable(stored, table, found):
        yield row[at], kind, row


def _column(value: Any) -> Any:
    """Return a value of an entry as its column holds it."""
    if type(value) is bool:
        return int(value)
    return json.dumps(value) if type(value) in (list, tuple) else value


def _shown(value: Any) -> str:
    """Return a value for a message; columns hold ids, digests, enums, integers and times, and one holds a page."""
    if value is None:
        return "empty"
    text = repr(value)
    return text if len(text) <= 200 else f"a text of {len(text)} characters"


assert set(KINDS.values()) == set(TABLES) == set(IDS) and "text" in NOT_FOLDED
