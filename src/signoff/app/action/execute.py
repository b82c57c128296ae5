# SPDX-License-Identifier: Apache-2.0
"""The third leg: look again at everything, claim, send once, and record what the answer proves.

Intent, reservation and claim are committed before the call; outcome, settlement, entry and receipt statement in one
transaction after it. Whatever happens between the two is doubt, which `settle.py` resolves by asking the target.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.app import record
from signoff.app.action import holds
from signoff.app.action.bearing import bearing_again
from signoff.app.action.case import Case, found, load, names_of
from signoff.app.action.ending import break_plan, end_sent, end_unsent, link_original, waited
from signoff.app.action.facts import look, needs_facts, sealed_facts
from signoff.app.action.gather import Seen, needs_gathering, read_back
from signoff.app.action.impacts import with_sums
from signoff.app.action.lease import let_go
from signoff.app.action.outcome import conflict_of
from signoff.app.action.receipts import issue
from signoff.app.action.steps import is_kept_back
from signoff.app.world import World
from signoff.core.action import approval, hold
from signoff.core.action.doubt import (
    ATTEMPTS_MAX,
    GIVE_UP_US,
    Answer,
    Answered,
    Errored,
    Judgement,
    Lost,
    NotSent,
    judge,
    late_look_at,
)
from signoff.core.action.lifecycle import CONCLUDED, Action, State
from signoff.core.action.preview import drift
from signoff.core.authority.check.fit import completed
from signoff.core.authority.contract import Effect, ToolContract, ToolDescription, result_problems
from signoff.core.authority.decision import Decision, Verdict, is_stricter
from signoff.core.authority.policy import decide
from signoff.core.errors import SignoffError
from signoff.core.run import Run, RunState
from signoff.core.values import changed
from signoff.ports.storage import SealedPayload, Transaction

log = logging.getLogger("signoff.execute")
BEGIN_WITHIN_US = 2_000_000
RETRY_AFTER_US = 1_000_000
# The system gave no answer: that says nothing against a write, which then waits for it to come back.
OUTAGES = frozenset({"tool_unavailable", "preview_unavailable", "target_unavailable", "circuit_open"})


async def execute(world: World, tenant: str, action_id: str) -> Action:
    """Take an approved action, or one whose write is proved absent, through its claim to its outcome.

    Leaves the action as it is where its resource is taken, its run paused or its system away; the clock brings it back.
    """

    def first_look(tx: Transaction) -> tuple[Case, bool]:
        case = load(world, tx, action_id)
        return case, is_ready(case.action) and not must_wait(tx, case.action, case.run)

    case, may_begin = await world.storage.view(tenant, first_look)
    if not may_begin:
        return case.action
    await world.systems.look(case.contract.server)
    seen = await _looked(world, case) if _looks_first(case) else Seen()
    facts = sealed_facts(case.seal, action_id, f"facts.{case.action.revision}.{case.action.fence + 1}", seen)
    moved = await _moved(world, case)

    def body(tx: Transaction) -> tuple[Action, bool]:
        action = found(tx.actions.get(action_id), action_id)
        if not is_ready(action):
            return action, False
        run = tx.runs.get(action.run_id)
        assert run is not None
        if must_wait(tx, action, run):
            return action, False
        if action.revision != case.action.revision or not seen.is_fresh(tx.now):
            return action, False  # what was gathered is about something else, or too old: the clock brings it back
        b = with_sums(world, tx, bearing_again(world, tx, case, action, run, seen.facts), case.args, action)
        decision = decide(b, case.args, again=True)
        if (refused := _refusal(tx, case, action, run, decision, seen, moved)) is not None:
            is_outage = refused[1] in OUTAGES or (refused[1] == "fact_unavailable" and seen.facts.is_outage)
            if is_outage and not _is_given_up(action, tx.now):
                return action, False
            if action.fence:
                return end_sent(world, tx, action, refused[1]), False
            return end_unsent(tx, action, *refused, tuple(facts)), False
        if action.state is State.HELD and action.args_approved is None and decision.verdict is Verdict.ASK:
            return holds.ask(tx, action, decision.duties, "now_owed"), False
        if action.state is State.APPROVED and hold.is_owed(action):
            return holds.begin(tx, action), False
        after = claimed(world, tx, action)
        after = record.move(
            tx,
            action,
            "action.claimed",
            facts,
            state=after.state,
            fence=after.fence,
            claimed_at=tx.now,
            claimed_by=world.node,
            waited_us=waited(action, tx.now),
            doubt_since=None,
            look_at=None,
            looks=0,
            proof=None,
        )
        return after, True

    action, is_mine = await world.storage.transact(tenant, body, guards=(case.run.run_id, action_id))
    if is_mine:
        action = await dispatch(world, action, replace(case, action=action, preview=seen.preview or case.preview))
    world.bell.ring(action_id)
    return action


def is_ready(action: Action) -> bool:
    """Tell whether a claim is the next step: approved, allowed and unclaimed, or proved absent and to be sent again.

    What is on hold is ready once nothing but time keeps it.
    """
    match action.state:
        case State.HELD:
            return hold.is_let_go(action)
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


def must_wait(tx: Transaction, action: Action, run: Run) -> bool:
    """Tell whether a claim would be too early.

    The resource is taken, the run paused, its plan not that far, a newer write not undone, or a window is not over.

    Past its deadline nothing waits: the claim then ends it.
    """
    if action.expires_at is not None and tx.now >= action.expires_at and action.state is State.APPROVED:
        return False
    if action.state is State.HELD and hold.is_kept(action, tx.now):
        return True
    if run.state is RunState.PAUSED and not action.by.startswith("prs_"):
        return True
    if is_kept_back(tx, action):
        return True
    return is_busy(tx, action) or any(reversal.state not in CONCLUDED for reversal in _newer_reversals(tx, action))


def claimed(world: World, tx: Transaction, action: Action) -> Action:
    """Return the action as claimed by this node, which is its lease; the entry is the caller's to write."""
    fence = action.fence + 1
    if action.reverses:
        original = found(tx.actions.get(action.reverses), action.reverses)
        if original.state is not State.REVERSING:
            record.move(tx, original, "action.reversing", state=State.REVERSING, reversed_by=action.action_id)
    return changed(action, state=State.DISPATCHING, fence=fence, claimed_at=tx.now, claimed_by=world.node)


