# SPDX-License-Identifier: Apache-2.0
"""Resolve doubt by asking the target, never by hoping; and let a person say what only a person can find out."""

from signoff.app import record
from signoff.app.action.case import Case, found, load, require_standing
from signoff.app.action.execute import conclude, error_value, execute, image_after, may_repeat
from signoff.app.action.gather import look_up
from signoff.app.action.late import is_open, settle_late
from signoff.app.world import World
from signoff.core.action.doubt import RECOVERED, Judgement, Proof, agrees, judge_look_up, next_look
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Malformed
from signoff.core.principal import Caller, require, require_person
from signoff.ports.storage import Transaction


async def settle(world: World, tenant: str, action_id: str) -> Action:
    """Take the next step of an action in doubt: look it up, send again what is proved absent, or ask a person."""
    case = await world.storage.view(tenant, lambda tx: load(world, tx, action_id))
    action = case.action
    if action.state is not State.IN_DOUBT:
        return action
    if action.proof is not None:
        return await execute(world, tenant, action_id)
    if case.tool.look_up is None:
        action = await conclude(world, case, action, Judgement(State.NEEDS_PERSON, "no_look_up"), None, None)
        world.bell.ring(action_id)
        return action
    await world.systems.look(case.contract.server)
    asked = world.clock.now()
    answer, is_found = await look_up(world, case.contract, case.tool, case.args, action.key)
    judgement = judge_look_up(
        case.tool, answer, is_found, agrees(answer, case.args), asked, last_send(case), action.doubt_since or 0
    )
    # What a backup held is not sent again: the entries that are lost may tell of a decision against it.
    if judgement.proof is Proof.ABSENT and action.reason != RECOVERED and may_repeat(case.tool, action, asked):
        return await _send_again(world, case)
    if judgement.state is State.IN_DOUBT:
        return await _look_later(world, case)
    image = await image_after(world, case, judgement) if judgement.state is State.SUCCEEDED else None
    action = await conclude(world, case, action, judgement, error_value(answer), image)
    world.bell.ring(action_id)
    return action


def last_send(case: Case) -> int:
    """Return the last moment at which a send of the action, or its time-out, could fall (microseconds)."""
    # A send begins within 2 s of its claim and ends with the tool's time-out.
    return (case.action.claimed_at or 0) + 2_000_000 + int(case.tool.timeout_s * 1_000_000)


async def resolve(world: World, caller: Caller, action_id: str, found_: str, evidence: str, reason: str) -> Action:
    """End an action that needs a person: they say what they found in the target, with evidence.

    One that failed and was found a day later stays failed, and its alarm ends.

    Args:
        found_: `done` or `not_done`.

    Raises:
        Forbidden: the caller is no operator.
        Conflict: the action does not wait for a person, or another person said otherwise first.
        Malformed: the finding is neither of the two.
    """
    require_person(caller)
    require(caller, "operator")
    if found_ not in ("done", "not_done"):
        raise Malformed(
            what=f"{found_[:40]!r} is no finding.",
            why="What a person finds in the target is that the write was done, or that it was not.",
            fix="Send `done` or `not_done`.",
            path="found",
        )

    def look(tx: Transaction) -> Case:
        require_standing(tx, caller)
        action = found(tx.actions.get(action_id), action_id)
        if action.state is not State.NEEDS_PERSON and not is_open(action):
            raise _not_needed(action)
        return load(world, tx, action_id)

    case = await world.storage.view(caller.tenant, look)
    said = {"found": found_, "evidence": evidence, "reason": reason, "by": caller.id}
    if is_open(case.action):
        action = await settle_late(world, case, said)
        world.bell.ring(action_id)
        return action
    state = State.SUCCEEDED if found_ == "done" else State.FAILED
    kept = case.seal.seal(action_id, "resolution", said)
    judgement = Judgement(state, "resolved_done" if found_ == "done" else "resolved_not_done", result=None)
    action = await conclude(world, case, case.action, judgement, {"resolution": said}, None, kept)
    world.bell.ring(action_id)
    if action.reason != judgement.reason:
        raise _not_needed(action)
    return action


async def _look_later(world: World, case: Case) -> Action:
    settles_at = last_send(case) + (case.tool.look_up.settles_after_us if case.tool.look_up else 0)

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(case.action.action_id), case.action.action_id)
        if now.seq != case.action.seq:
            return now
        at = next_look(tx.now, now.looks, settles_at)
        return record.move(tx, now, "action.looked_up", looks=now.looks + 1, look_at=at)

    return await world.storage.transact(case.action.tenant, body, guards=(case.action.action_id,))


async def _send_again(world: World, case: Case) -> Action:
    """Record the proof that nothing was written, then claim anew under the same key."""

    def body(tx: Transaction) -> Action:
        now = found(tx.actions.get(case.action.action_id), case.action.action_id)
        if now.seq != case.action.seq:
            return now
        return record.move(
            tx, now, "action.proved_absent", proof=str(Proof.ABSENT), looks=now.looks + 1, look_at=tx.now
        )

    action = await world.storage.transact(case.action.tenant, body, guards=(case.action.action_id,))
    return await execute(world, action.tenant, action.action_id)


def _not_needed(action: Action) -> Conflict:
    return Conflict(
        what=f"Action {action.action_id} does not wait for a person's finding.",
        why=f"It is {action.state}.",
        fix="Resolve actions that are `needs_person`, or were found late; the others settle by themselves.",
        code="action.not_needing_person",
    )
