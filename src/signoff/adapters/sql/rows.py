# SPDX-License-Identifier: Apache-2.0
"""Between nouns and rows: a noun's fields are its table's columns, in the same order."""

import json
import typing
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, insert, select, update

from signoff.adapters.sql.engine import Connection, Statement, param

N = TypeVar("N")
Updating = tuple[str, Callable[[Any], tuple[Any, ...]], Callable[[Any], tuple[Any, ...]]]


class Noun(Generic[N]):
    """Reads and writes one kind of noun; statements are compiled when first used."""

    def __init__(self, kind: type[N], table: Table) -> None:
        self.kind, self.table = kind, table
        self.names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
        hints = typing.get_type_hints(kind)
        self._readers = [(i, reader) for i, name in enumerate(self.names) if (reader := _reader(hints[name]))]
        self._values = attrgetter(*self.names)
        self._insert = Statement(insert(table).values({name: param(name) for name in self.names}))
        self._updates: dict[tuple[str, ...], Updating] = {}
        self._key = [column.name for column in table.primary_key]

    def query(self, *where: ColumnElement[bool], order: Any = None, most: bool = False) -> Statement:
        """Compile a select of this noun within a tenant (`:tenant`), and at most `:most` of them."""
        clause = select(self.table).where(self.table.c.tenant == param("tenant"), *where)
        if order is not None:
            clause = clause.order_by(*(order if isinstance(order, tuple) else (order,)))
        if most:
            clause = clause.limit(param("most"))
        return Statement(clause)

    def read(self, row: tuple[Any, ...]) -> N:
        """Return the noun of a row."""
        values = list(row)
        for index, reader in self._readers:
            if values[index] is not None:
                values[index] = reader(values[index])
        return self.kind(*values)

    def one(self, connection: Connection, statement: Statement, **given: Any) -> N | None:
        row = connection.run(statement, given).fetchone()
        return None if row is None else self.read(row)

    def all(self, connection: Connection, statement: Statement, **given: Any) -> list[N]:
        return [self.read(row) for row in connection.run(statement, given)]

    def insert(self, connection: Connection, noun: N) -> None:
        values = list(self._values(noun))
        for index, _ in self._readers:  # all others are integers, texts and nothing, which the driver takes as they are
            values[index] = _column(values[index])
        connection.execute(self._insert.text, values)

    def update(self, connection: Connection, was: N, noun: N, names: tuple[str, ...]) -> bool:
        """Write columns of `noun` over the row that was read as `was`; False if it moved meanwhile (another `seq`)."""
        known = self._updates.get(names)
        if known is None:
            known = self._updates[names] = self._updating(names)
        text, read, key = known
        values = [_column(value) for value in read(noun)]
        values += key(was)
        return connection.execute(text, values).rowcount == 1

    def _updating(self, names: tuple[str, ...]) -> "Updating":
        """Return the text of an update, and what reads its parameters, in their order: new values, then the key."""
        c, key = self.table.c, (*self._key, "seq")
        clause = update(self.table).where(*(c[name] == param(f"was_{name}") for name in key))
        # SQLAlchemy sets columns in the order of the table.
        columns = tuple(name for name in self.names if name in names)
        statement = Statement(clause.values({name: param(f"new_{name}") for name in columns}))
        assert statement.names == (*(f"new_{name}" for name in columns), *(f"was_{name}" for name in key))
        return statement.text, _many(*columns), _many(*key)


def _many(*names: str) -> Callable[[Any], tuple[Any, ...]]:
    """Return what reads attributes as a tuple, even if it is one."""
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda noun: (read(noun),)


def _column(value: Any) -> Any:
    kind = type(value)
    if kind is tuple:
        return json.dumps(value)
    return str(value) if isinstance(value, StrEnum) else int(value) if kind is bool else value


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    if hint is bool:
        return bool
    if typing.get_origin(hint) is tuple:
        return lambda text: tuple(json.loads(text))
    return None
