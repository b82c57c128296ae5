# SPDX-License-Identifier: Apache-2.0
"""A write over stdio leaves at most once, and what is not proved is in doubt; real children, really killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from signoff.adapters.connectors import supervisor
from signoff.adapters.connectors.mcp_tool import McpConnector, stdio
from signoff.core.action.doubt import Answered, Errored, Lost, NotSent
from signoff.core.errors import Malformed, Unavailable
from signoff.ports.connector import Call, Connector

SERVERS = Path(__file__).parent / "servers"
Make = Callable[..., McpConnector]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Return a maker of connectors to the small server, closed at the end."""
    made: list[McpConnector] = []

    def one(*command: str, **options: Any) -> McpConnector:
        env = options.pop("env", None)
        whole = command or (sys.executable, str(SERVERS / "lines.py"), str(tmp_path))
        made.append(McpConnector(stdio(whole, env, str(tmp_path)), begin_within_s=options.pop("begin_within_s", 10)))
        return made[-1]

    yield one
    for connector in made:
        await connector.close()


def writes(place: Path) -> list[str]:
    file = place / "writes"
    return file.read_text().splitlines() if file.exists() else []


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


def call(name: str, timeout_s: float = 10, **args: Any) -> Call:
    return Call(name, args, timeout_s)


async def test_tools_are_listed_over_all_pages_as_the_server_describes_them(make: Make) -> None:
    connector: Connector = make()
    tools = await connector.describe()
    assert len(tools) == 12
    assert tools["write"].description == "Does write."
    assert tools["write"].annotations == {"readOnlyHint": True}
    assert tools["write"].output_schema is not None
    assert tools["env"].output_schema is None


async def test_a_result_that_breaks_its_output_schema_is_handed_on_and_not_lost(make: Make) -> None:
    connector = make()
    await connector.describe()
    answer = await connector.execute(call("write", tag="a", none=None, big=2**53 - 1))
    assert answer == Answered({"tag": "a", "args": {"tag": "a", "none": None, "big": 2**53 - 1}})


async def test_structured_content_that_breaks_the_protocol_is_not_lost_either(make: Make) -> None:
    assert await make().execute(call("odd")) == Answered({"text": "see here"})


async def test_errors_of_the_tool_carry_its_code_and_errors_of_the_protocol_none(make: Make) -> None:
    connector = make()
    closed = Errored("period_closed", "July is closed.")
    assert await connector.execute(call("fail", where="structured")) == closed
    assert await connector.execute(call("fail", where="text")) == closed
    assert await connector.execute(call("fail", where="plain")) == Errored(None, "It did not work.")
    assert await connector.execute(call("fail")) == Errored(None, "JSON-RPC error -32602: No such argument.")
    assert await connector.read(call("nothing")) == Errored(None, "JSON-RPC error -32601: Unknown tool.")


@pytest.mark.parametrize(
    ("name", "args", "why"),
    [
        ("huge", {"bytes": 300_000}, "answer too large"),
        ("huge", {"bytes": 6_000_000}, "answer too large"),
        ("deep", {}, "answer too large"),
        ("nan", {}, "not every value in it is JSON"),
        ("garbage", {}, "the answer is no JSON-RPC"),
    ],
)
async def test_an_unusable_answer_is_doubt_at_once_and_the_line_stays_open(
    make: Make, name: str, args: dict[str, Any], why: str
) -> None:
    connector = make()
    slow = asyncio.create_task(connector.execute(call("slow_write", tag="beside")))
    assert await connector.execute(Call(name, args, 10)) == Lost(why)
    assert await slow == Answered({"text": "done"})


async def test_an_unusable_answer_to_a_read_is_an_error(make: Make) -> None:
    assert await make().read(call("huge", bytes=300_000)) == Errored(None, "answer too large")


async def test_arguments_that_are_no_bounded_json_are_not_sent(make: Make, tmp_path: Path) -> None:
    connector = make()
    for bad in (float("nan"), "\ud800", "x" * 300_000):
        assert isinstance(await connector.execute(call("write", tag=bad)), NotSent)
    assert writes(tmp_path) == []


