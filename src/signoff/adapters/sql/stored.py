# SPDX-License-Identifier: Apache-2.0
"""Rows exactly as they lie in the database, for verification: no row becomes a noun, so that no column is overlooked.

Whatever the engine cannot read is told as `Corrupt`, since a row that breaks the reader is a row that was altered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from sqlalchemy import and_, func, select

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, EngineError, Statement, param, schema
from signoff.core.errors import Corrupt

FAULTS_MAX = 20
_e, _n = t.entries.c, t.nodes.c
_ENTRIES = Statement(
    select(_e.stream, _e.seq, _e.at, _e.idx, _e.entry, _n.hash)
    .select_from(t.entries.outerjoin(t.nodes, and_(_n.tenant == _e.tenant, _n.level == 0, _n.position == _e.idx)))
    .where(_e.tenant == param("tenant"))
    .order_by(_e.stream, _e.seq)
)
_STREAM = Statement(
    select(_e.idx, _e.entry).where(_e.tenant == param("tenant"), _e.stream == param("of")).order_by(_e.seq)
)
_NODES = Statement(
    select(_n.hash).where(_n.tenant == param("tenant"), _n.level == param("at_level")).order_by(_n.position)
)
_LEVELS = Statement(
    select(_n.level, func.count(), func.min(_n.position), func.max(_n.position))
    .where(_n.tenant == param("tenant"))
    .group_by(_n.level)
)
_ORPHAN = Statement(
    select(func.min(_n.position))
    .select_from(t.nodes.outerjoin(t.entries, and_(_e.tenant == _n.tenant, _e.idx == _n.position)))
    .where(_n.tenant == param("tenant"), _n.level == 0, _e.stream.is_(None))
)
_a = t.actions.c
_SPENT = Statement(
    select(func.coalesce(func.sum(_a.settled_usd_micros + _a.reserved_usd_micros), 0)).where(
        _a.tenant == param("tenant"), _a.run_id == param("run")
    )
)
_r, _i = t.runs.c, t.impacts.c
_COUNTED = Statement(
    select(_i.key, _i.at, _i.amount, _i.nth, _i.action_id, _a.state, _a.checks, _r.envelope)
    .select_from(
        t.impacts.join(t.actions, and_(_a.tenant == _i.tenant, _a.action_id == _i.action_id)).join(
            t.runs, and_(_r.tenant == _a.tenant, _r.run_id == _a.run_id)
        )
    )
    .where(_i.tenant == param("tenant"))
    .order_by(_i.key, _i.at, _i.action_id)
)
_SPENDING = Statement(
    select(
        _a.proposed_at,
        _a.action_id,
        _a.settled_usd_micros + _a.reserved_usd_micros,
        _r.principal_id,
        _r.agent_id,
        _r.workflow,
        _r.envelope,
    )
    .select_from(t.actions.join(t.runs, and_(_r.tenant == _a.tenant, _r.run_id == _a.run_id)))
    .where(_a.tenant == param("tenant"), t.SPENT)
    .order_by(_a.proposed_at, _a.action_id)
)


class SqlStored:
    """What one tenant has stored, as it is."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def columns(self, table: str) -> tuple[str, ...]:
        return _columns(table)

    def count(self, table: str) -> int:
        with told(table):
            found: int = self._connection.run(_count(table), {"tenant": self._tenant}).fetchone()[0]
            return found

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        with told(table):
            yield from self._connection.run(_all(table), {"tenant": self._tenant})

    def find(self, table: str, key: str) -> tuple[Any, ...] | None:
        with told(table):
            row = self._connection.run(_one(table), {"tenant": self._tenant, "key": key}).fetchone()
            return cast("tuple[Any, ...] | None", row)

    def entries(self) -> Iterator[tuple[str, int, int, int | None, bytes, bytes | None]]:
        with told("entries"):
            yield from self._connection.run(_ENTRIES, {"tenant": self._tenant})

    def entries_of(self, stream: str) -> list[tuple[int | None, bytes]]:
        with told("entries"):
            return self._connection.run(_STREAM, {"tenant": self._tenant, "of": stream}).fetchall()

    def nodes(self, level: int) -> Iterator[tuple[bytes]]:
        with told("nodes"):
            yield from self._connection.run(_NODES, {"tenant": self._tenant, "at_level": level})

    def node_levels(self) -> list[tuple[int, int, int, int]]:
        with told("nodes"):
            return self._connection.run(_LEVELS, {"tenant": self._tenant}).fetchall()

    def leaf_without_entry(self) -> int | None:
        with told("nodes"):
            found: int | None = self._connection.run(_ORPHAN, {"tenant": self._tenant}).fetchone()[0]
            return found

    def spent(self, run_id: str) -> int:
        with told("actions"):
            found: int = self._connection.run(_SPENT, {"tenant": self._tenant, "run": run_id}).fetchone()[0]
            return found

    def counted(self) -> Iterator[tuple[str, int, int, int, str, str, str | None, str]]:
        with told("impacts"):
            yield from self._connection.run(_COUNTED, {"tenant": self._tenant})

    def spending(self) -> Iterator[tuple[int, str, int, str, str, str, str]]:
        with told("actions"):
            yield from self._connection.run(_SPENDING, {"tenant": self._tenant})

    def faults(self) -> list[tuple[str, str]]:
        with told("database"):
            return [*self._altered_schema(), *self._broken_pages()]

    def _altered_schema(self) -> Iterator[tuple[str, str]]:
        asked = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        there = {name: (table, text) for name, table, text in self._connection.execute(asked)}
        wanted, owners = schema(), _owners()
        for name in sorted({*there, *wanted}):
            table, text = there.get(name, (owners.get(name, name), None))
            if text != wanted.get(name):
                yield table, f"{name} {'is missing' if text is None else 'was added or is defined otherwise'}"

    def _broken_pages(self) -> Iterator[tuple[str, str]]:
        for (line,) in self._connection.execute(f"PRAGMA integrity_check({FAULTS_MAX})"):
            if line != "ok":
                yield "database", str(line)[:200]


@cache
def _columns(table: str) -> tuple[str, ...]:
    return tuple(column.name for column in t.metadata.tables[table].columns)


@cache
def _owners() -> dict[str, str]:
    """Return the table of each index."""
    return {str(index.name): table.name for table in t.metadata.sorted_tables for index in table.indexes}


@cache
def _all(table: str) -> Statement:
    clause = select(t.metadata.tables[table]).order_by(*t.metadata.tables[table].primary_key.columns)
    return Statement(_of_tenant(table, clause))


@cache
def _one(table: str) -> Statement:
    key = next(column for column in t.metadata.tables[table].primary_key.columns if column.name != "tenant")
    return Statement(_of_tenant(table, select(t.metadata.tables[table]).where(key == param("key"))))


@cache
def _count(table: str) -> Statement:
    return Statement(_of_tenant(table, select(func.count()).select_from(t.metadata.tables[table])))


def _of_tenant(table: str, clause: Any) -> Any:
    columns = t.metadata.tables[table].c
    return clause.where(columns.tenant == param("tenant")) if "tenant" in columns else clause


@contextmanager
def told(table: str) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise Corrupt(
            what=f"The table {table} cannot be read to its end.",
            why=f"The engine says: {error}.",
            fix="Keep this database as it is, and restore the last backup that verifies.",
            code="database.unreadable",
            table=table,
        ) from error
