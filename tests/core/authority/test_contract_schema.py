# SPDX-License-Identifier: Apache-2.0
"""Arguments and results are checked by their schemas, in bounded steps, and messages repeat no value."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from signoff.core.authority.contract import ToolDescription, argument_problems, result_problems, schema_problems
from signoff.core.authority.schema import PROBLEMS_MAX, checked_schema
from signoff.core.authority.schema_fast import acceptor

ENTRY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "vendor_id": {"type": "string", "pattern": "^V[0-9]+$"},
        "amount_cents": {"type": "integer", "minimum": 1, "maximum": 10**9},
        "currency": {"enum": ["EUR", "USD"]},
        "memo": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "number"}}}, "maxItems": 2},
        "kind": {"const": "entry"},
    },
    "required": ["vendor_id", "amount_cents"],
    "additionalProperties": False,
}
GOOD: dict[str, Any] = {"vendor_id": "V1", "amount_cents": 5}


def described(schema: Mapping[str, Any], output: Mapping[str, Any] | None = None) -> ToolDescription:
    return ToolDescription("erp.create", "", schema, output)


@pytest.mark.parametrize(
    "more",
    [{}, {"currency": "EUR"}, {"memo": None}, {"memo": "short"}, {"lines": [{"n": 1.5}, {}]}, {"kind": "entry"},
     {"amount_cents": 5.0}],
)  # fmt: skip
def test_what_fits_has_no_problems(more: dict[str, Any]) -> None:
    assert argument_problems(described(ENTRY), {**GOOD, **more}) == []
    assert argument_problems(described(ENTRY), MappingProxyType({**GOOD, **more})) == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"vendor_id": "v1"}, "$.vendor_id: breaks `pattern:"),
        ({"vendor_id": "V1\n"}, "$.vendor_id: breaks `pattern:"),
        ({"vendor_id": 1}, "$.vendor_id: takes string"),
        ({"amount_cents": 0}, "$.amount_cents: breaks `minimum: 1`"),
        ({"amount_cents": 1.5}, "$.amount_cents: takes integer"),
        ({"amount_cents": True}, "$.amount_cents: takes integer"),
        ({"currency": "GBP"}, '$.currency: takes one of ["EUR", "USD"]'),
        ({"memo": "too long"}, "$.memo: breaks `anyOf`"),
        ({"lines": [{}, {}, {}]}, "$.lines: breaks `maxItems: 2`"),
        ({"lines": [{"n": "x"}]}, "$.lines[0].n: takes number"),
        ({"kind": "other"}, "$.kind: breaks `const:"),
        ({"vendorid": "V1"}, "$: has no field 'vendorid'; did you mean 'vendor_id'?"),
    ],
)
def test_what_does_not_fit_is_named_by_place_and_rule(more: dict[str, Any], says: str) -> None:
    [problem] = argument_problems(described(ENTRY), {**GOOD, **more})
    assert problem.startswith(says)


def test_a_missing_field_is_named() -> None:
    assert argument_problems(described(ENTRY), {}) == [
        "$: 'amount_cents' is a required property",
        "$: 'vendor_id' is a required property",
    ]


def test_messages_repeat_no_value() -> None:
    secret = "DE89370400440532013000"
    every: dict[str, Any] = dict.fromkeys(ENTRY["properties"], secret * 3)
    problems = argument_problems(described(ENTRY), {**every, "lines": [secret], "amount_cents": [secret]})
    assert len(problems) >= 5 and not any(secret in problem for problem in problems)


def test_problems_are_bounded_in_number() -> None:
    assert len(argument_problems(described(ENTRY), {f"x{n}": n for n in range(1000)})) == PROBLEMS_MAX


def test_a_result_is_checked_if_its_tool_says_what_it_answers() -> None:
    assert result_problems(described({}), {"anything": 1}) == []
    assert result_problems(described({}, ENTRY), GOOD) == []
    assert result_problems(described({}, ENTRY), "text") == ["$: takes object"]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"$ref": "https://example.test/schema.json"}, "elsewhere"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "elsewhere"),
        ({"$ref": "other.json#/a"}, "elsewhere"),
        ({"$dynamicRef": "#a"}, "$dynamicRef"),
        ({"$schema": "https://example.test/mine"}, "dialect"),
        ({"$schema": 7}, "dialect"),
        ({"type": "strin"}, "not valid"),
        ({"required": "a"}, "not valid"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "linear"),
        ({"patternProperties": {"(": {}}}, "linear"),
        ({"unevaluatedProperties": False}, "no bound"),
        ({"x": {1, 2}}, "no JSON"),
        ({"x": float("nan")}, "no JSON"),
        ({"description": "x" * 300_000}, "256 KiB"),
    ],
)
def test_a_schema_that_cannot_be_checked_within_bounds_takes_no_call(schema: dict[str, Any], says: str) -> None:
    [problem] = argument_problems(described(schema), GOOD)
    assert says in problem
    assert says in schema_problems(described(schema))[0] and schema_problems(described(ENTRY, schema))
    assert schema_problems(described(ENTRY, ENTRY)) == []


def test_a_deeply_nested_schema_takes_no_call() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"properties": {"a": schema}}
    assert "deeper" in argument_problems(described(schema), {})[0]


def test_references_within_the_schema_are_followed() -> None:
    schema = {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"properties": {"x": {"$ref": "#/$defs/b"}}}, "b": {"type": "string"}},
    }
    assert argument_problems(described(schema), {"x": "y"}) == []
    assert argument_problems(described(schema), {"x": 1}) == ["$.x: takes string"]
    assert argument_problems(described({"$ref": "#/$defs/nowhere"}), {}) == [
        "$: the schema refers to something that is not in it"
    ]


def test_recursion_without_end_and_multiplication_are_stopped() -> None:
    assert "steps" in argument_problems(described({"$ref": "#"}), {})[0]
    twice = [{"properties": {"x": {"$ref": "#"}}, "required": [name]} for name in ("a", "b")]
    value: dict[str, Any] = {}
    for _ in range(30):
        value = {"x": value}
    assert "steps" in argument_problems(described({"anyOf": twice}), value)[0]
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    assert "steps" in argument_problems(described({"$ref": "#/$defs/d0", "$defs": {**doubling, "d40": {}}}), {})[0]


def test_comparing_many_items_takes_no_square_of_steps() -> None:
    schema = {"properties": {"l": {"uniqueItems": True}}}
    many = [{"n": n} for n in range(20_000)]
    assert argument_problems(described(schema), {"l": many}) == []
    assert argument_problems(described(schema), {"l": [*many, {"n": 7.0}]}) == ["$.l: breaks `uniqueItems`"]
    assert argument_problems(described(schema), {"l": [1, True, "1", [1], {"a": 1}, None]}) == []
    assert argument_problems(described(schema), {"l": [1, 1.0]}) == ["$.l: breaks `uniqueItems`"]


@pytest.mark.parametrize("draft", ["draft-04", "draft-06", "draft-07"])
def test_older_dialects_are_known(draft: str) -> None:
    schema = {"$schema": f"http://json-schema.org/{draft}/schema#", "properties": {"n": {"type": "integer"}}}
    assert argument_problems(described(schema), {"n": 1}) == []
    assert argument_problems(described(schema), {"n": 1.5}) == ["$.n: takes integer"]
    assert bool(argument_problems(described(schema), {"n": 1.0})) is (draft == "draft-04")


def test_patterns_of_names_and_additional_fields_are_linear_too() -> None:
    schema = {"patternProperties": {"^x_": {"type": "string"}}, "additionalProperties": {"type": "integer"}}
    assert argument_problems(described(schema), {"x_a": "b", "n": 1}) == []
    assert argument_problems(described(schema), {"x_a": 1, "n": "b"}) == ["$.n: takes integer", "$.x_a: takes string"]


def test_no_pattern_says_yes_or_no_to_what_it_does_not_see_whole() -> None:
    for schema in ({"pattern": "^V1$"}, {"not": {"pattern": "evil"}}, {"type": "string", "pattern": "V"}):
        for text in ("V1\0evil", "V1\ud800"):
            assert "NUL" in argument_problems(described({"properties": {"v": schema}}), {"v": text})[0]
    assert "NUL" in argument_problems(described({"patternProperties": {"^x$": {}}}), {"x\0": 1})[0]


WORDS = st.sampled_from(["a", "b", "V1", "", "EUR", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.sampled_from([0.0, 1.0, 1.5, -0.0]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"])


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return schemas of the keywords that the fast check knows, and one that it does not."""
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "properties": st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
            "required": st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "minItems": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "pattern": st.sampled_from(["^a", "b$", "^$"]),
            "minimum": st.integers(-1, 2),
            "maximum": st.integers(0, 3) | st.just(1.5),
            "exclusiveMinimum": st.integers(-1, 2),
            "exclusiveMaximum": st.integers(0, 3),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "title": st.just("x"),
            "uniqueItems": st.booleans(),
        },
    )


SCHEMAS = st.recursive(st.booleans() | schemas(st.booleans()), schemas, max_leaves=5)


@settings(max_examples=600, deadline=None)
@given(SCHEMAS, VALUES)
def test_both_checks_say_what_a_plain_validator_says(schema: Any, value: Any) -> None:
    is_valid = Draft202012Validator(schema).is_valid(value)
    fits = acceptor(schema)
    assert not (fits is not None and fits(value) and not is_valid)
    if isinstance(schema, dict):
        assert (checked_schema(schema).problems_of(value) == []) is is_valid
