# SPDX-License-Identifier: Apache-2.0
"""Limits and caps as a decision sees them: they only add care, and what has no value denies."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import STRICTNESS, Decision, Duty, Outcome, Verdict, is_stricter
from signoff.core.authority.limit import Impact, Limit, amount_of, duration
from signoff.core.authority.policy import decide
from signoff.core.authority.rule import Names, compile_expression
from signoff.core.authority.rules import Then
from signoff.core.authority.spend import Scope, SpendCap, Spent, began
from tests.core.authority.test_policy import bearing

ONE = compile_expression("1", Names(roots=("args",)))
DUTY = Duty(("Owner",), 2, True, 60, "limit_exceeded")
limits = st.builds(
    Limit, st.just("day"), st.just("book.note"), st.just(ONE), st.none(), st.just(3_600_000_000), st.integers(0, 20),
    st.sampled_from([Then.APPROVE, Then.DENY]), st.sampled_from([None, DUTY]),
)  # fmt: skip
impacts = st.builds(Impact, limits, st.none() | st.integers(0, 20), st.integers(0, 20))
spent = st.builds(
    Spent, st.builds(SpendCap, st.sampled_from(Scope), st.just(60), st.integers(0, 10**6)), st.integers(0, 10**6)
)


def said(b: Bearing) -> Decision:
    return decide(b, {"text": "x"})


@given(st.lists(impacts, max_size=4), st.lists(spent, max_size=4), impacts, spent)
def test_another_limit_or_cap_never_makes_a_decision_less_strict(
    some: list[Impact], caps: list[Spent], limit: Impact, cap: Spent
) -> None:
    before = said(bearing(impacts=tuple(some), spent=tuple(caps)))
    for more in (bearing(impacts=(*some, limit), spent=tuple(caps)), bearing(impacts=tuple(some), spent=(*caps, cap))):
        after = said(more)
        assert STRICTNESS[after.verdict] >= STRICTNESS[before.verdict]
        if after.verdict is Verdict.ASK:
            assert not is_stricter(before, after.verdict, after.duties)


@given(st.lists(impacts, min_size=1, max_size=4), st.integers(1, 20))
def test_what_stands_in_a_window_already_only_adds_care(some: list[Impact], more: int) -> None:
    fuller = tuple(replace(one, before=one.before + more) for one in some)
    before, after = said(bearing(impacts=tuple(some))), said(bearing(impacts=fuller))
    assert STRICTNESS[after.verdict] >= STRICTNESS[before.verdict]


@given(st.lists(impacts, min_size=1, max_size=4))
def test_a_decision_over_limits_follows_from_their_sums(some: list[Impact]) -> None:
    decision = said(bearing(impacts=tuple(some)))
    has_no_value = any(one.amount is None for one in some)
    over = {one.limit.then for one in some if one.amount is not None and one.before + one.amount > one.limit.most}
    if has_no_value or Then.DENY in over:
        assert decision.denial is not None
        assert decision.denial.reason in ("limit_unevaluable", "limit_exceeded")
    else:
        assert decision.verdict is (Verdict.ASK if over else Verdict.ALLOW)


def test_limits_without_a_duty_of_their_own_ask_the_page_s_roles_beside_those_that_have_one() -> None:
    made = [Limit(name, "book.note", ONE, None, 60, 0, Then.APPROVE, duty) for name, duty in (("a", None), ("b", DUTY))]
    decision = said(bearing(impacts=tuple(Impact(limit, 1) for limit in made)))
    assert [duty.roles for duty in decision.duties] == [("Clerk",), ("Owner",)]
    [check] = [one for one in decision.checks if one.outcome is Outcome.ASK]
    assert "a: 1 within" in check.detail and "b: 1 within" in check.detail


def test_what_costs_nothing_passes_a_cap_that_is_used_up() -> None:
    cap = Spent(SpendCap(Scope.TENANT, 60, 10), 11)
    assert said(bearing(spent=(cap,))).verdict is Verdict.DENY
    free = bearing(spent=(cap,))
    assert free.contract is not None
    assert said(replace(free, contract=replace(free.contract, cost_usd_micros=0))).verdict is Verdict.ALLOW


@pytest.mark.parametrize(
    ("value", "amount"),
    [(0, 0), (12, 12), (12.0, 12), (2**53 - 1, 2**53 - 1), (-1, None), (-1.0, None), (0.5, None), (2**53, None),
     (True, None), ("12", None), (None, None), ([1], None)],
)  # fmt: skip
def test_an_amount_is_an_integer_of_zero_or_more(value: Any, amount: int | None) -> None:
    assert amount_of(value) == amount


@pytest.mark.parametrize(
    ("us", "said_"),
    [(86_400_000_000, "24 h"), (30 * 86_400_000_000, "30 d"), (3_600_000_000, "1 h"), (90_000_000, "90 s"),
     (120_000_000, "2 min")],
)  # fmt: skip
def test_a_window_is_told_in_the_largest_unit_that_fits(us: int, said_: str) -> None:
    assert duration(us) == said_


@given(st.integers(0, 2**53), st.integers(1, 2**45))
def test_a_period_holds_its_instant_and_begins_at_a_multiple_of_its_length(at: int, window: int) -> None:
    since = began(at, window)
    assert since % window == 0
    assert since <= at < since + window
