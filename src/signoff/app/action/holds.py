# SPDX-License-Identifier: Apache-2.0
"""Review windows: what is on hold is released, cancelled or moved by people, and ends by the transaction's time."""

from typing import Any

from signoff.app import record
from signoff.app.action.case import Case, found
from signoff.app.action.ending import end_unsent
from signoff.app.world import World
from signoff.core.action import approval
from signoff.core.action import hold as rules
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.decision import Duty, Verdict
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.hold import HoldEnd
from signoff.core.errors import Conflict, Forbidden
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction


def deciders(page: Envelope) -> tuple[str, ...]:
    """Return the roles that decide what is on hold; an operator where the page names nobody who approves."""
    return page.approval_roles or ("operator",)


def begin(tx: Transaction, action: Action) -> Action:
    """Put an approved action on hold for the window that it owes."""
    assert action.hold_us is not None
    until = tx.now + action.hold_us
    deadline = _deadline(action, until)
    return record.move(tx, action, "action.held", state=State.HELD, hold_until=until, expires_at=deadline)


def ask(tx: Transaction, action: Action, duties: tuple[Duty, ...], reason: str) -> Action:
    """Put before people what was on hold and allowed until now: from here on it owes their approval."""
    expires_at = tx.now + min(duty.expires_us for duty in duties)
    return record.move(
        tx,
        action,
        "action.pending_approval",
        state=State.PENDING_APPROVAL,
        verdict=str(Verdict.ASK),
        owed=approval.duties_text(duties),
        expires_at=expires_at,
        look_at=approval.silent_until(tx.now, expires_at),
        reason=reason,
    )


async def end_window(world: World, tenant: str, action_id: str) -> Action:
    """Do what comes when a window is over and time alone does not let the action go."""

    def body(tx: Transaction) -> Action:
        action = found(tx.actions.get(action_id), action_id)
        return _ended(world, tx, action) or action

    action = await world.storage.transact(tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    return action


async def decide(
    world: World, caller: Caller, case: Case, decision: str, digest: str, reason: str, until: int | None = None
) -> Action:
    """Release (`approve`), cancel (`reject`) or move (`defer`) what is on hold.

    The caller goes on with what was released: `is_ready` tells.

    Args:
        case: as it was when the caller looked.
        until: the new end of the window, microseconds; only with `defer`.

    Raises:
        Forbidden: an agent, a person without the role, or the requester who releases.
        Conflict: it is not on hold any more, its window is over, something else is on hold now, or another was faster.
        Malformed: the window cannot end then.
    """
    require_person(caller)
    action_id = case.action.action_id
    name = "cancel" if decision == "reject" else f"hold.{case.action.seq + 1}"
    said = case.seal.seal(action_id, name, {"by": caller.id, "reason": reason})

    def body(tx: Transaction) -> tuple[Action, Exception | None]:
        action = found(tx.actions.get(action_id), action_id)
        person = tx.authority.person(caller.id)
        if person is None or not person.is_active:
            raise Forbidden(
                what="Your word cannot count.",
                why="You are not an active person of this tenant.",
                fix="Ask an admin to activate you.",
                code="approval.person_inactive",
            )
        rules.may_decide(action, deciders(case.envelope), person, digest)
        if decision == "reject":
            return end_unsent(tx, action, State.CANCELLED, "hold_cancelled", (said,)), None
        if (over := _ended(world, tx, action)) is not None:
            return over, _too_late(over)  # the window falls by the time of this transaction, timer or not
        if decision == "approve":
            rules.require_other(action, case.run, person)
            if action.released_by is not None:
                return action, None
        require_unmoved(case, action)
        if decision == "approve":
            changes: dict[str, Any] = {"released_by": person.person_id, "hold_until": tx.now, "expires_at": None}
            return record.move(tx, action, "action.released", [said], **changes), None
        end = rules.moved_to(action, until, tx.now)
        changes = {"released_by": None, "hold_until": end, "expires_at": _deadline(action, end)}
        return record.move(tx, action, "action.moved", [said], **changes), None

    action, refused = await world.storage.transact(caller.tenant, body, guards=(action_id,))
    world.bell.ring(action_id)
    if refused:
        raise refused
    return action


def _deadline(action: Action, until: int) -> int | None:
    """Return when an approved action that nobody releases is void: it waits as long again as its approval could."""
    if action.hold_end == HoldEnd.PROCEED or action.args_approved is None:
        return None
    return until + min(duty.expires_us for duty in approval.duties_of(action))


def _ended(world: World, tx: Transaction, action: Action) -> Action | None:
    """Return what became of an action whose window is over by now and that time alone does not let go; else None."""
    if action.state is not State.HELD or not rules.is_asking(action, tx.now):
        return None
    if action.args_approved is not None:
        return end_unsent(tx, action, State.VOIDED, "hold_unanswered")
    run = tx.runs.get(action.run_id)
    assert run is not None
    page = world.shelf.envelope(tx, run.envelope)
    return ask(tx, action, (Duty(deciders(page), 1, True, page.expires_us, "hold_over"),), "hold_over")


def require_unmoved(case: Case, action: Action) -> None:
    """Refuse to go on where what the caller looked at has moved since.

    Raises:
        Conflict: code `storage.moved`.
    """
    if action.seq != case.action.seq:
        raise Conflict(
            what="Somebody else was faster.",
            why="The action moved while this was on its way.",
            fix="Read the action again and decide anew.",
            code="storage.moved",
        )


def _too_late(action: Action) -> Conflict:
    return Conflict(
        what="The review window is over.",
        why=f"The action is {action.state} now.",
        fix="Look at it again; where it waits for an approval, approve or reject it.",
        code="approval.hold_over",
    )
