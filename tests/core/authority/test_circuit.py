# SPDX-License-Identifier: Apache-2.0
"""A circuit opens on sends that all went wrong, and on nothing else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.circuit import BROKEN, Broken, Circuits, Sent, broken_off

SECOND = 1_000_000
RULE = Circuits(sends=3, within_us=100 * SECOND, cool_us=60 * SECOND)
NOW = 1000 * SECOND


def doubtful(at_s: int) -> Sent:
    return Sent(at_s * SECOND, False, "answer_lost", doubt_since=at_s * SECOND + 1)


def failed(at_s: int, reason: str = "not_sent") -> Sent:
    return Sent(at_s * SECOND, False, reason, failed_at=at_s * SECOND + 1)


def done(at_s: int) -> Sent:
    return Sent(at_s * SECOND, False)


def under_way(at_s: int) -> Sent:
    return Sent(at_s * SECOND, True)


BAD = [doubtful(990), failed(980), doubtful(970)]


def test_as_many_as_the_rule_says_break_it_off_until_the_pause_is_over() -> None:
    until = 990 * SECOND + 1 + 60 * SECOND
    assert broken_off(BAD, NOW, RULE) == Broken(3, until)
    assert broken_off(BAD, until - 1, RULE) == Broken(3, until)
    assert broken_off(BAD, until, RULE) is None
    assert broken_off(BAD[:2], NOW, RULE) is None


def test_after_the_pause_one_goes_through_and_no_other_before_it_has_an_outcome() -> None:
    later = 1100 * SECOND
    assert broken_off([under_way(1060), *BAD], later, RULE) == Broken(3, None)
    assert broken_off([done(1060), *BAD], later, RULE) is None
    again = broken_off([failed(1060), *BAD], later, RULE)
    assert again is not None and again.until == 1120 * SECOND + 1


def test_what_was_under_way_before_it_opened_is_no_trial() -> None:
    assert broken_off([under_way(985), *BAD], 1100 * SECOND, RULE) is None


def test_sends_that_lie_too_far_apart_break_nothing_off() -> None:
    assert broken_off([*BAD[:2], doubtful(880)], NOW, RULE) is None


def test_a_refusal_by_the_target_itself_shows_that_it_is_well() -> None:
    assert broken_off([failed(990, "vendor_unknown"), *BAD], NOW, RULE) is None
    assert broken_off([*BAD[:2], failed(970, "vendor_unknown")], NOW, RULE) is None


def test_a_doubt_that_was_resolved_was_a_doubt_all_the_same() -> None:
    assert broken_off([replace(done(990), doubt_since=991 * SECOND), *BAD[1:]], NOW, RULE) is not None


SENDS = st.lists(
    st.tuples(st.sampled_from(["done", "under way", "doubt", "refused", *sorted(BROKEN)]), st.integers(0, 1000)),
    max_size=8,
)


@given(SENDS, st.integers(0, 2000))
def test_one_good_send_among_the_newest_closes_it_whatever_else_there_is(
    drawn: list[tuple[str, int]], now_s: int
) -> None:
    made = {"done": done, "under way": under_way, "doubt": doubtful}
    sends = [made[kind](at) if kind in made else failed(at, kind) for kind, at in drawn]
    concluded = [sent for sent in sends if not sent.is_under_way][: RULE.sends]
    if broken_off(sends, now_s * SECOND, RULE) is not None:
        assert len(concluded) == RULE.sends and all(sent.is_bad for sent in concluded)
        assert broken_off([done(1000), *sends], now_s * SECOND, RULE) is None
