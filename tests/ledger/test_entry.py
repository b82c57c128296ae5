# SPDX-License-Identifier: Apache-2.0
"""An entry has one spelling, holds no floats, and grows no members unnoticed."""

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import NUMBER_MAX, canonical
from signoff.ledger.entry import BYTES_MAX, DEPTH_MAX, decode, encode, leaf_hash
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import leaf_hash as merkle_leaf_hash

from .sample import entries

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = st.none() | st.booleans() | st.integers(-NUMBER_MAX, NUMBER_MAX) | texts
members = st.dictionaries(
    texts, leaves | st.lists(leaves, max_size=3) | st.dictionaries(texts, leaves, max_size=3), max_size=6
)
words = texts.filter(bool)


@st.composite
def entry_values(draw: st.DrawFn) -> dict[str, Any]:
    seq = draw(st.integers(1, NUMBER_MAX))
    value = {
        "v": 1,
        "type": draw(words),
        "tenant": draw(words),
        "stream": draw(words),
        "seq": seq,
        "prev": "" if seq == 1 else draw(st.binary(min_size=32, max_size=32)).hex(),
        "at": draw(st.integers(0, NUMBER_MAX)),
        "set": draw(members),
    }
    if draw(st.booleans()):
        value["rows"] = draw(st.dictionaries(texts, st.lists(members, max_size=2), max_size=2))
    return value


@given(entry_values())
def test_an_entry_is_read_back_as_it_was_written(value: dict[str, Any]) -> None:
    data = encode(value)
    assert data == canonical(value)
    assert decode(data) == value
    assert encode(decode(data)) == data
    assert encode(MappingProxyType(value)) == data


def good(**changes: Any) -> dict[str, Any]:
    value = {"v": 1, "type": "t", "tenant": "a", "stream": "s", "seq": 1, "prev": "", "at": 0, "set": {}}
    return value | changes


def deep(levels: int) -> Any:
    return {} if levels == 1 else {"a": deep(levels - 1)}


BROKEN = [
    good(extra=1),
    good(vote={}),
    {name: value for name, value in good().items() if name != "set"},
    {name: value for name, value in good().items() if name != "set"} | {"rows": {}},
    good(v=2),
    good(v=True),
    good(v="1"),
    good(seq=True),
    good(seq=0),
    good(seq=-1),
    good(seq="1"),
    good(seq=None),
    good(at=-1),
    good(type=""),
    good(tenant=""),
    good(stream=""),
    good(tenant=None),
    good(prev="0" * 64),
    good(seq=2, prev=""),
    good(seq=2, prev="0" * 63),
    good(seq=2, prev="A" * 64),
    good(seq=2, prev="0" * 64 + "\n"),
    good(set=[]),
    good(set=None),
    good(set={"a": 1.5}),
    good(set={"a": [1.5]}),
    good(set={"a": {"b": 0.5}}),
    good(set={"a": NUMBER_MAX + 1}),
    good(set=deep(DEPTH_MAX)),
    good(set={"a": "x" * BYTES_MAX}),
    good(rows=[]),
    good(rows={"votes": {}}),
    good(rows={"votes": [1]}),
    good(rows={"votes": [{"at": 1.5}]}),
]


@pytest.mark.parametrize("value", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_entry_is_neither_written_nor_read(value: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        encode(value)
    try:
        data = canonical(value)
    except Refused:
        return
    with pytest.raises(Refused):
        decode(data)


@pytest.mark.parametrize(
    "value", [good(set={"a": b""}), good(set={"a": {1}}), good(set={1: 2}), good(set={"a": "\ud800"})]
)
def test_what_json_cannot_say_is_not_written(value: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        encode(value)


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b"null", b'"v"', b"{}", b'{"v":1}', encode(good()) + b"\n"])
def test_bytes_that_are_no_entry_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        decode(data)


def test_an_entry_at_its_bounds_is_an_entry() -> None:
    fits = good(set={"a": "x" * (BYTES_MAX - len(encode(good(set={"a": ""}))))})
    assert len(encode(fits)) == BYTES_MAX
    assert decode(encode(fits)) == fits
    assert decode(encode(good(set=deep(DEPTH_MAX - 1)))) == good(set=deep(DEPTH_MAX - 1))


def test_members_are_in_the_order_of_utf_16() -> None:
    """Where code points and UTF-8 would sort otherwise (RFC 8785, section 3.2.3)."""
    value = good(set={"\ufb33": 1, "\U0001f600": 2})
    assert encode(value) == canonical(value)
    assert encode(value).decode().index("\U0001f600") < encode(value).decode().index("\ufb33")


def test_a_float_that_looks_like_an_integer_is_still_none() -> None:
    """`1.0` is written `1`, so it would come back as another type."""
    with pytest.raises(Refused, match="float"):
        encode(good(set={"a": 1.0}))


@given(st.data())
def test_no_byte_of_an_entry_can_change_and_leave_its_leaf_hash(data: st.DataObject) -> None:
    before = data.draw(st.sampled_from(entries()))
    position = data.draw(st.integers(0, len(before) - 1))
    after = before[:position] + bytes([before[position] ^ data.draw(st.integers(1, 255))]) + before[position + 1 :]
    assert leaf_hash(after) != leaf_hash(before)
    assert leaf_hash(before) == merkle_leaf_hash(before)
