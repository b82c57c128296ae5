# SPDX-License-Identifier: Apache-2.0
"""Verify a whole log in one pass, and fold its entries into the state they stand for.

No object is made per entry beyond what reading its JSON makes; `benchmarks/` times it. Memory grows with the number
of streams (their heads), not of entries.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final, NoReturn

import orjson

from signoff.ledger import checkpoint as notes
from signoff.ledger.canonical import LEAVES, SORTED
from signoff.ledger.checkpoint import Checkpoint, VerifierKey, tenant_of
from signoff.ledger.entry import BYTES_MAX, KINDS, NAMES, Entry, check, decode
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash, leaf_hashes

_BATCH: Final = 4096  # leaves hashed into the tree together: large enough that levels cost nothing each
_AT_ONCE: Final = 64  # entries read together: few enough that all their objects stay near the processor
_members: Final = itemgetter(*NAMES)
_values: Final = dict.values
_KINDS: Final = [{kind} for kind in KINDS]
_WIDTH, _VERSION = {len(NAMES)}, {1}
_Read = tuple[list[Entry], tuple[str, ...], tuple[int, ...], tuple[str, ...], str]

Each = Callable[[int | None, Entry], None]
Head = tuple[int, bytes]
"""The last entry of a stream: its `seq` and its leaf hash. A plain tuple, since a million of them may be kept."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong; `index` is the entry's, or None where no single entry can be named."""

    index: int | None
    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass over a log found.

    `proved` is the size of the last checkpoint that held: entries from there on are in order, but signed by nobody
    yet. `pending` counts the entries behind the tree's end. `heads` are the streams' last entries, where the epoch that
    follows goes on.
    """

    origin: str | None
    size: int
    root: bytes
    checkpoints: int
    proved: int
    heads: Mapping[str, Head]
    pending: int
    bad: Finding | None

    @property
    def is_sound(self) -> bool:
        """Whether nothing was found."""
        return self.bad is None


def check_stream(head: Head | None, entry: Entry, tenant: str) -> str | None:
    """Return why `entry` does not follow `head` in its stream, or None if it does."""
    if entry["tenant"] != tenant:
        return "It belongs to another tenant."
    seq, prev = (1, "") if head is None else (head[0] + 1, head[1].hex())
    if entry["seq"] != seq:
        return (
            f"Its `seq` is {entry['seq']}, where {seq} follows: entries of its stream are missing, doubled or swapped."
        )
    if entry["prev"] != prev:
        return "Its `prev` is not the hash of the entry before in its stream: one of the two was changed."
    return None


def verify_log(
    entries: Iterable[tuple[int | None, bytes]],
    checkpoints: Iterable[str | bytes],
    keys: Sequence[VerifierKey],
    *,
    origin: str | None = None,
    heads: Mapping[str, Head] | None = None,
    each: Each | None = None,
) -> Report:
    """Verify a log from its first entry: form, streams, tree, and each checkpoint at its size.

    Args:
        entries: index and bytes in order, from index 0; then, with None for an index, those that no tree holds yet.
        checkpoints: signed notes in any order: those stored with the log, and better also some kept elsewhere.
        origin: of the log; None takes that of the first checkpoint. It names the tenant; with neither, the first
            entry does.
        heads: where the streams stood when this epoch of the log was opened; None in the first.
        each: is called with each entry that is in order, to fold or compare it in the same pass.

    Returns:
        The report, with the first finding. The pass ends there: what follows cannot be trusted.
    """
    run = _Run(keys, origin, dict(heads or {}))
    try:
        signed = _in_order(checkpoints, run)
        stream = iter(entries)
        for size, note in signed:
            run.take(stream, size - run.size, each)
            run.check(note)
        run.take(stream, None, each)
    except _Stop as stop:
        return run.report(stop.finding)
    return run.report(None)


class Fold:
    """State and rows by stream, grown entry by entry: what the tables must show."""

    __slots__ = ("rows", "states")

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, dict[str, list[dict[str, Any]]]] = {}

    def add(self, entry: Entry) -> None:
        """Merge the entry's `set` into its stream's state (a null is a value too), and append its `rows`."""
        stream = entry["stream"]
        state = self.states.get(stream)
        if state is None:
            self.states[stream] = dict(entry["set"])
        else:
            state.update(entry["set"])
        for table, rows in entry.get("rows", {}).items():
            self.rows.setdefault(stream, {}).setdefault(table, []).extend(rows)


def fold(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Return the state of each stream: its entries' `set` members, merged in order."""
    folded = Fold()
    for entry in entries:
        folded.add(entry)
    return folded.states


