# SPDX-License-Identifier: Apache-2.0
"""Whoever can write the database can change nothing unnoticed: every column of every table, rows, entries, backups.

The cases are made from the tables themselves, so that a new column joins by itself. `UNPROVEN` and the tests at the
end name what a database alone cannot show, and `docs/reference/ledger.md` says the same to users.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import BigInteger, LargeBinary

from signoff.adapters.mirror import CheckpointMirror
from signoff.adapters.sql.engine import Connection
from signoff.adapters.sql.tables import metadata
from signoff.app.audit import AuditReport, Finding
from signoff.app.integrate import integrate
from signoff.core.errors import Corrupt, Unavailable
from signoff.ledger.entry import encode, leaf_hash
from tests.app.ledgers import ORIGIN, Ledger, write_ledger
from tests.world import TENANT, new_world

UNPROVEN = {
    ("leases", "tenant"): "A renewal that is taken away: its write becomes a doubt early, and is looked up.",
    ("leases", "until"): "A lease is renewed without an entry; any end within the 15 s that a lease may have fits.",
}
"""Columns that nothing in the database proves, and why none of them authorises anything."""
"""Tables into which this version writes nothing."""
FLEETING = {"leases"}
"""Tables whose rows may be missing: a renewal that is taken away makes its write a doubt, which is looked up."""
TABLES = [table.name for table in metadata.sorted_tables]
COLUMNS = [(table, column.name) for table in TABLES for column in metadata.tables[table].columns]
ROWS_MOST = 3  # rows of a table in which each column is changed: from all over it, other ones for each column


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return asyncio.run(write_ledger(tmp_path_factory.mktemp("ledger")))


@pytest.fixture
def attacker(ledger: Ledger) -> Iterator[Connection]:
    with ledger.opened() as connection:
        yield connection


def test_the_ledger_that_is_tampered_with_is_sound(ledger: Ledger, attacker: Connection) -> None:
    report = ledger.audit(attacker, [ledger.checkpoint, ledger.receipt, ledger.earlier_receipt])
    assert report.is_sound, report.findings
    assert report.entries == report.size + report.pending
    assert report.pending > 0
    assert report.proved == report.size
    assert not [table for table in TABLES if not count(attacker, table)]


# --- every column of every table -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=lambda name: str(name))
def test_a_changed_column_is_found_and_named(ledger: Ledger, attacker: Connection, table: str, column: str) -> None:
    changed = 0
    for key in keys_of(attacker, table, crc32(column.encode())):
        for value in others(attacker, table, column, key):
            attacker.execute("SAVEPOINT edit")
            where = " AND ".join(f'"{name}" = ?' for name in key)
            try:
                attacker.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE {where}', [value, *key.values()])
            except sqlite3.IntegrityError:  # a unique index of some rows only: an erased subject has followers
                attacker.execute("RELEASE edit")
                continue
            report = ledger.audit(attacker)
            attacker.execute("ROLLBACK TO edit")
            attacker.execute("RELEASE edit")
            told = f"{table}.{column} of {key} became {value!r}"
            if (table, column) in UNPROVEN:
                assert report.is_sound, f"{told}: it is proved after all, so it does not belong in UNPROVEN"
            else:
                assert names(report, table, key), f"{told}: {report.findings}"
            changed += 1
    assert changed


def keys_of(connection: Connection, table: str, start: int = 0) -> list[dict[str, Any]]:
    """Return the keys of rows from all over a table; of checkpoints the newest, as the others prove nothing more."""
    names_ = [column.name for column in metadata.tables[table].primary_key.columns]
    order = ", ".join(f'"{name}"' for name in names_)
    found = connection.execute(f'SELECT {order} FROM "{table}" ORDER BY {order}').fetchall()
    if table == "checkpoints":
        found = found[-1:]
    step = max(1, len(found) // ROWS_MOST)
    return [dict(zip(names_, row, strict=True)) for row in found[start % step :: step]]


def others(connection: Connection, table: str, column: str, key: dict[str, Any]) -> list[Any]:
    """Return other values for a column of a row: a small change, another row's value, and none."""
    kind = metadata.tables[table].c[column]
    where = " AND ".join(f'"{name}" = ?' for name in key)
    value = connection.execute(f'SELECT "{column}" FROM "{table}" WHERE {where}', list(key.values())).fetchone()[0]
    is_key = column in key
    found = []
    if isinstance(kind.type, BigInteger):
        found = [(value or 0) + (1_000_000 if is_key else 1)]
    elif isinstance(kind.type, LargeBinary):
        found = [bytes([value[0] ^ 1]) + value[1:], value[:-1], b""] if value is not None else [b"\0" * 64]
    else:
        found = [f"{value or ''}x"] if not value or value[-1:] != "}" else [value.replace("e", "E", 1)]
    if not is_key:
        if (table, column) not in UNPROVEN:
            asked = f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT ? ORDER BY 1 DESC LIMIT 1'
            found += [row[0] for row in connection.execute(asked, [value]) if row[0] is not None]
        if kind.nullable and value is not None:
            found.append(None)
    return [one for one in dict.fromkeys(found) if not is_taken(connection, table, column, one)]


