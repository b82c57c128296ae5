# SPDX-License-Identifier: Apache-2.0
"""Erasure of a subject: by one key everything goes that was kept of it, from every file, and the log still verifies."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signoff.app.action import documents, plans
from signoff.app.action.documents import receipt_bundle
from signoff.app.action.receipts import sign_receipts
from signoff.app.audit import AuditReport, audit
from signoff.app.authority import subjects
from signoff.app.integrate import integrate
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from signoff.core.proposal import Proposal
from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.verify import Outcome, verify_receipt
from signoff.ports.storage import Transaction
from tests.target import TOOLS, contract, without
from tests.world import DAY, SECOND, TENANT, World

SHELF = "subject: \"'shelf/' + args.shelf\""
ABOUT = contract(
    book_create=[*TOOLS["book.create"], SHELF],
    book_lend=[*TOOLS["book.lend"], SHELF],
    book_erase=[*TOOLS["book.erase"], "subject: args.shelf"],
    book_register=[*TOOLS["book.register"], "subject: \"'name/' + args.name\""],
)
A = "shelf of Agnes Arbuthnot"
MINE, YOURS = {"shelf": A, "amount": 41}, {"shelf": "shelf of Boris", "amount": 7}
ERASED = f"shelf/{A}"


@pytest.fixture
async def about(world: World) -> World:
    """A world whose book says whom its entries are about."""
    await world.publish(ABOUT)
    return world


async def erase(world: World, subject: str = ERASED) -> subjects.Shown:
    return await subjects.erase(world.node, world.cast.admin, subject, "they asked for it")


async def posted(world: World, args: dict[str, Any] = MINE) -> Action:
    return await world.posted(args=args)


def sealed_in(folder: Path, where: str = "1") -> list[bytes]:
    """Return payloads' sealed bytes as an outsider reads them from the database."""
    db = sqlite3.connect(folder / "signoff.db")
    found = [row[0] for row in db.execute(f"SELECT sealed FROM payloads WHERE {where}")]
    db.close()
    return found


def key_bytes(folder: Path, key_id: str) -> bytes:
    db = sqlite3.connect(folder / "signoff.db")
    found: bytes = db.execute("SELECT sealed FROM payload_keys WHERE key_id = ?", [key_id]).fetchone()[0]
    db.close()
    return found


