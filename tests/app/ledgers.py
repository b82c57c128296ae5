# SPDX-License-Identifier: Apache-2.0
"""A database in which everything has happened once, for those who audit it and those who tamper with it.

It is written by the use cases themselves, and left as a node leaves it in the middle of its work: one write is being
sent, one waits for people, one receipt is not signed yet, and the newest entries wait for the tree.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from signoff.adapters.keyfiles import KeyFiles
from signoff.adapters.marks import HmacMarks
from signoff.adapters.sql.engine import Connection
from signoff.adapters.sql.known import Known
from signoff.adapters.sql.storage import SqlTransaction
from signoff.adapters.vault import AesGcmVault
from signoff.app.action.defer import defer
from signoff.app.action.documents import receipt_bundle
from signoff.app.action.lease import keep_leases
from signoff.app.action.receipts import sign_receipts
from signoff.app.action.runs import set_paused
from signoff.app.audit import AuditReport, audit_rows
from signoff.app.authority import people, policies, subjects
from signoff.app.authority.clearances import clear, clearable, withdraw_clearance
from signoff.app.authority.delegations import Wanted, grant, revoke
from signoff.app.authority.permissions import publish_roles
from signoff.app.integrate import integrate
from signoff.app.payloads import Keyring
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.clearance import Cleared
from signoff.ledger.checkpoint import parse_keys
from signoff.ports.storage import Transaction
from tests.app.test_limits import create, limit, under
from tests.target import TOOLS, contract
from tests.world import (
    DAY,
    HOUR,
    INSTALLATION,
    ROLE,
    SECOND,
    TENANT,
    SeededChance,
    SetClock,
    World,
    envelope,
    new_world,
)

ORIGIN = f"{INSTALLATION}/{TENANT}/1"


@dataclass(frozen=True)
class Ledger:
    """One installation on disk, its keys, and what was kept outside of it on the way."""

    path: Path  # the database
    earlier: Path  # the database as it was some time before
    keys: KeyFiles
    now: int
    checkpoint: bytes  # the newest
    checkpoints: tuple[tuple[int, bytes], ...]  # all of them, by size
    receipt: bytes  # of a write after `earlier`
    earlier_receipt: bytes

    @contextmanager
    def opened(self, path: Path | None = None) -> Iterator[Connection]:
        """Open the database as an attacker would: to write, and past all constraints that can be put off."""
        connection = Connection(str(path or self.path), is_durable=False)
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.begin(to_write=True)
        try:
            yield connection
        finally:
            connection.rollback()
            connection.close()

    def audit(
        self,
        connection: Connection,
        against: Sequence[bytes] = (),
        *,
        now: int | None = None,
        has_payload_keys: bool = True,
    ) -> AuditReport:
        """Audit what `connection` sees, its own uncommitted changes included."""
        now = self.now if now is None else now
        clock, chance = SetClock(now), SeededChance(1)
        tx: Transaction = SqlTransaction(connection, Known(), TENANT, now, HmacMarks(self.keys))  # type: ignore[assignment]
        keyring = Keyring(AesGcmVault(self.keys), chance, clock) if has_payload_keys else None
        return audit_rows(tx, ORIGIN, parse_keys(self.keys.verifier_keys()), keyring, against=against)


async def write_ledger(folder: Path) -> Ledger:
    """Play everything once, and return the ledger that is left."""
    async with new_world(folder) as world:
        await _people_and_pages(world)
        done = await _approved_edited_rejected(world)
        await _caught_up(world)
        earlier = folder / "earlier.db"
        copy(folder / "signoff.db", earlier)
        earlier_receipt = await _receipt(world, done)
        undone = await _undone(world, done)
        await _erased(world)
        await _withdrawn_halted_expired(world)
        await _held_and_paused(world)
        await _doubts(world)
        await _limited(world)
        await _delegated(world)
        await world.begin("books", idempotency_key="r-2")
        await world.complete()
        await _caught_up(world)
        receipt = await _receipt(world, undone)
        sending = await _in_the_middle(world)
        heads = await world.node.storage.view(TENANT, lambda tx: list(tx.ledger.heads(ORIGIN)))
        path = folder / "ledger.db"
        copy(folder / "signoff.db", path)
        now = world.clock.us
        world.target.restart()
        await sending
    notes = tuple((one.size, one.note.encode()) for one in heads)
    keys = KeyFiles.create_or_open(folder / "keys", INSTALLATION)
    return Ledger(path, earlier, keys, now, notes[-1][1], notes, receipt, earlier_receipt)


def copy(source: Path, target: Path) -> None:
    """Copy a database that may be in use, as a backup would."""
    target.unlink(missing_ok=True)
    before, after = sqlite3.connect(source), sqlite3.connect(target)
    before.backup(after)
    before.close()
    after.close()


async def _caught_up(world: World) -> None:
    """Sign and integrate what waits, in a checkpoint of its own."""
    await world.settled()
    await sign_receipts(world.node, TENANT)
    await integrate(world.node, TENANT)
    world.clock.advance(1)


async def _receipt(world: World, action: Action) -> bytes:
    def body(tx: Transaction) -> bytes:
        data = receipt_bundle(world.node, tx, world.cast.admin, (action.receipt_id or ""))
        assert data is not None
        return data

    return await world.node.storage.view(TENANT, body)


async def _people_and_pages(world: World) -> None:
    cast, node = world.cast, world.node
    key, _ = await people.issue_key(node, cast.admin, cast.zoe.id)
    await people.revoke_key(node, cast.admin, key.key_id)
    await people.change_person(node, cast.admin, cast.zoe.id, roles=["Auditor", "auditor"], is_active=False)
    await people.change_agent(node, cast.admin, cast.rival.id, is_active=False)
    await _caught_up(world)
    await world.publish(envelope(workflow="notes", mode="autonomous", asks=False, cap="5"))
    await world.publish(envelope(workflow="old"))
    await policies.withdraw(node, cast.admin, "envelope", "old", "1")
    await _cleared(world)
    about = [*TOOLS["book.note"], "subject: \"'text/' + args.text\""]
    await world.publish(contract(book_note=about))
    await world.publish(
        envelope(workflow="brief", mode="autonomous", asks=False, more="logging: {store_transcripts_days: 0}")
    )
    await _caught_up(world)


async def _cleared(world: World) -> None:
    """One tier is opened and closed again, and opened anew; what it allows stands on a fact."""
    rule = "{id: r, tool: book.note, when: facts.shelf.is_open, then: allow, tier: routine}"
    facts = "facts: {shelf: {tool: book.shelf, args: {shelf: \"'a'\"}}}"
    text = envelope(workflow="tiered", mode="autonomous", more=facts).replace(
        "  approval_", f"  rules: [{rule}]\n  approval_"
    )
    await world.publish(text)
    for is_kept in (False, True):
        tier = (await clearable(world.node, world.cast.admin, "tiered")).tiers[0]
        given, _ = await clear(
            world.node, world.cast.admin, "tiered", Cleared.TIER, tier.name, tier.digest, "twenty went well"
        )
        if not is_kept:
            await withdraw_clearance(world.node, world.cast.otto, "tiered", given.clearance_id, "wait for the audit")
    await world.begin("tiered")
    assert (await world.propose("book.note", {"text": "by the rule"})).state is State.SUCCEEDED
    await _caught_up(world)


async def _approved_edited_rejected(world: World) -> Action:
    """An approved write, an edited one, a rejected one, a denied one, a read, and a write that needs nobody."""
    await world.begin("books", idempotency_key="r-1", labels={"month": "May"})
    waiting = await world.propose(key="k-1", claims={"rationale": "the bill says so", "confidence": 1})
    done = await world.vote(waiting)
    assert done.state is State.SUCCEEDED, done
    edited = await world.edit(await world.propose(args={"shelf": "b", "amount": 3}), {"shelf": "b", "amount": 4})
    assert edited.revision == 2
    assert (await world.vote(edited)).state is State.SUCCEEDED
    rejected = await world.propose(args={"shelf": "c", "amount": 5})
    assert (await world.vote(rejected, decision="reject")).state is State.REJECTED
    assert (await world.propose("book.erase", {"shelf": "a"})).state is State.DENIED
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    await _caught_up(world)
    await world.begin("notes")
    assert (await world.propose("book.note", {"text": "hello"})).state is State.SUCCEEDED
    return done


async def _undone(world: World, done: Action) -> Action:
    reversal = await world.undo(done)
    assert reversal.state is State.PENDING_APPROVAL, reversal
    undone = await world.vote(reversal, world.cast.bob)
    assert (await world.get(done)).state is State.REVERSED
    await _caught_up(world)
    return undone


async def _erased(world: World) -> None:
    """A subject that was erased, one that was met again since, and a run that has reached its age."""
    await subjects.erase(world.node, world.cast.admin, "text/hello", "they asked for it")
    assert (await world.propose("book.note", {"text": "hello"}, again=True)).state is State.SUCCEEDED
    await world.begin("brief")
    assert (await world.propose("book.stamp", {"text": "short"})).state is State.SUCCEEDED
    await world.complete()
    await world.tick(70)
    assert (await world.run()).erased_at is not None
    await _caught_up(world)


async def _withdrawn_halted_expired(world: World) -> None:
    await world.begin("books")
    cancelled = await world.cancel(await world.propose(args={"shelf": "d", "amount": 1}))
    assert cancelled.state is State.CANCELLED
    stopped = await world.propose(args={"shelf": "d", "amount": 2})
    effect = await world.halt("tool:book.create")
    assert (await world.get(stopped)).state is State.STOPPED
    await world.lift(effect)
    expiring = await world.propose(args={"shelf": "d", "amount": 3})
    await world.tick(2 * DAY / SECOND)
    assert (await world.get(expiring)).state is State.EXPIRED
    await world.halt("workflow:other")
    await _caught_up(world)


async def _limited(world: World) -> None:
    """Writes that count in a limit: one was edited, one was denied, one was withdrawn."""
    caps = "spend: [{per: tenant, window: 30d, usd: 20}, {per: user, window: 1d, usd: 5}]"
    await under(world, limit(30), limit(30, per=None, limit_id="all"), more=caps)
    edited = await world.edit(await create(world, 20), {"shelf": "b", "amount": 4})
    assert (await world.vote(edited)).state is State.SUCCEEDED
    assert (await create(world, 27)).reason == "limit_exceeded"
    assert (await world.cancel(await create(world, 5))).state is State.CANCELLED
    await _caught_up(world)


async def _held_and_paused(world: World) -> None:
    """What was on hold and was released, moved and sent by time, or put before people; a run that stood still."""
    await _fresh_agent(world)
    windows = "holds: [{tool: book.note, window: 1h, on_timeout: proceed}, {tool: book.register, window: 1h}]"
    await world.publish(envelope(workflow="held", mode="autonomous", asks=False, more=windows))
    await world.begin("held")
    released = await world.vote(await world.propose("book.note", {"text": "released"}))
    assert released.state is State.SUCCEEDED, released
    moved = await world.propose("book.note", {"text": "moved"})
    until = (moved.hold_until or 0) + HOUR
    await defer(world.node, world.cast.ann, moved.action_id, moved.digest or "", "not before noon", until)
    over = await world.propose("book.register", {"name": "over"})
    await set_paused(world.node, world.cast.otto, world.run_id, True, "a drill")
    await set_paused(world.node, world.cast.otto, world.run_id, False)
    await world.tick(2 * HOUR / SECOND)
    await set_paused(world.node, world.cast.otto, world.run_id, True, "another drill")
    assert (await world.get(moved)).state in (State.SUCCEEDED, State.VOIDED), await world.get(moved)
    assert (await world.get(over)).state is State.PENDING_APPROVAL, await world.get(over)
    await _caught_up(world)


async def _delegated(world: World) -> None:
    """A roles page, and a delegation of which a part was passed on, used and revoked."""
    cast, node = world.cast, world.node
    line = "{tools: ['book.*'], environments: [production]}"
    await publish_roles(node, cast.admin, f"version: 1\nroles: {{{ROLE}: [{line}]}}\n")
    wanted = Wanted(cast.agent.id, ("book.*",), ("production",), "keep notes", condition="args.text != ''", uses_max=9)
    whole = await grant(node, cast.olga, replace(wanted, not_after=world.clock.us + DAY), "d-1")
    part = await grant(node, cast.agent, replace(wanted, purpose="some notes", parent_id=whole.delegation_id))
    await world.begin("notes", delegation=part.delegation_id)
    assert (await world.propose("book.note", {"text": "delegated"})).state is State.SUCCEEDED
    await revoke(node, cast.olga, whole.delegation_id, "done with it")
    await _caught_up(world)


async def _doubts(world: World) -> None:
    """A write whose answer was lost and that was found; one that only a person could settle."""
    await _fresh_agent(world)
    await world.begin("notes")
    world.target.plan.append("lost_after")
    found = await world.propose("book.note", {"text": "lost and found"})
    await world.pass_time(3)
    assert (await world.get(found)).state is State.SUCCEEDED, await world.get(found)
    world.target.plan.append("lost_after")
    world.target.reading["book.find"] = "wrong"
    unclear = await world.propose("book.note", {"text": "unclear"})
    await world.pass_time(3)
    assert (await world.get(unclear)).state is State.NEEDS_PERSON, await world.get(unclear)
    world.target.reading.clear()
    assert (await world.resolve(await world.get(unclear), "not_done")).state is State.FAILED
    await _caught_up(world)


async def _in_the_middle(world: World) -> "asyncio.Task[Action]":
    """One write waits for people, one is being sent, and what was done last is neither signed nor in the tree."""
    await world.begin("books")
    await world.propose(args={"shelf": "e", "amount": 6})
    await world.begin("notes")
    world.clock.advance(1)
    await world.propose("book.note", {"text": "done just now"})
    world.target.plan.append("hang")
    sending = asyncio.create_task(world.propose("book.note", {"text": "being sent"}))
    for _ in range(500):
        if world.target.hanging:
            break
        await asyncio.sleep(0.01)
    assert world.target.hanging
    world.clock.advance(6)
    await keep_leases(world.node, TENANT)
    world.clock.advance(1)
    return sending


async def _fresh_agent(world: World) -> None:
    """The agent's token has a short life."""
    token, _ = await people.mint_token(world.node, world.cast.olga, world.cast.agent.id)
    world.cast.agent = people.caller_of_token(world.node, token)
