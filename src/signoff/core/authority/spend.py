# SPDX-License-Identifier: Apache-2.0
"""Money beyond one task: caps per user, agent, workflow and tenant in fixed periods from the UTC epoch.

What counts is what actions have settled and reserved, in the period in which each was proposed (ADR 0014). A call is
allowed only where all scopes have room, in the transaction that sets its money aside, so that no cap is passed by a
micro-dollar. What a call costs is fixed by its tool's contract: no bill differs from its reservation in this version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from signoff.core.run import Run


class Scope(StrEnum):
    """Over whom a cap adds up."""

    USER = "user"
    AGENT = "agent"
    WORKFLOW = "workflow"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True)
class SpendCap:
    """At most `cap_usd_micros` in each period of `window_us`, counted from 1970-01-01T00:00Z."""

    per: Scope
    window_us: int
    cap_usd_micros: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What is settled and reserved of a cap in the period of the call, without the call itself."""

    cap: SpendCap
    usd_micros: int
    until: int = 0  # end of the period (microseconds since 1970), excluded


Amounts = tuple[int, int]
"""Settled and reserved micro-dollars."""
Period = Mapping[tuple[str, str], Amounts]
"""What was spent in one period, by scope and whose it is; `("tenant", "")` holds everything."""


def began(at: int, window_us: int) -> int:
    """Return when the period began in which an instant falls."""
    return at - at % window_us


def whose(run: Run) -> tuple[tuple[str, str], ...]:
    """Return the scopes that a run's money counts in, each with whose it is: the user is the run's principal."""
    return (
        (Scope.USER.value, run.principal_id),
        (Scope.AGENT.value, run.agent_id),
        (Scope.WORKFLOW.value, run.workflow),
        (Scope.TENANT.value, ""),
    )
