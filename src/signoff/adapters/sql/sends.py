# SPDX-License-Identifier: Apache-2.0
"""The last sends of a tool, kept up to date as its actions are written."""

from collections.abc import Iterable, Iterator

from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.circuit import Sent

KEPT = 128  # far more than are under way at once and asked for


class ToolSends:
    """The newest sends of one tool, in the order of their claims."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._sends: dict[str, tuple[int, Sent]] = {}  # by action: the fence of its claim, and what it tells
        for action in actions:
            self.put(action)

    def put(self, action: Action) -> None:
        """Take in an action that was claimed, or what has become of it."""
        sends, action_id = self._sends, action.action_id
        if (before := sends.get(action_id)) is not None and before[0] != action.fence:
            del sends[action_id]  # claimed anew: now it is the newest
        # Told once here, and not by each decision of all that is under way.
        sends[action_id] = action.fence, sent_of(action)
        if len(sends) > 2 * KEPT:
            for old in list(sends)[:KEPT]:
                del sends[old]

    def newest_first(self) -> Iterator[Sent]:
        return (sent for _, sent in reversed(self._sends.values()))


def sent_of(action: Action) -> Sent:
    """Return what a claimed action tells of its system."""
    failed_at = action.ended_at if action.state is State.FAILED else None
    return Sent(action.claimed_at or 0, action.state is State.DISPATCHING, action.reason, action.doubt_since, failed_at)
