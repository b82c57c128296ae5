# SPDX-License-Identifier: Apache-2.0
"""Epochs of a log: a new tree, begun where an old backup had to take the place of a newer database.

The first epoch just begins. Each later one begins with an entry of the stream `log`, the first leaf of its own tree:

    epoch        its number, larger than any before it
    had          size and root (hex) of the tree that the database held, which ends there
    known        origin, size and root (hex) of the last checkpoint kept outside: what lies between the two is lost
    carried      how many entries follow that were written before, and had no place in a tree yet

A database holds the trees one behind the other: indexes of entries, and positions of nodes on each level, go on where
the tree before ends. So the old tree stays what it was, provable by its own checkpoints, and the new one counts from 0.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from signoff.ledger.checkpoint import VerifierKey
from signoff.ledger.entry import Entry, decode
from signoff.ledger.errors import Refused
from signoff.ledger.fold import Each, Finding, Head, Report, verify_log
from signoff.ledger.merkle import EMPTY_ROOT

STREAM: Final = "log"
TYPE: Final = "log.recovered"
_MEMBERS: Final = {
    "epoch": int, "had_size": int, "had_root": str, "known_origin": str, "known_size": int, "known_root": str,
    "carried": int,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opening:
    """What the entry that opens an epoch says; roots in hex, `at` in microseconds since 1970."""

    epoch: int
    had_size: int
    had_root: str
    known_origin: str
    known_size: int
    known_root: str
    carried: int
    at: int = 0

    def members(self) -> dict[str, Any]:
        """Return the entry's `set`."""
        return {name: getattr(self, name) for name in _MEMBERS}


