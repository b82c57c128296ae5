# SPDX-License-Identifier: Apache-2.0
"""How much one agent may have standing at once: open runs, and calls that wait for people (ADR 0018).

People's attention is the scarce thing here: an inbox that one agent fills hides what the others ask. What people ask
for themselves is not counted.
"""

from dataclasses import dataclass, replace

from signoff.core.authority.decision import Check, Decision, Outcome, Verdict
from signoff.core.errors import Conflict


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one agent may have at once. `tests/core/authority/test_quota.py` states that no bound can be passed."""

    # Tasks that nobody completed stay open, so that this is far above what an agent works on at once.
    open_runs_max: int = 1000
    # One page of the inbox, the largest that a list answers; decided one a minute it takes over three hours.
    waiting_max: int = 200
    # Half of the steps that a run has when its page is silent: a task that asks for more is not one task.
    waiting_per_run_max: int = 20


def has_people_wait(decision: Decision) -> bool:
    """Tell whether a decision puts something before people: an approval, or a review window."""
    return decision.verdict is Verdict.ASK or decision.hold is not None


def within(decision: Decision, quotas: Quotas, in_run: int, of_agent: int) -> Decision:
    """Return a decision that keeps people waiting, denied where too much of the agent's waits for them already.

    Args:
        in_run: how many of the agent's calls wait in this run, without this one.
        of_agent: how many wait in all its runs, without this one.
    """
    if not has_people_wait(decision):
        return decision
    for count, most, where in (
        (in_run, quotas.waiting_per_run_max, "this run"),
        (of_agent, quotas.waiting_max, "its runs together"),
    ):
        if count >= most:
            why = f"{count} calls of this agent wait for people in {where}; at most {most} may at once."
            denied = Check("waiting", Outcome.DENY, "too_many_waiting", why)
            return Decision(Verdict.DENY, (*decision.checks, denied))
    return replace(decision, checks=(*decision.checks, Check("waiting")))


def require_room(quotas: Quotas, open_runs: int) -> None:
    """Refuse another run where the agent has too many that are not closed.

    It is no rate, which RFC 6585, section 4, is about: no waiting makes room, so that 409 says it better than 429.

    Raises:
        Conflict: code `run.too_many_open`.
    """
    if open_runs >= quotas.open_runs_max:
        raise Conflict(
            what="No further run was begun.",
            why=f"{open_runs} runs of this agent are open or paused; at most {quotas.open_runs_max} may be at once.",
            fix="Complete those that are over: POST /v1/runs/{run_id}/complete, as the agent or as an operator.",
            code="run.too_many_open",
            open_runs=open_runs,
            open_runs_max=quotas.open_runs_max,
        )
