# SPDX-License-Identifier: Apache-2.0
"""How an action ends of which nothing was sent or written: money is given back, people are no longer waited for."""

from typing import Any

from signoff.app import record
from signoff.app.action.case import found
from signoff.app.action.receipts import issue
from signoff.app.action.steps import steps_of
from signoff.app.world import World
from signoff.core.action import plan
from signoff.core.action.lifecycle import AWAITING_PEOPLE, Action, State
from signoff.ports.storage import SealedPayload, Transaction


def ended(action: Action, now: int, state: State, reason: str) -> dict[str, Any]:
    """Return the columns that change when an action ends without effect."""
    return {
        "state": state,
        "reason": reason,
        "ended_at": now,
        "reserved_usd_micros": 0,
        "waited_us": waited(action, now),
        "look_at": None,
        "receipt_id": None,
    }


def end_unsent(
    tx: Transaction, action: Action, state: State, reason: str, payloads: tuple[SealedPayload, ...] = ()
) -> Action:
    """Record the end of an action that will not be sent."""
    after = record.move(tx, action, f"action.{state}", payloads, **ended(action, tx.now, state, reason))
    link_original(tx, after)
    break_plan(tx, after)
    return after


def end_sent(world: World, tx: Transaction, action: Action, reason: str) -> Action:
    """Record that what was sent failed: nothing was written, or a read or egress got no answer."""
    changes = ended(action, tx.now, State.FAILED, reason)
    del changes["receipt_id"]
    tx.leases.drop(action.action_id)
    after = record.move(tx, action, "action.failed", **changes)
    issue(world, tx, after)
    link_original(tx, after)
    break_plan(tx, after)
    return after


def break_plan(tx: Transaction, step: Action) -> None:
    """End what was not sent of a plan of which a step has departed, drifted or failed, in the same transaction."""
    if not plan.is_departed(step):
        return
    for other, state in plan.left_over(steps_of(tx, step)):
        record.move(tx, other, f"action.{state}", **ended(other, tx.now, state, plan.BROKEN))


def waited(action: Action, now: int) -> int:
    """Return how long people were waited for in all, in microseconds, at `now`."""
    is_waiting = action.state in AWAITING_PEOPLE and action.waiting_since is not None
    return now - (action.waiting_since or 0) if is_waiting else action.waited_us


def link_original(tx: Transaction, reversal: Action) -> None:
    """Tell the original what became of the reversal that was claimed for it."""
    if reversal.reverses is None:
        return
    original = found(tx.actions.get(reversal.reverses), reversal.reverses)
    if original.state is State.REVERSING and original.reversed_by == reversal.action_id:
        state = State.REVERSED if reversal.state is State.SUCCEEDED else State.REVERSAL_FAILED
        break_plan(tx, record.move(tx, original, f"action.{state}", state=state))
