# SPDX-License-Identifier: Apache-2.0
"""What an answer proves: a closed list of proofs of a non-write; everything else is doubt."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action.doubt import (
    GIVE_UP_US,
    LATE_GIVE_UP_US,
    LATE_LOOK_US,
    Answer,
    Answered,
    Errored,
    Judgement,
    Lost,
    NotSent,
    Proof,
    agrees,
    judge,
    judge_late_look,
    judge_look_up,
    late_look_at,
    next_look,
)
from signoff.core.action.lifecycle import State
from signoff.core.authority.contract import Effect, LookUp, Risk, ToolContract
from signoff.core.authority.rule import Names, compile_expression

FOUND = compile_expression("true", Names(("result",)))
WRITE = ToolContract(
    "book.create", "book.create", Effect.WRITE, Risk.B, "reversible", not_done=frozenset({"closed", ""}),
    look_up=LookUp("book.find", {}, FOUND, 60_000_000),
)  # fmt: skip
S = State


@pytest.mark.parametrize(
    ("answer", "problems", "write", "other", "proof"),
    [
        (Answered({"id": 1}), [], S.SUCCEEDED, S.SUCCEEDED, None),
        (Answered({"id": 1}), ["id is no text"], S.IN_DOUBT, S.FAILED, None),
        (Errored("closed", "No."), [], S.FAILED, S.FAILED, Proof.NOT_DONE),
        (Errored("CLOSED", "No."), [], S.IN_DOUBT, S.FAILED, None),
        (Errored("closed ", "No."), [], S.IN_DOUBT, S.FAILED, None),
        (Errored("weather", "No."), [], S.IN_DOUBT, S.FAILED, None),
        (Errored(None, "closed"), [], S.IN_DOUBT, S.FAILED, None),
        (NotSent("refused"), [], S.IN_DOUBT, S.FAILED, Proof.NOT_SENT),
        (Lost("timed out"), [], S.IN_DOUBT, S.FAILED, None),
    ],
)
def test_what_each_answer_proves(
    answer: Answer, problems: list[str], write: State, other: State, proof: Proof | None
) -> None:
    judged = judge(WRITE, answer, problems)
    assert (judged.state, judged.proof) == (write, proof)
    for effect in (Effect.READ, Effect.EGRESS):
        assert judge(replace(WRITE, effect=effect), answer, problems).state is other
    assert (judged.result is not None) == (judged.state is S.SUCCEEDED)
    assert judged.state is S.SUCCEEDED or judged.reason


answers: Any = st.one_of(
    st.builds(Answered, st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
    st.builds(Errored, st.none() | st.sampled_from(["closed", "other", ""]), st.text(max_size=5)),
    st.builds(NotSent, st.text(max_size=5)),
    st.builds(Lost, st.text(max_size=5)),
)


@given(answers, st.lists(st.text(max_size=3), max_size=2))
def test_a_write_has_failed_only_by_a_proof(answer: Answer, problems: list[str]) -> None:
    judged = judge(WRITE, answer, problems)
    if judged.state is S.FAILED:
        assert judged.proof is Proof.NOT_DONE
    if judged.proof is Proof.NOT_SENT:
        assert isinstance(answer, NotSent)
    if judged.state is S.SUCCEEDED:
        assert isinstance(answer, Answered)
        assert not problems


def look(answer: Answer, is_found: bool | None, agrees: bool = True, now: int = 0, since: int = 0) -> Judgement:
    return judge_look_up(WRITE, answer, is_found, agrees, now, 12_000_000, since)


SETTLED = 72_000_000


@pytest.mark.parametrize(
    ("answer", "is_found", "agrees", "now", "state", "reason"),
    [
        (Answered({}), True, True, 0, S.SUCCEEDED, "found"),
        (Answered({}), True, False, 0, S.NEEDS_PERSON, "found_differs"),
        (Answered({}), True, False, SETTLED, S.NEEDS_PERSON, "found_differs"),
        (Answered({}), False, True, SETTLED - 1, S.IN_DOUBT, "look_up_inconclusive"),
        (Answered({}), False, True, SETTLED, S.FAILED, "proved_absent"),
        (Answered({}), None, True, SETTLED, S.IN_DOUBT, "look_up_inconclusive"),
        (Errored("x", ""), None, True, SETTLED, S.IN_DOUBT, "look_up_inconclusive"),
        (Errored("x", ""), False, True, SETTLED, S.IN_DOUBT, "look_up_inconclusive"),
        (Lost(""), None, True, SETTLED, S.IN_DOUBT, "look_up_inconclusive"),
        (NotSent(""), None, True, SETTLED, S.IN_DOUBT, "look_up_inconclusive"),
        (Lost(""), None, True, GIVE_UP_US - 1, S.IN_DOUBT, "look_up_inconclusive"),
        (Lost(""), None, True, GIVE_UP_US, S.NEEDS_PERSON, "look_up_unanswered"),
        (Answered({}), None, True, GIVE_UP_US, S.NEEDS_PERSON, "look_up_unanswered"),
        (Answered({}), False, True, GIVE_UP_US, S.FAILED, "proved_absent"),
    ],
)
def test_what_each_look_up_proves(
    answer: Answer, is_found: bool | None, agrees: bool, now: int, state: State, reason: str
) -> None:
    judged = look(answer, is_found, agrees, now)
    assert (judged.state, judged.reason) == (state, reason)
    assert (judged.proof is Proof.ABSENT) == (reason == "proved_absent")


def test_not_found_too_early_is_an_answer_however_long_it_takes_to_settle() -> None:
    slow = replace(WRITE, look_up=LookUp("book.find", {}, FOUND, 3 * GIVE_UP_US))
    judged = judge_look_up(slow, Answered({}), False, True, 2 * GIVE_UP_US, 0, 0)
    assert judged.state is S.IN_DOUBT


@given(answers, st.none() | st.booleans(), st.booleans(), st.integers(0, 2 * GIVE_UP_US), st.integers(0, GIVE_UP_US))
def test_absence_is_proved_only_by_an_answer_that_finds_nothing_late_enough(
    answer: Answer, is_found: bool | None, agrees: bool, now: int, since: int
) -> None:
    judged = look(answer, is_found, agrees, now, since)
    assert judged.state in (S.SUCCEEDED, S.FAILED, S.NEEDS_PERSON, S.IN_DOUBT)
    if judged.state is S.FAILED:
        assert isinstance(answer, Answered)
        assert is_found is False
        assert now >= SETTLED
    if judged.state is S.SUCCEEDED:
        assert isinstance(answer, Answered)
        assert is_found
        assert agrees


@given(st.integers(0, 10**15), st.integers(0, 500), st.integers(0, 10**15))
def test_looks_come_again_soon_and_one_of_them_right_when_absence_can_be_proved(
    now: int, looks: int, settles_at: int
) -> None:
    at = next_look(now, looks, settles_at)
    assert now + 250_000 <= at <= now + 60_000_000
    if now + 250_000 <= settles_at <= now + min(500_000 << min(looks, 7), 60_000_000):
        assert at == settles_at


@pytest.mark.parametrize("state", [S.SUCCEEDED, S.FAILED, S.IN_DOUBT, S.NEEDS_PERSON])
@pytest.mark.parametrize("proof", [None, *Proof])
def test_only_what_failed_as_absent_under_a_natural_key_is_looked_up_once_more(
    state: State, proof: Proof | None
) -> None:
    """Where our own key is in the target, where it answered, or where nothing was sent, nothing can come unnoticed."""
    natural = replace(WRITE, natural_key=(FOUND,))
    judged = Judgement(state, "x", proof)
    is_owed = state is S.FAILED and proof is Proof.ABSENT
    assert late_look_at(natural, judged, 5) == (5 + LATE_LOOK_US if is_owed else None)
    assert late_look_at(replace(WRITE, key_argument="key"), judged, 5) is None


@given(answers, st.none() | st.booleans(), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_late_look_ends_with_an_answer_or_after_a_day_without_one(
    answer: Answer, is_found: bool | None, now: int, due: int
) -> None:
    told = judge_late_look(answer, is_found, now, due)
    if isinstance(answer, Answered) and is_found is not None:
        assert told == ("found_late" if is_found else "proved_absent")
    else:
        assert told == ("late_look_unanswered" if now >= due + LATE_GIVE_UP_US else None)


def test_what_is_found_agrees_unless_an_argument_that_it_repeats_differs() -> None:
    args = {"amount": 12, "shelf": "a"}
    assert agrees(Answered({"id": 1, "amount": 12.0}), args)
    assert agrees(Answered({}), args)
    assert not agrees(Answered({"amount": 13}), args)
    assert not agrees(Lost("cut"), args)
