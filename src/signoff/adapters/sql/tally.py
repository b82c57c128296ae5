# SPDX-License-Identifier: Apache-2.0
"""What a run has done, added up once and kept up to date, so that its thousandth action costs what its first did."""

from collections.abc import Iterable
from typing import NamedTuple

from signoff.core.action.lifecycle import AWAITING_PEOPLE, CONCLUDED, Action, State
from signoff.core.run import Tally

NO_FAULT = (
    "halted", "run_paused", "tool_unavailable", "preview_unavailable", "target_unavailable", "too_many_waiting",
    "plan_broken",
    "circuit_open",
)  # fmt: skip


class Line(NamedTuple):
    """What one action adds to the tally of its run."""

    action_id: str
    by: str
    tag: str
    is_own_write: bool  # a write that reverses nothing: the same call collects it
    fence: int
    state: State
    reason: str | None
    waited_us: int
    waiting_since: int | None
    spent_usd_micros: int

    @classmethod
    def of(cls, action: Action) -> "Line":
        """Return the line of an action."""
        return cls(
            action.action_id,
            action.by,
            action.content_tag,
            action.effect != "read" and action.reverses is None,
            action.fence,
            action.state,
            action.reason,
            action.waited_us,
            action.waiting_since,
            action.settled_usd_micros + action.reserved_usd_micros,
        )

    @property
    def is_of_agent(self) -> bool:
        """What a person asks for is no doing of the agent's; its money is the task's all the same."""
        return self.by.startswith("agt_")

    def sums(self) -> tuple[int, ...]:
        """Return what is added up: steps, sent, denied, spent, unconcluded."""
        own = self.is_of_agent
        is_denied = self.state is State.DENIED and self.reason not in NO_FAULT
        return own, own and self.fence > 0, own and is_denied, self.spent_usd_micros, self.state not in CONCLUDED


class RunTally:
    """What a run has done, added up as its actions are written."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines: dict[str, tuple[str, tuple[int, ...]]] = {}  # by action: for which call, and what it adds
        self._sums: tuple[int, ...] = (0,) * 5
        self._identical: dict[str, int] = {}
        self._newest: dict[str, str] = {}
        self._waits: dict[str, Line] = {}
        for line in lines:
            self.put(line)

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: Line) -> None:
        """Take in an action, or what has become of it; whose it is, and for which call, never changes."""
        before, sums = self._lines.get(line.action_id), line.sums()
        self._lines[line.action_id] = line.tag, sums
        if before is None:
            self._sums = tuple(map(int.__add__, self._sums, sums))
            self._identical[line.tag] = self._identical.get(line.tag, 0) + sums[0]
            if line.is_own_write and line.action_id > self._newest.get(line.tag, ""):
                self._newest[line.tag] = line.action_id
        else:
            self._sums = tuple(total - old + new for total, old, new in zip(self._sums, before[1], sums, strict=True))
        if line.waiting_since is not None and line.is_of_agent:
            self._waits[line.action_id] = line
        else:
            self._waits.pop(line.action_id, None)

    def tally(self, tag: str, besides: str, now: int) -> Tally:
        """Return the sums, without the action `besides`."""
        identical, sums = self._identical.get(tag, 0), self._sums
        if (left_out := self._lines.get(besides)) is not None:
            identical -= left_out[1][0] if left_out[0] == tag else 0
            sums = tuple(map(int.__sub__, sums, left_out[1]))
        steps, sent, denied, spent, unconcluded = sums
        waited, waiting = self._waited(besides, now) if self._waits else (0, 0)
        return Tally(steps, sent, denied, identical, waited, waiting, spent, unconcluded)

    def newest_write(self, tag: str) -> str | None:
        """Return the id of the newest write with this content."""
        return self._newest.get(tag)

    def same_calls(self, tag: str) -> list[str]:
        """Return the ids of all actions with this content, newest first."""
        return sorted((action_id for action_id, line in self._lines.items() if line[0] == tag), reverse=True)

    def _waited(self, besides: str, now: int) -> tuple[int, int]:
        """Return how long people were waited for, a time that several waited counted once; and how many wait now."""
        waited = waiting = covered = 0
        spans = [
            (line.waiting_since, line.waited_us, line.state in AWAITING_PEOPLE)
            for line in self._waits.values()
            if line.action_id != besides and line.waiting_since is not None
        ]
        for begin, lasted, is_waiting in sorted(spans):
            end = now if is_waiting else begin + lasted
            waited += max(0, end - max(begin, covered))
            covered = max(covered, end)
            waiting += is_waiting
        return waited, waiting
