# SPDX-License-Identifier: Apache-2.0
"""Queries over the log: entries, tree nodes, checkpoints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import func, insert, select, update

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.adapters.sql.stored import told
from signoff.core.errors import Conflict, Corrupt
from signoff.ports.marks import Marks
from signoff.ports.storage import LogHead

_e = t.entries.c
_mine = _e.tenant == param("tenant")
_APPEND = Statement(
    insert(t.entries).values(
        tenant=param("tenant"),
        stream=param("stream"),
        seq=param("seq"),
        at=param("at"),
        entry=param("entry"),
        mark=param("mark"),
    )
)
_OF = Statement(select(_e.idx, _e.entry).where(_mine, _e.stream == param("stream")).order_by(_e.seq))
_AT = Statement(select(_e.entry).where(_mine, _e.idx == param("index")))
_LOCATE = Statement(select(_e.idx).where(_mine, _e.stream == param("stream"), _e.seq == param("seq")))
_PENDING = Statement(
    select(_e.stream, _e.seq, _e.entry, _e.mark)
    .where(_mine, _e.idx.is_(None))
    .order_by(_e.at, _e.stream, _e.seq)
    .limit(param("most"))
)
_PLACE = Statement(
    update(t.entries)
    .where(_mine, _e.stream == param("of"), _e.seq == param("nth"), _e.idx.is_(None))
    .values(idx=param("new_index"), mark=None)
)
_ENTRY = select(_e.idx, _e.stream, _e.seq, _e.at, _e.entry)
_SCAN = Statement(_ENTRY.where(_mine, _e.idx.isnot(None)).order_by(_e.idx))
_SCAN_PENDING = Statement(_ENTRY.where(_mine, _e.idx.is_(None)).order_by(_e.at, _e.stream, _e.seq))
_LAST = Statement(select(_e.at).where(_mine, _e.idx.isnot(None)).order_by(_e.idx.desc()).limit(1))
_LAST_PENDING = Statement(select(func.max(_e.at)).where(_mine, _e.idx.is_(None)))
_n = t.nodes.c
_NODE = Statement(
    select(_n.hash).where(_n.tenant == param("tenant"), _n.level == param("level"), _n.position == param("index"))
)
_NODES_ADD = Statement(
    insert(t.nodes).values(tenant=param("tenant"), level=param("level"), position=param("index"), hash=param("hash"))
)
_c = t.checkpoints.c
_HEADS = select(_c.origin, _c.size, _c.note).where(_c.tenant == param("tenant"), _c.origin == param("of"))
_HEAD = Statement(_HEADS.order_by(_c.size.desc()).limit(1))
_HEAD_AT = Statement(_HEADS.where(_c.size == param("at_size")))
_ALL_HEADS = Statement(_HEADS.order_by(_c.size))
_PUBLISH = Statement(insert(t.checkpoints).values({column.name: param(column.name) for column in t.checkpoints.c}))


_MARKED = Statement(select(_e.stream, _e.seq).where(_mine, _e.idx.isnot(None), _e.mark.isnot(None)))


class SqlLedger:
    """The log of one tenant."""

    def __init__(self, connection: Connection, tenant: str, marks: Marks) -> None:
        self._connection, self._tenant, self._marks = connection, tenant, marks

    def append(self, stream: str, seq: int, at: int, entry: bytes) -> None:
        mark = self._marks.mark(self._tenant, entry)
        given = {"tenant": self._tenant, "stream": stream, "seq": seq, "at": at, "entry": entry, "mark": mark}
        self._connection.execute(_APPEND.text, _APPEND.arguments(given))

    def entries_of(self, stream: str) -> list[tuple[int | None, bytes]]:
        return self._connection.run(_OF, {"tenant": self._tenant, "stream": stream}).fetchall()

    def entry_at(self, index: int) -> bytes | None:
        row = self._connection.run(_AT, {"tenant": self._tenant, "index": index}).fetchone()
        return None if row is None else row[0]

    def locate(self, stream: str, seq: int) -> int | None:
        row = self._connection.run(_LOCATE, {"tenant": self._tenant, "stream": stream, "seq": seq}).fetchone()
        return None if row is None else row[0]

    def pending(self, limit: int) -> list[tuple[str, int, bytes]]:
        rows = self._connection.run(_PENDING, {"tenant": self._tenant, "most": limit}).fetchall()
        for stream, seq, entry, mark in rows:
            if not self._marks.is_marked(self._tenant, entry, mark):
                raise _forged(stream, seq)
        return [row[:3] for row in rows]

    def unmarked(self) -> Iterator[tuple[str, int]]:
        with told("entries"):
            for stream, seq, entry, mark in self._connection.run(_PENDING, {"tenant": self._tenant, "most": -1}):
                if not self._marks.is_marked(self._tenant, entry, mark):
                    yield stream, seq
            yield from self._connection.run(_MARKED, {"tenant": self._tenant})

    def integrate(self, placed: Sequence[tuple[str, int, int]]) -> None:
        rows = ({"tenant": self._tenant, "of": stream, "nth": seq, "new_index": at} for stream, seq, at in placed)
        self._connection.run_all(_PLACE, rows)

    def nodes(self) -> Mapping[tuple[int, int], bytes]:
        return _Nodes(self._connection, self._tenant)

    def add_nodes(self, nodes: Iterable[tuple[int, int, bytes]]) -> None:
        rows = ({"tenant": self._tenant, "level": level, "index": at, "hash": digest} for level, at, digest in nodes)
        self._connection.run_all(_NODES_ADD, rows)

    def head(self, origin: str) -> LogHead | None:
        row = self._connection.run(_HEAD, {"tenant": self._tenant, "of": origin}).fetchone()
        return None if row is None else LogHead(*row)

    def head_at(self, origin: str, size: int) -> LogHead | None:
        row = self._connection.run(_HEAD_AT, {"tenant": self._tenant, "of": origin, "at_size": size}).fetchone()
        return None if row is None else LogHead(*row)

    def publish(self, head: LogHead) -> None:
        if self.head_at(head.origin, head.size) is not None:
            raise Conflict(
                what=f"A checkpoint of size {head.size} is published already.",
                why="A log has one checkpoint a size, so that two integrators cannot tell two truths.",
                fix="Nothing is to be done: the recorded one stands.",
                code="ledger.checkpoint_exists",
            )
        given = {"tenant": self._tenant, "origin": head.origin, "size": head.size, "note": head.note}
        self._connection.run(_PUBLISH, given)

    def heads(self, origin: str) -> Iterator[LogHead]:
        for row in self._connection.run(_ALL_HEADS, {"tenant": self._tenant, "of": origin}):
            yield LogHead(*row)

    def last_at(self) -> int:
        rows = [self._connection.run(last, {"tenant": self._tenant}).fetchone() for last in (_LAST, _LAST_PENDING)]
        return max(row[0] or 0 for row in rows if row) if any(rows) else 0

    def scan(self) -> Iterator[tuple[int | None, str, int, int, bytes]]:
        for part in (_SCAN, _SCAN_PENDING):
            yield from self._connection.run(part, {"tenant": self._tenant})


def _forged(stream: str, seq: int) -> Corrupt:
    return Corrupt(
        what=f"Entry {seq} of {stream[:64]} was not written by this installation.",
        why="It waits for its place in the log, and has not the mark that only a node with the log key can make.",
        fix="Keep the files as they are; find out who can write the database; then restore a database that verifies.",
        code="ledger.forged_entry",
        stream=stream,
        seq=seq,
    )


class _Nodes(Mapping[tuple[int, int], bytes]):
    """Stored nodes, read one at a time: a proof needs a logarithm of them."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def __getitem__(self, key: tuple[int, int]) -> bytes:
        level, index = key
        row = self._connection.run(_NODE, {"tenant": self._tenant, "level": level, "index": index}).fetchone()
        if row is None:
            raise KeyError(key)
        found: bytes = row[0]
        return found

    def __iter__(self) -> Iterator[tuple[int, int]]:
        raise TypeError("the nodes of a log are not listed")

    def __len__(self) -> int:
        raise TypeError("the nodes of a log are not counted")
