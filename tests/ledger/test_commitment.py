# SPDX-License-Identifier: Apache-2.0
"""A commitment binds its payload, and tells nothing without the salt."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.commitment import commit, opens
from signoff.ledger.errors import Refused

salts = st.binary(min_size=32, max_size=32)


@given(salts, st.binary())
def test_a_commitment_opens_with_its_salt_and_bytes(salt: bytes, plain: bytes) -> None:
    assert commit(salt, plain) == "sha256:" + sha256(salt + plain).hexdigest()
    assert opens(commit(salt, plain), salt, plain)


@given(salts, st.binary(), salts, st.binary())
def test_it_opens_with_nothing_else(salt: bytes, plain: bytes, other_salt: bytes, other: bytes) -> None:
    assert opens(commit(salt, plain), other_salt, other) is ((salt, plain) == (other_salt, other))


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_salt_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Refused, match="32 bytes"):
        commit(bytes(length), b"{}")
    assert not opens("sha256:" + sha256(bytes(length) + b"{}").hexdigest(), bytes(length), b"{}")


@pytest.mark.parametrize("text", ["", "sha256:", "é", "\ud800", "SHA256:" + "0" * 64])
def test_a_misspelt_commitment_opens_with_nothing(text: str) -> None:
    assert not opens(text, bytes(32), b"{}")