def unique_columns(table: str) -> set[str]:
    """Return the columns of a table's unique indexes, without the tenant."""
    indexes = [index for index in metadata.tables[table].indexes if index.unique]
    return {column.name for index in indexes for column in index.columns} - {"tenant"}


def is_taken(connection: Connection, table: str, column: str, value: Any) -> bool:
    """Tell whether a unique index stands in the way of a value; `test_swapped_entries_are_found` goes past them."""
    if column not in unique_columns(table) or value is None:
        return False
    asked = f'SELECT count(*) FROM "{table}" WHERE "{column}" = ?'
    return bool(connection.execute(asked, [value]).fetchone()[0])


def names(report: AuditReport, table: str, key: dict[str, Any]) -> list[Finding]:
    """Return the findings that name the table or the stream; a node is named by the entries under it, too."""
    also = {"nodes": {"entries", "checkpoints"}, "checkpoints": {"entries"}}.get(table, set())
    stream = key.get("stream", key.get("owner", key.get("action_id")))
    return [one for one in report.findings if one.table in {table, *also} or (stream and one.stream == stream)]


@pytest.mark.parametrize(
    ("table", "key", "column"),
    [
        ("actions", "action_id", "reason"),
        ("runs", "run_id", "environment"),
        ("people", "person_id", "roles"),
        ("agents", "agent_id", "owner_id"),
        ("api_keys", "key_id", "secret_digest"),
        ("halts", "halt_id", "target"),
        ("publications", "publication_id", "publisher"),
        ("votes", "action_id", "role"),
    ],
)
def test_a_finding_names_stream_and_column(
    ledger: Ledger, attacker: Connection, table: str, key: str, column: str
) -> None:
    row = attacker.execute(f'SELECT "{key}" FROM "{table}" ORDER BY 1 LIMIT 1').fetchone()[0]
    attacker.execute(f'UPDATE "{table}" SET "{column}" = \'["forged"]\' WHERE "{key}" = ?', [row])
    finding = ledger.audit(attacker).findings[0]
    assert (finding.table, finding.stream, finding.column) == (table, row, column)
    assert finding.seq is not None
    assert finding.what and finding.why and finding.fix


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_a_deleted_row_is_found_and_named(ledger: Ledger, attacker: Connection, table: str) -> None:
    for key in keys_of(attacker, table):
        where = " AND ".join(f'"{name}" = ?' for name in key)
        attacker.execute("SAVEPOINT edit")
        attacker.execute(f'DELETE FROM "{table}" WHERE {where}', list(key.values()))
        report = ledger.audit(attacker)
        attacker.execute("ROLLBACK TO edit")
        attacker.execute("RELEASE edit")
        assert bool(names(report, table, key)) is (table not in FLEETING), f"{table} {key}: {report.findings}"


