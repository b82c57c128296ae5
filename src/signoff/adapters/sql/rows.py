# SPDX-License-Identifier: Apache-2.0
"""Between nouns and rows: a noun's fields are its table's columns, in the same order."""

import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, insert, select, update

from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.core.values import changed

N = TypeVar("N")


class Noun(Generic[N]):
    """Reads and writes one kind of noun; statements are compiled when first used."""

    def __init__(self, kind: type[N], table: Table) -> None:
        self.kind, self.table = kind, table
        self.names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
        hints = typing.get_type_hints(kind)
        self._readers = [(i, reader) for i, name in enumerate(self.names) if (reader := _reader(hints[name]))]
        self._values = attrgetter(*self.names)
        self._insert = Statement(insert(table).values({name: param(name) for name in self.names}))
        self._updates: dict[tuple[str, ...], Statement] = {}
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

    def after(self, noun: N, changes: Mapping[str, Any]) -> N:
        """Return the noun as its row reads once `changes` are written."""
        plain = {self.names[index]: reader for index, reader in self._readers}
        read = {
            name: plain[name](value) if name in plain and value is not None else value
            for name, value in changes.items()
        }
        return changed(noun, **read)

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

    def update(self, connection: Connection, noun: N, changes: Mapping[str, Any]) -> bool:
        """Change columns of the row that `noun` was read from; False if it moved meanwhile (another `seq`)."""
        names = tuple(changes)
        statement = self._updates.get(names)
        if statement is None:
            c = self.table.c
            clause = update(self.table).where(
                *(c[key] == param(f"key_{key}") for key in self._key), c.seq == param("was")
            )
            statement = self._updates[names] = Statement(clause.values({name: param(f"new_{name}") for name in names}))
        given = {f"new_{name}": _column(value) for name, value in changes.items()}
        given |= {f"key_{key}": getattr(noun, key) for key in self._key}
        given["was"] = noun.seq  # type: ignore[attr-defined]
        return connection.run(statement, given).rowcount == 1


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
