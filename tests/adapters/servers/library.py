# SPDX-License-Identifier: Apache-2.0
"""A tool server made with the MCP library: `library.py stdio|http|http-json|http-sessions DIRECTORY`.

Over HTTP it prints its port, and serves on loopback. Each write adds a line to `DIRECTORY/writes`.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server import Server
from mcp.server.stdio import stdio_server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

MODE, HERE = sys.argv[1], Path(sys.argv[2])
OUTPUT = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def note(what: str) -> None:
    with (HERE / "writes").open("a") as out:
        out.write(what + "\n")


async def list_tools(_: Any, params: Any) -> types.ListToolsResult:
    names = ("write", "slow", "die", "fail", "huge")
    return types.ListToolsResult(
        tools=[types.Tool(name=n, description=f"Does {n}.", input_schema={"type": "object"}) for n in names[:-1]]
        + [types.Tool(name=names[-1], input_schema={"type": "object"}, output_schema=OUTPUT)]
    )


async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    args = params.arguments or {}
    match params.name:
        case "write":
            note(str(args["tag"]))
            return types.CallToolResult(content=[], structured_content={"args": args})
        case "slow":
            note(f"began {args['tag']}")
            await anyio.sleep(args["seconds"])
            note(f"ended {args['tag']}")
            return types.CallToolResult(content=[], structured_content={"tag": args["tag"]})
        case "die":
            note("died")
            os.kill(os.getpid(), 9)
        case "fail":
            error = {"error": {"code": "vendor_unknown", "message": "No such vendor."}}
            return types.CallToolResult(content=[], structured_content=error, is_error=True)
        case "huge":
            return types.CallToolResult(content=[], structured_content={"text": "x" * args["bytes"]})
    raise MCPError(code=types.INVALID_PARAMS, message="No such tool.")


async def redirect(_: Request) -> Response:
    note("redirected")
    return RedirectResponse("/mcp", status_code=307)


async def broken(_: Request) -> Response:
    return PlainTextResponse("bad gateway", status_code=502)


def without_discovery(app: ASGIApp) -> ASGIApp:
    """Answer like a server of the handshake era, which knows sessions and no `server/discover`."""

    async def era(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"mcp-method", b"server/discover") in scope["headers"]:
            await PlainTextResponse("no such method", status_code=400)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return era


def main() -> None:
    server: Server[Any] = Server("library", on_list_tools=list_tools, on_call_tool=call_tool)
    if MODE == "stdio":

        async def run() -> None:
            async with stdio_server() as (reading, writing):
                await server.run(reading, writing, server.create_initialization_options())

        asyncio.run(run())
        return
    inner = server.streamable_http_app(json_response=MODE == "http-json", stateless_http=MODE != "http-sessions")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    app = Starlette(
        routes=[
            Route("/moved", redirect, methods=["POST"]),
            Route("/broken", broken, methods=["POST"]),
            Mount("/", inner),
        ],
        lifespan=lifespan,
    )
    listening = socket.create_server(("127.0.0.1", int(sys.argv[3]) if len(sys.argv) > 3 else 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(
        without_discovery(app) if MODE == "http-sessions" else app, log_level="critical", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
