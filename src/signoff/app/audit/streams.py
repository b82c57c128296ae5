# SPDX-License-Identifier: Apache-2.0
"""Every entry of the log, stream by stream: its bytes, its columns, its place in stream and tree.

One stream's head is held at a time, and each entry's hash is compared with the leaf that the tree stores at its index.
`benchmarks/` times it; the looks at an entry are therefore spelled out, as in `ledger/fold.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Protocol

import orjson

from signoff.app.audit.findings import Findings
from signoff.core.errors import Corrupt
from signoff.ledger.canonical import LEAVES, SORTED
from signoff.ledger.entry import BYTES_MAX, Entry, decode
from signoff.ledger.errors import Refused
from signoff.ports.storage import Transaction

DUE_US: Final = 60_000_000  # a receipt promises its entry's inclusion within this (`core/action/receipt.py`)
PENDING: Final = 1 << 63  # stands for the index of an entry that has none: behind all others
_BATCH: Final = 4096
_is_plain_type: Final = re.compile("[a-z_.]{1,64}").fullmatch
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
    seen = Streams()
    try:
        _check_streams(tx, found, visitor, promised, tell, seen, tx.stored.count("entries"))
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
    current, last_seq, last_hex, last_index, middle = "", 0, b"", -1, b""
    known: set[bytes] = set()  # types of entries, as they stand in the bytes
    missing: set[str] = set()
    late: tuple[int, str, int] | None = None
    count = integrated = 0
    for stream, seq, at, index, data, stored in tx.stored.entries():
        if stream != current:
            _tell_missing(found, current, missing)
            if visitor is not None and current:
                visitor.end()
            current, last_seq, last_hex, last_index = stream, 0, b"", -1
            middle = b',"stream":%b,"tenant":%b,"type":"' % (dumps(stream), dumps(tenant))
            missing = set(promised.get(stream, ()))
        # The common entry is exactly these bytes around the canonical ones of its `set`; any doubt goes to `_look`.
        begin = b'{"at":%d,"prev":"%b","seq":%d,"set":' % (at, last_hex, seq)
        end = data.rfind(middle)
        inner = data[len(begin) : end]
        leaf = digest(b"\x00" + data).digest()
        entry: Any = None
        try:
            changes = loads(inner)
            is_common = (
                seq == last_seq + 1
                and data[end + len(middle) : -8] in known
                and data.startswith(begin)
                and data.endswith(b'","v":1}')
                and kind_of(changes) is dict
                and plain(map(kind_of, changes.values()))
                and dumps(changes, option=SORTED) == inner
                and data.isascii()
                and len(data) <= BYTES_MAX
                and at >= 0
                and (index is None or (leaf == stored and last_index < index))
            )
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, TypeError):
            is_common = False
        if not is_common:
            entry = _look(found, tenant, (stream, seq, at, index), data, (last_seq, last_hex, last_index), leaf, stored)
            if entry is not None and _is_plain_type(entry["type"]):
                known.add(entry["type"].encode())
        elif visitor is not None:
            name = data[end + len(middle) : -8].decode()
            entry = {"type": name, "stream": stream, "seq": seq, "at": at, "set": changes}
        last_seq, last_hex = seq, leaf.hex().encode()
        if missing:
            missing.discard(leaf.hex())
        if index is None:
            last_index = PENDING
            seen.pending += 1
            if now - at > DUE_US and (late is None or at < late[0]):
                late = (at, stream, seq)
        else:
            last_index = index
            integrated += 1
        count += 1
        if visitor is not None and entry is not None:
            visitor.entry(entry, index, leaf.hex())
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


def _look(
    found: Findings,
    tenant: str,
    row: tuple[str, int, int, int | None],
    data: bytes,
    last: tuple[int, bytes, int],
    leaf: bytes,
    stored: bytes | None,
) -> Entry | None:
    """Look closely at one entry, tell everything that is wrong with it, and return it if it is one at all."""
    stream, seq, _, index = row
    try:
        entry: Entry | None = decode(data)
    except Refused as refused:
        entry = None
        what = f"Entry {seq} of {stream} is not what was written."
        found.add("entries", what, refused.why, stream=stream, seq=seq, index=index, column="entry")
    for column, why in (*_own_wrongs(entry, row, tenant, last[1]), *_place_wrongs(row, last, leaf, stored)):
        what = f"Entry {seq} of {stream} does not stand where it belongs."
        found.add("entries", what, why, stream=stream, seq=seq, index=index, column=column)
    return entry


def _own_wrongs(
    entry: Entry | None, row: tuple[str, int, int, int | None], tenant: str, last_hex: bytes
) -> Iterator[tuple[str, str]]:
    """Yield column and reason where an entry's bytes say something else than its columns or its stream."""
    if entry is None:
        return
    stream, seq, at, _ = row
    if entry["tenant"] != tenant:
        yield "tenant", f"Its bytes name the tenant {entry['tenant'][:64]!r}."
    if entry["stream"] != stream:
        yield "stream", f"Its bytes name the stream {entry['stream'][:64]!r}."
    if entry["seq"] != seq:
        yield "seq", f"Its bytes say {entry['seq']}."
    if entry["at"] != at:
        yield "at", f"Its bytes say {entry['at']}, its row {at}."
    if entry["prev"].encode() != last_hex:
        yield "entry", "Its `prev` is not the hash of the entry before in its stream: one of the two was changed."


def _place_wrongs(
    row: tuple[str, int, int, int | None], last: tuple[int, bytes, int], leaf: bytes, stored: bytes | None
) -> Iterator[tuple[str, str]]:
    """Yield column and reason where an entry is out of place in its stream or in the tree."""
    _, seq, _, index = row
    last_seq, _, last_index = last
    if seq != last_seq + 1:
        yield "seq", f"{last_seq + 1} follows in its stream: entries before it are missing, or it is doubled."
    if index is None:
        return
    if last_index == PENDING:
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
