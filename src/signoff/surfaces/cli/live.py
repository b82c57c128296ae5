# SPDX-License-Identifier: Apache-2.0
"""Ask the servers of contracts what they offer, so that a page's field names are checked against their schemas."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from signoff.surfaces.cli.shell import Shell

if TYPE_CHECKING:
    from signoff.core.authority.contract import Contract, ToolDescription
    from signoff.core.authority.tool import Server


def descriptions_of(shell: Shell, contracts: "Iterable[Contract]") -> "dict[str, ToolDescription]":
    """Return the tools of `contracts` by our names, as their servers describe them now; without those pinned otherwise.

    Raises:
        SignoffError: a server cannot be reached; half an answer would pass for a check.
    """
    from signoff.core.authority.contract import schema_digest

    contracts = tuple(contracts)

    async def ask(server: "Server") -> "dict[str, ToolDescription]":
        connector = shell.doors.connect(server)
        try:
            return dict(await connector.describe())
        finally:
            await connector.close()

    async def ask_all() -> "dict[Server, dict[str, ToolDescription]]":
        return {
            server: await ask(server) for server in dict.fromkeys(each for one in contracts for each in one.reached)
        }

    offered = asyncio.run(ask_all())
    return {
        name: found
        for contract in contracts
        for server in reversed(contract.reached)
        for name, tool in contract.tools.items()
        if (found := offered[server].get(tool.server_name)) is not None
        and tool.schema_digest in (None, schema_digest(found))
    }
