# SPDX-License-Identifier: Apache-2.0
"""Signing keys, one per purpose; each has an id and may be retired, never removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Purpose = Literal["log", "receipt", "token"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Raw Ed25519 signature (64 bytes) and the id of the key that made it."""

    key_id: str
    value: bytes


class Signer(Protocol):
    """Holds the private keys of one installation; they never leave it."""

    def sign(self, purpose: Purpose, message: bytes) -> Signature:
        """Sign with the purpose's active key (RFC 8032, Ed25519)."""

    def sign_many(self, purpose: Purpose, messages: Sequence[bytes]) -> list[Signature]:
        """Sign each message; the order is kept."""

    def public_keys(self, purpose: Purpose) -> dict[str, bytes]:
        """Return all public keys (32 raw bytes) of a purpose by id, retired ones included."""
