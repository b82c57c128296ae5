# SPDX-License-Identifier: Apache-2.0
"""Connections: nobody without a credential can make a node hold or wait for a head without end."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff.settings import Settings
from signoff.surfaces.http import bounded, server
from signoff.wiring import node
from tests.surfaces.office import Office

GET = b"GET /healthz HTTP/1.1\r\nHost: t\r\n"
POST = b"POST /login HTTP/1.1\r\nHost: t\r\ncontent-type: application/x-www-form-urlencoded\r\n"
MUCH = 8 * 1024 * 1024


@pytest.fixture
def line(office: Office) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", office.port)) as found:
        found.settimeout(10)
        yield found


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (GET + b"X-Long: ", b"a" * 65536),
        (GET, b"X-Many: y\r\n" * 6000),
        (b"GET /", b"a" * 65536),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: y\r\n" * 5000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5;", b"a" * 65536),
    ],
    ids=["one header", "many headers", "the target", "trailers", "the extension of a chunk"],
)
def test_a_head_without_end_is_cut_off(line: socket.socket, begin: bytes, piece: bytes) -> None:
    sent = 0
    try:
        line.sendall(begin)
        while sent < MUCH:
            sent += line.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < MUCH


def test_large_bodies_pass_and_so_does_what_follows_them_on_the_same_connection(office: Office) -> None:
    body = b'{"workflow": "%s"}' % (b"x" * 200_000)
    head = b"POST /v1/runs HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer %s\r\ncontent-type: application/json\r\n"
    head = head % office.keys["admin"].encode() + b"content-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", office.port)) as line:
        line.settimeout(10)
        line.sendall((head + body) * 2 + GET + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 422 ") == 2
    assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize("parser", ["plain", "fast"])
async def test_a_head_that_does_not_come_to_an_end_in_time_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: str
) -> None:
    kind = bounded.BoundedH11 if parser == "plain" else bounded.protocol()
    monkeypatch.setattr(server, "protocol", lambda: kind)
    monkeypatch.setattr(bounded, "HEAD_S", 0.2)
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    async with node(Settings(data=tmp_path)) as world:
        serving = asyncio.create_task(
            server.run_server(world, "127.0.0.1", 0, ready=lambda _, port: bound.set_result(port), stop=stop)
        )
        port = await asyncio.wait_for(bound, 10)
        for begun in (b"", b"GET /hea", GET):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.4)  # between two requests the keep-alive's own time counts
        writer.write(GET + b"Connection: close\r\n\r\n")
        assert b"HTTP/1.1 200" in await asyncio.wait_for(reader.read(), 10)
        writer.close()
        stop.set()
        await asyncio.wait_for(serving, 20)
