# SPDX-License-Identifier: Apache-2.0
"""Keep one session with a tool server: each connection is entered, owned and left by one task.

Callers hand work to the open line; many calls are in flight over one session. A line that failed takes no more
work, lets what is in flight end, and is followed by a new one, after pauses that grow while nothing succeeds.
Nothing here ever sends a call a second time: `Gate` lets each request out at most once.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import mcp_types
from mcp import MCPError
from mcp.client import ClientSession
from mcp.shared.dispatcher import CallOptions
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext
from pydantic import ValidationError

from signoff.adapters.connectors.mcp_answer import shorten

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, WriteStream  # named for the type checker; no public name for them

CALL_HEADER: Final = "x-signoff-call"  # tells the HTTP wire which gate is meant; never leaves the machine
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 30.0
CLOSE_WITHIN_S: Final = 3.0

_CLIENT: Final = mcp_types.Implementation(name="signoff", version="1")

# The library's own loggers print messages, which are payloads, in debug lines and in the texts of parse errors.
for _name in ("client", "mcp.client", "mcp.shared", "httpx2", "httpcore2"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.CRITICAL)


def pause_after(failures: int) -> float:
    """Return the seconds between a failure and the next attempt, for `failures` in a row without a success."""
    return min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(failures - 1, 20))


class Gate:
    """Whether one request has begun to leave this machine; once shut, it never will.

    Every transport asks `begin` right before the first byte. So `shut() is True` is proof of a non-send, also
    against a queue that would have written later.
    """

    __slots__ = ("_began", "_shut", "why")

    def __init__(self) -> None:
        self._began = self._shut = False
        self.why: str | None = None  # what the transport saw going wrong, for this request alone

    def begin(self) -> bool:
        """Return whether the request may leave now; true at most once."""
        if self._shut or self._began:
            return False
        self._began = True
        return True

    def shut(self) -> bool:
        """Let nothing out from now on; return whether nothing ever left."""
        self._shut = True
        return not self._began


class NoLine(Exception):
    """There is no connection; the text says why, without secrets."""


@dataclass(slots=True)
class _Exchange:
    id: str
    may_cancel: bool
    raw: dict[str, Any] | None = None


_EXCHANGE: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


class _Dispatcher(JSONRPCDispatcher[TransportContext]):
    """The library's dispatcher, with our request ids on tool calls, no cancellation of writes, and the raw answer.

    The id ties the message to its gate. The answer is kept before the library validates it, so that an answer
    that breaks the protocol's schema is judged by us and not lost in an exception.
    """

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,
        *,
        _related_request_id: mcp_types.RequestId | None = None,
    ) -> dict[str, Any]:
        exchange = _EXCHANGE.get()
        if exchange is None or method != "tools/call":
            return await super().send_raw_request(method, params, opts, _related_request_id=_related_request_id)
        ours: CallOptions = {} if opts is None else opts.copy()
        ours["request_id"] = exchange.id
        ours["cancel_on_abandon"] = exchange.may_cancel
        ours["headers"] = {**ours.get("headers", {}), CALL_HEADER: exchange.id}
        exchange.raw = await super().send_raw_request(method, params, ours, _related_request_id=_related_request_id)
        return exchange.raw


Streams: TypeAlias = "tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]"
Dial = Callable[["Line"], AbstractAsyncContextManager[Streams]]  # says on the line how it fares; asks its gates


class Line:
    """One connection, from dialling to leaving, in one task."""

    def __init__(self, dial: Dial, pause_s: float, dial_timeout_s: float, numbers: Callable[[], int]) -> None:
        loop = asyncio.get_running_loop()
        self.gates: dict[str, Gate] = {}
        self.opened: asyncio.Future[str | None] = loop.create_future()  # None when open, else why it never was
        self.opens_at = loop.time() + pause_s
        self.retired: str | None = None  # why it takes no new work
        self.retired_at = self.opens_at
        self.is_proved = False  # a call was answered over it
        self.hint: str | None = None  # what the transport knows of a failing handshake, and the library does not
        self._dial, self._dial_timeout_s, self._numbers = dial, dial_timeout_s, numbers
        self._leave, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._session: ClientSession | None = None
        self.task = asyncio.create_task(self._own(pause_s), name="signoff mcp line")

    def retire(self, why: str) -> None:
        """Take no new work, and leave once nothing is in flight."""
        if self.retired is None:
            self.retired, self.retired_at = why, asyncio.get_running_loop().time()
        self._leave.set()

    def cut(self, why: str) -> None:
        """Leave now; what is in flight gets no answer."""
        self.retire(why)
        self._idle.set()
        if not self.opened.done():
            self.task.cancel()

    async def call(self, name: str, args: Mapping[str, Any], gate: Gate, *, may_cancel: bool) -> dict[str, Any]:
        """Call a tool once and return the raw result, valid by the protocol or not.

        Args:
            may_cancel: whether giving up tells the server to stop; never for a write, which could stop half done.

        Raises:
            MCPError: a JSON-RPC error answer, or the connection ended first.
            NoLine: the line was retired before; nothing was sent.
        """
        if self.retired is not None or self._session is None:
            raise NoLine(self.retired or "the connection is not open")
        exchange = _Exchange(f"s{self._numbers()}", may_cancel)
        params = mcp_types.CallToolRequestParams(name=name, arguments=dict(args))
        self.gates[exchange.id] = gate
        self._idle.clear()
        token = _EXCHANGE.set(exchange)
        try:
            # Not `call_tool`: that lists tools and validates the output schema after the write, and raises.
            await self._session.send_request(mcp_types.CallToolRequest(params=params), mcp_types.Result)
        except ValidationError:
            if exchange.raw is None:
                raise
        finally:
            _EXCHANGE.reset(token)
            del self.gates[exchange.id]
            if exchange.raw is not None:
                self.is_proved = True
            if not self.gates:
                self._idle.set()
        assert exchange.raw is not None
        return exchange.raw

    async def page(self, cursor: str | None) -> mcp_types.ListToolsResult:
        """Return one page of the server's tools.

        Raises:
            MCPError: the server refused, or the connection ended.
            ValidationError: the answer is no list of tools.
        """
        assert self._session is not None
        params = mcp_types.PaginatedRequestParams(cursor=cursor)
        listed = await self._session.list_tools(params=params)
        self.is_proved = True
        return listed

    async def _own(self, pause_s: float) -> None:
        why = "the connection was closed"
        try:
            await asyncio.sleep(pause_s)
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(self._dial_timeout_s):
                        await self._open(stack)
                except TimeoutError:  # said before leaving, where the end of the child would be noticed first
                    self.retire(f"the server did not answer the handshake within {self._dial_timeout_s:g} s")
                    raise
                self.hint = None
                self.opened.set_result(None)
                await self._leave.wait()
                await self._idle.wait()
        except Exception as error:  # noqa: BLE001 - whatever a server or a library does ends this line, not the node
            why = self._explain(error)
        finally:
            self.retire(why)
            if not self.opened.done():
                self.opened.set_result(self.retired)

    async def _open(self, stack: AsyncExitStack) -> None:
        reading, writing = await stack.enter_async_context(self._dial(self))
        session = ClientSession(dispatcher=_Dispatcher(reading, writing), client_info=_CLIENT)
        self._session = await stack.enter_async_context(session)
        await self._agree(self._session)

    async def _agree(self, session: ClientSession) -> None:
        """Settle on a protocol version: the per-request era if the server knows it, else the handshake."""
        try:
            await session.discover()
        except (MCPError, RuntimeError, ValidationError):
            if self.retired is not None:
                raise
            await session.initialize()

    def _explain(self, error: BaseException) -> str:
        if isinstance(error, BaseExceptionGroup):
            return self._explain(error.exceptions[0])
        if self.hint is not None:
            return self.hint
        if isinstance(error, MCPError):
            return f"the handshake failed: {shorten(error.message, 200)}"
        if isinstance(error, OSError) and error.strerror:
            return f"the server could not be started: {error.strerror}"
        return f"the connection failed with {type(error).__name__}"


class Supervisor:
    """Hands out the open line, dialling a new one when the last has failed."""

    def __init__(self, dial: Dial, dial_timeout_s: float) -> None:
        self._dial, self._dial_timeout_s = dial, dial_timeout_s
        self._current: Line | None = None
        self._lines: set[Line] = set()  # those that still let calls end, too
        self._jobs: set[asyncio.Task[Any]] = set()
        self._failures = 0
        self._is_closed = False
        self._numbers = itertools.count(1)
        self._last: str | None = None  # why the line before the current one ended

    async def line(self, patience_s: float) -> Line:
        """Return the open line, dialling if there is none.

        Args:
            patience_s: a reconnection that is not due within this time is not waited for.

        Raises:
            NoLine: there is none, and none could be had.
        """
        if self._is_closed:
            raise NoLine("the connector is closed")
        line = self._current
        if line is None or line.retired is not None:
            line = self._current = self._redial(line)
        wait_s = line.opens_at - asyncio.get_running_loop().time()
        if wait_s > patience_s and self._last is not None:
            raise NoLine(f"{self._last}; the next attempt is due in {wait_s:.1f} s")
        why = await asyncio.shield(line.opened)
        if why is not None:
            raise NoLine(why)
        return line

    def start(self, job: "asyncio.Task[Any]") -> None:
        """Own a job until it ends, whoever stops waiting for it."""
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def close(self) -> None:
        """End every line and job; again is harmless."""
        self._is_closed = True
        for line in self._lines:
            line.cut("the connector was closed")
        lines = {line.task for line in self._lines}
        if lines:
            _, late = await asyncio.wait(lines, timeout=CLOSE_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        # Calls wake by themselves when their line has ended; a job that never got a line is cancelled.
        if self._jobs:
            _, stuck = await asyncio.wait(set(self._jobs), timeout=CLOSE_WITHIN_S)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    def _redial(self, before: Line | None) -> Line:
        wait_s = 0.0
        if before is not None:
            self._last = before.retired
            self._failures = 1 if before.is_proved else self._failures + 1
            due_at = before.retired_at + pause_after(self._failures)
            wait_s = max(0.0, due_at - asyncio.get_running_loop().time())
        line = Line(self._dial, wait_s, self._dial_timeout_s, lambda: next(self._numbers))
        self._lines.add(line)
        line.task.add_done_callback(lambda _: self._lines.discard(line))
        return line
