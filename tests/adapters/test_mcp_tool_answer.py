# SPDX-License-Identifier: Apache-2.0
"""What is read from an answer, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.adapters.connectors.mcp_answer import BYTES_MAX, DEPTH_MAX, Unusable, interpret, require_bounded
from signoff.core.action.doubt import Answered, Errored
from signoff.ledger.canonical import canonical


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ({"content": [text("{}")], "structuredContent": {"id": 1}}, Answered({"id": 1})),
        ({"structuredContent": {"id": 1}}, Answered({"id": 1})),
        ({"content": [text(' {"id": 1}')]}, Answered({"id": 1})),
        ({"content": [text("done")]}, Answered({"text": "done"})),
        ({"content": [text('{"a": 1}'), text("more")]}, Answered({"text": '{"a": 1}\nmore'})),
        ({"content": [text("[1]")]}, Answered({"text": "[1]"})),
        ({"content": [text('{"a": 1, "a": 2}')]}, Answered({"text": '{"a": 1, "a": 2}'})),
        ({"content": [text('{"a": NaN}')]}, Answered({"text": '{"a": NaN}'})),
        ({"content": [text("see")], "structuredContent": [1]}, Answered({"text": "see"})),
        ({"content": [{"type": "image", "data": "x"}]}, Answered({"text": ""})),
        ({"content": [], "isError": False, "resultType": "complete"}, Answered({"text": ""})),
    ],
)
def test_a_result_is_the_structured_object_else_the_one_json_text_else_the_texts(
    raw: dict[str, Any], answer: Answered
) -> None:
    assert interpret(raw) == answer


CLOSED = {"error": {"code": "period_closed", "message": "July is closed."}}


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ({"content": [], "structuredContent": CLOSED}, Errored("period_closed", "July is closed.")),
        ({"content": [text(json.dumps(CLOSED))]}, Errored("period_closed", "July is closed.")),
        ({"content": [text("first"), text(json.dumps(CLOSED))]}, Errored(None, f"first\n{json.dumps(CLOSED)}")),
        ({"content": [text("It did not work.")]}, Errored(None, "It did not work.")),
        ({"content": [text("x")], "structuredContent": {"error": {"code": 7}}}, Errored("7", "x")),
        ({"content": [text("x")], "structuredContent": {"error": {"code": True}}}, Errored(None, "x")),
        ({"content": [text("x")], "structuredContent": {"error": {"code": "c" * 129}}}, Errored(None, "x")),
        ({"content": []}, Errored(None, "The tool reported an error and said no more.")),
    ],
)
def test_an_error_carries_the_tools_own_code_if_it_gives_one(raw: dict[str, Any], answer: Errored) -> None:
    assert interpret({**raw, "isError": True}) == answer


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"content": "done"},
        {"content": [], "isError": "false"},
        {"content": [], "resultType": "input_required"},
        {"content": [], "resultType": "task"},
        {"structuredContent": nested(DEPTH_MAX + 1)},
        {"structuredContent": {"text": "x" * BYTES_MAX}},
        {"structuredContent": {"n": float("nan")}},
        {"structuredContent": {"n": float("inf")}},
        {"structuredContent": {"n": "\ud800"}},
        {"structuredContent": {"\udfff": 1}},
        {"structuredContent": {"n": 2**53}},
        {"structuredContent": {"n": [{"m": -(2**70)}]}},
        {"structuredContent": {"n": 1e300}},
    ],
)
def test_what_is_no_final_bounded_json_result_proves_nothing(raw: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        interpret(raw)


@pytest.mark.parametrize("code", ["", "\ud800", "a\nb", "a\0", "\x1b[2J", "\u202eb", "x" * 129, True, 1.5, ["x"], {}])
def test_what_no_one_could_show_or_keep_is_no_code(code: Any) -> None:
    """So that no error is one that the contract names but by its very name."""
    answer = interpret(
        {"structuredContent": {"error": {"code": code, "message": "no"}}, "content": [], "isError": True}
    )
    assert answer == Errored(None, "no")


def test_a_long_error_message_is_cut_and_its_lone_surrogates_are_dropped() -> None:
    answer = interpret({"content": [text("\ud800" + "x" * 5_000)], "isError": True})
    assert isinstance(answer, Errored)
    assert len(answer.message.encode()) <= 2_003
    assert answer.message.endswith("…")


def test_bounds_are_met_exactly() -> None:
    require_bounded(nested(DEPTH_MAX))
    require_bounded({"a": "x" * (BYTES_MAX - len('{"a":""}'))})
    with pytest.raises(Unusable):
        require_bounded({"a": "x" * (BYTES_MAX - len('{"a":""}') + 1)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)  # a machine that is busy elsewhere proves nothing
@given(st.dictionaries(st.sampled_from(["content", "structuredContent", "isError", "resultType"]), JSON))
def test_whatever_a_server_answers_is_a_value_or_unusable(raw: dict[str, Any]) -> None:
    try:
        answer = interpret(raw)
    except Unusable:
        return
    if isinstance(answer, Answered):
        canonical(answer.result)
    else:
        canonical({"code": answer.code, "message": answer.message})
