# SPDX-License-Identifier: Apache-2.0
"""The same promises over streamable HTTP, in both eras of the protocol, against servers that really die."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest

from signoff.adapters.connectors.mcp_http import _Wire
from signoff.adapters.connectors.mcp_tool import McpConnector, http
from signoff.adapters.connectors.supervisor import CALL_HEADER, Gate, Line
from signoff.core.action.doubt import Answered, Errored, Lost, NotSent
from signoff.core.errors import Malformed, Unavailable
from signoff.ports.connector import Call

SERVER = Path(__file__).parent / "servers" / "library.py"


@dataclass
class Running:
    mode: str
    place: Path
    process: subprocess.Popen[str]
    port: int

    @property
    def writes(self) -> list[str]:
        file = self.place / "writes"
        return file.read_text().splitlines() if file.exists() else []

    def url(self, path: str = "/mcp") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def start(mode: str, place: Path, port: int = 0) -> Running:
    command = [sys.executable, str(SERVER), mode, str(place), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Running(mode, place, process, int(process.stdout.readline()))


@pytest.fixture(scope="module", params=["http", "http-json", "http-sessions"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(request.param, tmp_path_factory.mktemp("server"))
    yield running
    running.kill()


@pytest.fixture
async def connector(server: Running) -> AsyncIterator[McpConnector]:
    (server.place / "writes").unlink(missing_ok=True)
    one = McpConnector(http(server.url()), begin_within_s=10)
    yield one
    await one.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


def call(name: str, timeout_s: float = 10, **args: Any) -> Call:
    return Call(name, args, timeout_s)


async def test_tools_are_listed_and_called(server: Running, connector: McpConnector) -> None:
    assert set(await connector.describe()) == {"write", "slow", "die", "fail", "huge"}
    assert await connector.execute(call("write", tag="a", none=None)) == Answered({"args": {"tag": "a", "none": None}})
    assert await connector.execute(call("fail")) == Errored("vendor_unknown", "No such vendor.")
    assert await connector.execute(call("nothing")) == Errored(None, "JSON-RPC error -32602: No such tool.")
    assert await connector.execute(call("huge", bytes=3)) == Answered({"text": "xxx"})  # breaks its output schema
    assert server.writes == ["a"]


async def test_a_huge_answer_is_doubt_after_a_write_and_an_error_after_a_read(connector: McpConnector) -> None:
    for size in (300_000, 6_000_000):
        assert await connector.execute(call("huge", bytes=size)) == Lost("answer too large")
        answer = await connector.read(call("huge", bytes=size))
        assert isinstance(answer, Errored | Lost)
        assert "answer too large" in str(answer)


async def test_a_time_out_is_doubt_and_the_write_lands_later(server: Running, connector: McpConnector) -> None:
    await connector.describe()
    answer = await connector.execute(call("slow", timeout_s=0.2, tag="late", seconds=0.5))
    assert answer == Lost("no answer within 0.2 s")
    await until(lambda: server.writes == ["began late", "ended late"])


async def test_a_cancelled_caller_does_not_unsend(server: Running, connector: McpConnector) -> None:
    caller = asyncio.create_task(connector.execute(call("slow", tag="once", seconds=0.2)))
    await until(lambda: server.writes == ["began once"])
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await until(lambda: server.writes == ["began once", "ended once"])


async def test_fifty_calls_are_in_flight_at_once(server: Running, connector: McpConnector) -> None:
    calls = (connector.execute(call("slow", tag=n, seconds=0.3)) for n in range(50))
    answers = await asyncio.gather(*calls)
    assert answers == [Answered({"tag": n}) for n in range(50)]
    assert len(server.writes) == 100


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/moved", "the server redirects; give its final URL"),
        ("/broken", "the server answered HTTP 502"),
    ],
)
async def test_what_is_no_mcp_server_is_named_and_no_redirect_is_followed(server: Running, path: str, why: str) -> None:
    (server.place / "writes").unlink(missing_ok=True)
    connector = McpConnector(http(server.url(path)))
    assert await connector.execute(call("write", tag="x")) == NotSent(why)
    assert set(server.writes) <= {"redirected"}
    await connector.close()


@pytest.mark.parametrize("mode", ["http-json", "http-sessions"])
async def test_a_server_dying_mid_call_leaves_doubt_and_then_a_refused_connection_is_proof(
    mode: str, tmp_path: Path
) -> None:
    running = start(mode, tmp_path)
    connector = McpConnector(http(running.url()), begin_within_s=10)
    try:
        beside = asyncio.create_task(connector.execute(call("slow", tag="beside", seconds=30)))
        await until(lambda: running.writes == ["began beside"])
        assert isinstance(await connector.execute(call("die")), Lost)
        assert isinstance(await beside, Lost)
        running.process.wait()
        assert await connector.execute(call("write", tag=1)) == NotSent("no connection to the server could be made")
        with pytest.raises(Unavailable, match="No connection to the server could be made"):
            await connector.describe()
        running.process.communicate()
        running = start(mode, tmp_path, running.port)
        assert await connector.execute(call("write", tag=2)) == Answered({"args": {"tag": 2}})
        assert running.writes == ["began beside", "died", "2"]
    finally:
        await connector.close()
        running.kill()


async def test_a_server_restarted_between_calls_is_doubt_at_most_once(tmp_path: Path) -> None:
    running = start("http-sessions", tmp_path)
    connector = McpConnector(http(running.url()), begin_within_s=10)
    try:
        await connector.describe()
        running.kill()
        running = start("http-sessions", tmp_path, running.port)
        assert not isinstance(await connector.execute(call("write", tag=1)), Answered)  # its session is forgotten
        assert await connector.execute(call("write", tag=2)) == Answered({"args": {"tag": 2}})
        assert running.writes == ["2"]
    finally:
        await connector.close()
        running.kill()


def test_a_gate_lets_a_request_out_at_most_once_and_never_after_it_was_shut() -> None:
    opened = Gate()
    assert [opened.begin(), opened.begin(), opened.shut()] == [True, False, False]
    shut = Gate()
    assert [shut.shut(), shut.begin(), shut.shut()] == [True, False, True]


@pytest.mark.parametrize("case", ["open", "shut while connecting", "unknown", "without a gate"])
async def test_a_call_given_up_while_its_connection_was_made_never_leaves(case: str) -> None:
    heard, ended = bytearray(), asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read())
        writer.close()
        await writer.wait_closed()
        ended.set()

    gate = Gate()
    if case == "shut while connecting":
        gate.shut()
    line = SimpleNamespace(gates={"s1": gate} if case != "unknown" else {}, retire=lambda why: None, hint=None)
    headers = {} if case == "without a gate" else {CALL_HEADER: "s1"}
    async with await asyncio.start_server(hear, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/mcp"
        async with httpx2.AsyncClient(transport=_Wire(cast(Line, line), False), timeout=0.3) as client:
            answer = await client.post(url, headers=headers, json={"id": "s1", "method": "tools/call"})
        await asyncio.wait_for(ended.wait(), 10)
    assert answer.status_code == 503
    assert (b"tools/call" in heard) is (case == "open")
    assert CALL_HEADER.encode() not in heard
    assert gate.shut() is (case != "open")


async def test_a_refused_connection_is_proof_that_nothing_was_sent() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
    connector = McpConnector(http(f"http://127.0.0.1:{port}/mcp"))
    assert await connector.execute(call("write")) == NotSent("no connection to the server could be made")
    await connector.close()


def test_a_url_of_http_is_needed_and_headers_are_not_shown() -> None:
    with pytest.raises(Malformed):
        http("ftp://erp.example/mcp")
    assert "hidden" not in repr(http("https://erp.example/mcp", {"authorization": "hidden"}))
