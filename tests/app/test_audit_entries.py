# SPDX-License-Identifier: Apache-2.0
"""Entries that were changed, swapped or forged by someone who knows the format are found, and named by their place."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from signoff.adapters.marks import HmacMarks
from signoff.adapters.sql.engine import Connection
from signoff.adapters.sql.tables import metadata
from signoff.ledger.entry import decode, encode, leaf_hash
from signoff.ledger.merkle import Frontier
from tests.app.ledgers import Ledger, write_ledger
from tests.world import TENANT


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return asyncio.run(write_ledger(tmp_path_factory.mktemp("forged")))


@pytest.fixture
def attacker(ledger: Ledger) -> Iterator[Connection]:
    with ledger.opened() as connection:
        yield connection


def test_every_byte_of_an_entry_counts(ledger: Ledger, attacker: Connection) -> None:
    rows = attacker.execute("SELECT stream, seq, entry FROM entries WHERE idx IS NOT NULL ORDER BY idx").fetchall()
    stream, seq, data = next(row for row in rows if row[0].startswith("act_"))
    for at in range(0, len(data), 7):
        forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        attacker.execute("UPDATE entries SET entry = ? WHERE stream = ? AND seq = ?", [forged, stream, seq])
        report = ledger.audit(attacker)
        assert [one for one in report.findings if (one.table, one.stream, one.seq) == ("entries", stream, seq)], at
        assert report.first is not None
        assert report.first.stream == stream


@pytest.mark.parametrize("is_same_stream", [True, False])
def test_swapped_entries_are_found(ledger: Ledger, attacker: Connection, is_same_stream: bool) -> None:
    """Two entries exchange their places in the tree, and all else stays."""
    rows = attacker.execute("SELECT stream, seq, idx FROM entries WHERE idx IS NOT NULL ORDER BY idx").fetchall()
    one = next(row for row in rows if any(row[0] == other[0] and row[1] < other[1] for other in rows))
    other = next(row for row in rows if (row[0] == one[0]) is is_same_stream and row[1:] != one[1:])
    for (stream, seq, _), index in ((one, None), (other, one[2]), (one, other[2])):
        attacker.execute("UPDATE entries SET idx = ? WHERE stream = ? AND seq = ?", [index, stream, seq])
    report = ledger.audit(attacker)
    assert {finding.stream for finding in report.findings} >= {one[0], other[0]}
    assert report.first is not None
    assert report.first.index == min(one[2], other[2])


def test_an_entry_written_anew_with_its_leaf_is_found_by_the_tree(ledger: Ledger, attacker: Connection) -> None:
    """The last entry of a stream, its leaf and its row's head agree; the nodes above and the checkpoint do not."""
    stream, seq, index, data = attacker.execute(
        "SELECT stream, seq, idx, entry FROM entries WHERE stream LIKE 'prs_%' AND idx IS NOT NULL ORDER BY idx LIMIT 1"
    ).fetchone()
    forged = forge(data, roles=["Clerk", "admin"])
    write(attacker, stream, seq, forged)
    attacker.execute("UPDATE nodes SET hash = ? WHERE level = 0 AND position = ?", [leaf_hash(forged), index])
    attacker.execute("UPDATE people SET roles = ? WHERE person_id = ?", ['["Clerk", "admin"]', stream])
    report = ledger.audit(attacker)
    assert {finding.table for finding in report.findings} == {"nodes", "checkpoints"}
    assert any("signs another tree" in one.what for one in report.findings)


def test_a_tree_written_anew_is_found_by_the_signature(ledger: Ledger, attacker: Connection) -> None:
    """As before, and every node above is written anew too: only the signed checkpoints are left to tell."""
    stream, seq, index, data = attacker.execute(
        "SELECT stream, seq, idx, entry FROM entries WHERE stream LIKE 'agt_%' AND idx IS NOT NULL"
        " ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    forged = forge(data, is_active=True, epoch=9)
    write(attacker, stream, seq, forged)
    attacker.execute("UPDATE agents SET is_active = 1, epoch = 9 WHERE agent_id = ?", [stream])
    rows = attacker.execute("SELECT entry FROM entries WHERE idx IS NOT NULL ORDER BY idx").fetchall()
    attacker.execute("DELETE FROM nodes")
    for level, position, node in Frontier().extend(leaf_hash(row[0]) for row in rows):
        attacker.execute("INSERT INTO nodes VALUES (?, ?, ?, ?)", [TENANT, level, position, node])
    report = ledger.audit(attacker)
    assert {finding.table for finding in report.findings} == {"checkpoints"}
    assert report.proved <= index


def test_an_entry_of_another_format_is_found(ledger: Ledger, attacker: Connection) -> None:
    stream, seq, data = attacker.execute(
        "SELECT stream, seq, entry FROM entries WHERE idx IS NULL AND stream LIKE 'act_%' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    for odd in (b"", b"{}", b"[]", b"\xff\xfe", b"null", data + b" ", data.replace(b'"v":1', b'"v":2')):
        attacker.execute("UPDATE entries SET entry = ? WHERE stream = ? AND seq = ?", [odd, stream, seq])
        report = ledger.audit(attacker)
        assert [one for one in report.findings if (one.stream, one.column) == (stream, "entry")], odd


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"mood": "good"}, "tells of 'mood'"),
        ({"state": "succeeded"}, "It goes from"),
        ({"state": "nowhere"}, "It goes from"),
        ({"owed": "[{"}, "tells what no use case writes"),
        ({"owed": "[7]"}, "tells what no use case writes"),
        ({"revision": 7}, "The digest that people approve"),
        ({"preview": "sha256:" + "0" * 64}, "The digest that people approve"),
        ({"state": "approved"}, "approved without the votes"),
        ({"outcome": "sha256:" + "0" * 64}, "A payload outcome"),
    ],
)
def test_a_forged_entry_that_no_use_case_writes_is_found(
    ledger: Ledger, attacker: Connection, members: dict[str, Any], what: str
) -> None:
    """Its bytes, its hashes and the row are all in order, and it waits for the tree like any new entry."""
    stream = attacker.execute("SELECT action_id FROM actions WHERE state = 'pending_approval'").fetchone()[0]
    append(attacker, stream, "actions", "action_id", members)
    report = ledger.audit(attacker)
    assert [one for one in report.findings if what in one.what and one.stream == stream], report.findings


