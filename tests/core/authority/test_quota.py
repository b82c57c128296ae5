# SPDX-License-Identifier: Apache-2.0
"""What one agent may have standing at once is bounded, and what it may not says so in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.decision import Check, Decision, Duty, Outcome, Verdict
from signoff.core.authority.quota import Quotas, require_room, within
from signoff.core.errors import Conflict

DUTY = Duty(("Clerk",), 1, True, 1, "write_asks")
ASKS = Decision(Verdict.ASK, (Check("agent"), Check("writes", Outcome.ASK, "write_asks")), (DUTY,), 7)
COUNTS = st.integers(0, 40)
BOUNDS = st.builds(Quotas, st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))


@given(BOUNDS, COUNTS, COUNTS)
def test_a_call_waits_for_people_only_where_there_is_room_for_it(quotas: Quotas, in_run: int, of_agent: int) -> None:
    """Either bound alone denies; whatever is let through leaves both kept."""
    found = within(ASKS, quotas, in_run, of_agent)
    has_room = in_run + 1 <= quotas.waiting_per_run_max and of_agent + 1 <= quotas.waiting_max
    assert (found.verdict is Verdict.ASK) == has_room
    if has_room:
        assert found == Decision(Verdict.ASK, (*ASKS.checks, Check("waiting")), (DUTY,), 7)
    else:
        assert found.verdict is Verdict.DENY
        assert found.duties == () and found.reserve_usd_micros == 0
        assert found.denial is not None
        assert (found.denial.check, found.denial.reason) == ("waiting", "too_many_waiting")


@pytest.mark.parametrize("verdict", [Verdict.ALLOW, Verdict.DENY, Verdict.SUGGEST])
def test_what_asks_nobody_is_never_denied_for_those_who_wait(verdict: Verdict) -> None:
    decision = Decision(verdict, ASKS.checks)
    assert within(decision, Quotas(1, 1, 1), 99, 99) is decision


def test_the_denial_says_where_how_many_and_how_many_may() -> None:
    for in_run, of_agent, told in (
        (3, 3, "3 calls .* in this run; at most 3"),
        (1, 9, "9 calls .* together; at most 9"),
    ):
        denial = within(ASKS, Quotas(5, 9, 3), in_run, of_agent).denial
        assert denial is not None
        assert re.search(told, denial.detail), denial.detail


@given(BOUNDS, COUNTS)
def test_a_run_begins_only_where_there_is_room_for_it(quotas: Quotas, open_runs: int) -> None:
    if open_runs < quotas.open_runs_max:
        require_room(quotas, open_runs)
        return
    with pytest.raises(Conflict, match=f"{open_runs} runs .* at most {quotas.open_runs_max}") as refused:
        require_room(quotas, open_runs)
    assert refused.value.code == "run.too_many_open"