@dataclass(frozen=True, slots=True)
class Epoch:
    """One tree of a log, and where it lies in its database.

    Args:
        before: sizes of the trees before it.
    """

    number: int
    origin: str
    before: tuple[int, ...] = ()
    opening: Opening | None = None

    @property
    def first(self) -> int:
        """The index, in the database, of this tree's entry 0."""
        return sum(self.before)

    def shift(self, level: int) -> int:
        """Return where in the database the nodes of a level begin that are this tree's."""
        return sum(size >> level for size in self.before) if self.before else 0

    def reader(self, nodes: Mapping[tuple[int, int], bytes]) -> Callable[[int, int], bytes]:
        """Return what reads this tree's nodes out of all that are stored."""
        return lambda level, at: nodes[level, at + self.shift(level)]


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs that a database holds, oldest first."""

    all: tuple[Epoch, ...]

    @property
    def current(self) -> Epoch:
        return self.all[-1]

    def of(self, origin: str) -> Epoch | None:
        """Return the epoch of this origin."""
        return next((one for one in self.all if one.origin == origin), None)

    def numbered(self, number: int) -> Epoch | None:
        """Return the epoch of this number."""
        return next((one for one in self.all if one.number == number), None)

    def following(self, epoch: Epoch) -> Epoch | None:
        """Return the epoch that ended this one."""
        return next((one for one in self.all if one.number > epoch.number), None)

    def at(self, index: int) -> Epoch:
        """Return the epoch in whose tree an entry lies, by its index in the database."""
        return next(one for one in reversed(self.all) if one.first <= index)

    def written_under(self, index: int | None) -> Epoch:
        """Return the epoch in which an entry was written: the one before, where its tree was not ready to take it.

        Args:
            index: in the database; None is still to come into the present tree.
        """
        if index is None:
            return self.current
        there = self.at(index)
        if there.opening is not None and 0 < index - there.first <= there.opening.carried:
            return self.all[self.all.index(there) - 1]
        return there


def family(origin: str) -> str:
    """Return what the epochs of one log share of their origins: `<installation>/<tenant>`."""
    return origin.rpartition("/")[0]


def number_of(origin: str) -> int:
    """Return the epoch in an origin, 0 if there is none."""
    last = origin.rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 16 else 0


def read_epochs(name: str, entries: Iterable[tuple[int | None, bytes]]) -> Epochs:
    """Return the epochs of a log.

    Args:
        name: `<installation>/<tenant>`.
        entries: of the stream `log`, in order, each with its index in the database.

    Raises:
        Refused: one of them opens no epoch, or stands elsewhere than at the head of a tree.
    """
    found = [Epoch(1, f"{name}/1")]
    for index, data in entries:
        opening, last = read_opening(decode(data)), found[-1]
        before = (*last.before, opening.had_size)
        if opening.epoch <= last.number or index != sum(before):
            raise Refused(
                what=f"An entry claims to open epoch {opening.epoch} of {name}, and does not.",
                why=f"It stands at {index}; after epoch {last.number} a larger one opens at {sum(before)}.",
                fix="Keep this database as it is, and compare it with the last backup that verifies.",
            )
        found.append(Epoch(opening.epoch, f"{name}/{opening.epoch}", before, opening))
    return Epochs(tuple(found))


def read_opening(entry: Entry) -> Opening:
    """Return what an entry of the stream `log` says.

    Raises:
        Refused: it opens no epoch.
    """
    said = entry["set"]
    is_formed = said.keys() == _MEMBERS.keys() and all(type(said[name]) is kind for name, kind in _MEMBERS.items())
    if entry["stream"] != STREAM or entry["type"] != TYPE or not is_formed or min(_sizes(said)) < 0:
        raise Refused(
            what=f"An entry of the stream {STREAM} opens no epoch.",
            why="Its members are not those of one.",
            fix="Keep this database as it is, and compare it with the last backup that verifies.",
        )
    return Opening(at=entry["at"], **said)


@dataclass(slots=True)
class Part:
    """One epoch of a log as it was handed out: entries counted from 0, and signed notes."""

    entries: Iterable[tuple[int | None, bytes]]
    notes: Sequence[str | bytes]
    origin: str | None = None


def verify_epochs(parts: Iterable[Part], keys: Sequence[VerifierKey], *, each: Each | None = None) -> list[Report]:
    """Verify a log over its epochs, oldest first: each as `verify_log` does, streams going on from one to the next,
    and each opening with the tree it names.

    Returns:
        A report for each; the last is the one that found something, if any did.
    """
    reports: list[Report] = []
    heads: Mapping[str, Head] = {}
    for part in parts:
        first: list[bytes] = []
        report = verify_log(_watched(part.entries, first), part.notes, keys, origin=part.origin, heads=heads, each=each)
        is_first = not reports and number_of(report.origin or "") <= 1
        if report.is_sound and not is_first and (wrong := _opens_after(reports[-1:], report, first)):
            fix = "Stop writing, keep this database as it is, and compare it with the last good backup."
            report = replace(report, bad=Finding(0, "Entry 0 does not open this epoch.", wrong, fix))
        reports.append(report)
        if not report.is_sound:
            break
        heads = report.heads
    return reports


def _watched(entries: Iterable[tuple[int | None, bytes]], first: list[bytes]) -> Iterator[tuple[int | None, bytes]]:
    for index, data in entries:
        if not first:
            first.append(data)
        yield index, data


def _opens_after(before: Sequence[Report], report: Report, first: Sequence[bytes]) -> str | None:
    """Return why an epoch does not follow the one before, or None if it does.

    Args:
        before: the report on that one; none where it was not handed out, which is well if it was empty.
    """
    try:
        opening = read_opening(decode(first[0])) if first else None
    except Refused as refused:
        return refused.why
    if opening is None:
        return "It has no entries."
    size, root = (before[0].size, before[0].root) if before else (0, EMPTY_ROOT)
    if (opening.had_size, opening.had_root) != (size, root.hex()):
        return (
            f"It names a tree of {opening.had_size} entries; the one handed out before it has {size}, or another root."
        )
    if report.origin is not None and opening.epoch != number_of(report.origin):
        return f"It opens epoch {opening.epoch}, and the log is {report.origin}."
    return None


def _sizes(said: Mapping[str, Any]) -> tuple[int, ...]:
    return said["epoch"], said["had_size"], said["known_size"], said["carried"]
