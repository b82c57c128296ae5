# SPDX-License-Identifier: Apache-2.0
"""The systems this node reaches: one connector a server, and its tools as it describes them now."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.action.doubt import Answer, NotSent
from signoff.core.authority.contract import Contract, Server, ToolContract, ToolDescription, schema_digest
from signoff.core.errors import Unavailable
from signoff.ports.clock import Clock
from signoff.ports.connector import Call, Connector

FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class Described:
    """What a server offers, and since when we know (monotonic seconds)."""

    tools: Mapping[str, tuple[ToolDescription, str]]
    at: float


class Systems:
    """Connects on first use; a server that cannot be asked offers nothing, so that its tools are refused."""

    def __init__(self, connect: Callable[[Server], Connector], clock: Clock) -> None:
        self._connect, self._clock = connect, clock
        self._connectors: dict[Server, Connector] = {}
        self._described: dict[Server, Described] = {}
        self._asking: dict[Server, asyncio.Lock] = {}

    def connector(self, server: Server) -> Connector:
        if server not in self._connectors:
            self._connectors[server] = self._connect(server)
        return self._connectors[server]

    async def look(self, server: Server) -> None:
        """Ask the server what it offers, unless that was done in the last half minute."""
        if self._is_fresh(server):
            return
        async with self._asking.setdefault(server, asyncio.Lock()):
            if self._is_fresh(server):
                return
            try:
                tools = await self.connector(server).describe()
            except Unavailable:
                self._described.pop(server, None)
                return
            described = {name: (tool, schema_digest(tool)) for name, tool in tools.items()}
            self._described[server] = Described(described, self._clock.monotonic())

    def live(self, server: Server, tool: ToolContract) -> tuple[ToolDescription, str] | None:
        """Return a tool as its server described it last, with its digest; None if it is not offered."""
        described = self._described.get(server)
        return described.tools.get(tool.server_name) if described else None

    def offered(self, server: Server) -> Mapping[str, tuple[ToolDescription, str]]:
        """Return the tools a server offered when it was asked last, by its own names, each with its digest."""
        described = self._described.get(server)
        return described.tools if described else {}

    def forget(self, server: Server) -> None:
        """Ask anew before the next use."""
        self._described.pop(server, None)

    async def read(self, contract: Contract, tool: ToolContract, args: Mapping[str, Any]) -> Answer:
        """Call a read tool."""
        return await self.connector(contract.server).read(Call(tool.server_name, args, tool.timeout_s))

    async def execute(self, contract: Contract, tool: ToolContract, args: Mapping[str, Any]) -> Answer:
        """Send a write once."""
        try:
            connector = self.connector(contract.server)
        except Unavailable as error:
            return NotSent(error.why)
        return await connector.execute(Call(tool.server_name, args, tool.timeout_s))

    async def close(self) -> None:
        for connector in self._connectors.values():
            await connector.close()

    def _is_fresh(self, server: Server) -> bool:
        described = self._described.get(server)
        return described is not None and self._clock.monotonic() - described.at < FRESH_S
