# SPDX-License-Identifier: Apache-2.0
"""The third leg: look again at everything, claim, send once, and record what the answer proves.

Intent, reservation and claim are committed before the call; outcome, settlement, entry and receipt statement in one
transaction after it. Whatever happens between the two is doubt, which `settle.py` resolves by asking the target.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Any

from signoff.app import record
from signoff.app.action.case import Case, bearing, found, load, reversal_of
from signoff.app.action.ending import end_unsent, link_original
from signoff.app.action.gather import Seen, gather, needs_gathering, read_back
from signoff.app.world import World
from signoff.core.action import approval, receipt
from signoff.core.action.doubt import ATTEMPTS_MAX, Answer, Answered, Errored, Judgement, Lost, NotSent, judge
from signoff.core.action.lifecycle import Action, State
from signoff.core.action.preview import drift
from signoff.core.authority.contract import Effect, ToolContract, result_problems
from signoff.core.authority.policy import Decision, Verdict, completed, decide, is_stricter
from signoff.core.run import Run
from signoff.ports.storage import Lease, Receipt, SealedPayload, Transaction

log = logging.getLogger("signoff.execute")
LEASE_US = 15_000_000
RENEW_S = 5.0
BEGIN_WITHIN_US = 2_000_000
RETRY_AFTER_US = 1_000_000


async def execute(world: World, tenant: str, action_id: str) -> Action:
    """Take an approved action, or one whose write is proved absent, through its claim to its outcome.

    Leaves the action as it is where its resource is taken; the clock brings it back.
    """
    case = await world.storage.view(tenant, lambda tx: load(world, tx, action_id))
    if not is_ready(case.action):
        return case.action
    await world.systems.look(case.contract.server)
    seen = await gather(world, case.contract, case.tool, case.args, case.action.key) if _looks_first(case) else Seen()
    conflict = await _conflict(world, case)

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        if not is_ready(action):
            return action
        reversal = reversal_of(action, case.envelope)
        run = tx.runs.get(action.run_id)
        assert run is not None
        b = bearing(world, tx, run, action.tool, action.content_tag, action_id, None, reversal)
        decision = decide(b, case.args, again=True)
        if (refused := _refusal(tx, case, action, decision, seen, conflict)) is not None:
            return end_unsent(tx, action, *refused)
        if is_busy(tx, action):
            return action
        after = claimed(world, tx, action)
        return record.move(
            tx,
            action,
            "action.claimed",
            state=after.state,
            fence=after.fence,
            claimed_at=tx.now,
            look_at=None,
            proof=None,
        )

    action = await world.storage.transact(tenant, body, guards=(case.run.run_id, action_id))
    if action.state is State.DISPATCHING and action.fence == case.action.fence + 1:
        action = await dispatch(world, action, replace(case, action=action, preview=seen.preview or case.preview))
    world.bell.ring(action_id)
    return action


def is_ready(action: Action) -> bool:
    """Tell whether a claim is the next step: approved, allowed and unclaimed, or proved absent and to be sent again."""
    match action.state:
        case State.APPROVED:
            return True
        case State.PROPOSED:
            return action.verdict == Verdict.ALLOW
        case State.IN_DOUBT:
            return action.proof is not None
        case _:
            return False


def is_busy(tx: Transaction, action: Action) -> bool:
    """Tell whether another action holds the resource, from its claim to its outcome, doubt included."""
    return action.resource is not None and tx.actions.on_resource(action.resource, action.action_id) is not None


def claimed(world: World, tx: Transaction, action: Action) -> Action:
    """Return the action as claimed by this node, with its lease taken; the entry is the caller's to write."""
    fence = action.fence + 1
    if action.effect != Effect.READ:
        tx.leases.take(Lease(action.action_id, fence, world.node, tx.now + LEASE_US))
    if action.reverses:
        original = found(tx.actions.get(action.reverses), action.reverses)
        if original.state is not State.REVERSING:
            record.move(tx, original, "action.reversing", state=State.REVERSING, reversed_by=action.action_id)
    return replace(action, state=State.DISPATCHING, fence=fence, claimed_at=tx.now)