@pytest.mark.parametrize("table", TABLES)
def test_an_inserted_row_is_found_and_named(ledger: Ledger, attacker: Connection, table: str) -> None:
    """Each is a copy of a real row under another key, as someone would make who knows the format well."""
    key = [column.name for column in metadata.tables[table].primary_key.columns][-1]
    columns = [column.name for column in metadata.tables[table].columns]
    row = dict(zip(columns, attacker.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone(), strict=True))
    row[key] = row[key] + 1_000 if isinstance(row[key], int) else f"{row[key][:-1]}~"
    for name in unique_columns(table) - {key}:
        row[name] = None if metadata.tables[table].c[name].nullable else f"{row[name]}~"
    if table == "checkpoints":
        row["size"] = row["size"] + 1
    marks = ", ".join("?" for _ in columns)
    attacker.execute(f'INSERT INTO "{table}" VALUES ({marks})', list(row.values()))
    report = ledger.audit(attacker)
    assert names(report, table, row), f"{table}: {report.findings}"


@pytest.mark.parametrize("table", TABLES)
def test_an_emptied_table_is_found_and_named(ledger: Ledger, attacker: Connection, table: str) -> None:
    attacker.execute(f'DELETE FROM "{table}"')
    report = ledger.audit(attacker)
    assert bool(names(report, table, {})) is (table not in FLEETING), report.findings


# --- the database itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("CREATE TRIGGER quiet AFTER INSERT ON votes BEGIN DELETE FROM halts; END", "votes"),
        ("DROP INDEX entries_idx", "entries"),
        ("DROP INDEX halts_active", "halts"),
        ("CREATE VIEW people_too AS SELECT * FROM people", "people_too"),
        ("ALTER TABLE halts ADD COLUMN is_ignored INTEGER", "halts"),
        ("DROP TABLE votes", "votes"),
        ("ALTER TABLE receipts RENAME TO receipts_", "receipts"),
        ("ALTER TABLE nodes RENAME COLUMN hash TO digest", "nodes"),
        ("DROP TABLE entries", "entries"),
    ],
)
def test_an_altered_schema_is_found_and_named(ledger: Ledger, attacker: Connection, statement: str, table: str) -> None:
    attacker.execute(statement)
    report = ledger.audit(attacker)
    assert [one for one in report.findings if one.table == table], report.findings


def test_text_that_cannot_be_read_is_found(ledger: Ledger, attacker: Connection) -> None:
    for table, column in [("people", "roles"), ("halts", "target"), ("votes", "role"), ("payloads", "key_id")]:
        attacker.execute("SAVEPOINT edit")
        attacker.execute(f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT)")
        report = ledger.audit(attacker)
        attacker.execute("ROLLBACK TO edit")
        attacker.execute("RELEASE edit")
        assert [one for one in report.findings if one.table == table], report.findings


# --- what only something kept outside can show -----------------------------------------------------------------------


def test_an_old_backup_is_sound_in_itself_and_found_by_what_was_kept(ledger: Ledger) -> None:
    with ledger.opened(ledger.earlier) as backup:
        assert ledger.audit(backup).is_sound
        assert ledger.audit(backup, [ledger.earlier_receipt]).is_sound
        by_checkpoint = ledger.audit(backup, [ledger.checkpoint])
        by_receipt = ledger.audit(backup, [ledger.receipt])
        mirrored = CheckpointMirror(ledger.earlier.parent / "mirror").last(ORIGIN)
        assert mirrored is not None
        by_mirror = ledger.audit(backup, [mirrored[1].encode()])
    for report in (by_checkpoint, by_mirror):
        assert [one.why for one in report.findings] == ["The log was truncated, or this database is an old backup."]
    assert {one.table for one in by_receipt.findings} == {"entries", "receipts"}
    assert any("promised" in one.what or "missing" in one.what for one in by_receipt.findings)


def test_a_log_cut_off_with_its_state_is_found_by_what_was_kept(ledger: Ledger, attacker: Connection) -> None:
    """The newest entries go, with their nodes, checkpoints, rows and payloads: every table is as it was before."""
    with ledger.opened(ledger.earlier) as backup:
        rows = {table: backup.execute(f'SELECT * FROM "{table}"').fetchall() for table in TABLES}
    for table, there in rows.items():
        attacker.execute(f'DELETE FROM "{table}"')
        for row in there:
            attacker.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" for _ in row)})', row)
    assert ledger.audit(attacker).is_sound
    found = ledger.audit(attacker, [ledger.checkpoint]).findings
    assert [one.table for one in found] == ["entries"]
    assert found[0].index == ledger.audit(attacker).size


