# SPDX-License-Identifier: Apache-2.0
"""Every entry of the log, stream by stream: its bytes, its columns, its place in stream and tree.

One stream's head is held at a time, and each entry's hash is compared with the leaf that the tree stores at its index.
`benchmarks/` times it; the looks at an entry are therefore spelled out, as in `ledger/fold.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

import orjson

from signoff.app.audit.findings import Findings
from signoff.core.errors import Corrupt
from signoff.ledger.canonical import LEAVES, SORTED
from signoff.ledger.entry import BYTES_MAX, KINDS, NAMES, Entry, decode
from signoff.ledger.errors import Refused
from signoff.ports.storage import Transaction

DUE_US: Final = 60_000_000  # a receipt promises its entry's inclusion within this (`core/action/receipt.py`)
_BATCH: Final = 4096
Progress = Callable[[str, int, int], None]
"""Called now and then with the part of the work, how much of it is done, and how much there is."""


class Visitor(Protocol):
    """Is shown each entry that could be read, stream by stream."""

    def entry(self, entry: Entry, index: int | None, leaf: str) -> None:
        """Take the next entry; `leaf` is its hash in hex."""

    def end(self) -> None:
        """All entries of the stream have been shown."""


@dataclass(slots=True)
class Streams:
    """What the pass over the streams saw."""

    entries: int = 0
    integrated: int = 0
    pending: int = 0


def check_streams(
    tx: Transaction,
    found: Findings,
    visitor: Visitor | None,
    promised: Mapping[str, Set[str]],
    tell: Progress,
) -> Streams:
    """Check every entry: its bytes, its columns, its stream, its leaf in the tree.

    Args:
        promised: leaf hashes (hex) by stream that receipts kept outside promise.
    """
    seen, total = Streams(), tx.stored.count("entries")
    try:
        _check_streams(tx, found, visitor, promised, tell, seen, total)
    except Corrupt as error:
        found.add(str(error.detail.get("table", "entries")), error.what, error.why, error.fix)
    return seen


def _check_streams(
    tx: Transaction,
    found: Findings,
    visitor: Visitor | None,
    promised: Mapping[str, Set[str]],
    tell: Progress,
    seen: Streams,
    total: int,
) -> None:
    tenant, now = tx.tenant, tx.now
    loads, dumps, digest, kind_of, plain = orjson.loads, orjson.dumps, sha256, type, LEAVES.issuperset
    current, last_seq, last_hex = "", 0, ""
    last_index: int | None = -1
    missing: set[str] = set()
    late: tuple[int, str, int] | None = None
    count = integrated = 0
    for stream, seq, at, index, data, stored in tx.stored.entries():
        if stream != current:
            _tell_missing(found, current, missing)
            if visitor is not None and current:
                visitor.end()
            current, last_seq, last_hex, last_index = stream, 0, "", -1
            missing = set(promised.get(stream, ()))
        entry: Any = None
        try:
            # The common entry is known to be in order by these cheap looks; any doubt goes to `decode`.
            entry = loads(data)
            values = tuple(entry.values())
            if not (
                dumps(entry, option=SORTED) == data
                and tuple(entry) == NAMES
                and tuple(map(kind_of, values)) == KINDS
                and plain(map(kind_of, values[3].values()))
                and values[0] >= 0
                and values[6]
                and values[7] == 1
                and data.isascii()
                and len(data) <= BYTES_MAX
            ):
                entry = decode(data)
                values = tuple(map(entry.__getitem__, NAMES))
        except (Refused, orjson.JSONDecodeError, orjson.JSONEncodeError, TypeError, AttributeError) as error:
            why = error.why if isinstance(error, Refused) else "Its bytes are not those of an entry."
            what = f"Entry {seq} of {stream} is not what was written."
            found.add("entries", what, why, stream=stream, seq=seq, index=index, column="entry")
            entry, values = None, (at, last_hex, seq, {}, stream, tenant, "", 1)
        said_at, prev, said_seq, _, said_stream, owner, _, _ = values
        leaf = digest(b"\x00" + data).digest()
        if not (
            said_seq == seq == last_seq + 1
            and prev == last_hex
            and said_at == at
            and said_stream == stream
            and owner == tenant
            and (index is None or (leaf == stored and last_index is not None and index > last_index))
        ):
            said = (said_stream, said_seq, said_at, owner, prev)
            row = (stream, seq, at, index)
            for column, why in _wrongs(said, row, tenant, (last_seq, last_hex, last_index), leaf, stored):
                what = f"Entry {seq} of {stream} does not stand where it belongs."
                found.add("entries", what, why, stream=stream, seq=seq, index=index, column=column)
        last_seq, last_hex, last_index = seq, leaf.hex(), index
        if missing:
            missing.discard(last_hex)
        if index is None:
            seen.pending += 1
            if now - at > DUE_US and (late is None or at < late[0]):
                late = (at, stream, seq)
        else:
            integrated += 1
        count += 1
        if visitor is not None and entry is not None:
            visitor.entry(entry, index, last_hex)
        if not count % _BATCH:
            tell("entries", count, total)
    _tell_missing(found, current, missing)
    if visitor is not None and current:
        visitor.end()
    if late is not None:
        found.add(
            "entries",
            f"{seen.pending} entries wait for the tree, the oldest for {(now - late[0]) // 1_000_000} s.",
            "Each is promised to be in the log within 60 s.",
            "Start the node: it integrates what waits at its first tick. If it runs, look into its log for why not.",
            stream=late[1],
            seq=late[2],
            column="idx",
        )
    seen.entries, seen.integrated = count, integrated
    tell("entries", count, total)


def _wrongs(
    said: tuple[str, int, int, str, str],
    row: tuple[str, int, int, int | None],
    tenant: str,
    last: tuple[int, str, int | None],
    leaf: bytes,
    stored: bytes | None,
) -> Iterator[tuple[str, str]]:
    """Yield column and reason of each way in which an entry is out of place."""
    said_stream, said_seq, said_at, owner, prev = said
    stream, seq, at, index = row
    last_seq, last_hex, last_index = last
    if owner != tenant:
        yield "tenant", f"Its bytes name the tenant {owner[:64]!r}."
    if said_stream != stream:
        yield "stream", f"Its bytes name the stream {said_stream[:64]!r}."
    if said_seq != seq:
        yield "seq", f"Its bytes say {said_seq}."
    if said_at != at:
        yield "at", f"Its bytes say {said_at}, its row {at}."
    if seq != last_seq + 1:
        yield "seq", f"{last_seq + 1} follows in its stream: entries before it are missing."
    elif prev != last_hex:
        yield "entry", "Its `prev` is not the hash of the entry before in its stream: one of the two was changed."
    if index is None:
        return
    if last_index is None:
        yield "idx", "It is in the tree, and the entry before it in its stream is not."
    elif index <= last_index:
        yield "idx", f"The entry before it in its stream has the index {last_index}."
    if stored is None:
        yield "idx", f"The tree has no leaf {index}."
    elif stored != leaf:
        yield "entry", f"The tree holds another hash at {index}: this entry, its index or that leaf was changed."


def _tell_missing(found: Findings, stream: str, missing: Set[str]) -> None:
    for leaf in sorted(missing):
        found.add(
            "entries",
            f"A promised entry of {stream} is missing.",
            f"A receipt kept outside promises the leaf {leaf}, and no entry of its stream has that hash.",
            stream=stream,
        )
