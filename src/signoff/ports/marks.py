# SPDX-License-Identifier: Apache-2.0
"""Marks by which an installation knows its own entries until they are in a signed tree."""

from typing import Protocol


class Marks(Protocol):
    """A keyed digest of an entry; nobody can make one who has only the database."""

    def mark(self, tenant: str, entry: bytes) -> bytes:
        """Return the mark of an entry that is written now."""

    def is_marked(self, tenant: str, entry: bytes, mark: bytes | None) -> bool:
        """Tell whether the installation wrote this entry; compared in constant time."""
