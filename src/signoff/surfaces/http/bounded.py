# SPDX-License-Identifier: Apache-2.0
"""HTTP connections that hold no more than they must: what precedes a body is bounded in bytes and in time.

And that cost no more than they must: an answer's head and body leave in one write.

Whoever has shown no credential yet can send a head without end, or a byte now and then. The fast parser bounds
neither, so that one connection could fill the memory of a node; the plain one bounds bytes only.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        HttpToolsProtocol = None

# A credential has at most 8 KiB; the rest is room for proxies, and for the framing and trailers of chunks.
HEAD_MAX: Final = 64 * 1024
HEAD_S: Final = 30.0
FINAL: Final = tuple(b"HTTP/1.1 %d" % kind for kind in (2, 3, 4, 5))  # an interim answer (1xx) is not kept back
_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


def protocol() -> type[asyncio.Protocol]:
    """Return the protocol of a connection: the fast parser where it is installed."""
    return BoundedH11 if HttpToolsProtocol is None else BoundedHttpTools


class _Patience:
    """Closes a connection whose head does not come to an end in `HEAD_S` seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop, self._transport = loop, transport
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(HEAD_S, self._transport.close)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Joined:
    """A transport that keeps the head of an answer until its body comes: one call of the kernel, and one packet.

    A head that no body follows leaves with `flush`, and at the latest when the connection is closed.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self.is_closing, self.get_extra_info = transport.is_closing, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(FINAL) and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedH11(H11Protocol):
    """The plain parser; it bounds bytes by itself (`h11_max_incomplete_event_size`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = _Patience(self.loop, transport)
        self._patience.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._patience.begin()
        else:
            self._patience.end()


if HttpToolsProtocol is not None:

    class BoundedHttpTools(HttpToolsProtocol):
        """The fast parser, which passes on a header once it is whole and adds them up without end."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._besides_body = 0
            self._has_begun = False
            self._is_in_head = True

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self._joined = Joined(transport)
            super().connection_made(self._joined)  # type: ignore[arg-type]
            self._patience = _Patience(self.loop, transport)
            self._patience.begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._patience.end()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return  # refused already; what still comes is not read
            self._has_begun = False
            self._besides_body += len(data)
            super().data_received(data)
            if self._has_begun:
                # The data may end one message and begin another; how it divides is not told, so it is let pass.
                self._besides_body = 0
            elif self._besides_body > HEAD_MAX:
                self.transport.write(_REFUSAL)
                self.transport.close()
            if self._is_in_head:  # a head that came as a whole, as nearly all do, needs no timer
                self._patience.begin()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._has_begun = self._is_in_head = True

        def on_headers_complete(self) -> None:
            self._is_in_head = False
            self._patience.end()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            self._joined.flush()  # of an answer without a body
            super().on_response_complete()

        def on_body(self, body: bytes) -> None:
            self._besides_body -= len(body)
            super().on_body(body)