async def dispatch(world: World, action: Action, case: Case | None = None) -> Action:
    """Send what was claimed, once, and record what came of it."""
    if case is None:
        case = await world.storage.view(action.tenant, lambda tx: load(world, tx, action.action_id))
    tool, contract = case.tool, case.contract
    sent = completed(tool, case.args, action.key)
    if tool.precondition and case.preview is not None:
        sent[tool.precondition.argument] = tool.precondition.value.value(
            {"preview": case.preview.answer, "args": case.args}
        )
    if action.effect == Effect.READ:
        answer = await world.systems.read(contract, tool, sent)
    elif world.clock.now() >= (action.claimed_at or 0) + BEGIN_WITHIN_US:
        # Halts and pins were looked at when it was claimed; that view is too old to send on.
        answer = NotSent("The send did not begin within 2 s of its claim.")
    else:
        answer = await _kept_alive(world, action, world.systems.execute(contract, tool, sent))
    return await record_answer(world, case, action, answer)


async def record_answer(world: World, case: Case, action: Action, answer: Answer) -> Action:
    """Judge an answer and record the outcome under the fence of the claim."""
    live = world.systems.live(case.contract.server, case.tool)
    problems = result_problems(live[0], answer.result) if isinstance(answer, Answered) and live else []
    judgement = judge(case.tool, answer, list(problems))
    if judgement.state is State.IN_DOUBT and judgement.proof and not _may_repeat(case.tool, action):
        judgement = replace(judgement, state=State.FAILED)
    image = await image_after(world, case, judgement) if judgement.state is State.SUCCEEDED else None
    return await conclude(world, case, action, judgement, error_value(answer), image)


def error_value(answer: Answer) -> dict[str, Any] | None:
    """Return what is kept of an answer that is no result."""
    match answer:
        case Errored(code, message):
            return {"error": {"code": code, "message": message[:2000]}}
        case NotSent(why) | Lost(why):
            return {"error": {"code": "not_sent" if isinstance(answer, NotSent) else "lost", "message": why[:2000]}}
        case _:
            return None


async def conclude(
    world: World,
    case: Case,
    action: Action,
    judgement: Judgement,
    error: Mapping[str, Any] | None,
    image: Mapping[str, Any] | None,
    evidence: SealedPayload | None = None,
) -> Action:
    """Record an outcome: state, settlement, entry and receipt statement in one transaction.

    A record under another fence than the present one is refused: someone else has taken the action over.
    """
    name, seal = f"outcome.{action.fence}.{action.looks}", case.seal
    value = {"result": dict(judgement.result)} if judgement.result is not None else error
    outcome = seal.seal(action.action_id, name, value) if value is not None else None
    imaged = seal.seal(action.action_id, f"image.{action.fence}", dict(image)) if image is not None else None
    payloads = [payload for payload in (outcome, imaged, evidence) if payload]
    receipt_id = action.receipt_id or world.mint("rcp")

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(action.action_id), action.action_id)
        if now.fence != action.fence or now.state is not action.state:
            log.warning("a late record of %s under fence %d was refused", action.action_id, action.fence)
            return now
        changes: dict[str, Any] = {"state": judgement.state, "reason": judgement.reason or None}
        if outcome:
            changes["outcome"] = outcome.commitment
        if imaged:
            changes["image"] = imaged.commitment
        if judgement.state is State.IN_DOUBT:
            changes |= {
                "doubt_since": now.doubt_since or tx.now,
                "proof": str(judgement.proof) if judgement.proof else None,
                "look_at": tx.now + RETRY_AFTER_US if judgement.proof else tx.now,
            }
        elif judgement.state is not State.NEEDS_PERSON:
            changes |= {
                "ended_at": tx.now,
                "settled_usd_micros": now.reserved_usd_micros if judgement.state is State.SUCCEEDED else 0,
                "reserved_usd_micros": 0,
                "look_at": None,
                "receipt_id": None if now.effect == Effect.READ else receipt_id,
            }
        tx.leases.drop(now.action_id)
        after = record.move(tx, now, f"action.{judgement.state}", payloads, **changes)
        if after.receipt_id and after.ended_at is not None:
            _issue(world, tx, after, case.run)
            link_original(tx, after)
        return after

    return await world.storage.transact(action.tenant, body, guards=(action.action_id,))


