# SPDX-License-Identifier: Apache-2.0
"""API keys are found by their id, known by their digest, and never repeated in a message."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.api_key import read_key, write_key
from signoff.core.errors import Unauthenticated

KEY_ID = "key_" + "0123456789abcdef" * 2
CHANCE = bytes(range(32))


def test_a_key_leads_to_its_row_and_its_stored_digest() -> None:
    text, digest = write_key(KEY_ID, CHANCE)
    assert read_key(text) == (KEY_ID, digest)
    assert CHANCE.hex() not in digest


@given(at=st.integers(4, 100), to=st.sampled_from("0123456789abcdefABCXYZ-_"))
def test_a_key_with_one_character_changed_is_another_or_none(at: int, to: str) -> None:
    text, digest = write_key(KEY_ID, CHANCE)
    changed = text[:at] + to + text[at + 1 :]
    if changed == text:
        return
    try:
        key_id, found = read_key(changed)
    except Unauthenticated:
        return
    assert found != digest
    assert (key_id == KEY_ID) is (at > 36)


@pytest.mark.parametrize(
    "bend",
    [
        lambda text: text[:-1],
        lambda text: text + "a",
        lambda text: text + "\n",
        lambda text: " " + text,
        str.upper,
        lambda text: text.replace("sgk_", "sgx_"),
        lambda _: "",
        lambda _: "ä" * 101,
    ],
)
def test_what_is_no_key_is_refused_unrepeated(bend: Callable[[str], str]) -> None:
    text, _ = write_key(KEY_ID, CHANCE)
    with pytest.raises(Unauthenticated) as caught:
        read_key(bend(text))
    assert text[-20:-2] not in str(caught.value)
