# SPDX-License-Identifier: Apache-2.0
"""A plan's digest binds every step in its place; a step waits for those before it; one that departs ends the rest."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action import approval, plan
from signoff.core.action.lifecycle import CONCLUDED, MOVES, NOT_SENT, Action, State
from signoff.core.errors import Malformed
from tests.core.action.nouns import a_run, an_action

DIGESTS = st.lists(st.integers(0, 2**64).map(lambda n: f"sha256:{n:064x}"), min_size=1, max_size=6)
STATES = st.lists(st.sampled_from(list(State)), min_size=1, max_size=6)


def steps(states: list[State], verdict: str = "ask") -> list[Action]:
    return [
        replace(an_action(), action_id=f"act_{n}", plan_id="apr_1", plan_step=n, state=state, verdict=verdict)
        for n, state in enumerate(states, 1)
    ]


@given(DIGESTS, DIGESTS)
def test_two_plans_have_one_digest_only_if_their_steps_are_the_same_in_order(one: list[str], other: list[str]) -> None:
    assert (plan.digest("t", "apr_1", one) == plan.digest("t", "apr_1", other)) == (one == other)
    assert plan.digest("t", "apr_1", one) != plan.digest("t", "apr_2", one) != plan.digest("u", "apr_2", one)


@given(DIGESTS, st.data())
def test_whatever_changes_in_a_step_changes_what_was_approved(digests: list[str], data: st.DataObject) -> None:
    """Also where the row still names the digests that were approved: its own is computed from what it is now."""
    place = data.draw(st.integers(1, len(digests)))
    bare = replace(an_action(), plan_id="apr_1", plan_step=place)
    digests[place - 1] = approval.own_digest(bare, a_run())
    step = replace(bare, plan=plan.text(digests))
    assert approval.digest(step, a_run()) == plan.digest(step.tenant, "apr_1", digests)
    for changed in (
        replace(step, args_effective="sha256:" + "e" * 64),
        replace(step, tool="another.tool"),
        replace(step, preview="sha256:" + "f" * 64),
        replace(step, revision=step.revision + 1),
    ):
        assert approval.digest(changed, a_run()) != approval.digest(step, a_run())


def test_an_action_that_stands_alone_is_bound_as_ever() -> None:
    assert approval.digest(an_action(), a_run()) == approval.own_digest(an_action(), a_run())


@given(STATES)
def test_no_step_is_sent_before_those_before_it_are_done_and_all_are_approved(states: list[State]) -> None:
    whole = steps(states)
    for place, step in enumerate(whole):
        before = all(one.state in (State.SUCCEEDED, State.REVERSAL_FAILED) for one in whole[:place])
        is_open = any(one.state is State.PENDING_APPROVAL for one in whole if one is not step)
        assert plan.must_wait(step, whole) == (not before or is_open)


@given(STATES)
def test_what_is_left_over_of_a_broken_plan_ends_and_what_was_sent_does_not(states: list[State]) -> None:
    left = plan.left_over(steps(states))
    assert [one.state for one, _ in left] == [state for state in states if state in NOT_SENT]
    for one, end in left:
        assert end in MOVES[one.state]
        assert end in CONCLUDED


def test_a_step_departs_by_every_end_but_success() -> None:
    departed = {one.state for one in steps(list(State)) if plan.is_departed(one)}
    assert departed == CONCLUDED - {State.SUCCEEDED, State.REVERSAL_FAILED}
    assert not any(plan.is_departed(replace(one, plan_id=None)) for one in steps(list(State)))


@pytest.mark.parametrize("count", [0, plan.STEPS_MAX + 1])
def test_a_plan_is_not_empty_and_not_endless(count: int) -> None:
    with pytest.raises(Malformed):
        plan.require_size(count)
    for fine in (1, plan.STEPS_MAX):
        plan.require_size(fine)
