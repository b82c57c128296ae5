# SPDX-License-Identifier: Apache-2.0
"""Impact limits: what a workflow may do within a sliding window, summed over all its runs and agents.

Each action has a place in the order of each limit that it counts for: the time at which it was proposed, or edited to
count for something else. Actions of one instant follow each other by a microsecond in the order in which they were
recorded. A window is always the one before the action's own place, so that a claim decides on what the proposal saw.
"""

from dataclasses import dataclass
from typing import Any

from signoff.core.authority.decision import Duty
from signoff.core.authority.rule import Expression
from signoff.core.authority.rules import Then
from signoff.core.money import INT_MAX


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a page; `per` yields the text under which amounts are added up, one sum for all where it is None."""

    limit_id: str
    tool: str
    amount: Expression
    per: Expression | None
    window_us: int
    most: int
    then: Then  # approve or deny
    duty: Duty | None = None


@dataclass(frozen=True, slots=True)
class Impact:
    """What a proposal adds to one limit, and what stands in its window already; None: an expression has no value."""

    limit: Limit
    amount: int | None
    before: int = 0
    key: str = ""  # keyed digest of workflow, limit and `per`
    at: int = 0  # its place (microseconds since 1970), at which its window ends
    nth: int = 0  # which of the page's limits it is

    @property
    def total(self) -> int:
        """What the window holds with this proposal."""
        return self.before + (self.amount or 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What an action counts for in one limit: a row beside it, told by the entry that proposed or edited it.

    `nth` is the limit's place in the page of the action's run, from 0: what was exceeded can be computed anew from rows
    and page alone.
    """

    tenant: str
    action_id: str
    key: str
    nth: int
    at: int
    amount: int


def amount_of(value: Any) -> int | None:
    """Return what an expression yields as an amount, None if it is none: below 0, or no integer."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= INT_MAX else None


def duration(window_us: int) -> str:
    """Return a window for people: `24 h`, `30 d`, `90 s`."""
    for unit, length in (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000)):
        if window_us % length == 0 and window_us >= (2 * length if unit == "d" else length):
            return f"{window_us // length} {unit}"
    return f"{window_us / 1_000_000:g} s"
