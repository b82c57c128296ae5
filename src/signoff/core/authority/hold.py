# SPDX-License-Identifier: Apache-2.0
"""Review windows: an allowed action waits, so that a person may still cancel it."""

from dataclasses import dataclass
from enum import StrEnum


class HoldEnd(StrEnum):
    """What comes when the window is over and nobody has said anything."""

    HOLD = "hold"  # a person decides
    PROCEED = "proceed"  # it is sent


@dataclass(frozen=True, slots=True)
class Hold:
    """The window of one tool. `proceeds`: time alone lets it go; else a person decides when the window is over."""

    tool: str
    window_us: int
    proceeds: bool = False

    @property
    def end(self) -> HoldEnd:
        return HoldEnd.PROCEED if self.proceeds else HoldEnd.HOLD
