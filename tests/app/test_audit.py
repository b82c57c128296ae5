# SPDX-License-Identifier: Apache-2.0
"""An audit finds nothing where nothing is wrong, tells what it could not look at, and names broken promises."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.adapters.sql.engine import Connection
from signoff.app.audit import PAYLOADS_UNCHECKED, audit
from signoff.app.audit.findings import EACH, FINDINGS_MAX, Findings
from signoff.app.audit.payloads import COMMITTED
from signoff.app.integrate import integrate
from signoff.core.action.lifecycle import State
from signoff.core.errors import Corrupt
from signoff.ledger import checkpoint as notes
from signoff.ledger.canonical import canonical, parse
from signoff.ledger.checkpoint import parse_keys
from tests.app.ledgers import ORIGIN, Ledger, write_ledger
from tests.world import TENANT, World


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return asyncio.run(write_ledger(tmp_path_factory.mktemp("audited")))


@pytest.fixture
def database(ledger: Ledger) -> Iterator[Connection]:
    with ledger.opened() as connection:
        yield connection


# --- a running node --------------------------------------------------------------------------------------------------


async def test_a_node_at_work_is_sound_at_every_step(world: World) -> None:
    """Waiting, edited, approved, sent, undone, halted: in each state the rows are what their entries tell."""
    waiting = await world.propose(claims={"rationale": "asked for"})
    assert (await audit(world.node, TENANT)).is_sound
    edited = await world.edit(waiting, {"shelf": "a", "amount": 13})
    assert (await audit(world.node, TENANT)).is_sound
    done = await world.vote(edited)
    assert done.state is State.SUCCEEDED
    assert (await audit(world.node, TENANT)).is_sound
    await world.vote(await world.undo(done))
    await world.halt()
    await world.tick()
    report = await audit(world.node, TENANT)
    assert report.is_sound, report.findings
    assert report.first is None
    assert report.pending == 0
    assert report.size == report.proved == report.entries
    assert report.receipts == 2
    assert report.rows["votes"] == 2
    assert report.payloads == report.rows["payloads"] > 0


async def test_a_run_that_was_audited_can_go_on(world: World) -> None:
    waiting = await world.propose()
    assert (await audit(world.node, TENANT)).is_sound
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    assert (await audit(world.node, TENANT)).is_sound


async def test_progress_is_told_up_to_the_end(world: World) -> None:
    await world.posted()
    await world.tick()
    told: list[tuple[str, int, int]] = []
    await audit(world.node, TENANT, progress=lambda *one: told.append(one))
    assert {part for part, _, _ in told} == {"entries", "tree"}
    for part in ("entries", "tree"):
        done, total = [one[1:] for one in told if one[0] == part][-1]
        assert done == total > 0


async def test_a_mirror_that_knows_more_than_the_database_is_asked(world: World, tmp_path: Path) -> None:
    await world.posted()
    await integrate(world.node, TENANT)
    last = world.node.mirror.last(ORIGIN)
    assert last is not None
    size, root = last[0] + 3, b"\1" * 32
    body = notes.body(ORIGIN, size, root)
    signed = world.node.signer.sign("log", body)
    name = signed.key_id.rsplit("+", 1)[0]
    public = world.node.signer.public_keys("log")[signed.key_id]
    world.node.mirror.keep(ORIGIN, size, notes.note(body, name, public, signed.value))
    report = await audit(world.node, TENANT)
    assert [one.why for one in report.findings] == ["The log was truncated, or this database is an old backup."]
    assert report.first is not None
    assert report.first.index == last[0]


async def test_a_mirror_that_cannot_be_read_is_a_finding(world: World) -> None:
    await world.posted()
    await integrate(world.node, TENANT)

    class Torn:
        def keep(self, origin: str, size: int, note: str) -> None:
            raise AssertionError("nothing is kept here")

        def last(self, origin: str) -> tuple[int, str] | None:
            raise Corrupt("The mirror is torn.", "A test tore it.", "Mend it.")

    world.node.mirror = Torn()
    report = await audit(world.node, TENANT)
    assert not report.is_sound
    assert [one.table for one in report.findings] == ["mirror"]


async def test_an_empty_tenant_is_sound(world: World) -> None:
    report = await audit(world.node, "nobody")
    assert report.is_sound
    assert (report.entries, report.size, report.checkpoints) == (0, 0, 0)


# --- promises with a time --------------------------------------------------------------------------------------------


def test_what_waits_for_the_tree_or_a_signature_past_its_time_is_found(ledger: Ledger, database: Connection) -> None:
    """Entries are integrated and receipts signed within 60 s, or it is said."""
    assert ledger.audit(database, now=ledger.now + 50_000_000).is_sound
    report = ledger.audit(database, now=ledger.now + 61_000_000)
    assert {one.table for one in report.findings} == {"entries", "receipts"}
    assert {one.column for one in report.findings} == {"idx", "signature"}
    assert all("Start the node" in one.fix for one in report.findings)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_without_payload_keys_the_rest_is_verified_and_the_report_says_so(ledger: Ledger, database: Connection) -> None:
    report = ledger.audit(database, has_payload_keys=False)
    assert report.is_sound, report.findings
    assert report.unchecked == (PAYLOADS_UNCHECKED,)
    assert report.payloads == 0


def test_keys_of_another_installation_prove_nothing(
    ledger: Ledger, database: Connection, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = asyncio.run(write_ledger(tmp_path_factory.mktemp("other")))
    report = replace(ledger, keys=other.keys).audit(database, has_payload_keys=False)
    assert {"checkpoints", "receipts"} == {one.table for one in report.findings}
    assert report.proved == 0


def test_a_destroyed_key_is_told_once_and_not_by_each_payload(ledger: Ledger, database: Connection) -> None:
    run = database.execute("SELECT payload_key FROM runs JOIN actions USING (run_id) LIMIT 1").fetchone()[0]
    database.execute("DELETE FROM payload_keys WHERE key_id = ?", [run])
    report = ledger.audit(database)
    assert [one.table for one in report.findings] == ["payload_keys"]


def test_each_payload_is_committed_to(ledger: Ledger, database: Connection) -> None:
    """Of every name there is: in a column, in a vote, or named by its entry."""
    rows = database.execute("SELECT owner, name FROM payloads")
    kinds = {name.partition(".")[0] for _, name in rows}
    in_columns = {name for columns in COMMITTED.values() for name in columns.values()}
    assert kinds - in_columns == {"vote", "edit", "cancel", "resolution", "hold", "revoked", "withdrawn", "facts"}
    assert in_columns - kinds == set()


# --- what was kept outside -------------------------------------------------------------------------------------------


def test_every_checkpoint_that_was_ever_published_fits(ledger: Ledger, database: Connection) -> None:
    assert len(ledger.checkpoints) > 5
    assert ledger.audit(database, [note for _, note in ledger.checkpoints]).is_sound


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"{", b"hello", b"\xff\xff", b"a\n1\nAAAA\n\n\n", b"[]"],
)
def test_what_is_no_checkpoint_and_no_receipt_is_said_to_be_none(
    ledger: Ledger, database: Connection, data: bytes
) -> None:
    report = ledger.audit(database, [data])
    assert [one.table for one in report.findings] == ["against"]


def test_a_checkpoint_of_another_log_is_not_used(ledger: Ledger, database: Connection) -> None:
    note = ledger.checkpoint.replace(ORIGIN.encode(), b"play.test/other/1")
    report = ledger.audit(database, [note])
    assert [one.table for one in report.findings] == ["against"]


def test_a_changed_receipt_is_not_used(ledger: Ledger, database: Connection) -> None:
    value = parse(ledger.receipt, "The receipt")
    value["envelope"]["payload"] = "AA" + value["envelope"]["payload"][2:]
    report = ledger.audit(database, [canonical(value)])
    assert [one.table for one in report.findings] == ["against"]
    assert "not used" in report.findings[0].what


def test_a_receipt_whose_row_was_rewritten_tells(ledger: Ledger, database: Connection) -> None:
    database.execute("DELETE FROM receipts")
    report = ledger.audit(database, [ledger.receipt])
    assert any("was issued, and is not in the database" in one.what for one in report.findings)


def test_a_log_that_shows_two_histories_is_told_by_both(ledger: Ledger, database: Connection) -> None:
    """The checkpoint kept outside is of another installation with the same name and keys."""
    found = notes.parse(ledger.checkpoint)
    signer = ledger.keys.active("log")
    body = notes.body(ORIGIN, found.size, b"\7" * 32)
    signature = Ed25519PrivateKey.from_private_bytes(signer.secret).sign(body)
    other = notes.note(body, found.signatures[0].name, signer.public, signature)
    report = ledger.audit(database, [other.encode()])
    assert [one.why for one in report.findings] == [
        "Both are truly signed, and their roots differ: the log has shown two histories."
    ]


# --- the list of findings --------------------------------------------------------------------------------------------


def test_the_list_is_bounded_and_crowds_no_table_out() -> None:
    found = Findings()
    for number in range(FINDINGS_MAX + 20):
        found.add("actions", "It moved.", "Someone moved it.", index=500 - number)
    for _ in range(EACH + 5):
        found.add("halts", "It moved.", "Someone moved it.")
    assert len(found.kept) == FINDINGS_MAX + EACH
    assert found.total == FINDINGS_MAX + 20 + EACH + 5
    assert found.first is not None
    assert found.first.index == 500 - FINDINGS_MAX - 19


def test_keys_are_read_as_the_operator_publishes_them(ledger: Ledger) -> None:
    assert {key.name.rpartition("/")[2] for key in parse_keys(ledger.keys.verifier_keys())} == {"log", "receipt"}
