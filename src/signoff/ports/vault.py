# SPDX-License-Identifier: Apache-2.0
"""Payload keys: one per run or data subject, wrapped by a master key that lives outside the database.

Destroying a wrapped key is erasure: its payloads and their salts can then never be read again, while the log
of their commitments stays verifiable.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as it is stored: sealed under the master key `master_id`, bound to its own id."""

    key_id: str
    master_id: str
    sealed: bytes


class DataKey(Protocol):
    """An unwrapped data key, held in memory only."""

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt and authenticate `plain`; it opens only with the same `bound_to` (its place in the database)."""

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Return the plain bytes.

        Raises:
            Corrupt: the bytes were altered, or belong to another place.
        """

    def tag(self, plain: bytes) -> str:
        """Return a keyed digest (hex, HMAC-SHA-256) by which equal contents are found without telling them."""


class Vault(Protocol):
    """Makes and unwraps data keys."""

    def mint(self, key_id: str) -> WrappedKey:
        """Return a new random data key, wrapped."""

    def unwrap(self, wrapped: WrappedKey) -> DataKey:
        """Return the usable key; recent ones are remembered.

        Raises:
            Corrupt: it was altered, or wrapped by a master key that is not here.
        """

    def forget(self, key_id: str) -> None:
        """Drop an unwrapped key whose row was destroyed."""
