# SPDX-License-Identifier: Apache-2.0
"""The second leg: people say yes, no, or otherwise, to exactly the bytes they saw."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.app import record
from signoff.app.action import holds
from signoff.app.action.bearing import bearing_again
from signoff.app.action.case import erased_at, found, load, require_standing, resource_tag, seal_of, seen
from signoff.app.action.ending import end_unsent, ended, waited
from signoff.app.action.execute import execute
from signoff.app.action.facts import look, sealed_facts
from signoff.app.action.gather import Seen
from signoff.app.action.impacts import counted, with_sums
from signoff.app.action.plan_vote import LOOKED_AT, edit_step, said_of, vote_on_plan
from signoff.app.action.propose import judged
from signoff.app.action.step_up import assurance_of
from signoff.app.action.subject import subject_tag
from signoff.app.answers import NOTHING
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.action import approval, checks, hold, step_up
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import NOT_SENT, Action, State
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, Decision, Outcome, Verdict
from signoff.core.authority.policy import decide
from signoff.core.errors import Conflict, Forbidden, Malformed
from signoff.core.principal import Caller, Person, require_person
from signoff.core.run import Run
from signoff.ports.storage import Transaction


async def vote(world: World, caller: Caller, action_id: str, decision: str, digest: str, reason: str) -> Action:
    """Count a person's word, and go on with the action when what is owed has been met.

    Of what is on hold, a yes releases it and a no cancels it (`holds.py`).

    Args:
        decision: `approve` or `reject`; one no is enough.
        digest: of what the voter saw.

    Raises:
        Forbidden: an agent, the requester, or a person without a role that is owed.
        Conflict: too late, voted already, or something else waits now.
        Malformed: the decision is no vote.
    """
    require_person(caller)
    if decision not in ("approve", "reject"):
        raise Malformed(
            what=f"{decision[:40]!r} is no vote.",
            why="A person approves or rejects what they saw.",
            fix="Send `approve` or `reject`.",
            path="decision",
        )
    case = await world.storage.view(caller.tenant, lambda tx: load(world, tx, action_id))
    if case.action.state is State.HELD:
        released = await holds.decide(world, caller, case, decision, digest, reason)
        if released.state is State.HELD:
            world.legs.start(action_id, execute(world, caller.tenant, action_id))
        return released
    reasons = await said_of(world, caller, case, digest, reason) if reason else {}
    said, assurance = reasons.get(action_id), await assurance_of(world, caller, digest)

    def body(tx: Transaction) -> tuple[Action, Exception | None]:
        action = found(tx.actions.get(action_id), action_id)
        run = tx.runs.get(action.run_id)
        person = _active(tx.authority.person(caller.id))
        assert run is not None
        if action.plan_id is not None:
            return vote_on_plan(tx, action, run, person, decision, digest, reasons, assurance)
        duties, votes = approval.duties_of(action), tx.actions.votes(action_id)
        try:
            role = approval.may_vote(action, run, duties, person, votes, digest, tx.now)
        except Conflict as refused:
            if action.state is State.PENDING_APPROVAL and refused.code == "approval.expired":
                # Its deadline falls by the time of this transaction, timer or not.
                return end_unsent(tx, action, State.EXPIRED, "expired"), refused
            raise
        if decision == "approve":
            step_up.require_shown(action, run, duties, person, assurance)
        why = said.commitment if said else None
        new = Vote(tx.tenant, action_id, person.person_id, digest, decision, role, tx.now, why, assurance)
        payloads = [said] if said else []
        if decision == "reject":
            changes = ended(action, tx.now, State.REJECTED, "rejected")
            return record.move(tx, action, "action.rejected", payloads, votes=[new], **changes), None
        people = {person.person_id: person}
        people |= {vote.person_id: known for vote in votes if (known := tx.authority.person(vote.person_id))}
        counted = approval.standing([*votes, new], action, people)
        if not approval.is_met(action, run, duties, counted, people):
            return record.move(tx, action, "action.voted", payloads, votes=[new], **LOOKED_AT), None
        approved = record.move(
            tx,
            action,
            "action.approved",
            payloads,
            votes=[new],
            state=State.APPROVED,
            args_approved=action.args_effective,
            waited_us=waited(action, tx.now),
            **LOOKED_AT,
        )
        return (holds.begin(tx, approved) if hold.is_owed(approved) else approved), None

    action, refused = await world.storage.transact(caller.tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    if refused:
        raise refused
    if action.state is State.APPROVED:
        world.legs.start(action_id, execute(world, caller.tenant, action_id))
    return action


async def edit(
    world: World, caller: Caller, action_id: str, digest: str, args: Mapping[str, Any], reason: str
) -> Action:
    """Change the arguments of what waits: a new revision, decided and previewed anew, all votes void.

    Raises:
        Conflict: policy denies the edited arguments (nothing changes), or something else waits now.
        Forbidden: as for a vote.
    """
    require_person(caller)
    case = await world.storage.view(caller.tenant, lambda tx: load(world, tx, action_id))
    await world.systems.look(case.contract.server)
    resource, is_known = resource_tag(world, caller.tenant, case.contract, case.tool, args)
    subjects = [subject_tag(world, caller.tenant, case.contract, case.tool, one) for one in (case.args, args)]

    def decision_of(tx: Transaction, action: Action, run: Run, seen: Seen | None) -> tuple[Decision, Bearing]:
        facts = seen.facts if seen is not None else NOTHING
        b = bearing_again(world, tx, case, action, run, facts, is_gathered=seen is not None, args=args)
        # Whoever edits has others look at it, though an open tier would let the new arguments through.
        b = replace(b, is_resource_known=is_known, open_tiers=frozenset())
        b = with_sums(world, tx, b, args, action)
        return _as_edit(action, decide(b, args, again=True), is_about_another=subjects[0] != subjects[1]), b

    def before_gathering(tx: Transaction) -> None:
        # Nothing is asked of the target for arguments, or by people, that are refused anyway.
        action, run = found(tx.actions.get(action_id), action_id), tx.runs.get(case.run.run_id)
        assert run is not None
        approval.may_edit(action, approval.duties_of(action), _active(tx.authority.person(caller.id)), digest, tx.now)
        _require_asked(decision_of(tx, action, run, None)[0])

    await world.storage.view(caller.tenant, before_gathering)
    seen = await look(world, case.run, case.envelope, case.contract, case.tool, args, case.action.key)
    revision = case.action.revision + 1
    kept = case.seal.seal(action_id, f"args.{revision}", dict(args))
    preview = case.seal.seal(action_id, f"preview.{revision}", seen.preview.as_value()) if seen.preview else None
    said = case.seal.seal(action_id, f"edit.{revision}", {"by": caller.id, "reason": reason})
    facts = sealed_facts(case.seal, action_id, f"facts.{revision}", seen)
    approval_id = world.mint("apr")

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        run = tx.runs.get(action.run_id)
        assert run is not None
        person = _active(tx.authority.person(caller.id))
        approval.may_edit(action, approval.duties_of(action), person, digest, tx.now)
        decided, b = decision_of(tx, action, run, seen)
        decision = judged(decided, seen)
        _require_asked(decision)
        details = {check.check: check.detail for check in decision.checks if check.detail}
        explained = case.seal.seal(action_id, f"decision.{revision}", details)
        payloads = [kept, said, explained, *([preview] if preview else []), *facts]
        expires_at = tx.now + min(duty.expires_us for duty in decision.duties)
        changes: dict[str, Any] = {
            "revision": revision,
            "args_effective": kept.commitment,
            "preview": preview.commitment if preview else None,
            "checks": checks.line(decision.checks),
            "decision": explained.commitment,
            "decided_at": tx.now,
            "owed": approval.duties_text(decision.duties),
            "expires_at": expires_at,
            "look_at": approval.silent_until(tx.now, expires_at),
            "escalated_at": None,
            "deferred_until": None,
            "approval_id": approval_id,
            "resource": resource,
        }
        if action.plan_id is not None:
            return edit_step(tx, action, run, changes, payloads, counted(b, action) if b.impacts else None)
        changes["digest"] = approval.digest(replace(action, **changes), run)
        impacts = counted(b, action) if b.impacts else None
        return record.move(tx, action, "action.edited", payloads, impacts=impacts, **changes)

    action = await world.storage.transact(caller.tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    return action


async def cancel(world: World, caller: Caller, action_id: str, reason: str) -> Action:
    """Withdraw what was not sent: its own agent may, and people who could decide it or operate.

    Raises:
        Conflict: it was sent, or has ended.
        Forbidden: it is somebody else's.
        NotFound: there is none such, or it is another agent's and an agent asks.
    """

    def look(tx: Transaction) -> tuple[Seal, Run]:
        # Its contract is not needed, and what was denied for want of one has none.
        action, run = seen(tx, caller, action_id)
        if erased_at(tx, action, run) is not None:  # so it has ended
            raise _sent(action)
        return seal_of(world, tx, action, run), run

    seal, run = await world.storage.view(caller.tenant, look)
    said = seal.seal(action_id, "cancel", {"by": caller.id, "reason": reason})

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        require_standing(tx, caller)
        _require_cancel(caller, run.agent_id, run.principal_id, action, tx)
        if action.state not in NOT_SENT:
            raise _sent(action)
        return end_unsent(tx, action, State.CANCELLED, "cancelled", (said,))

    action = await world.storage.transact(caller.tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    return action


def _sent(action: Action) -> Conflict:
    return Conflict(
        what=f"Action {action.action_id} can no longer be withdrawn.",
        why=f"It is {action.state}; only what was not sent can be cancelled.",
        fix="Undo it if it succeeded; wait for its outcome if it is under way.",
        code="action.sent",
    )


def _require_cancel(caller: Caller, agent_id: str, principal_id: str, action: Action, tx: Transaction) -> None:
    is_own = caller.id in (principal_id, action.by) or (caller.id == agent_id and action.by == agent_id)
    if is_own or caller.may("operator"):
        return
    person = tx.authority.person(caller.id)
    if (
        person
        and person.is_active
        and {role for duty in approval.duties_of(action) for role in duty.roles} & set(person.roles)
    ):
        return
    raise Forbidden(
        what="This action is not yours to cancel.",
        why="Its own agent, its principal, an operator, or someone who could approve it may withdraw it.",
        fix="Ask one of them; or reject it, if an approval is owed from you.",
    )


def _as_edit(action: Action, decision: Decision, *, is_about_another: bool) -> Decision:
    """Return the decision on an edit; neither what a reversal takes back is for editing, nor whom a call is about."""
    if action.reverses is None and is_about_another:
        why = "What is kept of it lies under its subject's key; with these arguments it would be about somebody else."
        return Decision(Verdict.DENY, (*decision.checks, Check("edit", Outcome.DENY, "subject_edited", why)))
    if action.reverses is None:
        return decision
    why = "A reversal takes back exactly one write; with other arguments it would take back something else."
    return Decision(Verdict.DENY, (*decision.checks, Check("edit", Outcome.DENY, "reversal_edited", why)))


def _require_asked(decision: Decision) -> None:
    if decision.verdict is Verdict.ASK:
        return
    denial = decision.denial
    raise Conflict(
        what="The edit was not taken; the action is unchanged.",
        why=denial.detail if denial else "Under the edited arguments nothing would be owed.",
        fix="Edit to arguments that policy lets people approve, or reject the action.",
        code="approval.edit_denied",
        reason=denial.reason if denial else str(decision.verdict),
    )


def _active(person: Person | None) -> Person:
    if person is None or not person.is_active:
        raise Forbidden(
            what="Your vote cannot count.",
            why="You are not an active person of this tenant.",
            fix="Ask an admin to activate you.",
            code="approval.person_inactive",
        )
    return person