class _Stop(Exception):
    def __init__(self, finding: Finding) -> None:
        self.finding = finding


class _Run:
    """Where a pass stands."""

    def __init__(self, keys: Sequence[VerifierKey], origin: str | None, heads: dict[str, Head]) -> None:
        self.keys, self.origin, self.heads = keys, origin, heads
        self.tenant = None if origin is None else tenant_of(origin)
        self.tree = Frontier()
        self.size = self.checkpoints = self.proved = self.pending = 0

    def take(self, stream: Any, count: int | None, each: Each | None) -> None:
        """Read `count` entries, or all that are left (None), into streams and tree."""
        while count is None or count > 0:
            batch = list(islice(stream, _BATCH if count is None else min(count, _BATCH)))
            if not batch:
                return
            if batch[-1][0] is None:
                end = next(at for at, (index, _) in enumerate(batch) if index is None)
                self._take_batch(batch[:end], each)
                self._take_pending(chain(batch[end:], stream), each)
                return
            self._take_batch(batch, each)
            if count is not None:
                count -= len(batch)

    def _take_batch(self, batch: list[tuple[int | None, bytes]], each: Each | None) -> None:
        """Take in entries that have an index, a few at a time: few enough to stay in the processor's cache."""
        leaves: list[bytes] = []
        try:
            for begin in range(0, len(batch), _AT_ONCE):
                self._take_few(batch[begin : begin + _AT_ONCE], each, leaves)
        finally:  # a report names the tree as far as it is in order
            self.tree.absorb(leaves)

    def _take_few(self, few: list[tuple[int | None, bytes]], each: Each | None, leaves: list[bytes]) -> None:
        """Take in entries whose form is looked at all together, and one by one where that leaves a doubt."""
        indexes, written = zip(*few, strict=True)
        read = None
        if indexes == tuple(range(self.size, self.size + len(few))):
            read = _read_together(written, self.tenant)
        if read is None:
            for index, data in few:
                self._take_one(index, data, each, leaves)
            return
        entries, prevs, seqs, streams, self.tenant = read
        heads, count, hashed = self.heads, 0, leaf_hashes(written)
        for name, seq, prev, leaf in zip(streams, seqs, prevs, hashed, strict=True):
            head = heads.get(name)
            if (seq != 1 or prev != "") if head is None else (seq != head[0] + 1 or prev != head[1].hex()):
                break
            heads[name] = (seq, leaf)
            count += 1
        self.size += count
        leaves += hashed[:count]
        if each is not None:
            for index, entry in zip(indexes, entries[:count], strict=False):
                each(index, entry)
        if count < len(few):
            self._take_one(*few[count], each, leaves)

    def _take_one(self, index: int | None, data: bytes, each: Each | None, leaves: list[bytes]) -> None:
        """Take in one entry, or say what is wrong with it."""
        size = self.size
        if index != size:
            found = "One without an index" if index is None else f"Entry {index}"
            _stop(size, f"Entry {size} is missing.", f"{found} stands where {size} belongs.")
        read = _read_together((data,), None)
        try:
            entry = read[0][0] if read else decode(data)
        except Refused as refused:
            _stop(size, f"Entry {size} is not what was written.", refused.why)
        if self.tenant is None:
            self.tenant = entry["tenant"]
        if wrong := check_stream(self.heads.get(entry["stream"]), entry, self.tenant):
            _stop(size, f"Entry {size} does not follow.", wrong)
        leaf = leaf_hash(data)
        self.heads[entry["stream"]] = (entry["seq"], leaf)
        self.size += 1
        leaves.append(leaf)
        if each is not None:
            each(size, entry)

    def _take_pending(self, rest: Iterable[tuple[int | None, bytes]], each: Each | None) -> None:
        """Check entries that wait for their place in the tree: form and stream, and that none has an index."""
        for index, data in rest:
            if index is not None:
                _stop(index, f"Entry {index} stands behind entries without an index.", "The tree ends before those.")
            what = f"Entry {self.pending} of those waiting for the tree"
            try:
                entry = decode(data)
            except Refused as refused:
                _stop(None, f"{what} is not what was written.", refused.why)
            if self.tenant is None:
                self.tenant = entry["tenant"]
            name = entry["stream"]
            if wrong := check_stream(self.heads.get(name), entry, self.tenant):
                _stop(None, f"{what} does not follow.", wrong)
            self.heads[name] = (entry["seq"], leaf_hash(data))
            if each is not None:
                each(None, entry)
            self.pending += 1

    def check(self, note: Checkpoint) -> None:
        """Compare the tree with one checkpoint; what it signs is whole up to here."""
        if self.size < note.size:
            _stop(
                self.size,
                f"The log ends at size {self.size}.",
                f"A checkpoint of size {note.size} is signed: the entries from {self.size} on were cut off or lost.",
            )
        root = self.tree.root() if note.size else EMPTY_ROOT
        if root != note.root:
            _stop(
                None,
                f"The checkpoint of size {note.size} signs other entries.",
                f"Each entry fits its stream, but one from {self.proved} to {note.size - 1} is not the one signed.",
            )
        self.checkpoints += 1
        self.proved = note.size

    def report(self, bad: Finding | None) -> Report:
        return Report(
            self.origin, self.size, self.tree.root(), self.checkpoints, self.proved, self.heads, self.pending, bad
        )


