# SPDX-License-Identifier: Apache-2.0
"""Reach a system over the Model Context Protocol: describe its tools, read, and send one write at most once.

`NotSent` is claimed only where the gate of the request was shut before its first byte; everything that happened
after is `Lost`, and a JSON-RPC error is the server's word without a code, which proves nothing. A write is never
cancelled and never sent again, whoever stops waiting for it.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from signoff.adapters.connectors import mcp_answer
from signoff.adapters.connectors.mcp_answer import Unusable
from signoff.adapters.connectors.mcp_http import Http, dial_http
from signoff.adapters.connectors.mcp_stdio import Stdio, dial_stdio
from signoff.adapters.connectors.supervisor import Gate, Line, NoLine, Supervisor
from signoff.core.action.doubt import Answer, Errored, Lost, NotSent
from signoff.core.authority.contract import ToolDescription
from signoff.core.errors import Malformed, Unavailable
from signoff.ports.connector import Call

TOOLS_MAX: Final = 1_000
PAGES_MAX: Final = 100
DESCRIBE_TIMEOUT_S: Final = 30.0
DIAL_TIMEOUT_S: Final = 20.0
BEGIN_WITHIN_S: Final = 2.0  # a send not begun so long after its claim is not begun (contract, section 3, claim)

_T = TypeVar("_T")


def stdio(command: Sequence[str], env: Mapping[str, str] | None = None, cwd: str | None = None) -> Stdio:
    """Return a server that is started as a child; it inherits PATH, HOME and LANG, and gets `env` on top.

    Raises:
        Malformed: there is no command.
    """
    if not command or not command[0]:
        raise Malformed(
            "Cannot start the tool server.", "Its command is empty.", "Give the program and its arguments as a list."
        )
    return Stdio(tuple(command), dict(env or {}), cwd)


def http(url: str, headers: Mapping[str, str] | None = None) -> Http:
    """Return a server behind a URL of streamable HTTP.

    Raises:
        Malformed: it is no URL of http or https.
    """
    if not url.startswith(("http://", "https://")):
        raise Malformed(
            "Cannot reach the tool server.",
            "Its URL does not begin with http:// or https://.",
            "Give the full URL of its MCP endpoint, such as https://erp.example/mcp.",
        )
    return Http(url, dict(headers or {}))


class McpConnector:
    """A `Connector` over one MCP server; it dials when first used, and again after failures.

    Args:
        begin_within_s: a write whose first byte has not left after this many seconds is not sent.
    """

    def __init__(
        self,
        target: Stdio | Http,
        *,
        begin_within_s: float = BEGIN_WITHIN_S,
        dial_timeout_s: float = DIAL_TIMEOUT_S,
        describe_timeout_s: float = DESCRIBE_TIMEOUT_S,
    ) -> None:
        dial = partial(dial_stdio, target) if isinstance(target, Stdio) else partial(dial_http, target)
        self._label = target.label
        self._begin_within_s, self._describe_timeout_s = begin_within_s, describe_timeout_s
        self._supervisor = Supervisor(dial, dial_timeout_s)

    async def describe(self) -> Mapping[str, ToolDescription]:
        """Return every tool by the server's own name, asked of the server now.

        Raises:
            Unavailable: it could not be asked, names a tool twice, or lists more than a thousand.
        """
        try:
            async with asyncio.timeout(self._describe_timeout_s):
                return await self._list(await self._supervisor.line(self._describe_timeout_s))
        except NoLine as error:
            raise self._unavailable(str(error)) from error
        except TimeoutError as error:
            raise self._unavailable(f"no answer came within {self._describe_timeout_s:g} s") from error
        except MCPError as error:
            raise self._unavailable(f"it answered with JSON-RPC error {error.code}") from error
        except ValidationError as error:
            raise self._unavailable("its list of tools breaks the protocol") from error

    async def read(self, call: Call) -> Answer:
        """Call a tool that changes nothing; a cancelled caller, or the end of its time, tells the server to stop."""
        return await self._send(call, is_write=False)

    async def execute(self, call: Call) -> Answer:
        """Send one write, at most once; a cancelled caller stops waiting, and the write goes on."""
        return await asyncio.shield(self._start(self._send(call, is_write=True)))

    async def close(self) -> None:
        """Give up the connection and the process started for it; again is harmless."""
        await self._supervisor.close()

    async def _send(self, call: Call, *, is_write: bool) -> Answer:
        try:
            mcp_answer.require_bounded(call.args)
        except Unusable:
            return NotSent("the arguments are no JSON within 256 KiB and 32 levels")
        gate = Gate()
        begin_s = min(call.timeout_s, self._begin_within_s) if is_write else call.timeout_s
        job = self._start(self._exchange(call, gate, begin_s, is_write=is_write))
        try:
            await asyncio.wait({job}, timeout=begin_s)
            if not job.done() and gate.shut():
                return NotSent(f"no connection within {begin_s:g} s")
            if not job.done():
                await asyncio.wait({job}, timeout=call.timeout_s - begin_s)
            return job.result() if job.done() else Lost(f"no answer within {call.timeout_s:g} s")
        except asyncio.CancelledError:
            if job.cancelled():  # the connector was closed under it, the caller was not cancelled
                return NotSent("the connector was closed") if gate.shut() else Lost("the connector was closed")
            raise
        finally:
            gate.shut()
            job.cancel()

    async def _exchange(self, call: Call, gate: Gate, patience_s: float, *, is_write: bool) -> Answer:
        line: Line | None = None
        try:
            line = await self._supervisor.line(patience_s)
            raw = await line.call(call.name, call.args, gate, may_cancel=not is_write)
            return mcp_answer.interpret(raw)
        except NoLine as error:
            return NotSent(str(error))
        except Unusable as error:
            return Lost(str(error)) if is_write else Errored(None, str(error))
        except MCPError as error:
            return self._failed(error, gate, line)
        except Exception as error:  # noqa: BLE001 - a connector reports; what a library raised is no proof of anything
            return NotSent(_named(error)) if gate.shut() else Lost(_named(error))

    def _failed(self, error: MCPError, gate: Gate, line: Line | None) -> Answer:
        """Say what an error of the protocol or of the connection proves."""
        ended = line.retired if line is not None else None
        if gate.shut():
            return NotSent(gate.why or ended or "the connection ended before the request left")
        if gate.why is not None:
            return Lost(gate.why)
        if error.code == mcp_types.CONNECTION_CLOSED:
            return Lost(ended or "the connection ended before an answer")
        return Errored(None, mcp_answer.shorten(f"JSON-RPC error {error.code}: {error.message}"))

    async def _list(self, line: Line) -> Mapping[str, ToolDescription]:
        tools: dict[str, ToolDescription] = {}
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = await line.page(cursor)
            for tool in page.tools:
                if tool.name in tools:
                    raise self._unavailable("it names one of its tools twice, so that no call is unambiguous")
                tools[tool.name] = _described(tool)
            if len(tools) > TOOLS_MAX:
                break
            cursor = page.next_cursor
            if cursor is None:
                return tools
        raise self._unavailable(f"it lists more than {TOOLS_MAX} tools or {PAGES_MAX} pages of them")

    def _start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.create_task(work)
        self._supervisor.start(task)
        return task

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(
            f"The tools of {self._label} could not be listed.",
            f"{why[:1].upper()}{why[1:]}.",
            "See that the server runs and answers MCP, by hand or in its own log, and try again.",
            code="connector.unavailable",
        )


def _described(tool: mcp_types.Tool) -> ToolDescription:
    annotations = tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {}
    return ToolDescription(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        title=tool.title,
        annotations=annotations,
    )


def _named(error: Exception) -> str:
    return f"the exchange failed with {type(error).__name__}"
