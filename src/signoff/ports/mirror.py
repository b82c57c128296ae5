# SPDX-License-Identifier: Apache-2.0
"""Checkpoints kept outside the database, by which an old backup is noticed."""

from typing import Protocol


class Mirror(Protocol):
    """Keeps published checkpoints where a restored database does not reach."""

    def keep(self, origin: str, size: int, note: str) -> None:
        """Keep a checkpoint durably; larger ones supersede smaller ones.

        Raises:
            Unavailable: it cannot be written.
        """

    def last(self, origin: str) -> tuple[int, str] | None:
        """Return size and note of the largest checkpoint kept."""
