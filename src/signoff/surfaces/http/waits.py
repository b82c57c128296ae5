# SPDX-License-Identifier: Apache-2.0
"""Who waits for an action: so many at once, in all and of one caller.

A wait costs little and is asked for in one line, so that an agent could hold thousands of them and slow down the
people who would stop it. Who finds no place is answered as things stand, after a pause.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OF_ONE_MAX: Final = 256
IN_ALL_MAX: Final = 1024


class Waits:
    """The places of one node."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, caller_id: str) -> Iterator[bool]:
        """Take a place for as long as the block lasts; tells whether there was one."""
        if self._taken[caller_id] >= OF_ONE_MAX or self._taken.total() >= IN_ALL_MAX:
            yield False
            return
        self._taken[caller_id] += 1
        try:
            yield True
        finally:
            self._taken[caller_id] -= 1
            if not self._taken[caller_id]:
                del self._taken[caller_id]
