# SPDX-License-Identifier: Apache-2.0
"""Governed writes over HTTP on loopback: a server process, a process that loads it, 64 kept-alive connections.

The same client, in the same run, loads a FastAPI application that only echoes. `python -m benchmarks.over_http` with
`serve`, `echo` or `load` is one of these processes.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.peers import Peers
from benchmarks.row import Row, loaded, median
from benchmarks.writes import WRITES_A_RUN

CONNECTIONS = 64
RATE = 4000
PROGRAM = [sys.executable, "-m", "benchmarks.over_http"]


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure governed writes over HTTP, interleaved with the echo."""
    rounds = 2 if quick else 5
    ours, echo = [], []
    with _serving("serve") as node, _serving("echo") as bare:
        _load(node)
        _load(bare)
        for _ in range(rounds):
            ours.append(_load(node))
            echo.append(_load(bare))
    name = "FastAPI echo, same client"
    rate, theirs = median(load["rate"] for load in ours), median(load["rate"] for load in echo)
    found = [
        Row(
            "over HTTP, 64 connections",
            "actions/s",
            rate,
            RATE,
            most=False,
            versus=name,
            theirs=theirs,
            figures={"ours": ours, "echo": echo},
        ),
        Row("over HTTP, half of the echo", "actions/s", rate, theirs / 2, most=False, versus=name, theirs=theirs),
    ]
    for share in ("p50_ms", "p99_ms"):
        mine, other = median(load[share] for load in ours), median(load[share] for load in echo)
        found.append(Row(f"over HTTP, {share[:3]}", "ms", mine, versus=name, theirs=other))
    return found


@contextlib.contextmanager
def _serving(kind: str) -> Iterator[dict[str, Any]]:
    """Run a server until the block ends; yields what it said when it was ready."""
    server = subprocess.Popen([*PROGRAM, kind], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
    finally:
        assert server.stdin is not None
        server.stdin.close()  # asks it to stop
        server.wait(60)


def _load(target: dict[str, Any]) -> dict[str, float]:
    said = subprocess.run([*PROGRAM, "load", json.dumps(target)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(said.stdout)
    return found


# --- the processes -----------------------------------------------------------------------------------------------


async def _told_to_stop() -> None:
    """Return when the parent closes our standard input."""
    await asyncio.to_thread(sys.stdin.read)


async def serve() -> None:
    """Serve a node until standard input ends."""
    from benchmarks.world import bench_node
    from signoff.surfaces.http.server import run_server

    async with bench_node() as bench:
        stop = asyncio.Event()

        def ready(url: str, port: int) -> None:
            print(json.dumps({"port": port, "token": bench.token}), flush=True)

        serving = asyncio.create_task(run_server(bench.world, "127.0.0.1", 0, ready=ready, stop=stop))
        await _told_to_stop()
        stop.set()
        await serving


async def echo() -> None:
    """Serve a bare FastAPI application that answers what it was sent, until standard input ends."""
    import socket

    import uvicorn
    from fastapi import FastAPI, Request

    app = FastAPI()

    @app.post("/echo")
    async def answer(request: Request) -> Any:
        return await request.json()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    listener.listen(128)  # so that a first connection waits, however early it comes
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await _told_to_stop()
    server.should_exit = True
    await serving


async def load(target: dict[str, Any]) -> None:
    """Load one server over 64 connections and print what it took."""
    token = target.get("token")
    connections = [Client(*await asyncio.open_connection("127.0.0.1", target["port"])) for _ in range(CONNECTIONS)]
    headers = f"Authorization: Bearer {token}\r\n" if token else ""
    places = ["/echo"] * CONNECTIONS
    if token:
        begin = json.dumps({"workflow": "notes", "task": "bench"}).encode()
        runs = [json.loads(await one.post("/v1/runs", headers, begin))["run_id"] for one in connections]
        places = [f"/v1/runs/{run}/actions?wait=30" for run in runs]
    bodies = [
        [
            json.dumps({"tool": "book.note", "args": {"customer": f"C-{who}", "text": f"note {number}"}}).encode()
            for number in range(WRITES_A_RUN)
        ]
        for who in range(CONNECTIONS)
    ]

    async def call(who: int, number: int) -> None:
        answer = await connections[who].post(places[who], headers, bodies[who][number])
        assert not token or json.loads(answer)["state"] == "succeeded", answer

    took = await loaded(CONNECTIONS, WRITES_A_RUN, call)
    print(json.dumps({"rate": took.rate, "p50_ms": took.at(0.5) * 1e3, "p99_ms": took.at(0.99) * 1e3}))


class Client:
    """One kept-alive connection; no more HTTP than these servers need, so that the load costs little."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def post(self, path: str, headers: str, body: bytes) -> bytes:
        """Send a body and return that of the answer."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(answer.partition("content-length:")[2].partition("\r\n")[0])
        found = await self._reader.readexactly(length)
        assert answer.startswith("http/1.1 2"), (answer, found)
        return found


if __name__ == "__main__":
    from signoff.surfaces.http.server import run

    match sys.argv[1:]:
        case ["serve"]:
            run(serve())
        case ["echo"]:
            run(echo())
        case ["load", target]:
            run(load(json.loads(target)))
