# SPDX-License-Identifier: Apache-2.0
"""The server: it tells when it listens, stops when asked, and lets what is under way end; and its logs keep secrets."""

import asyncio
import io
import json
import logging
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from signoff.core.errors import Conflict, Unavailable
from signoff.settings import Settings
from signoff.surfaces import logs, problems
from signoff.surfaces.http.api import create_app
from signoff.surfaces.http.server import run_server
from signoff.wiring import node
from tests.surfaces.office import Office, opened

KEY = "sgk_" + "0" * 32 + "_" + "f" * 64


async def test_it_serves_until_it_is_asked_to_stop_and_puts_the_signal_handlers_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    bound: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    async with node(Settings(data=tmp_path)) as world:
        serving = asyncio.create_task(
            run_server(world, "127.0.0.1", 0, ready=lambda url, port: bound.set_result((url, port)))
        )
        url, port = await asyncio.wait_for(bound, 10)
        assert url == f"http://127.0.0.1:{port}"
        async with httpx2.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{url}/readyz")).json() == {"is_ready": True, "reasons": []}
        signal.raise_signal(signal.SIGTERM)  # asks, and ends no one
        await asyncio.wait_for(serving, 10)
        with pytest.raises(httpx2.ConnectError):
            async with httpx2.AsyncClient(trust_env=False) as http:
                await http.get(f"{url}/readyz")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_whoever_waits_is_answered_when_the_node_is_about_to_stop(tmp_path: Path) -> None:
    """They get the action as it stands, and collect its outcome from the next start."""
    with opened(tmp_path) as office, ThreadPoolExecutor(1) as pool:
        waiting = office.waiting(office.begin())
        asked = pool.submit(office.call, "GET", f"/v1/actions/{waiting['action_id']}?wait=60")
        while office.world is not None and not office.world.bell._waiting:
            threading.Event().wait(0.01)
        office.close()
        assert asked.result(9).json()["state"] == "pending_approval"


async def test_a_cancelled_server_stops_in_order(tmp_path: Path) -> None:
    async with node(Settings(data=tmp_path)) as world:
        ready = asyncio.Event()
        serving = asyncio.create_task(
            run_server(world, "127.0.0.1", 0, ready=lambda *_: ready.set(), stop=asyncio.Event())
        )
        await asyncio.wait_for(ready.wait(), 10)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)


async def test_an_address_that_is_taken_is_told_as_such(office: Office) -> None:
    assert office.world is not None
    with pytest.raises(Conflict) as refused:
        await run_server(office.world, "127.0.0.1", office.port, stop=asyncio.Event())
    assert refused.value.code == "server.no_address"


async def test_a_node_that_drains_or_only_reads_is_alive_and_not_ready(tmp_path: Path) -> None:
    async with node(Settings(data=tmp_path)) as world:
        app = create_app(world)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://t") as http:
            app.is_draining = True
            world.is_read_only = True
            answer = await http.get("/readyz")
            assert (answer.status_code, answer.json()["is_ready"]) == (503, False)
            assert [one.partition(":")[0] for one in answer.json()["reasons"]] == ["draining", "read_only"]
            assert answer.headers["retry-after"] == "2"
            assert (await http.get("/healthz")).status_code == 200
            world.is_read_only = False


def test_a_log_line_is_one_json_object_without_keys_tokens_or_foreign_words() -> None:
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(logs.JsonLines())
    log = logging.Logger("a.name")
    log.addHandler(handler)
    log.warning(
        "key %s came\nwith Bearer abc.def", KEY, extra={"fields": {"token": "eyJhbGciOi.eyJzdWIiOi.sig", "n": 1}}
    )
    try:
        try:
            raise ValueError("hunter2")
        except ValueError as cause:
            raise Conflict("This clashes.", "It does.", "Do not.") from cause
    except Conflict:
        log.exception("it failed")
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert first["message"] == "key [secret] came\nwith [secret]"
    assert (first["level"], first["logger"], first["token"], first["n"]) == ("warning", "a.name", "[secret]", 1)
    assert second["exception"]["code"] == "conflict"
    assert second["exception"]["cause"] == "builtins.ValueError"
    assert "hunter2" not in stream.getvalue()


def test_every_log_of_the_process_goes_through_one_door() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        logs.configure("INFO", stream := io.StringIO())
        logging.getLogger("signoff.x").info("hello")
        logging.getLogger("httpx2").info("GET https://elsewhere?token=1")
        assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["hello"]
    finally:
        root.handlers[:], root.level = before, level


def test_an_error_that_passes_says_when_to_come_back() -> None:
    problem = problems.problem_of(Unavailable("It is busy.", "Many wait.", "Wait.", retry_after_s=7))
    assert (problem.status, problem.headers["Retry-After"]) == (503, "7")
    assert problem.text == "It is busy.\nMany wait.\nWait."
    assert problems.problem_of(Conflict("a", "b", "c", what_else={"x": [1, object]})).members["what_else"]["x"][0] == 1