def test_an_approval_without_a_vote_for_each_person_owed_is_found(ledger: Ledger, attacker: Connection) -> None:
    stream, digest = attacker.execute(
        "SELECT action_id, digest FROM actions WHERE state = 'pending_approval'"
    ).fetchone()
    run = attacker.execute(
        "SELECT principal_id FROM runs JOIN actions USING (run_id) WHERE action_id = ?", [stream]
    ).fetchone()[0]
    vote = {"person_id": run, "digest": digest, "decision": "approve", "role": "Clerk", "assurance": "api_key"}
    append(attacker, stream, "actions", "action_id", {"state": "approved"}, votes=[vote])
    report = ledger.audit(attacker)
    assert any("on their own request" in one.what for one in report.findings), report.findings


def test_a_stream_of_no_kind_is_found(ledger: Ledger, attacker: Connection) -> None:
    data = encode(
        {"v": 1, "type": "x", "tenant": TENANT, "stream": "zzz_1", "seq": 1, "prev": "", "at": ledger.now, "set": {}}
    )
    insert(attacker, "zzz_1", 1, ledger.now, data)
    assert [one for one in ledger.audit(attacker).findings if one.stream == "zzz_1"]


@pytest.mark.parametrize("has_key", [False, True], ids=["with the database alone", "with the log key too"])
def test_a_well_made_entry_takes_the_log_key(ledger: Ledger, attacker: Connection, has_key: bool) -> None:
    """What is new and in order looks like work of the node, but for its mark, which takes a key file."""
    stream = attacker.execute("SELECT person_id FROM people ORDER BY 1 LIMIT 1").fetchone()[0]
    roles = ["admin", "auditor", "author", "operator", "Clerk"]
    marks = HmacMarks(ledger.keys) if has_key else None
    append(attacker, stream, "people", "person_id", {"roles": roles}, marks=marks)
    found = [(one.table, one.column, one.stream) for one in ledger.audit(attacker).findings]
    assert found == ([] if has_key else [("entries", "mark", stream)])


# --- helpers ---------------------------------------------------------------------------------------------------------


def forge(data: bytes, **members: Any) -> bytes:
    """Return an entry that tells something else, in order otherwise."""
    entry: Any = decode(data)
    return encode(entry | {"set": entry["set"] | members})


def write(connection: Connection, stream: str, seq: int, data: bytes) -> None:
    """Put other bytes in the place of the last entry of a stream, and its hash into the stream's row."""
    connection.execute("UPDATE entries SET entry = ? WHERE stream = ? AND seq = ?", [data, stream, seq])
    for table in ("people", "agents"):
        key = metadata.tables[table].primary_key.columns.keys()[1]
        connection.execute(f"UPDATE {table} SET head = ? WHERE {key} = ?", [leaf_hash(data).hex(), stream])


def insert(connection: Connection, stream: str, seq: int, at: int, data: bytes, mark: bytes | None = None) -> None:
    names = "tenant, stream, seq, at, entry, mark"
    connection.execute(
        f"INSERT INTO entries ({names}) VALUES (?, ?, ?, ?, ?, ?)", [TENANT, stream, seq, at, data, mark]
    )


def append(
    connection: Connection,
    stream: str,
    table: str,
    key: str,
    members: dict[str, Any],
    votes: list[dict[str, Any]] | None = None,
    marks: HmacMarks | None = None,
) -> None:
    """Add an entry that waits for the tree, with the row to match, as the node itself would."""
    seq, head = connection.execute(f"SELECT seq, head FROM {table} WHERE {key} = ?", [stream]).fetchone()
    at = connection.execute("SELECT max(at) FROM entries").fetchone()[0]
    entry: dict[str, Any] = {
        "v": 1, "type": "forged", "tenant": TENANT, "stream": stream, "seq": seq + 1, "prev": head, "at": at,
        "set": members,
    }  # fmt: skip
    if votes:
        entry["rows"] = {"votes": [vote | {"at": at} for vote in votes]}
        for vote in votes:
            row = {"tenant": TENANT, "action_id": stream, "reason": None} | vote | {"at": at}
            columns = ", ".join(row)
            connection.execute(f"INSERT INTO votes ({columns}) VALUES ({', '.join('?' for _ in row)})", [*row.values()])
    data = encode(entry)
    insert(connection, stream, seq + 1, at, data, marks.mark(TENANT, data) if marks else None)
    there = {column.name for column in metadata.tables[table].columns}
    changes = {"seq": seq + 1, "head": leaf_hash(data).hex()} | {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in members.items()
        if name in there
    }
    sets = ", ".join(f'"{name}" = ?' for name in changes)
    connection.execute(f"UPDATE {table} SET {sets} WHERE {key} = ?", [*changes.values(), stream])
