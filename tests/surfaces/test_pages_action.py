# SPDX-License-Identifier: Apache-2.0
"""The page of an action has words for every state, and shows what changes and who said so."""

import re
from typing import Any

import pytest
from hypothesis import given, settings

from signoff.core.action.lifecycle import State
from signoff.core.authority.decision import Outcome, Verdict
from signoff.surfaces.web import diff, hostile, render
from signoff.surfaces.web.models import Event
from tests.surfaces.reader import Reader, rows
from tests.surfaces.sheets import DIGEST, any_text, document, vote


@pytest.mark.parametrize("state", State)
def test_every_state_is_told_in_words_with_a_sign_beside_the_colour(state: State) -> None:
    read = Reader(render.action(document(state=str(state)), [], None))
    label = next(attrs for tag, attrs in read.tags if (attrs.get("class") or "").startswith("state "))
    assert label["class"] != "state doubt" or state in {State.IN_DOUBT, State.NEEDS_PERSON}, "the state has no words"
    assert "This page does not know this state" not in read.text
    title = re.search("<title>(.*?)</title>", render.action(document(state=str(state)), [], None))
    assert title and str(state) not in title[1], "a person reads words, not codes"


def test_outcomes_and_verdicts_are_told_in_words() -> None:
    for outcome in Outcome:
        check = {"check": "class", "outcome": str(outcome), "reason": "r", "detail": "d"}
        said = Reader(render.action(document(decision={"verdict": "ask", "checks": [check]}), [], None)).text
        words = {"pass": "1 check passed", "ask": "asks a person", "deny": "refused", "inert": "could not check"}
        assert words[outcome] in said
    for verdict in Verdict:
        assert f'<p class="says">{verdict}</p>' not in render.action(
            document(decision={"verdict": str(verdict), "checks": []}), [], None
        )


def test_additions_and_removals_can_be_told_apart_without_colour() -> None:
    said = rows(render.action(document(), [], None), "diff")
    assert said[1].startswith("+ added entry.vendor nothing Northwind")
    assert said[2].startswith("− removed po.hold short delivery nothing")
    assert said[3].startswith("± changed vendor.iban")
    assert said[4].startswith("= the same po.status")


def test_the_very_characters_that_change_are_marked_and_never_clipped_away() -> None:
    iban = render.action(document(), [], None)
    assert "<mark>0532</mark>" in iban and "<mark>0523</mark>" in iban
    before = "x y " * 500 + "DE89" + " z w" * 500
    change = {"path": "note", "before": before, "after": before.replace("DE89", "DE98")}
    page = render.action(document(preview={"digest": DIGEST, "summary": "s", "changes": [change]}), [], None)
    summaries = re.findall("<summary>(.*?)</summary>", page)
    assert any("<mark>DE89</mark>" in one for one in summaries) and any("<mark>DE98</mark>" in one for one in summaries)


@given(any_text, any_text)
@settings(deadline=None)
def test_a_diff_shows_both_sides_whole(before: str, after: str) -> None:
    for side, other in ((before, after), (after, before)):
        shown = "".join(Reader(str(diff.pair(side, other)[0])).words)
        assert shown.endswith(hostile.visible(side))


def test_arguments_that_differ_between_the_three_records_are_flagged() -> None:
    said = rows(render.action(document(), [], None), "arguments")
    assert (
        said[0]
        == "Argument Proposed what the agent sent Approved what people agreed to Effective what goes to the target"
    )
    assert "memo differs Paper Paper, Q4 Paper, Q4" in said
    assert "key differs absent absent 9f2c" in said
    assert "vendor_id V-20418 same same" in said


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (None, "null"), ("1", 1), ([], {})])
def test_values_that_a_target_tells_apart_are_told_apart(one: Any, other: Any) -> None:
    page = render.action(document(args={"proposed": {"a": one}, "effective": {"a": other}}), [], None)
    assert "a differs" in " ".join(rows(page, "arguments"))


def test_one_point_nought_is_one() -> None:
    page = render.action(document(args={"proposed": {"a": 1}, "effective": {"a": 1.0}}), [], None)
    assert rows(page, "arguments")[1:] == ["a 1"]


def test_a_vote_for_another_digest_is_called_out() -> None:
    stale = {"votes": [vote(digest="sha256:" + "ff" * 32)]}
    assert "it does not count" in render.action(document(state="pending_approval", approval=stale), [], None)
    assert "it does not count" not in render.action(document(), [], None)


def test_the_top_of_the_page_answers_who_approved_this_write() -> None:
    top = render.action(document(), [], None).split('<ol class="walk">')[0]
    assert "Signed off by dana@acme.test as FinanceAdmin." in Reader(top).text
    refused = document(state="rejected", approval={"votes": [vote(decision="reject")]})
    assert "Rejected by dana@acme.test" in Reader(render.action(refused, [], None)).text
    stale = document(state="pending_approval", approval={"votes": [vote(digest="sha256:" + "ff" * 32)]})
    assert "Signed off by" not in Reader(render.action(stale, [], None)).text
    assert (
        "No approval was owed: the checks allowed it" in Reader(render.action(document(approval=None), [], None)).text
    )


def test_a_read_is_told_as_a_read() -> None:
    read = document(effect="read", approval=None, preview=None, digest=None, receipt_id=None)
    said = Reader(render.action(read, [], None)).text
    assert "nothing was changed" in said and "Nothing: it only reads." in said and "There is nothing to undo." in said
    assert (
        "It comes with the outcome" not in said and "signoff undo" not in said and "No approval was owed:" not in said
    )


def test_every_entry_of_the_ledger_is_told_in_words_beside_its_type() -> None:
    kinds = [f"action.{state}" for state in State if state is not State.DISPATCHING]  # told by the claim before it
    entries: list[Event] = [{"at": "2026-11-20T22:41:02Z", "type": kind} for kind in kinds]
    told = rows(render.action(document(), entries, None), "events")[1:]
    assert [row.count(kind) for row, kind in zip(told, kinds, strict=True)] == [1] * len(kinds)


def test_doubt_says_that_it_may_have_happened() -> None:
    said = Reader(render.action(document(state="in_doubt", result=None), [], None)).text
    assert "It may have happened." in said and "confirmed" not in said


def test_undo_and_what_it_undoes_link_to_each_other() -> None:
    assert 'href="/actions/act_2"' in render.action(document(state="reversed", reversed_by="act_2"), [], None)
    assert 'href="/actions/act_1"' in render.action(document(reverses="act_1"), [], None)


def test_an_agents_document_without_details_can_be_read() -> None:
    check = {"check": "class", "outcome": "ask", "reason": "class_c"}
    page = render.action(document(decision={"verdict": "ask", "checks": [check]}), [], None)
    assert "not shown to this reader" in page
