# SPDX-License-Identifier: Apache-2.0
"""The newest database is lost and an old backup takes its place: the next epoch opens, and nothing is done twice."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from signoff.app import evidence
from signoff.app import world as app
from signoff.app.action.documents import receipt_bundle
from signoff.app.action.receipts import sign_receipts
from signoff.app.audit import audit
from signoff.app.authority import people
from signoff.app.integrate import integrate
from signoff.app.recover import missing, recover
from signoff.app.setup import open_tenant
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, SignoffError, Unavailable
from signoff.core.principal import Caller
from signoff.ledger.checkpoint import parse, parse_keys
from signoff.ledger.merkle import verify_consistency, verify_inclusion
from signoff.ledger.verify import Outcome, verify_receipt
from tests.app.ledgers import copy
from tests.world import TENANT, World, envelope


@dataclass
class Lost:
    """An installation whose newest database is gone: what the backup held, and what had been published after it."""

    world: World
    token: Caller  # from before the backup
    waiting: Action
    approved: Action
    sending: Action  # the target has it, and the backup knows no answer
    unsure: Action  # in doubt in the backup; the target never got it
    run_id: str  # of these two
    done_before: Action
    receipt_before: bytes
    note_before: bytes
    done_after: Action
    receipt_after: bytes
    note_after: bytes
    had: int
    writes: int


async def keep(world: World) -> bytes:
    """Publish a checkpoint of everything, and return it."""
    await sign_receipts(world.node, TENANT)
    await integrate(world.node, TENANT)
    head = await world.node.storage.view(TENANT, lambda tx: tx.ledger.head(world.node.origin(TENANT)))
    assert head is not None
    return head.note.encode()


async def receipt(world: World, action: Action) -> bytes:
    def body(tx: object) -> bytes | None:
        return receipt_bundle(world.node, tx, world.cast.admin, action.receipt_id or "")  # type: ignore[arg-type]

    found = await world.node.storage.view(TENANT, body)
    assert found is not None
    return found


async def reopen(world: World) -> None:
    """Stop the node, and open the files again as another would."""
    await world.node.legs.drain(1)
    await world.node.storage.close()
    world.node = world._open()


async def put_back(world: World, name: str) -> None:
    """Put a copy in the place of the database, as one would by hand."""
    await world.node.legs.drain(1)
    await world.node.storage.close()
    for file in world.folder.glob("signoff.db*"):
        file.unlink()
    copy(world.folder / name, world.folder / "signoff.db")
    world.node = world._open()


async def hanging(world: World, plan: str, text: str) -> asyncio.Task[Action]:
    world.target.plan.append(plan)
    task = asyncio.create_task(world.propose("book.note", {"text": text}))
    calls = len(world.target.calls)
    for _ in range(500):
        if len(world.target.calls) > calls and world.target.hanging:
            break
        await asyncio.sleep(0.01)
    return task


@pytest.fixture
async def lost(world: World) -> AsyncIterator[Lost]:
    """Play up to a backup, go on, lose the database, put the backup back, and start."""
    token = world.cast.agent
    await world.publish(envelope(workflow="notes", mode="autonomous", asks=False))
    before = await world.posted(args={"shelf": "a", "amount": 1})
    note_before = await keep(world)
    receipt_before = await receipt(world, before)
    waiting = await world.propose(args={"shelf": "b", "amount": 2})
    approved = await world.approved(args={"shelf": "c", "amount": 3})
    run = await world.begin("notes")
    world.target.plan.append("lost_before")
    unsure = await world.propose("book.note", {"text": "the target never got it"})
    assert unsure.state is State.IN_DOUBT
    sending = await hanging(world, "hang", "the target has it")
    copy(world.folder / "signoff.db", world.folder / "backup.db")
    had = parse(note_before.decode()).size
    # What goes on after the backup is lost: the approvals, the outcome, a new write, a revocation.
    world.target.restart()
    await sending
    await world.begin("books")
    await world.vote(waiting)
    after = await world.posted(args={"shelf": "d", "amount": 4})
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    note_after = await keep(world)
    receipt_after = await receipt(world, after)
    in_backup = sending.result()
    writes = len(world.target.written)
    await put_back(world, "backup.db")
    yield Lost(
        world, token, waiting, approved, in_backup, unsure, run.run_id, before, receipt_before, note_before, after,
        receipt_after, note_after, had, writes,
    )  # fmt: skip


async def recovered(lost: Lost) -> app.World:
    """Recover as the command does, and start again."""
    await open_tenant(lost.world.node, TENANT)
    assert lost.world.node.is_read_only
    await reopen(lost.world)
    await recover(lost.world.node, TENANT)
    await reopen(lost.world)
    node = lost.world.node
    await open_tenant(node, TENANT)
    assert not node.is_read_only
    return node


async def check(lost: Lost) -> None:
    """Verify everything; the target alone remembers what was done in the entries that are lost."""
    target = lost.world.target
    assert target.double_writes == 0
    del target.calls[: lost.writes + 1]
    for key in list(target.written)[: lost.writes]:
        del target.written[key]
    await lost.world.check_ledger()


async def test_an_old_backup_says_what_it_lacks_and_changes_nothing(lost: Lost) -> None:
    found = await missing(lost.world.node, TENANT)
    assert found is not None
    assert found.had is not None
    known = parse(lost.note_after.decode())
    assert (found.had.size, found.known.size, found.known.root) == (lost.had, known.size, known.root)
    assert found.lost == known.size - lost.had
    assert (found.waiting, found.sent, found.next_epoch) == (2, 2, 2)
    await reopen(lost.world)
    await open_tenant(lost.world.node, TENANT)
    assert lost.world.node.is_read_only
    with pytest.raises(Unavailable, match="signoff ledger recover"):
        await lost.world.propose(run=lost.run_id)


async def test_after_a_recovery_no_token_from_before_counts(lost: Lost) -> None:
    world = lost.world
    await recovered(lost)
    refused = await world.propose("book.note", {"text": "old token"}, who=lost.token, run=lost.run_id)
    assert (refused.state, refused.reason) == (State.DENIED, "token_revoked")
    # The lost entries had raised the agent's epoch; a token of that time is no better than one of before.
    forged = Caller(TENANT, lost.token.id, (), lost.token.epoch + 1, lost.token.credential)
    refused = await world.propose("book.note", {"text": "newer token"}, who=forged, run=lost.run_id)
    assert (refused.state, refused.reason) == (State.DENIED, "token_revoked")


async def test_after_a_recovery_nothing_that_waited_is_done(lost: Lost) -> None:
    world = lost.world
    await recovered(lost)
    for action in (lost.waiting, lost.approved):
        ended = await world.get(action)
        assert (ended.state, ended.reason, ended.reserved_usd_micros) == (State.VOIDED, "log_recovered", 0)
    with pytest.raises(SignoffError):
        await world.vote(lost.waiting)
    await world.pass_time(5)
    assert len(world.target.written) == lost.writes


async def test_after_a_recovery_what_was_being_sent_is_found_and_what_was_not_is_never_sent_again(lost: Lost) -> None:
    world = lost.world
    await recovered(lost)
    for action in (lost.sending, lost.unsure):
        doubted = await world.get(action)
        assert (doubted.state, doubted.reason) == (State.IN_DOUBT, "log_recovered")
    await world.tick()
    assert (await world.get(lost.sending)).state is State.SUCCEEDED
    await world.pass_time(60, 5)
    assert (await world.get(lost.unsure)).state is State.IN_DOUBT  # a send of just now could still land
    await world.pass_time(60, 5)
    failed = await world.get(lost.unsure)
    assert (failed.state, failed.reason, failed.fence) == (State.FAILED, "proved_absent", 1)
    assert len(world.target.written) == lost.writes
    assert world.target.double_writes == 0


async def test_the_next_epoch_takes_new_work_and_verifies_with_the_one_before(lost: Lost) -> None:
    world = lost.world
    node = await recovered(lost)
    assert node.origin(TENANT) == "play.test/default/2"
    token, _ = await people.mint_token(node, world.cast.olga, world.cast.agent.id)
    world.cast.agent = people.caller_of_token(node, token)
    await world.begin("books")
    done = await world.posted(args={"shelf": "z", "amount": 9})
    await world.pass_time(125, 5)
    note = await keep(world)
    keys = parse_keys(node.log_keys)
    bundle = await receipt(world, done)
    verdict = verify_receipt(bundle, keys, note)
    assert verdict.outcome is Outcome.INCLUDED
    assert verdict.statement is not None
    assert verdict.statement["predicate"]["log"] == "play.test/default/2"
    report = await audit(node, TENANT, against=[lost.note_before, lost.receipt_before, bundle, note])
    assert report.is_sound, report.findings
    assert (report.origin, report.size) == ("play.test/default/2", parse(note.decode()).size)
    assert report.earlier == (("play.test/default/1", lost.had, parse(lost.note_before.decode()).root),)
    # And offline: what was kept before counts as it did, and the receipt of then has its proof as it had.
    assert verify_receipt(lost.receipt_before, keys, lost.note_before).outcome is Outcome.INCLUDED
    assert verify_receipt(await receipt(world, lost.done_before), keys, lost.note_before).outcome is Outcome.INCLUDED
    await check(lost)


async def test_an_audit_against_what_was_kept_of_the_lost_entries_says_plainly_what_is_lost(lost: Lost) -> None:
    node = await recovered(lost)
    known = parse(lost.note_after.decode())
    report = await audit(node, TENANT, against=[lost.note_after])
    assert [finding.what for finding in report.findings] == [
        f"The entries from {lost.had} to {known.size - 1} of play.test/default/1 are lost."
    ]
    assert "names this very checkpoint" in report.findings[0].why
    report = await audit(node, TENANT, against=[lost.receipt_after])
    said = " ".join(f"{finding.what} {finding.why}" for finding in report.findings)
    assert f"The receipt {lost.done_after.receipt_id} was issued, and is not in the database." in said
    assert "play.test/default/1 was given up for a backup" in said


async def test_proofs_are_of_the_epoch_that_is_asked_for(lost: Lost) -> None:
    node, admin = await recovered(lost), lost.world.cast.admin
    await lost.world.tick(1)
    told = evidence.epochs_of(node, admin)
    known = parse(lost.note_after.decode())
    assert [(one["epoch"], one["size"]) for one in told] == [(1, lost.had), (2, None)]
    assert told[1]["known"] == {"origin": known.origin, "size": known.size, "root": known.root.hex()}
    for number in (1, 2):
        head = parse((await evidence.checkpoint(node, admin, number=number)).note)
        first = (await evidence.entries(node, admin, 0, 1, number))[0][0]
        assert first["index"] == 0
        for index in (0, head.size // 2, head.size - 1):
            proof = await evidence.inclusion(node, admin, index, head.size, number)
            leaf, hashes = bytes.fromhex(proof["leaf"]), [bytes.fromhex(one) for one in proof["hashes"]]
            assert proof["epoch"] == number
            assert verify_inclusion(leaf, index, head.size, hashes, head.root)
    new = parse((await evidence.checkpoint(node, admin)).note)
    first_of_new = await node.storage.view(TENANT, lambda tx: next(iter(tx.ledger.heads("play.test/default/2"))))
    old = parse(first_of_new.note)
    proof = await evidence.consistency(node, admin, old.size, new.size)
    hashes = [bytes.fromhex(one) for one in proof["hashes"]]
    assert verify_consistency(old.size, new.size, old.root, new.root, hashes)
    with pytest.raises(SignoffError, match="no epoch 3"):
        await evidence.checkpoint(node, admin, number=3)


async def test_a_second_recovery_finds_nothing_to_recover(lost: Lost) -> None:
    await recovered(lost)
    await reopen(lost.world)
    with pytest.raises(Conflict) as refused:
        await recover(lost.world.node, TENANT)
    assert refused.value.code == "recover.nothing"
    await open_tenant(lost.world.node, TENANT)


async def test_the_backup_put_back_once_more_is_noticed_and_opens_a_number_of_its_own(lost: Lost) -> None:
    """Twice recovered from one backup: no number is used twice, so that no log ever tells two truths."""
    world = lost.world
    await recovered(lost)
    await keep(world)
    await put_back(world, "backup.db")
    found = await missing(world.node, TENANT)
    assert found is not None
    assert (found.known.origin, found.next_epoch) == ("play.test/default/2", 3)
    await reopen(world)
    await recovered(lost)
    assert world.node.origin(TENANT) == "play.test/default/3"
    await world.pass_time(130, 5)
    report = await audit(world.node, TENANT)
    assert report.is_sound, report.findings
    await check(lost)


async def test_a_recovery_of_a_recovered_log_goes_on_from_both(lost: Lost) -> None:
    world = lost.world
    await recovered(lost)
    await keep(world)
    copy(world.folder / "signoff.db", world.folder / "later.db")
    await world.pass_time(3)
    await keep(world)
    await put_back(world, "later.db")
    await recovered(lost)
    assert [epoch.number for epoch in world.node.logs[TENANT].all] == [1, 2, 3]
    await world.pass_time(130, 5)
    report = await audit(world.node, TENANT, against=[lost.note_before, lost.receipt_before])
    assert report.is_sound, report.findings
    await check(lost)


async def test_a_recovery_that_dies_before_its_commit_leaves_its_number_unused(lost: Lost) -> None:
    world = lost.world

    def die(_: str) -> None:
        raise RuntimeError("the power is cut")

    world.failing = die
    with pytest.raises(RuntimeError, match="power"):
        await recover(world.node, TENANT)
    world.failing = None
    await reopen(world)
    await recovered(lost)
    assert world.node.origin(TENANT) == "play.test/default/3"


async def test_a_database_that_was_lost_whole_begins_anew_and_names_what_was(lost: Lost) -> None:
    world = lost.world
    await world.node.storage.close()
    for file in world.folder.glob("signoff.db*"):
        file.unlink()
    world.node = world._open()
    await recover(world.node, TENANT)
    await reopen(world)
    first = await open_tenant(world.node, TENANT)
    assert first is not None
    assert not world.node.is_read_only
    report = await audit(world.node, TENANT)
    assert report.is_sound, report.findings
    assert report.origin == "play.test/default/2"


async def test_a_receipt_promised_to_the_old_log_and_not_in_its_tree_stays_a_promise(world: World) -> None:
    await keep(world)
    done = await world.posted(args={"shelf": "a", "amount": 1})
    await sign_receipts(world.node, TENANT)
    copy(world.folder / "signoff.db", world.folder / "backup.db")
    await keep(world)
    kept = await receipt(world, done)
    await put_back(world, "backup.db")
    assert (await recover(world.node, TENANT)).carried > 0
    await reopen(world)
    await open_tenant(world.node, TENANT)
    await integrate(world.node, TENANT)
    report = await audit(world.node, TENANT)
    assert report.is_sound, report.findings
    keys = parse_keys(world.node.log_keys)
    assert verify_receipt(kept, keys).outcome is Outcome.INCLUDED  # its proof is of the log that was lost
    verdict = verify_receipt(await receipt(world, done), keys)
    assert verdict.outcome is Outcome.PROMISED
    assert verdict.statement is not None
    assert verdict.statement["predicate"]["log"] == "play.test/default/1"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"carried\":', '\"carrieD\":') AS BLOB)"
        " WHERE stream = 'log'",
        "UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), '\"known_size\":4', '\"known_size\":3') AS BLOB)"
        " WHERE stream = 'log'",
        "DELETE FROM entries WHERE stream = 'log'",
        "UPDATE entries SET idx = idx + 100000 WHERE stream = 'log'",
        "UPDATE entries SET idx = NULL WHERE stream = 'log'",
        "UPDATE checkpoints SET origin = 'play.test/default/1' WHERE origin = 'play.test/default/2'",
        "DELETE FROM checkpoints WHERE origin = 'play.test/default/1'"
        " AND size = (SELECT max(size) FROM checkpoints WHERE origin = 'play.test/default/1')",
        "DELETE FROM checkpoints WHERE origin = 'play.test/default/2'",
        "UPDATE nodes SET hash = zeroblob(32) WHERE level = 1"
        " AND position = (SELECT max(position) FROM nodes WHERE level = 1)",
    ],
)
async def test_whatever_tells_of_the_epochs_cannot_be_altered_unnoticed(lost: Lost, sql: str) -> None:
    world = lost.world
    await recovered(lost)
    await world.pass_time(3)
    await keep(world)
    assert (await audit(world.node, TENANT)).is_sound
    database = sqlite3.connect(world.folder / "signoff.db")
    assert database.execute(sql).rowcount > 0
    database.commit()
    database.close()
    report = await audit(world.node, TENANT)
    assert not report.is_sound
