# SPDX-License-Identifier: Apache-2.0
"""Impact limits: what a workflow may do within a sliding window, summed over all its runs and agents."""

from dataclasses import dataclass

from signoff.core.authority.decision import Duty
from signoff.core.authority.rule import Expression
from signoff.core.authority.rules import Then


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
    key: str = ""  # keyed digest of limit and `per`