async def dispatch(world: World, action: Action, case: Case | None = None) -> Action:
    """Send what was claimed, once, and record what came of it. Only whoever claimed it may call this."""
    if case is None:
        case = await world.storage.view(action.tenant, lambda tx: load(world, tx, action.action_id))
    live = world.systems.live(case.contract.server, case.tool)
    answer = await _sent(world, action, case, live)
    return await record_answer(world, case, action, answer, live[0] if live else None)


async def _sent(world: World, action: Action, case: Case, live: tuple[ToolDescription, str] | None) -> Answer:
    tool, contract = case.tool, case.contract
    sent = completed(tool, case.args, action.key)
    if tool.precondition and case.preview is not None:
        try:
            value = tool.precondition.value.value(names_of(world, case))
        except SignoffError as error:
            return NotSent(f"The precondition has no value: {error.why}")
        sent[tool.precondition.argument] = value
    if live is None or live[1] != tool.schema_digest:
        return NotSent("Since the claim the tool was no longer known to be the one that was pinned.")
    if world.clock.now() >= (action.claimed_at or 0) + BEGIN_WITHIN_US:
        # Halts and pins were looked at when it was claimed; that view is too old to send on.
        return NotSent("The send did not begin within 2 s of its claim.")
    if action.effect == Effect.READ:
        return await world.systems.read(contract, tool, sent)
    return await world.systems.execute(contract, tool, sent)


async def record_answer(
    world: World, case: Case, action: Action, answer: Answer, described: ToolDescription | None
) -> Action:
    """Judge an answer and record the outcome under the fence of the claim.

    Args:
        described: the tool as its server described it when the call was sent; the answer must fit it.
    """
    problems: list[str] = []
    if isinstance(answer, Answered):
        problems = list(result_problems(described, answer.result)) if described else ["nothing is known of its form"]
    judgement = judge(case.tool, answer, problems)
    if judgement.state is State.IN_DOUBT and judgement.proof and not may_repeat(case.tool, action, world.clock.now()):
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
    # Named by the entry it follows, so that the answer of a send, of a look-up and of a person never share a place.
    name, seal = f"outcome.{action.seq}", case.seal
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
        else:
            changes["look_at"] = late_look_at(case.tool, judgement, tx.now)
        if judgement.state in CONCLUDED:
            changes |= {
                "ended_at": tx.now,
                "settled_usd_micros": now.reserved_usd_micros if judgement.state is State.SUCCEEDED else 0,
                "reserved_usd_micros": 0,
                "receipt_id": None if now.effect == Effect.READ else receipt_id,
            }
        let_go(tx, now)
        after = record.move(tx, now, f"action.{judgement.state}", payloads, **changes)
        if after.receipt_id and after.ended_at is not None:
            issue(world, tx, after)
            link_original(tx, after)
        break_plan(tx, after)
        return after

    if (hand := case.hand) is None:
        return await world.storage.transact(action.tenant, body, guards=(action.action_id,))
    after, agent = await world.storage.transact(
        action.tenant, lambda tx: (body(tx), tx.authority.agent(action.by)), guards=(action.action_id,)
    )
    if after.outcome == (outcome.commitment if outcome else None):  # another record that came first is read, not told
        hand.hold(after, case.run, agent, value)
    return after