async def test_a_time_out_is_doubt_and_the_write_may_land_later(make: Make, tmp_path: Path) -> None:
    connector = make()
    await connector.describe()
    answer = await connector.execute(call("slow_write", timeout_s=0.1, tag="late", seconds=0.4))
    assert answer == Lost("no answer within 0.1 s")
    await until(lambda: bool(writes(tmp_path)))
    assert writes(tmp_path) == ["late"]  # and no word of cancellation, which could have stopped it half way
    assert isinstance(await connector.execute(call("kinds")), Answered)


async def test_a_read_that_is_given_up_tells_the_server_to_stop(make: Make, tmp_path: Path) -> None:
    connector = make()
    await connector.describe()
    assert isinstance(await connector.read(call("mute", timeout_s=0.2)), Lost)
    await until(lambda: writes(tmp_path) == ["mute", "cancelled"])


async def test_a_cancelled_caller_does_not_unsend_and_the_write_happens_once(make: Make, tmp_path: Path) -> None:
    connector = make()
    for _ in range(2):  # before the connection is made, and over an open one
        caller = asyncio.create_task(connector.execute(call("slow_write", tag="once", seconds=0.1)))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: bool(writes(tmp_path)))
        assert isinstance(await connector.execute(call("slow_write", tag="after", seconds=0.2)), Answered)
        assert writes(tmp_path) == ["once", "after"]
        (tmp_path / "writes").unlink()


async def test_a_child_killed_mid_call_loses_what_was_in_flight_and_is_started_again(
    make: Make, tmp_path: Path
) -> None:
    connector = make()
    beside = asyncio.create_task(connector.execute(call("mute", tag="beside")))
    await until(lambda: writes(tmp_path) == ["mute"])
    assert isinstance(await connector.execute(call("die")), Lost)
    assert isinstance(await beside, Lost)
    assert await connector.execute(call("write", tag="again")) == Answered({"tag": "again", "args": {"tag": "again"}})
    assert writes(tmp_path) == ["mute", "died", "again"]


async def test_fifty_calls_are_in_flight_at_once_and_a_slow_one_blocks_none(make: Make, tmp_path: Path) -> None:
    connector = make()
    slow = asyncio.create_task(connector.execute(call("mute", timeout_s=30)))
    many = await asyncio.gather(*(connector.execute(call("write", tag=str(n))) for n in range(50)))
    assert [answer.result["tag"] for answer in many if isinstance(answer, Answered)] == [str(n) for n in range(50)]
    assert not slow.done()
    assert sorted(writes(tmp_path)) == sorted([*(str(n) for n in range(50)), "mute"])
    await connector.close()
    assert await slow == Lost("the connector was closed")


async def test_what_never_left_a_full_queue_is_not_sent_now_nor_later(make: Make, tmp_path: Path) -> None:
    connector = make(begin_within_s=0.5)
    await connector.describe()
    told = await connector.execute(call("env"))
    assert isinstance(told, Answered)
    os.kill(told.result["pid"], signal.SIGSTOP)  # it reads no more, so the pipe fills
    filling = [connector.execute(call("write", timeout_s=1, tag=str(n), fill="x" * 200_000)) for n in range(3)]
    answers = await asyncio.gather(*filling)
    assert [type(answer) for answer in answers] == [Lost, NotSent, NotSent]
    os.kill(told.result["pid"], signal.SIGCONT)
    assert isinstance(await connector.execute(call("write", tag="after")), Answered)
    # The server takes calls side by side, so that the large one may be written after the small one that came later.
    await until(lambda: len(writes(tmp_path)) >= 2)
    assert sorted(writes(tmp_path)) == ["0", "after"]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/nowhere/to/be/found"], "the server could not be started: No such file or directory"),
        ([sys.executable, "-c", "pass"], "the server process ended its output"),
    ],
)
async def test_a_server_that_never_starts_proves_that_nothing_was_sent(
    make: Make, command: list[str], why: str
) -> None:
    connector = make(*command)
    for _ in range(2):
        assert await connector.execute(call("write")) == NotSent(why)
    with pytest.raises(Unavailable, match="could not be listed"):
        await connector.describe()


def test_pauses_grow_while_nothing_succeeds_up_to_half_a_minute() -> None:
    assert [supervisor.pause_after(failures) for failures in (1, 2, 3, 9, 10, 10_000)] == [0.1, 0.2, 0.4, 25.6, 30, 30]


