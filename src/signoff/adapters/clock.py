# SPDX-License-Identifier: Apache-2.0
"""Tell the time and draw chance from the operating system.

Where this clock decides (SQLite), time is the wall clock at start carried on by the monotonic one, and never back
behind the last record. So a wall clock that is set, or that an attacker moves, releases no hold and revives no
token while the process runs; the jump is told, not followed.
"""

import os
import threading
import time
from collections.abc import Callable


def _uptime_ns() -> int:
    """Return nanoseconds that only grow and, where the system offers it, count suspension too.

    A machine that slept four hours is four hours older: tokens and leases must end meanwhile.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


_ONLY_GROWS: Callable[[], int] = _uptime_ns if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns


class SystemClock:
    """The port Clock. Safe to use from several threads.

    Args:
        floor: microseconds since 1970 of the last record; time starts there if the wall clock is behind it.
        wall_ns: nanoseconds since 1970.
        uptime_ns: nanoseconds that only grow.
    """

    def __init__(
        self, floor: int = 0, *, wall_ns: Callable[[], int] = time.time_ns, uptime_ns: Callable[[], int] = _ONLY_GROWS
    ) -> None:
        self._wall_ns, self._uptime_ns = wall_ns, uptime_ns
        self._moving = threading.Lock()
        self._offset_ns = max(wall_ns(), floor * 1000) - uptime_ns()  # only ever raised

    def now(self) -> int:
        """Return microseconds since 1970, UTC; never smaller than the last answer or the floor."""
        return (self._offset_ns + self._uptime_ns()) // 1000

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for leases and waits; not comparable with an event loop's time."""
        return self._uptime_ns() / 1e9

    def advance_floor(self, us: int) -> None:
        """Go on from `us` (microseconds since 1970) if it lies ahead: a record of that time exists."""
        with self._moving:
            self._offset_ns = max(self._offset_ns, us * 1000 - self._uptime_ns())

    def jump_us(self) -> int:
        """Return how far the wall clock is from this one, in microseconds; negative if it is behind.

        It stays near zero until someone sets the wall clock, or a floor lay ahead of it. From where on it is an
        alarm, the caller decides.
        """
        return self._wall_ns() // 1000 - self.now()


class SystemChance:
    """The port Chance: the operating system's generator, asked each time.

    A pool in the process would save nothing here and could be handed out twice after a fork.
    """

    def bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        return os.urandom(count)
