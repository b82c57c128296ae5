# SPDX-License-Identifier: Apache-2.0
"""The steps of a plan as they stand, read in the transaction that acts on one of them."""

from signoff.core.action import plan
from signoff.core.action.lifecycle import Action, State
from signoff.ports.storage import Transaction


def steps_of(tx: Transaction, action: Action) -> list[Action]:
    """Return every step of the plan of an action in order; itself alone where it is part of none."""
    if action.plan_id is None:
        return [action]
    mine = [one for one in tx.actions.of_run(action.run_id) if one.plan_id == action.plan_id]
    return sorted(mine, key=lambda one: one.plan_step or 0)


def waiting_steps(tx: Transaction, action: Action) -> list[Action]:
    """Return the steps that wait for an approval together with an action, itself alone where it is part of no plan."""
    if action.plan_id is None:
        return [action]
    return [one for one in steps_of(tx, action) if one.state is State.PENDING_APPROVAL]


def is_kept_back(tx: Transaction, action: Action) -> bool:
    """Tell whether its plan keeps a step from being claimed yet."""
    return action.plan_id is not None and plan.must_wait(action, steps_of(tx, action))


def is_lead(tx: Transaction, action: Action) -> bool:
    """Tell whether an action stands for its plan in lists of what waits: the first step that does."""
    if action.plan_id is None or action.state is not State.PENDING_APPROVAL:
        return True
    return waiting_steps(tx, action)[0].action_id == action.action_id
