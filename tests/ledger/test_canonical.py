# SPDX-License-Identifier: Apache-2.0
"""One value has one spelling, whichever road writes it."""

import json
import math
import struct
from enum import IntEnum, StrEnum
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import (
    DEPTH_MAX,
    NUMBER_MAX,
    canonical,
    from_base64,
    is_leaf,
    parse,
    sha256_hex,
    to_base64,
)
from signoff.ledger.errors import Refused


class State(StrEnum):
    OPEN = "open"


class Odd(StrEnum):
    OPEN = "open"

    def __init__(self, text: str) -> None:
        self._value_ = text.upper()


class Text(str):
    __slots__ = ()


class Level(IntEnum):
    LOW = 1


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integers = st.integers(-NUMBER_MAX, NUMBER_MAX)
floats = st.floats(-NUMBER_MAX, NUMBER_MAX, allow_nan=False)


def trees(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5))


plain = trees(
    st.none() | st.booleans() | integers | texts | st.sampled_from(State), st.text(st.characters(codec="ascii"))
)
anything = trees(
    st.none() | st.booleans() | integers | floats | texts | st.sampled_from(Level) | texts.map(Text), texts
)


@given(plain | anything)
def test_both_roads_write_the_bytes_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(anything)
def test_what_is_written_is_read_back_and_written_the_same(value: Any) -> None:
    assert canonical(parse(canonical(value), "It")) == canonical(value)
    assert parse(canonical(value), "It") == json.loads(json.dumps(value))


@pytest.mark.parametrize("code", [*range(0x20), 0x22, 0x2F, 0x5C, 0x7F, 0x80, 0x2028, 0xFFFD, 0xFFFF, 0x1F600])
def test_each_character_that_could_be_escaped_is_escaped_alike(code: int) -> None:
    assert canonical({"a": chr(code)}) == rfc8785.dumps({"a": chr(code)})
    assert canonical({chr(code): 1}) == rfc8785.dumps({chr(code): 1})


def test_keys_are_sorted_by_utf_16_where_code_points_would_sort_otherwise() -> None:
    """The vector of RFC 8785, section 3.2.3."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = json.loads(canonical({name: number for number, name in enumerate(names)}))
    assert list(written) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("433fffffffffffff", "9007199254740991"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
        ("3ff0000000000000", "1"),
    ],
)
def test_numbers_are_written_as_in_appendix_b_of_the_rfc(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number).decode() == text


def nested(levels: int) -> Any:
    return [] if levels == 1 else [nested(levels - 1)]


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        ({"a": [1, NUMBER_MAX + 1]}, "a[1]", "2^53"),
        ({"a": -NUMBER_MAX - 1}, "a", "2^53"),
        ({"a": {"b": 2.0**53}}, "a.b", "2^53"),
        ([math.nan], "[0]", "finite"),
        ([-math.inf], "[0]", "finite"),
        ({"a": "\ud800"}, "a", "surrogate"),
        ({"\udfff": 1}, "", "surrogate"),
        ({1: 2}, "", "key"),
        ({"a": {b"b": 2}}, "a", "key"),
        ({"a": b"bytes"}, "a", "bytes"),
        ({"a": {1, 2}}, "a", "set"),
        (nested(DEPTH_MAX + 1), "[0]" * DEPTH_MAX, "deeper"),
        ({"a": nested(DEPTH_MAX)}, "a" + "[0]" * (DEPTH_MAX - 1), "deeper"),
    ],
)
def test_what_has_no_canonical_form_is_refused_with_its_path(value: Any, path: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        canonical(value)
    assert refused.value.path == path
    assert why in refused.value.why
    assert refused.value.fix


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(Refused, match="deeper"):
        canonical(value)


def test_the_bounds_themselves_are_allowed() -> None:
    assert canonical([NUMBER_MAX, -NUMBER_MAX]) == b"[9007199254740991,-9007199254740991]"
    assert canonical(nested(DEPTH_MAX)) == b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert canonical((1, (2, 3))) == b"[1,[2,3]]"


def test_a_word_of_an_enumeration_is_written_as_its_text() -> None:
    assert canonical({"a": State.OPEN, State.OPEN: Level.LOW}) == b'{"a":"open","open":1}'
    assert is_leaf(State)
    assert not is_leaf(Odd)
    assert canonical({"a": Odd.OPEN}) == b'{"a":"open"}'


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1}\n',
        b'{"a":1.0}',
        b'{"a":1e0}',
        b'{"a":-0}',
        b'{"a":"\\u0061"}',
        b'{"a":"\\/"}',
        b'{"a":9007199254740992}',
        b'{"a":100000000000000000000}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"",
        b"[" * 5000,
    ],
)
def test_bytes_in_any_other_spelling_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        parse(data, "The receipt")


@given(anything)
def test_another_writer_is_caught_wherever_its_bytes_differ(value: Any) -> None:
    other = json.dumps(value).encode()
    if other != canonical(value):
        with pytest.raises(Refused):
            parse(other, "It")


@given(st.binary(max_size=40), st.text("ABCQZaz019+/=-_ \n", max_size=6))
def test_bytes_have_one_base64(data: bytes, loose: str) -> None:
    text = to_base64(data)
    assert from_base64(text, "It", len(data)) == data
    for other in (text + loose, loose + text, text.rstrip("=") + loose, loose):
        try:
            assert to_base64(from_base64(other, "It")) == other
        except Refused:
            with pytest.raises(Refused):  # and it is refused again, whatever length is asked for
                from_base64(other, "It", len(data))


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ= =", "QQ==\n", "Q-==", "Q_Q=", "é===", None, 3, b"QQ=="])
def test_loose_base64_is_refused(text: Any) -> None:
    with pytest.raises(Refused):
        from_base64(text, "It")


def test_base64_of_another_length_is_refused() -> None:
    with pytest.raises(Refused, match="32 bytes"):
        from_base64("QQ==", "A root", 32)


def test_a_digest_is_the_sha_256_in_hexadecimal() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_option_that_guards_large_integers_does_so() -> None:
    """The fast road relies on the writer for this bound."""
    with pytest.raises(orjson.JSONEncodeError):
        orjson.dumps(2**53, option=orjson.OPT_STRICT_INTEGER)
