# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of read tools is bounded, and no older than was asked for."""

from signoff.app.answers import BYTES_MAX, KEPT_MAX, Answers, Asked, Facts, key_of


def asked(at: int, **result: object) -> Asked:
    return Asked("book.shelf", {"shelf": "a"}, result, at)


def test_an_answer_serves_until_it_is_as_old_as_was_allowed() -> None:
    answers = Answers()
    answers.put(b"k", asked(100, is_open=True))
    assert answers.get(b"k", since=99) == asked(100, is_open=True)
    assert answers.get(b"k", since=100) is None
    assert answers.get(b"other", since=0) is None


def test_a_newer_answer_takes_the_place_of_an_older_one() -> None:
    answers = Answers()
    for at in (100, 200):
        answers.put(b"k", asked(at))
    assert answers.get(b"k", since=150) == asked(200)
    assert len(answers) == 1


def test_the_oldest_are_forgotten_first_and_large_ones_are_never_kept() -> None:
    answers = Answers()
    for number in range(KEPT_MAX + 5):
        answers.put(str(number).encode(), asked(number + 1))
    assert len(answers) == KEPT_MAX
    assert answers.get(b"4", since=0) is None
    assert answers.get(b"5", since=0) is not None
    answers.put(b"5", asked(9, text="x" * BYTES_MAX))
    assert answers.get(b"5", since=0) is None


def test_a_question_is_one_runs_own_under_one_contract() -> None:
    asking = ("t", "run_1", "sha256:c", "book.shelf", {"shelf": "a"})
    others = [("u", *asking[1:]), ("t", "run_2", *asking[2:]), (*asking[:2], "sha256:d", *asking[3:]),
              (*asking[:3], "book.get", asking[4]), (*asking[:4], {"shelf": "b"})]  # fmt: skip
    assert key_of(*asking) == key_of(*asking)
    assert len({key_of(*one) for one in (asking, *others)}) == 6


def test_facts_are_as_old_as_the_oldest_of_them() -> None:
    facts = Facts({"one": asked(5, a=1), "two": asked(3, b=2)})
    assert (facts.at, Facts().at) == (3, None)
    assert facts.results == {"one": {"a": 1}, "two": {"b": 2}}