async def test_a_pause_that_is_longer_than_the_callers_patience_is_not_waited_out(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSE_FIRST_S", 3_600.0)
    monkeypatch.setattr(supervisor, "PAUSE_MAX_S", 3_600.0)
    connector = make("/nowhere/to/be/found")
    for attempt in range(3):
        answer = await connector.execute(call("write"))
        assert isinstance(answer, NotSent)
        assert ("the next attempt is due in 3" in answer.why) is (attempt > 0)


async def test_a_server_that_does_not_answer_the_handshake_is_given_up(tmp_path: Path) -> None:
    connector = McpConnector(stdio(["sleep", "60"]), dial_timeout_s=0.2)
    answer = await connector.execute(call("write"))
    assert answer == NotSent("the server did not answer the handshake within 0.2 s")
    await connector.close()


async def test_a_write_that_does_not_begin_in_time_is_not_sent(make: Make) -> None:
    connector = make("sleep", "60", begin_within_s=0.1)
    assert await connector.execute(call("write", timeout_s=30)) == NotSent("no connection within 0.1 s")


async def test_the_child_sees_little_of_our_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNOFF_MASTER_KEY", "secret")
    answer = await make(env={"ERP_URL": "here"}).execute(call("env"))
    assert isinstance(answer, Answered)
    assert set(answer.result["env"]) <= {"PATH", "HOME", "LANG", "ERP_URL", "LC_CTYPE"}  # Python sets the last itself
    assert answer.result["env"]["ERP_URL"] == "here"


async def test_no_argument_result_or_line_of_standard_error_is_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="signoff"):
        connector = make()
        await connector.execute(call("write", tag="a-payload"))
        await connector.execute(call("garbage"))
        await connector.close()
    assert "bytes to standard error" in caplog.text
    assert "secret-looking" not in caplog.text
    assert "a-payload" not in caplog.text


async def test_closing_ends_the_child_and_doing_it_again_is_harmless(make: Make, tmp_path: Path) -> None:
    connector = make()
    told = await connector.execute(call("env"))
    assert isinstance(told, Answered)
    await connector.close()
    await connector.close()
    with pytest.raises(ProcessLookupError):
        os.kill(told.result["pid"], 0)
    assert writes(tmp_path) == ["input ended"]
    assert await connector.execute(call("write")) == NotSent("the connector is closed")
    with pytest.raises(Unavailable):
        await connector.describe()


async def test_closing_kills_a_child_that_does_not_heed_the_end_of_its_input(make: Make) -> None:
    connector = make("sh", "-c", "trap '' TERM INT; sleep 60 & sleep 60")
    waiting = asyncio.create_task(connector.execute(call("write")))
    await asyncio.sleep(0.1)
    await connector.close()
    assert isinstance(await waiting, NotSent)


async def test_the_child_ends_when_we_are_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from signoff.adapters.connectors.mcp_tool import McpConnector, stdio\n"
        "async def main():\n"
        f"    connector = McpConnector(stdio({[sys.executable, str(SERVERS / 'lines.py'), str(tmp_path)]!r}))\n"
        "    await connector.describe()\n"
        "    print('ready', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ours = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=env)
    assert ours.stdout is not None
    assert await ours.stdout.readline() == b"ready\n"
    ours.kill()
    await ours.wait()
    await until(lambda: writes(tmp_path) == ["input ended"])


async def test_a_server_of_the_library_is_spoken_to_in_its_own_era(make: Make, tmp_path: Path) -> None:
    connector = make(sys.executable, str(SERVERS / "library.py"), "stdio", str(tmp_path))
    assert len(await connector.describe()) == 5
    assert await connector.execute(call("write", tag=1)) == Answered({"args": {"tag": 1}})
    assert await connector.execute(call("fail")) == Errored("vendor_unknown", "No such vendor.")
    assert await connector.execute(call("huge", bytes=3)) == Answered({"text": "xxx"})  # breaks its output schema


def test_a_command_is_needed() -> None:
    with pytest.raises(Malformed):
        stdio([])


def test_secrets_of_a_target_are_not_shown() -> None:
    assert "hidden" not in repr(stdio(["erp"], {"TOKEN": "hidden"}))
