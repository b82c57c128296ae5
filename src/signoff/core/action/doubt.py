# SPDX-License-Identifier: Apache-2.0
"""What an answer proves about a write: done, provably not done, or in doubt.

The proofs of a non-write are a closed list: no connection was made, the target's own error code is one that
its contract names in `not_done`, or a look-up finds nothing once `settles_after` has passed since the last
moment at which a send or its time-out could fall. Everything else, cancellation and `isError` included, is doubt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answered:
    """The target answered with a structured result."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Errored:
    """The target answered with an error; `code` is its own error code, if it gave one."""

    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """No connection was made, so that nothing can have been written."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Sent, or perhaps sent, and no usable answer came: time-out, cut connection, cancellation."""

    why: str


Answer = Answered | Errored | NotSent | Lost
