# SPDX-License-Identifier: Apache-2.0
"""Sign with the installation's Ed25519 keys."""

from collections.abc import Sequence
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.ports.signer import Purpose, Signature


class SigningKey(Protocol):
    """An Ed25519 key pair as raw bytes: a seed of 32 and a public key of 32."""

    @property
    def key_id(self) -> str:
        """Return the id that a signature names."""

    @property
    def public(self) -> bytes:
        """Return the raw public key."""

    @property
    def secret(self) -> bytes:
        """Return the seed (RFC 8032, section 5.1.5)."""


class SigningKeys(Protocol):
    """Where the keys are kept; asked at each signature, so that a rotation holds at once."""

    def active(self, purpose: Purpose, /) -> SigningKey:
        """Return the key to sign with."""

    def keys(self, purpose: Purpose, /) -> Sequence[SigningKey]:
        """Return all keys, retired ones included."""


class Ed25519Signer:
    """The port Signer over a key ring. Safe to use from several threads."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._ready: dict[str, Ed25519PrivateKey] = {}  # by key id; an id is computed from its key and never reused

    def sign(self, purpose: Purpose, message: bytes) -> Signature:
        """Sign with the purpose's active key (RFC 8032, Ed25519)."""
        key_id, key = self._active(purpose)
        return Signature(key_id, key.sign(message))

    def sign_many(self, purpose: Purpose, messages: Sequence[bytes]) -> list[Signature]:
        """Sign each message with one and the same key; the order is kept."""
        key_id, key = self._active(purpose)
        sign = key.sign
        return [Signature(key_id, sign(message)) for message in messages]

    def public_keys(self, purpose: Purpose) -> dict[str, bytes]:
        """Return all public keys (32 raw bytes) of a purpose by id, retired ones included."""
        return {key.key_id: key.public for key in self._keys.keys(purpose)}

    def _active(self, purpose: Purpose) -> tuple[str, Ed25519PrivateKey]:
        stored = self._keys.active(purpose)
        ready = self._ready.get(stored.key_id)
        if ready is None:
            ready = self._ready[stored.key_id] = Ed25519PrivateKey.from_private_bytes(stored.secret)
        return stored.key_id, ready