def every_file(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file of an installation but its keys: database, write-ahead log, its index, mirror, logs."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "keys" not in path.parts:
            yield path, path.read_bytes()


def found_in(folder: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    return [(path.name, needle) for path, data in every_file(folder) for needle in needles if needle in data]


async def audited(world: World) -> AuditReport:
    await sign_receipts(world.node, TENANT)
    await integrate(world.node, TENANT)
    return await audit(world.node, TENANT)


async def test_after_an_erasure_no_byte_of_it_is_in_any_file(about: World) -> None:
    """Neither what was said nor what was sealed, whole or in parts, nor the key that opened it."""
    done = await posted(about)
    other = await posted(about, YOURS)
    denied = await about.propose("book.erase", {"shelf": ERASED})
    assert denied.state is State.DENIED
    assert denied.subject == done.subject
    row = await about.node.storage.view(TENANT, lambda tx: tx.subjects.get(done.subject or ""))
    assert row is not None
    ours = sealed_in(about.folder, f"key_id = '{row.payload_key}'")
    others = sealed_in(about.folder, f"owner = '{other.action_id}'")
    key = key_bytes(about.folder, row.payload_key)
    parts = [whole[at : at + 16] for whole in ours for at in range(0, len(whole) - 16, 64)]
    pieces = [key[at : at + 12] for at in range(0, len(key) - 11, 4)]
    assert len(ours) >= 8
    assert len(found_in(about.folder, [*ours, *parts, *pieces])) > len(ours)

    shown = await erase(about)

    assert shown.subject.erased_payloads == len(ours)
    assert shown.subject.erased_actions == 2
    assert shown.subject.scrubbed_at is not None
    assert found_in(about.folder, [*ours, *parts, *pieces, A.encode(), b"Arbuthnot", b"because"]) == []
    assert len(found_in(about.folder, others)) == len(others)
    assert (about.folder / "signoff.db-wal").stat().st_size < 100_000  # the entry that tells of it
    await about.check_ledger()


async def test_what_is_left_verifies_and_says_how_much_is_gone(about: World) -> None:
    done = await posted(about)
    await posted(about, YOURS)
    before = await audited(about)
    assert before.is_sound and before.erased == 0
    await erase(about)
    after = await audited(about)
    assert after.is_sound, after.findings
    assert after.erased >= 6
    assert before.payloads == after.payloads + after.erased - 1  # the reason came
    assert done.receipt_id is not None


async def test_receipts_of_it_still_verify_and_open_nothing(about: World) -> None:
    done = await posted(about)
    await audited(about)

    def bundle(tx: Transaction) -> bytes:
        data = receipt_bundle(about.node, tx, about.cast.admin, done.receipt_id or "")
        assert data is not None
        return data

    before = await about.node.storage.view(TENANT, bundle)
    await erase(about)
    after = await about.node.storage.view(TENANT, bundle)
    keys = parse_keys(about.node.log_keys)
    assert b"Arbuthnot" in before and b"Arbuthnot" not in after
    for data in (before, after):
        assert verify_receipt(data, keys).outcome is Outcome.INCLUDED


async def test_other_rooms_say_that_it_is_erased_and_do_not_fail(about: World) -> None:
    done = await posted(about)
    await erase(about)
    for who in (about.cast.ann, about.cast.agent):
        shown = await about.document(done, who)
        assert shown["state"] == "succeeded"
        assert shown["args"] == {"proposed": None, "approved": None, "effective": None}
        assert shown["result"] is None
        assert shown["erased"]["by"] == "subject"
    run = await about.run()
    await about.node.storage.view(TENANT, lambda tx: documents.run_document(about.node, tx, run))
    assert await about.node.storage.view(TENANT, lambda tx: documents.timeline(tx, run))
    with pytest.raises(Conflict) as refused:
        await about.undo(done)
    assert refused.value.code == "undo.erased"
    [left] = (await about.undo_run())[1]
    assert left.action_id == done.action_id and "erased" in left.why
    with pytest.raises(Conflict, match="withdrawn"):
        await about.cancel(done)
    with pytest.raises((NotFound, Conflict)):
        await about.vote(done)
    await about.check_ledger()


async def test_a_reversal_and_its_original_go_together(about: World) -> None:
    """The undo tool's contract names nobody: what it takes back is about the original's subject."""
    done = await posted(about)
    reversal = await about.undo(done)
    undone = await about.vote(reversal, about.cast.ann)
    assert undone.state is State.SUCCEEDED
    assert undone.subject == done.subject
    assert (await erase(about)).subject.erased_actions == 2
    assert (await about.document(undone))["args"]["proposed"] is None
    await about.check_ledger()


@pytest.mark.parametrize("plan", ["waiting", "doubt"])
async def test_what_is_under_way_keeps_its_subject(about: World, plan: str) -> None:
    if plan == "doubt":
        about.target.plan.append("lost_after")
        about.target.reading["book.find"] = "fail"
    action = await about.propose(args=MINE)
    action = await about.vote(action) if plan == "doubt" else action
    assert action.state is (State.IN_DOUBT if plan == "doubt" else State.PENDING_APPROVAL)
    with pytest.raises(Conflict) as refused:
        await erase(about)
    assert refused.value.code == "subject.underway" and action.action_id in refused.value.why
    assert (await about.document(action))["args"]["proposed"] == MINE
    if plan == "waiting":
        await about.cancel(action)
        assert (await erase(about)).subject.erased_at is not None
    await about.check_ledger()


async def test_a_look_that_is_owed_a_day_later_ends_with_the_erasure(about: World) -> None:
    await about.under(mode="autonomous", asks=False)
    about.target.plan.append("lost_before")
    about.target.reading["book.find"] = "absent"
    action = await about.propose("book.register", {"name": "Agnes"})
    await about.pass_time(150, 10)
    action = await about.get(action)
    assert (action.state, action.look_at is not None) == (State.FAILED, True), action
    await erase(about, "name/Agnes")
    about.target.reading.clear()
    calls = len(about.target.calls)
    await about.tick(2 * DAY / SECOND)
    await about.tick(60)
    assert (await about.get(action)).look_at is None
    assert len(about.target.calls) == calls
    await about.check_ledger()


async def test_a_subject_that_is_met_again_has_another_key_and_goes_again(about: World) -> None:
    first = await posted(about)
    once = await erase(about)
    second = await posted(about, MINE | {"amount": 42})
    assert second.subject not in (None, first.subject)
    assert (await about.document(second))["args"]["proposed"]["shelf"] == A
    assert (await about.document(first))["args"]["proposed"] is None
    twice = await erase(about)
    assert twice.subject.subject_id == second.subject != once.subject.subject_id
    assert [a.action_id for a in twice.actions] == [second.action_id]
    assert (await erase(about)).subject == twice.subject  # nothing to erase: nothing changes
    await about.check_ledger()


async def test_an_edit_cannot_make_a_call_be_about_somebody_else(about: World) -> None:
    waiting = await about.propose(args=MINE)
    with pytest.raises(Conflict) as refused:
        await about.edit(waiting, YOURS)
    assert refused.value.detail["reason"] == "subject_edited"
    assert (await about.edit(waiting, MINE | {"amount": 40})).revision == 2


async def test_a_call_is_refused_where_nobody_could_tell_whom_it_is_about(about: World) -> None:
    nobody = contract(book_create=[*without("book.create", "resource"), "subject: args.shelf"])
    about.clock.advance(1)
    await about.publish(nobody)
    denied = await about.propose(args={"shelf": "", "amount": 1})
    assert (denied.state, denied.reason, denied.subject) == (State.DENIED, "subject_unknown", None)
    assert (await about.document(denied))["args"]["proposed"] == {"shelf": "", "amount": 1}


async def test_only_an_admin_erases_and_only_with_a_reason(about: World) -> None:
    await posted(about)
    for who in (about.cast.otto, about.cast.ann, about.cast.agent):
        with pytest.raises(Forbidden):
            await subjects.erase(about.node, who, ERASED, "no")
        with pytest.raises(Forbidden):
            await subjects.show(about.node, who, ERASED)
    with pytest.raises(Malformed):
        await subjects.erase(about.node, about.cast.admin, ERASED, " ")
    with pytest.raises(NotFound):
        await erase(about, "shelf/of nobody")
    assert (await subjects.show(about.node, about.cast.admin, ERASED)).subject.erased_at is None


async def test_whoever_still_reads_an_older_state_puts_the_rewriting_off_and_not_for_ever(about: World) -> None:
    await posted(about)
    reader = sqlite3.connect(about.folder / "signoff.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM payloads").fetchone()
    assert (await erase(about)).subject.scrubbed_at is None
    reader.execute("COMMIT")
    reader.close()
    await about.tick(60)
    shown = await subjects.show(about.node, about.cast.admin, ERASED)
    assert shown.subject.scrubbed_at is not None
    assert found_in(about.folder, [b"Arbuthnot"]) == []


async def test_a_call_that_was_sealed_under_a_key_that_went_meanwhile_is_sealed_anew(about: World) -> None:
    """The subject is erased between the sealing and the commit: nothing may be kept under the destroyed key."""
    first = await posted(about)
    real = about.node.storage.transact
    erased: list[bool] = []

    async def transact(tenant: str, body: Any, guards: Any = ()) -> Any:
        if not erased:
            erased.append(True)
            await erase(about)
        return await real(tenant, body, guards)

    about.node.storage.transact = transact  # type: ignore[method-assign]
    second = await about.propose(args=MINE | {"amount": 42})
    about.node.storage.transact = real  # type: ignore[method-assign]
    assert second.subject not in (None, first.subject)
    assert (await about.document(second))["args"]["proposed"]["shelf"] == A
    await about.check_ledger()


async def test_two_calls_that_meet_a_subject_at_once_share_it(about: World) -> None:
    one, two = await asyncio.gather(
        about.propose(args=MINE), about.propose(args=MINE | {"amount": 2}), return_exceptions=False
    )
    assert one.subject == two.subject is not None
    await about.check_ledger()


async def test_the_steps_of_a_plan_about_one_subject_share_its_key(about: World) -> None:
    steps = [Proposal(about.run_id, "book.create", MINE | {"amount": amount}, {}, False, None) for amount in (1, 2)]
    one, two = await plans.propose_plan(about.node, about.cast.agent, about.run_id, steps)
    assert one.subject == two.subject is not None
    assert (await about.document(two))["args"]["proposed"]["amount"] == 2
    await about.check_ledger()


async def test_an_erasure_that_no_entry_tells_of_is_found(about: World) -> None:
    """Whoever deletes payloads and their key, and says so in the row alone, explains nothing."""
    done = await posted(about)
    assert (await audited(about)).is_sound
    db = sqlite3.connect(about.folder / "signoff.db")
    db.execute("DELETE FROM payloads WHERE owner = ?", [done.action_id])
    db.execute("UPDATE subjects SET erased_at = 5")
    db.commit()
    db.close()
    report = await audited(about)
    assert {one.table for one in report.findings} == {"subjects"}, report.findings


async def test_what_an_erasure_left_or_someone_put_back_is_found(about: World) -> None:
    done = await posted(about)
    row = await about.node.storage.view(TENANT, lambda tx: tx.subjects.get(done.subject or ""))
    assert row is not None
    db = sqlite3.connect(about.folder / "signoff.db")
    key = db.execute("SELECT * FROM payload_keys WHERE key_id = ?", [row.payload_key]).fetchone()
    kept = db.execute("SELECT * FROM payloads WHERE owner = ? AND name = 'args.1'", [done.action_id]).fetchone()
    db.close()
    await erase(about)
    assert (await audited(about)).is_sound
    for table, values in (("payload_keys", key), ("payloads", kept)):
        db = sqlite3.connect(about.folder / "signoff.db")
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in values)})", values)
        db.commit()
        assert table in {one.table for one in (await audited(about)).findings}
        db.execute(f"DELETE FROM {table} WHERE {'key_id' if table == 'payload_keys' else 'owner'} = ?", [values[1]])
        db.commit()
        db.close()
    assert (await audited(about)).is_sound
