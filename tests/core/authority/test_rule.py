# SPDX-License-Identifier: Apache-2.0
"""An expression fails where it is written, or has a JSON value, or has none: never a wrong one."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff.core.authority.rule import (
    TEXT_MAX,
    CannotCompile,
    CannotEvaluate,
    CannotMatch,
    Expression,
    Names,
    compile_expression,
    is_pattern,
    matches,
    typed_fields,
)

OPEN = Names(("args", "key", "preview", "result"))
SCHEMA = {
    "type": "object",
    "properties": {
        "vendor_id": {"type": "string"},
        "amount": {"type": "integer"},
        "rate": {"type": "number"},
        "urgent": {"type": "boolean"},
        "lines": {"type": "array", "items": {"type": "string"}},
        "bank": {"type": "object"},
        "memo": {"type": "string"},
    },
    "required": ["vendor_id", "amount", "rate", "urgent", "lines", "bank"],
}
ARGS = {"vendor_id": "V1", "amount": 5, "rate": 0.5, "urgent": True, "lines": ["a"], "bank": {"iban": "X"}}
TYPED = Names(("key",), typed_fields("args", SCHEMA) or ())


def value(text: str, names: Names = OPEN, **given: Any) -> Any:
    return compile_expression(text, names).value(given)


VALUES: list[tuple[str, dict[str, Any], Any]] = [
    ("'vendor/' + args.vendor_id", {"args": ARGS}, "vendor/V1"),
    ("key", {"key": "k"}, "k"),
    ("args.amount + 1", {"args": ARGS}, 6),
    ("args.rate * 2.0", {"args": ARGS}, 1.0),
    ("args.amount <= 5 && args.urgent", {"args": ARGS}, True),
    ("result.entry_id != ''", {"result": {"entry_id": "e"}}, True),
    ("has(result.entry_id)", {"result": {}}, False),
    ("[args.amount, 'x', null, {'b': args.rate}]", {"args": ARGS}, [5, "x", None, {"b": 0.5}]),
    ("size(args.vendor_id)", {"args": {"vendor_id": "é😀"}}, 2),
    ("args.vendor_id.matches('^V[0-9]+$')", {"args": ARGS}, True),
    ("args.amount", {"args": MappingProxyType({"amount": 3})}, 3),
]


@pytest.mark.parametrize(("text", "given", "expected"), VALUES)
def test_an_expression_yields_its_json_value(text: str, given: dict[str, Any], expected: Any) -> None:
    found = value(text, **given)
    assert found == expected and type(found) is type(expected)


NO_VALUE: list[tuple[str, dict[str, Any], str]] = [
    ("args.nope", {"args": {}}, "missing"),
    ("args.vendor_id", {}, "missing"),
    ("args.a.b", {"args": {"a": None}}, ""),
    ("1 / args.zero", {"args": {"zero": 0}}, "divides by zero"),
    ("'x' + args.amount", {"args": ARGS}, "types do not fit"),
    ("args.amount && true", {"args": ARGS}, ""),
    ("args.list[7]", {"args": {"list": [1]}}, ""),
    ("args.big", {"args": {"big": 2**70}}, "range"),
    ("args.big + 1", {"args": {"big": 2**53}}, "no JSON value"),
    ("args.huge + args.huge", {"args": {"huge": 2**62}}, "range"),
    ("1.0 / 0.0", {}, "no JSON value"),
    ("args.nan", {"args": {"nan": float("nan")}}, "no JSON value"),
    ("{1: 2}", {}, "no JSON value"),
    ("args.set", {"args": {"set": {1}}}, ""),
    ("args.text.matches('(')", {"args": {"text": "x"}}, ""),
    ("int(args.text)", {"args": {"text": "x"}}, ""),
    ("args.l.all(x, args.l.all(y, x + y >= 0))", {"args": {"l": list(range(1000))}}, "too many steps"),
]


@pytest.mark.parametrize(("text", "given", "why"), NO_VALUE)
def test_an_expression_without_a_value_raises_and_repeats_no_payload(
    text: str, given: dict[str, Any], why: str
) -> None:
    with pytest.raises(CannotEvaluate) as caught:
        value(text, **given)
    assert why in caught.value.why and caught.value.what and caught.value.fix


def test_the_message_of_a_failed_evaluation_holds_no_value() -> None:
    secret = "DE89 3704 0044 0532 0130 00"
    for text in ("int(args.iban)", "args.iban + 1", "args.map[args.iban]", "args.iban"):
        with pytest.raises(CannotEvaluate) as caught:
            compile_expression(text, OPEN).holds({"args": {"iban": secret, "map": {}}})
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("bogus", 1, 1, "undeclared"),
        ("args.s == 'é😀' && bogus", 1, 19, "undeclared"),
        ("key + 1", 1, 5, "no matching overload"),
        ("args.a.foo(", 1, 12, "Syntax"),
        ("'''a\nb''' + bogus", 2, 8, "undeclared"),
        ("now()", 1, 1, "undeclared"),
        ("timestamp('2026-01-01T00:00:00Z')", 1, 1, "JSON"),
        ("b'bytes'", 1, 1, "JSON"),
        ("1u", 1, 1, "JSON"),
        ("", 1, 1, "no value"),
        ("\x00", 1, 1, "Syntax"),
        ("(" * 1000 + "1" + ")" * 1000, 1, 1, "deeper"),
        ("1" + "+1" * 1000, 1, 1, "deeper"),
        ("'" + "x" * TEXT_MAX + "'", 1, 1, "At most"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(CannotCompile) as caught:
        compile_expression(text, OPEN)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert says in caught.value.why and caught.value.fix


def test_a_misspelt_field_of_a_known_schema_fails_when_loaded_and_the_right_one_is_named() -> None:
    with pytest.raises(CannotCompile) as caught:
        compile_expression("1 < args.amuont", TYPED)
    assert caught.value.column == 5 and "args.amount" in caught.value.fix


@pytest.mark.parametrize(
    "text", ["args", "args['amount']", "has(args.memo)", "args.vendor_id + 1", "args.amount < 1.5"]
)
def test_typed_fields_refuse_what_their_schema_does_not_allow(text: str) -> None:
    with pytest.raises(CannotCompile):
        compile_expression(text, TYPED)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("args.amount + 1", 6),
        ("args . amount + 1", 6),
        ("args.rate < 1", True),
        ("args.rate < 1.5", True),
        ("args.memo == null", True),
        ("args.memo == null ? 'none' : args.memo", "none"),
        ("'a' in args.lines", True),
        ("args.bank.iban", "X"),
    ],
)
def test_typed_fields_are_read_by_their_schema_and_an_absent_optional_is_null(text: str, expected: Any) -> None:
    assert value(text, TYPED, args=ARGS) == expected


@pytest.mark.parametrize("amount", [True, "5", 5.5, None, 2**70])
def test_a_typed_field_of_another_type_has_no_value(amount: Any) -> None:
    with pytest.raises(CannotEvaluate):
        value("args.amount + 0", TYPED, args={**ARGS, "amount": amount})


def test_one_point_zero_is_one() -> None:
    assert value("args.amount", TYPED, args={**ARGS, "amount": 1.0}) == 1


def test_a_schema_that_does_not_list_plain_names_leaves_its_root_dynamic() -> None:
    assert typed_fields("args", {}) is None
    assert typed_fields("args", {"properties": {"vendor-id": {}}}) is None
    assert typed_fields("args", {"properties": {"in": {}}}) is None
    assert typed_fields("args", {"properties": {}}) == ()
    assert typed_fields("args", {"properties": {"a": {"anyOf": []}}, "required": ["a"]}) == (("args.a", "dyn"),)


@pytest.mark.parametrize("text", ["1", "'true'", "null", "args.vendor_id"])
def test_only_true_and_false_decide(text: str) -> None:
    with pytest.raises(CannotEvaluate):
        compile_expression(text, OPEN).holds({"args": ARGS})
    assert compile_expression("args.urgent", OPEN).holds({"args": ARGS}) is True


@pytest.mark.parametrize("text", ["1", "''", "null", "args.urgent"])
def test_only_text_names_a_resource(text: str) -> None:
    with pytest.raises(CannotEvaluate):
        compile_expression(text, OPEN).text_of({"args": ARGS})
    assert compile_expression("args.vendor_id", OPEN).text_of({"args": ARGS}) == "V1"


def test_expressions_are_equal_if_text_and_names_are() -> None:
    one, same = compile_expression("key", OPEN), compile_expression("key", OPEN)
    assert one == same and hash(one) == hash(same) and isinstance(one, Expression)
    assert one != compile_expression("key", Names(("key",)))


@pytest.mark.parametrize("hidden", [{"v": "V1\0x"}, {"v\0x": "V1"}, {"l": [{"a": "\0"}]}, {"v": "V1", "v\0": 1}])
def test_nothing_hides_behind_a_nul(hidden: dict[str, Any]) -> None:
    for args in (hidden, MappingProxyType(hidden), {"inner": MappingProxyType(hidden)}):
        with pytest.raises(CannotEvaluate) as caught:
            value("args.v == 'V1'", args=args)
        assert "NUL" in caught.value.why
    with pytest.raises(CannotEvaluate):
        value("args.vendor_id == 'V1'", TYPED, args={**ARGS, "vendor_id": "V1\0x"})
    for text in ("V1\0x", "\ud800"):
        with pytest.raises(CannotMatch):
            matches("^V1$", text)


def test_patterns_run_in_linear_time_or_are_none() -> None:
    assert matches("^(a+)+$", "a" * 50_000 + "b") is False
    assert matches(r"^V\d{1,6}$", "V12") and not matches(r"^V\d{1,6}$", "V12\n")
    assert matches(r"^[\u00e9\"'\\/]$", "é") and matches(r"\\u0041", r"\u0041")
    assert is_pattern("^[a-z]+$")
    assert not any(map(is_pattern, ["(?=a)", r"(a)\1", "(", "x" * (TEXT_MAX + 1)]))


NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_json_values_pass_through_unchanged_or_not_at_all(given: Any) -> None:
    try:
        found = value("args.x", args={"x": given})
    except CannotEvaluate:
        assert "\\u0000" in json.dumps(given)
    else:
        assert "\0" not in json.dumps(given, ensure_ascii=False)
        assert found == given and type(found) is type(given)


@settings(max_examples=150, deadline=None)
@given(st.text("args.key preview+-*/<>=!&|()[]{}'\"?:,0123456789\n", max_size=40))
def test_no_text_does_anything_but_compile_or_be_refused(text: str) -> None:
    try:
        expression = compile_expression(text, OPEN)
    except CannotCompile as refusal:
        assert refusal.line >= 1 and refusal.column >= 1
        return
    try:
        expression.value({"args": ARGS, "key": "k", "preview": {}, "result": {}})
    except CannotEvaluate as refusal:
        assert refusal.why
