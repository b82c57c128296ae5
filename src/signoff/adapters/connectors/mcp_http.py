# SPDX-License-Identifier: Apache-2.0
"""Reach a tool server over streamable HTTP, with every failure kept to its own call.

The library speaks the protocol; `_Wire` below it decides what may leave. It turns a failed exchange into an answer
of that exchange alone (the library would end the whole connection), proves from the HTTP client's own trace
whether a request had begun to leave, follows no redirect, resumes no stream, and bounds what is read.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from signoff.adapters.connectors.mcp_answer import TOO_LARGE
from signoff.adapters.connectors.supervisor import CALL_HEADER, Gate, Line, Streams

BODY_MAX: Final = 4 * 1024 * 1024  # bytes of one answer
CONNECTIONS_MAX: Final = 256
IDLE_S: Final = 3.0  # below the five seconds after which common servers hang up on an idle connection
TIMEOUT: Final = httpx2.Timeout(10.0, write=30.0, read=600.0)  # calls have their own end; this one frees sockets
LEAVE_TIMEOUT: Final = {"connect": 0.5, "read": 0.5, "write": 0.5, "pool": 0.5}


@dataclass(frozen=True, slots=True)
class Http:
    """A server behind a URL, with the headers every request carries."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets

    @property
    def label(self) -> str:
        """The host alone; path and query may hold secrets."""
        return httpx2.URL(self.url).host


@asynccontextmanager
async def dial_http(target: Http, line: Line) -> AsyncGenerator[Streams]:
    """Speak to the server for the length of the context."""
    headers = {**target.headers, "accept-encoding": "identity"}  # the bound on bytes is one on what they hold
    # Reading the trusted roots takes a tenth of a second, so it is not done on the loop, nor where nothing uses them.
    is_tls = httpx2.URL(target.url).scheme == "https"
    verify = await asyncio.to_thread(ssl.create_default_context) if is_tls else False
    async with (
        httpx2.AsyncClient(transport=_Wire(line, verify), headers=headers, timeout=TIMEOUT, trust_env=False) as client,
        streamable_http_client(target.url, http_client=client, max_sse_event_size=BODY_MAX) as streams,
    ):
        yield streams


class _Refused(Exception):
    """The gate is shut: nothing was sent, and nothing will be."""


class _Wire(httpx2.AsyncBaseTransport):
    """One HTTP exchange at a time, each failing alone."""

    def __init__(self, line: Line, verify: ssl.SSLContext | bool) -> None:
        limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=IDLE_S)
        self._inner = httpx2.AsyncHTTPTransport(verify=verify, retries=0, limits=limits, trust_env=False)
        self._line = line

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request`, at most once if it is a tool call; a failure is noted and answered 503."""
        if request.method == "GET":
            # Streams for the server's own messages, and for resuming a lost answer: look-ups do that better.
            return httpx2.Response(405)
        if request.method == "DELETE":
            request.extensions["timeout"] = LEAVE_TIMEOUT
        gate = self._gate(request)
        if gate is not None:
            self._watch(request, gate)
        try:
            response = await self._inner.handle_async_request(request)
            return await self._checked(request, response, gate)
        except _Refused:
            return httpx2.Response(503)
        except httpx2.TransportError as error:
            why = _why(error)
            if not isinstance(error, httpx2.ReadTimeout | httpx2.PoolTimeout):
                self._line.retire(why)  # a slow answer says nothing of the connection; the others do
            return self._failed(why, gate)

    def _gate(self, request: httpx2.Request) -> Gate | None:
        call_id = request.headers.pop(CALL_HEADER, None)
        if call_id is not None:
            return self._line.gates.get(call_id) or _shut_gate()
        if b'"tools/call"' in request.content and request.method == "POST":
            return _shut_gate()  # a call that lost its gate could not be accounted for, so it does not leave
        return None

    def _failed(self, why: str, gate: Gate | None, status: int = 503) -> httpx2.Response:
        if gate is None:
            self._line.hint = why
        _note(gate, why)
        return httpx2.Response(status)

    def _watch(self, request: httpx2.Request, gate: Gate) -> None:
        async def trace(event: str, _: Mapping[str, Any]) -> None:
            # The last event before the first byte of the request itself; the connection is made by then.
            if event.endswith("send_request_headers.started") and not gate.begin():
                raise _Refused

        request.extensions["trace"] = trace

    async def _checked(self, request: httpx2.Request, response: httpx2.Response, gate: Gate | None) -> httpx2.Response:
        """Return the response with its body bounded; what is no MCP answer is noted."""
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            return self._failed("the server compressed its answer though asked not to", gate)
        if 300 <= response.status_code < 400:
            # Following would send the call twice, though the first server should not have acted on it.
            await response.aclose()
            return self._failed("the server redirects; give its final URL", gate)
        if response.status_code == 404 and "mcp-session-id" in request.headers:
            self._line.retire("the server has forgotten the session")
        if response.status_code >= 400 and kind != "application/json":
            await response.aclose()
            return self._failed(f"the server answered HTTP {response.status_code}", gate, response.status_code)
        stream = _Bounded(response, gate)
        if kind == "text/event-stream":
            return httpx2.Response(response.status_code, headers=response.headers, stream=stream)
        try:
            body = b"".join([chunk async for chunk in stream])
        finally:
            await response.aclose()
        if gate is not None and gate.why is not None:
            return httpx2.Response(503)
        return httpx2.Response(response.status_code, headers=response.headers, stream=httpx2.ByteStream(body))


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends early, with the reason noted, where it is too large or breaks off."""

    def __init__(self, response: httpx2.Response, gate: Gate | None) -> None:
        self._response, self._gate = response, gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = BODY_MAX
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)
        try:
            async for chunk in self._response.stream:
                left -= len(chunk)
                if left < 0:
                    _note(self._gate, TOO_LARGE)
                    return
                yield chunk
        except httpx2.TransportError as error:
            _note(self._gate, _why(error))

    async def aclose(self) -> None:
        await self._response.aclose()


def _note(gate: Gate | None, why: str) -> None:
    if gate is not None:
        gate.why = gate.why or why


def _shut_gate() -> Gate:
    gate = Gate()
    gate.shut()
    return gate


def _why(error: httpx2.TransportError) -> str:
    match error:
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "no connection to the server could be made"
        case httpx2.PoolTimeout():
            return "all connections to the server are in use"
        case httpx2.ReadTimeout():
            return "the server was silent for too long"
        case _:
            return "the connection to the server broke"
