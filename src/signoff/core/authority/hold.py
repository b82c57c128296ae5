# SPDX-License-Identifier: Apache-2.0
"""Review windows: an allowed action waits, so that a person may still cancel it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hold:
    """The window of one tool. `proceeds`: time alone lets it go; else a person decides when the window is over."""

    tool: str
    window_us: int
    proceeds: bool = False
