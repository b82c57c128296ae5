# SPDX-License-Identifier: Apache-2.0
"""Start the sample ERP and call it as any MCP client would."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Store
from signoff_sample.erp.tools import TOOLS, checked, read, write

COMMAND = [sys.executable, "-m", "signoff_sample"]
ENTRY = {
    "vendor_id": "V-1001",
    "invoice_no": "BP-2026-0412",
    "po_number": "PO-7001",
    "amount_cents": 145_200,
    "currency": "EUR",
}
PAYMENT = {
    "vendor_id": "V-1001",
    "invoice_no": "BP-2026-0412",
    "iban": "NL11ABCD0417164300",
    "amount_cents": 145_200,
    "currency": "EUR",
}


def call(store: Store, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a tool without a server between; its faults belong to the server and do not fire here."""
    tool = TOOLS[name]
    args = checked(tool, arguments)
    return write(store, tool, args) if tool.writes else read(store, tool, args)


def refused(store: Store, name: str, /, **arguments: Any) -> str:
    """Call a tool that must refuse, and return its code."""
    try:
        answer = call(store, name, **arguments)
    except Refusal as no:
        return no.code
    raise AssertionError(f"{name} answered {answer}")


@asynccontextmanager
async def over_stdio(db: Path) -> AsyncIterator[Client]:
    """A client whose server is a process of its own, which ends with it."""
    server = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "erp", "--db", str(db)])
    async with Client(server) as client:
        yield client


@contextmanager
def http_server(db: Path) -> Iterator[str]:
    """A server process on a free port of the loopback interface; yields its URL."""
    environment = os.environ | {"SIGNOFF_SAMPLE_ERP_DB": str(db)}
    with subprocess.Popen(
        [*COMMAND, "erp", "--http", "0"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("ERP at http://127.0.0.1:"), line
            yield line.split()[-1]
        finally:
            process.terminate()


async def ask(client: Client, name: str, /, **arguments: Any) -> dict[str, Any]:
    """Call a tool and return its structured answer or error."""
    result = await client.call_tool(name, arguments)
    body: dict[str, Any] = result.structured_content
    assert result.is_error == ("error" in body)
    return body
