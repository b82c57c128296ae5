# SPDX-License-Identifier: Apache-2.0
"""Time and chance as arguments."""

from typing import Protocol


class Clock(Protocol):
    """Wall time for people, monotonic time for leases."""

    def now(self) -> int:
        """Return microseconds since 1970, UTC; never smaller than the last answer."""

    def jump_us(self) -> int:
        """Return how far the machine's wall clock is ahead of `now`, in microseconds; negative if it is behind."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for leases and waits."""


class Chance(Protocol):
    """Cryptographic randomness."""

    def bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