def _looks_first(case: Case) -> bool:
    # A retry is decided again on facts and preview too; a first send of an allowed write was gathered for just now.
    is_previewed = case.action.is_write and needs_gathering(case.tool)
    return is_previewed or (case.rules_apply and needs_facts(case.envelope, case.action.tool))


async def _looked(world: World, case: Case) -> Seen:
    return await look(
        world, case.run, case.envelope, case.contract, case.tool, case.args, case.action.key,
        for_claim=True, rules_apply=case.rules_apply,
    )  # fmt: skip


def may_repeat(tool: ToolContract, action: Action, now: int) -> bool:
    """Tell whether a proved absence may be followed by another send: a key that still holds, and attempts left."""
    is_kept = tool.keeps_us is None or now < action.proposed_at + tool.keeps_us
    return tool.key_argument is not None and is_kept and action.fence < ATTEMPTS_MAX


def _is_given_up(action: Action, now: int) -> bool:
    """Tell whether an outage has lasted too long: an approval waits until its deadline, anything else an hour."""
    since = {State.PROPOSED: action.decided_at, State.HELD: action.hold_until}.get(action.state)
    since = action.doubt_since if action.fence else since
    return since is not None and now >= since + GIVE_UP_US


def _newer_reversals(tx: Transaction, action: Action) -> list[Action]:
    """Return the reversals of newer writes on the same resource in the same run: those come first."""
    if action.reverses is None or action.fence:
        return []
    original = found(tx.actions.get(action.reverses), action.reverses)
    if original.resource is None:
        return []
    newer = [
        other
        for other in tx.actions.of_run(original.run_id)
        if other.resource == original.resource
        and other.reversed_by
        and other.state is not State.REVERSED
        and (other.claimed_at or 0) > (original.claimed_at or 0)
    ]
    return [found(tx.actions.get(other.reversed_by or ""), other.action_id) for other in newer]


def _refusal(
    tx: Transaction, case: Case, action: Action, run: Run, decision: Decision, seen: Seen, moved: tuple[str, str] | None
) -> tuple[State, str] | None:
    """Return how an action ends that may no longer be sent, None if it may."""
    is_retry = action.state is State.IN_DOUBT
    ended = State.FAILED if is_retry else State.DENIED if action.state is State.PROPOSED else State.VOIDED
    is_only_allowed = action.state is State.HELD and action.args_approved is None
    if action.state is State.APPROVED and action.expires_at is not None and tx.now >= action.expires_at:
        return State.EXPIRED, "expired"
    if is_retry and not may_repeat(case.tool, action, tx.now):
        return ended, "not_sent_again"
    if denial := decision.denial:
        return (State.STOPPED if denial.check == "halt" and not is_retry else ended), denial.reason
    is_asked_now = is_only_allowed and decision.verdict is Verdict.ASK  # then people are asked, for nobody was
    if not is_asked_now and is_stricter(decision, Verdict(action.verdict or "deny"), approval.duties_of(action)):
        return ended, "stricter_decision"
    if action.state is State.APPROVED or (action.state is State.HELD and not is_only_allowed):
        votes = tx.actions.votes(action.action_id)
        people = {vote.person_id: person for vote in votes if (person := tx.authority.person(vote.person_id))}
        counted = approval.standing(votes, action, people)
        if not approval.is_met(action, run, approval.duties_of(action), counted, people):
            return ended, "vote_withdrawn"
    if moved:
        return ended, moved[0]
    if any((reversal.ended_at or 0) >= action.proposed_at for reversal in _newer_reversals(tx, action)):
        # It was asked for while that one was still to come, as in the undo of a run; out of order it is another thing.
        return ended, "newer_not_undone"
    if seen.is_duplicate:
        return ended, "duplicate"
    if seen.problem:
        return ended, "preview_unavailable" if seen.is_outage else "preview_failed"
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


async def _moved(world: World, case: Case) -> tuple[str, str] | None:
    """Return reason and detail of what moved in the target since the write that a reversal undoes."""
    if case.action.reverses is None:
        return None
    return await conflict_of(world, case.action.tenant, case.action.reverses)


async def image_after(world: World, case: Case, judgement: Judgement) -> Mapping[str, Any] | None:
    """Return the target as it stands right after the write, for a later undo to compare with."""
    if case.tool.undo is None or case.tool.undo.check is None or judgement.result is None:
        return None
    check = case.tool.undo.check
    image, _, _ = await read_back(
        world, case.contract, check.read, check.args, names_of(world, case, result=judgement.result)
    )
    return image
