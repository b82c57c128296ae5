# SPDX-License-Identifier: Apache-2.0
"""How often a read has told the same: polling is a loop, and a read whose result changes is none."""

from typing import Any

from signoff.app.world import World
from signoff.core.action.lifecycle import Action, State
from signoff.ports.storage import Transaction


def without_news(world: World, tx: Transaction, run_id: str, tag: str, besides: str) -> int:
    """Return how many identical reads of a run there were since one told something else.

    What can no longer be read, or has no result yet, told nothing new. Results are opened, so that this is asked only
    where all identical calls together would be too many.
    """
    count, newest = 0, None
    for action_id in tx.actions.same_calls(run_id, tag):
        action = tx.actions.get(action_id)
        if action is None or action_id == besides or action.state is State.DENIED or not action.by.startswith("agt_"):
            continue
        told = _told(world, tx, action)
        if newest is not None and told is not None and told != newest:
            return count
        count, newest = count + 1, told if newest is None else newest
    return count


def _told(world: World, tx: Transaction, action: Action) -> Any:
    """Return what a read answered; it is named by the entry before its last, which is the claim."""
    return world.keyring.open(tx, action.action_id, f"outcome.{action.seq - 1}") if action.outcome else None
