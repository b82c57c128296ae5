# SPDX-License-Identifier: Apache-2.0
"""Ids, money and JSON at the door: what two readers could read differently is refused."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.errors import Malformed
from signoff.core.ids import PREFIXES, checked, mint
from signoff.core.money import INT_MAX, MICROS, dollars, usd_micros
from signoff.core.proposal import BYTES_MAX, DEPTH_MAX, check_value, read_json

# --- ids --------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(PREFIXES), st.integers(0, 2**48 * 1000 - 1), st.binary(min_size=10, max_size=10))
def test_a_minted_id_is_a_uuid_of_version_7_and_of_its_kind(prefix: str, at_us: int, chance: bytes) -> None:
    made = mint(prefix, at_us, chance)
    assert checked(made, prefix) == made
    bits = int(made.removeprefix(f"{prefix}_"), 16)
    assert bits >> 80 == at_us // 1000
    assert bits >> 76 & 0xF == 7
    assert bits >> 62 & 0b11 == 0b10
    for other in PREFIXES:
        if other != prefix:
            with pytest.raises(Malformed):
                checked(made, other)


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.binary(min_size=10, max_size=10),
    st.binary(min_size=10, max_size=10),
)
def test_ids_sort_by_the_millisecond(one: int, other: int, chance: bytes, more: bytes) -> None:
    if one // 1000 < other // 1000:
        assert mint("act", one, chance) < mint("act", other, more)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_74_bits_of_chance_tell_ids_apart(one: bytes, other: bytes) -> None:
    used = (1 << 74) - 1
    differs = (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")) & used
    assert (mint("act", 0, one) != mint("act", 0, other)) == bool(differs)


@pytest.mark.parametrize(
    "text",
    ["", "act_", "act_" + "0" * 31, "act_" + "0" * 33, "ACT_" + "0" * 32, "act_" + "G" * 32, "act_" + "0" * 32 + "\n"],
)
def test_what_has_not_the_shape_of_an_id_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        checked(text, "act")


# --- money ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**15))
def test_dollars_and_micros_are_each_others_inverse(micros: int) -> None:
    assert usd_micros(dollars(micros)) == micros
    assert Decimal(dollars(micros)) * MICROS == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1,000",
        "1.",
        ".5",
        "1.1234567",
        "0x1",
        "NaN",
        "1 000",
        "10000000000.1 USD",
        "٣",  # a digit of another script
    ],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        usd_micros(text)


def test_zeros_past_six_places_are_no_places() -> None:
    assert usd_micros("1.2500000") == 1_250_000


# --- json -------------------------------------------------------------------------------------------------------------

values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INT_MAX, INT_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_is_json_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_with_a_path(data: bytes) -> None:
    try:
        check_value(read_json(data))
    except Malformed as refused:
        assert refused.detail["path"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9007199254740992", b"-9007199254740992",
        b"1" * 400, b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'"\\ud800"', b'{"\\udfff":1}', b"\xff",
        b"\xef\xbb\xbf{}",
        b"[" * (DEPTH_MAX + 2) + b"]" * (DEPTH_MAX + 2), b"[" * 100_000, b"1 2", b"'a'", b"{1:2}",
        b'"' + b"a" * BYTES_MAX + b'"',
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(data)


def test_as_deep_and_as_large_as_allowed_is_allowed() -> None:
    assert read_json(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX) is not None
    assert len(read_json(b'"' + b"a" * (BYTES_MAX - 2) + b'"')) == BYTES_MAX - 2
    assert read_json(str(INT_MAX).encode()) == INT_MAX
    assert read_json(str(-INT_MAX).encode()) == -INT_MAX


@pytest.mark.parametrize("value", [(1,), b"x", {"a": {1, 2}}, object()])
def test_what_is_no_json_value_is_refused(value: Any) -> None:
    with pytest.raises(Malformed):
        check_value(value)