def _read_together(written: tuple[bytes, ...], tenant: str | None) -> _Read | None:
    """Return the entries in these bytes, their `prev`, `seq` and `stream`, and their tenant; None if one is doubtful.

    What `decode` asks of each entry is asked of all at once, member by member, so that hardly a line of Python runs
    for each. `check`, which it rests on, looks at those that hold `rows` or something nested.
    """
    try:
        entries: list[Any] = list(map(orjson.loads, written))
        text, spelled = b",".join(written), orjson.dumps(entries, option=SORTED)
        # Each is one object, and none begins as another one goes on: all are spelled as written if their row is.
        if len(spelled) != len(text) + 2 or not spelled.startswith(text, 1):
            return None
        ats, prevs, seqs, sets, streams, tenants, types, versions = zip(*map(_members, entries), strict=True)
        if [set(map(type, column)) for column in (ats, prevs, seqs, sets, streams, tenants, types, versions)] != _KINDS:
            return None
        values = chain.from_iterable(map(_values, sets))
        if set(map(len, entries)) != _WIDTH or not LEAVES.issuperset(map(type, values)):
            for entry in entries:
                if len(entry) != len(NAMES) or not LEAVES.issuperset(map(type, entry["set"].values())):
                    check(entry)
    except (Refused, orjson.JSONDecodeError, orjson.JSONEncodeError, TypeError, KeyError):
        return None
    tenant = tenants[0] if tenant is None else tenant
    is_common = (
        tenant != ""
        and set(tenants) == {tenant}
        and set(versions) == _VERSION
        and min(ats) >= 0
        and all(streams)
        and all(types)
        and text.isascii()
        and max(map(len, written)) <= BYTES_MAX
    )
    return (entries, prevs, seqs, streams, tenant) if is_common else None


def _in_order(checkpoints: Iterable[str | bytes], run: _Run) -> list[tuple[int, Checkpoint]]:
    """Return the checkpoints by size, each signed by the log's key and of one origin, which the run takes on."""
    signed = []
    for text in checkpoints:
        try:
            note = notes.verify(text, run.keys)
        except Refused as refused:
            _stop(None, refused.what, refused.why)
        if run.origin is None:
            run.origin, run.tenant = note.origin, tenant_of(note.origin)
        if note.origin != run.origin:
            _stop(None, f"A checkpoint is of {note.origin}.", f"This is the log {run.origin}.")
        signed.append((note.size, note))
    return sorted(signed, key=lambda one: one[0])


def _stop(index: int | None, what: str, why: str) -> NoReturn:
    raise _Stop(
        Finding(
            index, what, why, "Stop writing, keep this database as it is, and compare it with the last good backup."
        )
    )