async def _kept_alive(world: World, action: Action, call: Awaitable[Answer]) -> Answer:
    """Renew the lease while the call is under way; a lease that cannot be renewed changes nothing that was sent."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def renew() -> None:
        timers[:] = [loop.call_later(RENEW_S, renew)]
        until = world.clock.now() + LEASE_US
        renewed = world.storage.transact(
            action.tenant, lambda tx: tx.leases.renew(action.action_id, action.fence, until)
        )
        world.legs.start(f"lease {action.action_id}", renewed)

    timers.append(loop.call_later(RENEW_S, renew))
    try:
        return await call
    finally:
        timers[0].cancel()


def _looks_first(case: Case) -> bool:
    # A retry is decided again on facts and preview too; a first send of an allowed write was gathered for just now.
    return case.action.is_write and needs_gathering(case.tool)


def _may_repeat(tool: ToolContract, action: Action) -> bool:
    return tool.key_argument is not None and action.fence < ATTEMPTS_MAX


def _refusal(
    tx: Transaction, case: Case, action: Action, decision: Decision, seen: Seen, conflict: str | None
) -> tuple[State, str] | None:
    """Return how an action ends that may no longer be sent, None if it may."""
    is_retry = action.state is State.IN_DOUBT
    ended = State.FAILED if is_retry else State.VOIDED if action.state is State.APPROVED else State.DENIED
    if not is_retry and action.expires_at is not None and tx.now >= action.expires_at:
        return State.EXPIRED, "expired"
    if action.contract != case.contract.digest:
        return ended, "contract_changed"
    if denial := decision.denial:
        return (State.STOPPED if denial.check == "halt" and not is_retry else ended), denial.reason
    if is_stricter(decision, Verdict(action.verdict or "deny"), approval.duties_of(action)):
        return ended, "stricter_decision"
    if action.state is State.APPROVED:
        votes = tx.actions.votes(action.action_id)
        people = {vote.person_id: person for vote in votes if (person := tx.authority.person(vote.person_id))}
        counted = approval.standing(votes, action, people)
        if not approval.is_met(approval.duties_of(action), counted, people):
            return ended, "vote_withdrawn"
    if conflict:
        return ended, "conflict"
    if seen.is_duplicate:
        return ended, "duplicate"
    if seen.problem:
        return ended, "preview_failed"
    if seen.preview and case.preview and _drifted(case, seen):
        return ended, "drift"
    if action.reverses:
        original = found(tx.actions.get(action.reverses), action.reverses)
        if original.state not in (State.SUCCEEDED, State.REVERSAL_FAILED, State.REVERSING):
            return ended, "original_moved"
    return None


def _drifted(case: Case, seen: Seen) -> bool:
    assert seen.preview is not None and case.preview is not None and case.tool.preview is not None
    found_drift = drift(case.preview, seen.preview, case.tool.preview.ignore)
    if found_drift and case.action.state is not State.IN_DOUBT:
        log.info("%s drifted", case.action.action_id)
    return found_drift is not None


def _issue(world: World, tx: Transaction, action: Action, run: Run) -> None:
    all_votes = tx.actions.votes(action.action_id) if action.owed else []
    votes = [vote for vote in all_votes if vote.digest == action.digest and vote.decision == "approve"]
    assert action.receipt_id is not None
    body = receipt.statement(action, run, votes, world.origin(tx.tenant))
    tx.receipts.add(Receipt(tx.tenant, action.receipt_id, action.action_id, action.head, body))


async def _conflict(world: World, case: Case) -> str | None:
    """Return what moved in the target since the write that a reversal undoes."""
    if case.action.reverses is None:
        return None
    from signoff.app.action.undo import conflict_of

    return await conflict_of(world, case.action.tenant, case.action.reverses)


async def image_after(world: World, case: Case, judgement: Judgement) -> Mapping[str, Any] | None:
    """Return the target as it stands right after the write, for a later undo to compare with."""
    if case.tool.undo is None or case.tool.undo.check is None or judgement.result is None:
        return None
    check = case.tool.undo.check
    names = {"args": case.args, "result": judgement.result, "key": case.action.key}
    image, _ = await read_back(world, case.contract, check.read, check.args, names)
    return image
