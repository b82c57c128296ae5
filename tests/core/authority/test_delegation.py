# SPDX-License-Identifier: Apache-2.0
"""A delegation covers what it says, and a part of it never what the whole does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.delegation import (
    DEPTH_MAX,
    Delegation,
    Reach,
    attenuate,
    below,
    chain_of,
    compile_condition,
    covers,
)
from signoff.core.authority.reach import is_tools_word, is_within, means
from signoff.core.errors import Forbidden

SMALL = compile_condition("args.amount <= 100")
VENDOR = compile_condition("args.vendor in ['V1', 'V2']")
WHOLE = Reach(("erp.*", "crm.note"), ("sandbox", "production"), 100, 200, (SMALL,), 3, 5_000)
CALL: dict[str, Any] = {"tool": "erp.pay", "environment": "sandbox", "args": {"amount": 50, "vendor": "V1"}}
WORDS = ("*", "erp.*", "erp.pay", "erp.pay.*", "erp.pay.now", "erp.pay.*", "erpx", "crm.note")
TOOLS = ("erp.pay", "erp.pay.now", "erp.get", "erpx", "crm.note", "erp", "")


def reason(reach: Reach, **changed: Any) -> str:
    known = {**CALL, "now": 150, "used": 0, "spent": 0, **changed}
    return covers(reach, **known)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ""),
        ({"tool": "crm.note"}, ""),
        ({"tool": "crm.notes"}, "delegation_narrower"),
        ({"tool": "erpx"}, "delegation_narrower"),
        ({"environment": "staging"}, "delegation_narrower"),
        ({"args": {"amount": 101}}, "delegation_narrower"),
        ({"args": {}}, "delegation_narrower"),
        ({"args": {"amount": "50"}}, "delegation_narrower"),
        ({"now": 99}, "delegation_expired"),
        ({"now": 100}, ""),
        ({"now": 199}, ""),
        ({"now": 200}, "delegation_expired"),
        ({"used": 2}, ""),
        ({"used": 3}, "delegation_used_up"),
        ({"used": 3, "is_read": True}, ""),
        ({"spent": 4_000, "cost": 1_000}, ""),
        ({"spent": 4_000, "cost": 1_001}, "delegation_used_up"),
        ({"spent": 4_000, "cost": 1_001, "is_read": True}, "delegation_used_up"),
        ({"tool": "erpx", "is_undo": True}, ""),
        ({"tool": "erpx", "is_undo": True, "now": 200}, "delegation_expired"),
    ],
)
def test_what_it_covers_is_what_it_says(changed: dict[str, Any], expected: str) -> None:
    assert reason(WHOLE, **changed) == expected


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"tools": ("*",)}, "tools"),
        ({"tools": ("erp.pay", "crm.*")}, "tools"),
        ({"tools": ()}, "tools"),
        ({"environments": ("sandbox", "staging")}, "environments"),
        ({"environments": ()}, "environments"),
        ({"not_before": 99}, "window"),
        ({"not_after": 201}, "window"),
        ({"uses_max": 4}, "uses"),
        ({"usd_micros_max": 5_001}, "dollars"),
    ],
)
def test_a_part_that_is_wider_in_anything_is_refused_by_its_name(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(Forbidden) as refused:
        attenuate(WHOLE, replace(WHOLE, **changed))
    assert refused.value.code == "delegation.wider"
    assert refused.value.detail["field"] == field


def test_a_part_keeps_what_it_does_not_say_and_each_condition_of_the_whole() -> None:
    part = attenuate(WHOLE, replace(WHOLE, conditions=(VENDOR,), uses_max=None, usd_micros_max=None))
    assert part.conditions == (SMALL, VENDOR)
    assert (part.uses_max, part.usd_micros_max) == (3, 5_000)
    assert reason(part) == ""
    assert reason(part, args={"amount": 101, "vendor": "V1"}) == "delegation_narrower"


CAPS = st.none() | st.integers(0, 4)
REACHES = st.builds(
    Reach,
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple),
    st.lists(st.sampled_from(("sandbox", "production", "staging")), min_size=1, max_size=3).map(tuple),
    st.integers(0, 5),
    st.integers(0, 9),
    st.lists(st.sampled_from((SMALL, VENDOR)), max_size=2).map(tuple),
    CAPS,
    CAPS,
)


@st.composite
def parts(draw: st.DrawFn) -> tuple[Reach, Reach]:
    """Draw a whole and a part that is often no wider."""
    whole = draw(REACHES)
    asked = draw(REACHES)
    kept = draw(st.sets(st.sampled_from(("tools", "environments", "not_before", "not_after", "uses_max"))))
    return whole, replace(asked, **{name: getattr(whole, name) for name in kept})


@given(
    parts(),
    st.sampled_from(TOOLS),
    st.sampled_from(("sandbox", "production", "staging", "")),
    st.fixed_dictionaries({}, optional={"amount": st.integers(90, 110), "vendor": st.sampled_from(("V1", "V2", "V3"))}),
    st.integers(-1, 10),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
def test_whatever_a_part_covers_the_whole_covers(
    both: tuple[Reach, Reach],
    tool: str,
    environment: str,
    args: dict[str, Any],
    now: int,
    used: int,
    spent: int,
    cost: int,
    is_read: bool,
    is_undo: bool,
) -> None:
    whole, asked = both
    try:
        part = attenuate(whole, asked)
    except Forbidden:
        return
    how: dict[str, Any] = {"cost": cost, "is_read": is_read, "is_undo": is_undo}
    if covers(part, tool, environment, args, now, used, spent, **how) == "":
        assert covers(whole, tool, environment, args, now, used, spent, **how) == ""
        assert covers(asked, tool, environment, args, now, used, spent, **how) == ""


@given(REACHES, REACHES, REACHES)
def test_a_part_of_a_part_is_a_part_of_the_whole(one: Reach, two: Reach, three: Reach) -> None:
    try:
        part = attenuate(attenuate(one, two), three)
    except Forbidden:
        return
    again = attenuate(one, replace(part, conditions=part.conditions[len(one.conditions) :]))
    assert again == part


@given(st.sampled_from(WORDS), st.sampled_from(WORDS), st.sampled_from(TOOLS))
def test_a_word_within_another_means_no_tool_that_the_other_does_not(inner: str, outer: str, tool: str) -> None:
    if is_within(inner, (outer,)) and means(inner, tool):
        assert means(outer, tool)


@pytest.mark.parametrize("word", ["", ".", "*.pay", "erp*", "erp.**", "erp pay", "erp.*.pay", "**", "x" * 200])
def test_a_word_that_means_nothing_clear_is_none(word: str) -> None:
    assert not is_tools_word(word)


def row(name: str, parent: str | None = None) -> Delegation:
    return Delegation(
        "t", name, 1, "h", "agt_1", "prs_1", "prs_1", "a", ("*",), ("sandbox",), 0, 9, 0, "c", "key_1", parent
    )


def test_parts_are_found_below_and_wholes_above() -> None:
    tree = (row("a"), row("b", "a"), row("c", "b"), row("d", "a"))
    assert below(tree, "b") == {"b", "c"}
    assert below(tree, "a") == {"a", "b", "c", "d"}
    assert [one.delegation_id for one in chain_of(tree, "c")] == ["c", "b", "a"]


def test_a_chain_that_misses_a_link_or_runs_in_a_ring_is_none() -> None:
    assert chain_of((row("c", "b"),), "c") == ()
    assert chain_of((row("a", "b"), row("b", "a")), "a") == ()
    long = [row("0"), *(row(str(n), str(n - 1)) for n in range(1, DEPTH_MAX + 3))]
    assert chain_of(long, str(DEPTH_MAX + 2)) == ()
