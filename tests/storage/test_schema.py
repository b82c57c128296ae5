# SPDX-License-Identifier: Apache-2.0
"""The rules of `adapters/sql/tables.py`: tenant first, no counters, nothing unique across tenants."""

import re
import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import Column, Sequence, Table

from signoff.adapters import sql
from signoff.adapters.sql import action
from signoff.adapters.sql.engine import Statement, create_or_check
from signoff.adapters.sql.nouns import NOUNS
from signoff.adapters.sql.tables import metadata
from signoff.core.errors import SignoffError

OF_ALL_TENANTS = {"installation"}  # says of the database itself what no tenant can; this version writes nothing there
TABLES = [table for name, table in sorted(metadata.tables.items()) if name not in OF_ALL_TENANTS]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_tenant_comes_first_in_every_key_and_index(table: Table) -> None:
    keys = [list(table.primary_key), *(list(index.columns) for index in table.indexes)]
    assert [key[0].name for key in keys] == ["tenant"] * len(keys)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_nothing_is_counted_by_the_database_or_unique_across_tenants(table: Table) -> None:
    assert table.autoincrement_column is None
    for column in table.columns:
        assert not column.unique
        assert column.server_default is None
        assert column.identity is None
        assert not isinstance(column.default, Sequence)
    for index in table.indexes:
        assert not index.unique or index.columns[0].name == "tenant"
    assert not table.foreign_keys


def test_the_database_has_the_tables_that_are_declared_and_no_others(tmp_path: Path) -> None:
    create_or_check(tmp_path / "new.db")
    with sqlite3.connect(tmp_path / "new.db") as database:
        found = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        triggers = database.execute("SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone()
    database.close()
    assert {name for name, _ in found if not name.startswith("sqlite_")} == metadata.tables.keys()
    assert all("STRICT" in text for name, text in found if not name.startswith("sqlite_"))
    assert not any(re.search("AUTOINCREMENT|FOREIGN", text or "") for _, text in found)
    assert triggers == (0,)


@pytest.mark.parametrize("kind", sorted(NOUNS, key=str))
def test_a_table_that_authorises_is_its_noun(kind: type) -> None:
    table = NOUNS[kind].table
    assert [column.name for column in table.columns] == [field.name for field in fields(kind)]
    assert all(isinstance(column, Column) for column in table.columns)


def test_no_statement_locks_by_advice_or_listens() -> None:
    folder = Path(sql.__file__).parent
    text = "\n".join(path.read_text() for path in folder.rglob("*.py"))
    assert not re.search(r"pg_advisory|pg_notify|\bLISTEN \b|nextval|SERIAL", text)


def test_a_database_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    database.close()
    with pytest.raises(SignoffError):
        create_or_check(path)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]
    database.close()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be read as one" * 100])
def test_a_file_that_is_no_database_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.db"
    path.write_bytes(content)
    if content:
        with pytest.raises(SignoffError):
            create_or_check(path)
        assert path.read_bytes() == content
    else:
        create_or_check(path)


@pytest.mark.parametrize(
    ("statement", "table", "index"),
    [(action._WAITING_OF, "actions", "actions_waiting"), (action._OPEN_RUNS, "runs", "runs_open")],
    ids=["waiting", "open runs"],
)
def test_what_one_agent_has_standing_is_counted_over_an_index_alone(
    tmp_path: Path, statement: Statement, table: str, index: str
) -> None:
    """No row is read for it, and none of what has ended: an ask costs what waits, not what was ever asked."""
    create_or_check(tmp_path / "new.db")
    with sqlite3.connect(tmp_path / "new.db") as database:
        given = dict.fromkeys(statement.names, "x")
        plan = database.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.arguments(given)).fetchall()
    database.close()
    assert [line[-1].partition(" (")[0] for line in plan] == [f"SEARCH {table} USING COVERING INDEX {index}"]
