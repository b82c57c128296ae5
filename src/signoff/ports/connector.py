# SPDX-License-Identifier: Apache-2.0
"""A connector reaches one real system: describe its tools, read, and send one write.

What an answer proves is not decided here but in `core/action/doubt.py`; a connector only reports, without
hoping, what it saw. It never retries a write, and never sends after it has reported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from signoff.core.action.doubt import Answer
from signoff.core.authority.contract import ToolDescription


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: `name` as the server knows it, complete arguments, and the longest wait in seconds."""

    name: str
    args: Mapping[str, Any]
    timeout_s: float


class Connector(Protocol):
    """One system, reached over one server."""

    async def describe(self) -> Mapping[str, ToolDescription]:
        """Return every tool by the server's own name, asked of the server now and not remembered.

        Raises:
            Unavailable: the server could not be asked.
        """

    async def read(self, call: Call) -> Answer:
        """Call a tool that changes nothing. May be repeated; may be cancelled at any time. Never raises for the
        server's doing: that is an `Answer` too."""

    async def execute(self, call: Call) -> Answer:
        """Send one write, at most once.

        `NotSent` is returned only if no byte of the request can have reached the server. Whatever is unclear is
        `Lost`. A cancelled caller does not unsend: the connector then leaves the outcome to a later look-up.
        """

    async def close(self) -> None:
        """Give up the connection and whatever process was started for it."""