@pytest.mark.parametrize("how_many", [1, 2, 5])
def test_a_log_cut_off_alone_is_found_without_help(ledger: Ledger, attacker: Connection, how_many: int) -> None:
    """The newest integrated entries go with their nodes and checkpoints, and the state stays."""
    size = attacker.execute("SELECT max(idx) FROM entries").fetchone()[0] + 1 - how_many
    attacker.execute("DELETE FROM entries WHERE idx IS NULL OR idx >= ?", [size])
    for level in range(10):
        attacker.execute("DELETE FROM nodes WHERE level = ? AND position >= ?", [level, size >> level])
    attacker.execute("DELETE FROM checkpoints WHERE size > ?", [size])
    report = ledger.audit(attacker)
    assert {"actions"} <= {one.table for one in report.findings}


def test_a_removed_checkpoint_is_found_by_the_one_that_was_kept(ledger: Ledger, attacker: Connection) -> None:
    """Those between prove nothing that the newest does not, so that only who kept one misses it."""
    for size, note in ledger.checkpoints[:-1]:
        attacker.execute("SAVEPOINT edit")
        attacker.execute("DELETE FROM checkpoints WHERE size = ?", [size])
        assert ledger.audit(attacker).is_sound
        found = ledger.audit(attacker, [note]).findings
        attacker.execute("ROLLBACK TO edit")
        attacker.execute("RELEASE edit")
        assert [one.table for one in found] == ["checkpoints"]


def count(connection: Connection, table: str) -> int:
    found: int = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    return found


# --- an entry that looks like the node's own -------------------------------------------------------------------------


def newest(attacker: Connection) -> tuple[str, int, int, bytes]:
    """Return stream, number, time and bytes of the last entry of an agent."""
    found: tuple[str, int, int, bytes] = attacker.execute(
        "SELECT stream, seq, at, entry FROM entries WHERE stream LIKE 'agt_%' ORDER BY at DESC, seq DESC LIMIT 1"
    ).fetchone()
    return found


def entry_after(stream: str, seq: int, before: bytes, at: int) -> bytes:
    """Return the bytes of an entry that raises an agent's epoch, which the one before allows."""
    told = json.loads(before)
    epoch = told["set"].get("epoch", 1) + 1
    return encode(
        {"v": 1, "type": "agent.revoked", "tenant": "default", "stream": stream, "seq": seq + 1,
         "prev": leaf_hash(before).hex(), "at": at, "set": {"epoch": epoch}}
    )  # fmt: skip


async def test_a_node_signs_no_entry_that_somebody_put_beside_its_log_and_stops_writing(tmp_path: Path) -> None:
    async with new_world(tmp_path) as world:
        await world.propose()
        await integrate(world.node, TENANT)
        other = sqlite3.connect(tmp_path / "signoff.db")
        stream, seq, at, entry = newest(other)  # type: ignore[arg-type]
        forged = entry_after(stream, seq, entry, at)
        values = [stream, seq + 1, at, forged, bytes(16)]
        other.execute(
            "INSERT INTO entries (tenant, stream, seq, at, entry, mark) VALUES ('default', ?, ?, ?, ?, ?)", values
        )
        other.commit()
        other.close()
        before = await world.node.storage.view(TENANT, lambda tx: tx.ledger.head(ORIGIN))
        with pytest.raises(Corrupt) as refused:
            await integrate(world.node, TENANT)
        assert refused.value.code == "ledger.forged_entry"
        assert stream in refused.value.what
        assert await world.node.storage.view(TENANT, lambda tx: tx.ledger.head(ORIGIN)) == before
        with pytest.raises(Unavailable) as closed:
            await world.propose(args={"shelf": "b", "amount": 1})
        assert closed.value.code == "node.forged_entry"
