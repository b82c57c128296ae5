# SPDX-License-Identifier: Apache-2.0
"""When what is kept of a run has reached its age: `logging.store_transcripts_days` of its page (ADR 0023)."""

from collections.abc import Collection, Sequence

from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.envelope import DAY_US, Envelope
from signoff.core.run import CLOSED, Run, RunState

UNDO_US = 7 * DAY_US
"""How long a write can be undone whatever its page says: its arguments and its result stay as long."""
IDLE_US = DAY_US
"""How long a run that nobody closed must have lain still before it is taken for over."""


def ended_at(envelope: Envelope, run: Run, actions: Sequence[Action]) -> int | None:
    """Return when a run came to its end, None while it has not.

    One that its agent never closed is over a day after its time was up and nothing of it under way; a paused one
    never is, since a person keeps it.
    """
    if any(not action.is_concluded or action.look_at is not None for action in actions):
        return None
    last = max((action.ended_at or 0 for action in actions), default=0)
    if run.state in CLOSED:
        return max(run.ended_at or run.started_at, last)
    if run.state is not RunState.OPEN:
        return None
    waited = sum(action.waited_us for action in actions)
    time_up = run.started_at + envelope.loops.run_seconds_max * 1_000_000 + waited
    return max(time_up, last) + IDLE_US


def erased_from(
    envelope: Envelope, run: Run, actions: Sequence[Action], undoable: Collection[str], unsettled: Collection[str]
) -> int | None:
    """Return from when on the payloads of a run are to be erased, None where that cannot be told yet.

    Args:
        undoable: ids of actions whose contract knows an undo.
        unsettled: ids of actions of which a person still has to say what they found.
    """
    end = ended_at(envelope, run, actions)
    if end is None or any(action.action_id in unsettled for action in actions):
        return None
    standing = [
        action.ended_at or 0
        for action in actions
        if action.action_id in undoable and action.state in (State.SUCCEEDED, State.REVERSAL_FAILED)
    ]
    return max(end + envelope.store_transcripts_days * DAY_US, max(standing, default=0) + UNDO_US if standing else 0)
