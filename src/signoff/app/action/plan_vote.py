# SPDX-License-Identifier: Apache-2.0
"""A person's word on a plan: one digest, one vote, counted for every step of which they decide.

The plan is approved in the moment in which every step has what it owes, and all of its steps are then. One no ends it,
and an edit of a step makes another plan of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from signoff.app import record
from signoff.app.action.case import Case, found, load
from signoff.app.action.ending import break_plan, end_unsent, ended, waited
from signoff.app.action.steps import steps_of, waiting_steps
from signoff.app.world import World
from signoff.core.action import approval, plan, step_up
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import NOT_SENT, Action, State
from signoff.core.authority.limit import Counted
from signoff.core.errors import SignoffError
from signoff.core.principal import Caller, Person
from signoff.core.run import Run
from signoff.ports.storage import SealedPayload, Transaction

LOOKED_AT: dict[str, Any] = {"look_at": None, "escalated_at": None}
_UNSEEN: dict[str, Any] = {"escalated_at": None, "deferred_until": None}


async def said_of(world: World, caller: Caller, case: Case, digest: str, reason: str) -> dict[str, SealedPayload]:
    """Return the reason of a vote, sealed for the action and for each step of its plan that waits with it."""

    def others(tx: Transaction) -> list[Case]:
        waiting = [step.action_id for step in waiting_steps(tx, case.action)]
        return [load(world, tx, step_id) for step_id in waiting if step_id != case.action.action_id]

    cases = [case, *(await world.storage.view(caller.tenant, others) if case.action.plan_id else [])]
    return {
        one.action.action_id: one.seal.seal(
            one.action.action_id, plan.name_of_reason(one.action, digest, caller.id), reason
        )
        for one in cases
    }


def vote_on_plan(
    tx: Transaction,
    action: Action,
    run: Run,
    person: Person,
    decision: str,
    digest: str,
    said: Mapping[str, SealedPayload],
    assurance: str,
) -> tuple[Action, Exception | None]:
    """Count a person's word for every step of a plan of which they decide; it is approved once all of them are.

    Args:
        said: the reason, sealed for each step.
        assurance: how the person proved who they are.
    """
    waiting = waiting_steps(tx, action) if action.state is State.PENDING_APPROVAL else [action]
    roles: dict[str, str] = {}
    refused: SignoffError | None = None
    for step in waiting:
        try:
            duties, votes = approval.duties_of(step), tx.actions.votes(step.action_id)
            role = approval.may_vote(step, run, duties, person, votes, digest, tx.now)
            if decision == "approve":
                step_up.require_shown(step, run, duties, person, assurance)
            roles[step.action_id] = role
        except SignoffError as error:
            if step.state is State.PENDING_APPROVAL and error.code == "approval.expired":
                # Its deadline falls by the time of this transaction, and ends the plan.
                end_unsent(tx, step, State.EXPIRED, "expired")
                return found(tx.actions.get(action.action_id), action.action_id), error
            refused = refused or error
    if not roles:
        assert refused is not None
        raise refused
    new = {
        step_id: Vote(
            tx.tenant, step_id, person.person_id, digest, decision, role, tx.now, _commitment(said, step_id), assurance
        )
        for step_id, role in roles.items()
    }
    if decision == "reject":
        gone: list[Action] = []
        for step in waiting:
            if step.action_id in roles:
                changes = ended(step, tx.now, State.REJECTED, "rejected")
                mine, more = [new[step.action_id]], _kept(said, step.action_id)
                gone.append(record.move(tx, step, "action.rejected", more, votes=mine, **changes))
        break_plan(tx, gone[0])
        return found(tx.actions.get(action.action_id), action.action_id), None
    is_met = all(_is_met(tx, step, run, person, new.get(step.action_id)) for step in waiting)
    for step in waiting:
        mine = [new[step.action_id]] if step.action_id in roles else []
        changes = dict(LOOKED_AT)
        if is_met:
            changes |= {
                "state": State.APPROVED,
                "args_approved": step.args_effective,
                "waited_us": waited(step, tx.now),
            }
        if mine or is_met:
            name = "action.approved" if is_met else "action.voted"
            record.move(tx, step, name, _kept(said, step.action_id) if mine else [], votes=mine, **changes)
    return found(tx.actions.get(action.action_id), action.action_id), None


def edit_step(
    tx: Transaction,
    action: Action,
    run: Run,
    changes: dict[str, Any],
    payloads: Sequence[SealedPayload],
    impacts: Sequence[Counted] | None,
) -> Action:
    """Record the edit of a step: the plan has another digest then, under which every step is bound anew."""
    changes |= {"approval_id": action.approval_id}  # the plan keeps its own; the digest tells which content is meant
    waiting = waiting_steps(tx, action)
    lead, looked_at = waiting[0].action_id, changes["look_at"]
    changes["expires_at"] = min(changes["expires_at"], *(step.expires_at or changes["expires_at"] for step in waiting))
    if lead != action.action_id:
        changes["look_at"] = None  # the first step alone tells when nobody looks
    text = plan.text(plan.bound(action, approval.own_digest(replace(action, **changes), run)))
    for other in steps_of(tx, action):
        if other.action_id != action.action_id and other.state in NOT_SENT:
            digest = approval.digest(replace(other, plan=text), run)
            more = {"look_at": looked_at, **_UNSEEN} if other.action_id == lead else {}
            record.move(tx, other, "action.replanned", plan=text, digest=digest, **more)
    changes["plan"] = text
    changes["digest"] = approval.digest(replace(action, **changes), run)
    return record.move(tx, action, "action.edited", payloads, impacts=impacts, **changes)


def _commitment(said: Mapping[str, SealedPayload], step_id: str) -> str | None:
    return said[step_id].commitment if step_id in said else None


def _kept(said: Mapping[str, SealedPayload], step_id: str) -> list[SealedPayload]:
    return [said[step_id]] if step_id in said else []


def _is_met(tx: Transaction, step: Action, run: Run, person: Person, new: Vote | None) -> bool:
    votes = [*tx.actions.votes(step.action_id), *([new] if new else [])]
    people = {vote.person_id: known for vote in votes if (known := tx.authority.person(vote.person_id))}
    counted = approval.standing(votes, step, people | {person.person_id: person})
    return approval.is_met(step, run, approval.duties_of(step), counted, people | {person.person_id: person})
