# SPDX-License-Identifier: Apache-2.0
"""Start a tool server as a child process and exchange lines of JSON with it (MCP, Transports, stdio).

The library's own transport is not used: it bounds no line, waits up to four seconds on closing, and cannot say
whether a request had begun to leave. The child gets a minimal environment, its standard error is drained and only
counted, and it sees the end of its input when we close or die.
"""

import asyncio
import logging
import os
import re
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from signoff.adapters.connectors.mcp_answer import TOO_LARGE
from signoff.adapters.connectors.supervisor import Line, Streams

LINE_MAX: Final = 4 * 1024 * 1024  # bytes: a result of 256 KiB twice, escaped, with room to spare
CHUNK: Final = 64 * 1024
GRACE_S: Final = 0.5  # from the end of its input to the kill
INHERITED: Final = ("PATH", "HOME", "LANG")

_ID: Final = re.compile(rb'"id"\s*:\s*"(s\d+)"')
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stdio:
    """A server that is started as a child: its command, what it finds in its environment, and where it runs."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    cwd: str | None = None

    @property
    def label(self) -> str:
        """The program alone; arguments may hold secrets."""
        return os.path.basename(self.command[0])  # noqa: PTH119 - the name as given; no file is touched


class _Protocol(SubprocessStreamProtocol):
    """Tells when the process itself is gone, whoever still holds its pipes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=CHUNK, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


@asynccontextmanager
async def dial_stdio(target: Stdio, line: Line) -> AsyncGenerator[Streams]:
    """Run the child for the length of the context; on leaving it is gone.

    Raises:
        OSError: it could not be started.
    """
    loop = asyncio.get_running_loop()
    env = {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(target.env)
    transport, protocol = await loop.subprocess_exec(
        lambda: _Protocol(loop),
        *target.command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=env,
        cwd=target.cwd,
        start_new_session=True,  # a group of its own, so that the kill reaches what it started
    )
    process = Process(transport, protocol, loop)
    into, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, out_of = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_hear(process, into, line)),
        asyncio.create_task(_say(process, out_of, line)),
        asyncio.create_task(_drain(process, target.label)),
    ]
    try:
        yield reading, writing
    finally:
        try:
            await _end(process, protocol.exited)
        finally:
            for task in tasks:
                task.cancel()
            for stream in (into, reading, writing, out_of):
                stream.close()
            transport.close()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _hear(process: Process, into: MemoryObjectSendStream[SessionMessage | Exception], line: Line) -> None:
    """Deliver what the child writes, line by line, until its output ends."""
    assert process.stdout is not None
    try:
        async for data, is_whole in _lines(process.stdout):
            message = _message(data, line) if is_whole else _stand_in(data, TOO_LARGE, line)
            if message is not None:
                await into.send(message)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        pass  # the session is gone, or the pipe broke: either way nothing more is heard
    finally:
        line.retire("the server process ended its output")
        into.close()


async def _say(process: Process, out_of: MemoryObjectReceiveStream[SessionMessage], line: Line) -> None:
    """Write messages to the child. A tool call passes its gate right before its first byte."""
    assert process.stdin is not None
    try:
        async for item in out_of:
            message = item.message
            data = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
            if isinstance(message, mcp_types.JSONRPCRequest) and message.method == "tools/call":
                gate = line.gates.get(str(message.id))
                if gate is None or not gate.begin():
                    continue  # given up before it left, and reported so
            process.stdin.write(data)
            await process.stdin.drain()
    except OSError:
        line.retire("the server process closed its input")


async def _drain(process: Process, label: str) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(CHUNK):
        # Counted, never shown: a server's standard error may repeat arguments and secrets.
        _log.debug("%s wrote %d bytes to standard error", label, len(chunk))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield each line and whether it is whole; of one that is too long, only its head and tail."""
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(CHUNK):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            whole = size + len(end) <= LINE_MAX
            yield b"".join((*parts, end)), whole
            parts, size = [], 0
        size += len(rest)
        parts.append(rest)
        if size > LINE_MAX:
            kept = b"".join(parts)
            parts = [kept[:CHUNK], kept[-CHUNK:]]


def _message(data: bytes, line: Line) -> SessionMessage | None:
    if not data.strip():
        return None
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(data, by_name=False))
    except ValueError:
        return _stand_in(data, "the answer is no JSON-RPC", line)


def _stand_in(data: bytes, why: str, line: Line) -> SessionMessage | None:
    """Wake the call that an unusable line seems to answer, so that it need not wait out its time.

    A line that names the wrong call makes that call `Lost`, which claims nothing.
    """
    found = _ID.search(data[:256]) or _ID.search(data[-256:])
    gate = line.gates.get(found[1].decode()) if found else None
    if found is None or gate is None:
        _log.debug("dropped a line of %d bytes: %s", len(data), why)
        return None
    gate.why = why
    error = mcp_types.ErrorData(code=mcp_types.PARSE_ERROR, message=why)
    return SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=found[1].decode(), error=error))


async def _end(process: Process, exited: asyncio.Event) -> None:
    """Close the child's input, and kill its group if it is not gone soon after."""
    assert process.stdin is not None
    process.stdin.close()
    if await _within(exited, GRACE_S):
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    if not await _within(exited, GRACE_S):
        _log.warning("Process %d is still there after the kill; it is left behind.", process.pid)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
