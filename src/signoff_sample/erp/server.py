# SPDX-License-Identifier: Apache-2.0
"""The ERP as an MCP server, over stdio or streamable HTTP, with its faults.

SQLite is called in threads that a cancelled call does not abandon: once a write has begun it ends, as it would in
any system whose caller hangs up. What a fault does is in `faults.KINDS`.
"""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from signoff_sample.erp import faults, tools
from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import MICROS, Store, now_us
from signoff_sample.erp.tools import TOOLS, Row, Tool

T = TypeVar("T")
ENDED_BY_FAULT = 70  # the exit status after `answer_lost`
_HINTS = {
    True: types.ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True),
    False: types.ToolAnnotations(read_only_hint=True),
}


def build(store: Store) -> Server[Any]:
    """Return the server over an open database; it keeps no state of its own."""

    async def list_tools(_: Any, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        changed = await _in_thread(_changed_tools, store)
        # No time to live: a client that remembers descriptions would miss a change of them.
        return types.ListToolsResult(tools=[_described(t, t.name in changed) for t in TOOLS.values()], ttl_ms=0)

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(code=types.INVALID_PARAMS, message="There is no tool of that name; ask tools/list.")
        try:
            body, is_error = await _call(store, tool, params.arguments), False
        except Refusal as no:
            body, is_error = no.body(), True
        except sqlite3.Error as error:
            print(f"signoff-sample erp: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            body, is_error = Refusal("internal", "The database did not do it; see the server's log.").body(), True
        text = json.dumps(body, ensure_ascii=False)
        content: list[types.ContentBlock] = [types.TextContent(text=text)]
        return types.CallToolResult(content=content, structured_content=body, is_error=is_error)

    return Server("signoff-sample-erp", version="1", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve_stdio(store: Store) -> None:
    """Serve one client over standard input and output until it closes them."""
    from mcp.server.stdio import stdio_server

    server = build(store)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def serve_http(store: Store, port: int, announce: Callable[[str], None]) -> None:
    """Serve streamable HTTP on the loopback interface; `announce` gets the URL once connections are taken.

    Args:
        port: 0 for any free one.
    """
    import uvicorn

    app = build(store).streamable_http_app(stateless_http=True, json_response=True)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        announce(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        await uvicorn.Server(config).serve(sockets=[listener])


async def _call(store: Store, tool: Tool, arguments: Row | None) -> Row:
    key = str((arguments or {}).get("idempotency_key", ""))[:200]
    waiting = await _in_thread(_waiting, store, tool.name)
    changed = next((fault for fault in waiting if fault.kind == "schema_change"), None)
    args = tools.checked(tool, arguments, _changed_schema(tool) if changed else None)
    args.pop(_NEW_MEMBER, None)
    for fault in waiting:
        if fault.kind in _EFFECTS and await _in_thread(_fires, store, fault, tool, key):
            return await _EFFECTS[fault.kind](store, tool, args, fault)
    return await _work(store, tool, args)


async def _work(store: Store, tool: Tool, args: Row) -> Row:
    return await _in_thread(tools.write if tool.writes else tools.read, store, tool, args)


async def _in_thread(work: Callable[..., T], *args: Any) -> T:
    return await anyio.to_thread.run_sync(partial(work, *args))


def _waiting(store: Store, tool: str) -> list[faults.Fault]:
    with store.reading() as tx:
        return faults.waiting(tx, tool)


def _fires(store: Store, fault: faults.Fault, tool: Tool, key: str) -> bool:
    """A look-up that lags fires only where it hides something; every other fault at any call."""
    if fault.kind == "lookup_lags":
        hit = tools.found(store, tool.finds, key) if tool.finds else None
        if hit is None or not faults.hides(fault, hit[1]):
            return False
    return faults.fire(store, fault, key)


async def _timeout_after_write(store: Store, tool: Tool, args: Row, fault: faults.Fault) -> Row:
    answer = await _work(store, tool, args)
    await anyio.sleep(fault.delay_s)
    return answer


async def _error_before_write(_: Store, __: Tool, ___: Row, ____: faults.Fault) -> Row:
    raise Refusal("internal", "Something went wrong.")


async def _slow(store: Store, tool: Tool, args: Row, fault: faults.Fault) -> Row:
    await anyio.sleep(fault.delay_s)
    return await _work(store, tool, args)


async def _write_after_timeout(store: Store, tool: Tool, args: Row, fault: faults.Fault) -> Row:
    # A process of its own session, so that neither a cancelled call nor a killed server unsends the write.
    order: Row = {"db": str(store.path.absolute()), "tool": tool.name, "args": args}
    order["not_before_us"] = now_us() + int(fault.delay_s * MICROS)
    late = subprocess.Popen(  # noqa: ASYNC220  # it must outlive this task; our own interpreter and module
        [sys.executable, "-m", "signoff_sample", "erp-late"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert late.stdin, "opened as a pipe"
    late.stdin.write(json.dumps(order).encode())  # far below a pipe's buffer, so it does not wait
    late.stdin.close()
    late.stdin = None
    out, _ = await anyio.to_thread.run_sync(late.communicate, abandon_on_cancel=True)
    body: Row = json.loads(out or b"{}")
    if late.returncode != 0 or "error" in body:
        error = body.get("error", {"code": "internal", "message": "The late write did not happen."})
        raise Refusal(error["code"], error["message"])
    return body


async def _answer_lost(store: Store, tool: Tool, args: Row, _: faults.Fault) -> Row:
    with contextlib.suppress(Refusal):
        await _work(store, tool, args)
    os._exit(ENDED_BY_FAULT)


async def _bad_answer(store: Store, tool: Tool, args: Row, _: faults.Fault) -> Row:
    answer = await _work(store, tool, args)
    first = next(iter(answer))
    return {first: {"unexpected": True}}  # of the wrong type, and all the other members are missing


async def _lookup_lags(_: Store, tool: Tool, __: Row, ___: faults.Fault) -> Row:
    return _finds(tool).nothing


async def _lookup_wrong(store: Store, tool: Tool, args: Row, _: faults.Fault) -> Row:
    return await _in_thread(tools.someone_elses, store, _finds(tool), args["idempotency_key"])


_EFFECTS = {
    "timeout_after_write": _timeout_after_write,
    "error_before_write": _error_before_write,
    "slow": _slow,
    "write_after_timeout": _write_after_timeout,
    "answer_lost": _answer_lost,
    "bad_answer": _bad_answer,
    "lookup_lags": _lookup_lags,
    "lookup_fails": _error_before_write,
    "lookup_wrong": _lookup_wrong,
}
_NEW_MEMBER = "cost_centre"


def _finds(tool: Tool) -> tools.Finds:
    assert tool.finds, "look-up faults are set on look-ups only"
    return tool.finds


def _changed_tools(store: Store) -> set[str]:
    with store.reading() as tx:
        rows = tx.all("SELECT * FROM faults WHERE kind = 'schema_change' AND (times_left IS NULL OR times_left > 0)")
    return {row["tool"] for row in rows if faults.fire(store, faults.Fault(**row), "")}


def _changed_schema(tool: Tool) -> Row:
    schema = tool.input_schema
    new = {_NEW_MEMBER: {"type": "string", "description": "Who bears the cost."}}
    return schema | {"properties": schema["properties"] | new}


def _described(tool: Tool, changed: bool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool.description + (" Now by cost centre." if changed else ""),
        input_schema=_changed_schema(tool) if changed else tool.input_schema,
        output_schema=tool.output_schema,
        annotations=_HINTS[tool.writes],
    )
