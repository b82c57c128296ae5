# SPDX-License-Identifier: Apache-2.0
"""Signatures are plain Ed25519, name their key, and follow a rotation at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signoff.adapters.ed25519 import Ed25519Signer
from signoff.adapters.keyfiles import KeyFiles
from signoff.ports.signer import Purpose, Signer

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


@dataclass(frozen=True)
class Key:
    key_id: str
    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Ring:
    key: Key

    def active(self, purpose: Purpose, /) -> Key:
        return self.key

    def keys(self, purpose: Purpose, /) -> Sequence[Key]:
        return (self.key,)


def test_it_signs_as_the_standard_says() -> None:
    """RFC 8032, section 7.1, tests 1 and 2."""
    for secret, public, message, signature in (
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
            "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ):
        signer = Ed25519Signer(Ring(Key("k", bytes.fromhex(public), bytes.fromhex(secret))))
        made = signer.sign("log", bytes.fromhex(message))
        assert (made.key_id, made.value.hex()) == ("k", signature)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return KeyFiles.create_or_open(tmp_path / "keys", "signoff.acme.test")


def test_each_purpose_signs_with_its_own_key(keys: KeyFiles) -> None:
    signer: Signer = Ed25519Signer(keys)
    made = {purpose: signer.sign(purpose, b"message") for purpose in PURPOSES}
    assert len({signature.key_id for signature in made.values()}) == 3
    for purpose, signature in made.items():
        for other in PURPOSES:
            public = signer.public_keys(other)
            assert (signature.key_id in public) is (other == purpose)
        key = Ed25519PublicKey.from_public_bytes(signer.public_keys(purpose)[signature.key_id])
        key.verify(signature.value, b"message")
        with pytest.raises(InvalidSignature):
            key.verify(signature.value, b"messagf")


def test_many_signatures_are_those_of_one_by_one_in_order(keys: KeyFiles) -> None:
    signer = Ed25519Signer(keys)
    messages = [bytes([n]) * n for n in range(50)]
    assert signer.sign_many("receipt", messages) == [signer.sign("receipt", message) for message in messages]
    assert signer.sign_many("receipt", []) == []


def test_after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies(keys: KeyFiles) -> None:
    signer = Ed25519Signer(keys)
    before = signer.sign("log", b"m")
    new = keys.rotate("log")
    after = signer.sign("log", b"m")
    assert after.key_id == new.key_id != before.key_id
    for signature in (before, after):
        public = signer.public_keys("log")[signature.key_id]
        Ed25519PublicKey.from_public_bytes(public).verify(signature.value, b"m")
