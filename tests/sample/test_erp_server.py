# SPDX-License-Identifier: Apache-2.0
"""The ERP as a server: over stdio and streamable HTTP, with every fault."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from signoff_sample.erp import faults
from signoff_sample.erp.audit import audit
from signoff_sample.erp.server import build
from signoff_sample.erp.store import Store, open_store
from signoff_sample.erp.tools import TOOLS

from .driving import ENTRY, ask, http_server, over_stdio

CREATE = "erp.create_journal_entry"
POST: dict[str, Any] = ENTRY | {"idempotency_key": "k1"}


async def walk(client: Client) -> None:
    """Preview, write, repeat, find, reverse; every answer is checked against its listed schema by the client."""
    listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == list(TOOLS)
    preview = await ask(client, "erp.preview_journal_entry", **ENTRY)
    entry = await ask(client, CREATE, **POST, expected_version=preview["version"])
    assert await ask(client, CREATE, **POST) == entry
    assert await ask(client, "erp.find_entry", idempotency_key="k1") == entry
    reversal = await ask(
        client, "erp.reverse_journal_entry", entry_id=entry["entry_id"], reason="test", idempotency_key="k2"
    )
    assert reversal["status"] == "reversed"
    refusal = await client.call_tool(CREATE, POST | {"idempotency_key": "k3", "surprise": 1})
    assert refusal.is_error
    assert refusal.structured_content["error"]["code"] == "invalid_arguments"
    assert '"code": "invalid_arguments"' in refusal.content[0].text  # type: ignore[union-attr]
    with pytest.raises(MCPError):
        await client.call_tool("erp.no_such_tool", {})


async def test_a_client_walks_through_the_tools_over_stdio(db: Path) -> None:
    async with over_stdio(db) as client:
        await walk(client)
    assert audit(db)["calls"]["k1"]["outcomes"] == ["written", "repeated"]


async def test_clients_of_either_protocol_walk_through_the_tools_over_http(db: Path, tmp_path: Path) -> None:
    with http_server(db) as url:
        async with Client(url) as client:
            await walk(client)
        async with Client(url, mode="legacy") as client:
            assert (await ask(client, "erp.find_entry", idempotency_key="k1"))["status"] == "reversed"


async def test_calls_of_one_client_do_not_wait_for_one_another(store: Store) -> None:
    faults.set_fault(store, "erp.get_entry", "slow", delay_s=60)
    async with Client(build(store)) as client:
        slow = asyncio.create_task(ask(client, "erp.get_entry", entry_id="JE-000001"))
        assert (await ask(client, "erp.find_entry", idempotency_key="k1"))["entry_id"] == ""
        assert not slow.done()
        slow.cancel()


async def entry_of(client: Client, key: str = "k1") -> str:
    return str((await ask(client, "erp.find_entry", idempotency_key=key))["entry_id"])


async def test_timeout_after_write_has_written_and_fires_as_often_as_told(store: Store) -> None:
    faults.set_fault(store, CREATE, "timeout_after_write", delay_s=60)
    async with Client(build(store)) as client:
        with pytest.raises(MCPError):
            await client.call_tool(CREATE, POST, read_timeout_seconds=0.5)
        first = await entry_of(client)
        assert first
        assert (await ask(client, CREATE, **POST))["entry_id"] == first, "the fault is spent, the key holds"
    assert [row["fired"] for row in faults.listed(store)] == [1]


async def test_error_before_write_has_written_nothing(store: Store) -> None:
    faults.set_fault(store, CREATE, "error_before_write", times=2)
    async with Client(build(store)) as client:
        for _ in range(2):
            assert (await ask(client, CREATE, **POST))["error"]["code"] == "internal"
            assert not await entry_of(client)
        assert (await ask(client, CREATE, **POST))["entry_id"]


async def test_slow_answers_late_and_writes_nothing_when_it_was_cancelled_meanwhile(store: Store) -> None:
    faults.set_fault(store, CREATE, "slow", delay_s=60)
    faults.set_fault(store, CREATE, "slow", delay_s=0.1)
    async with Client(build(store)) as client:
        with pytest.raises(MCPError):
            await client.call_tool(CREATE, POST, read_timeout_seconds=0.2)
        assert not await entry_of(client)
        assert (await ask(client, CREATE, **POST))["status"] == "posted"


async def test_bad_answer_has_written_and_breaks_its_schema(store: Store) -> None:
    faults.set_fault(store, CREATE, "bad_answer")
    async with Client(build(store)) as client:
        with pytest.raises(RuntimeError, match="structured content"):
            await client.call_tool(CREATE, POST)
        assert await entry_of(client)


async def test_a_look_up_lags_fails_finds_anothers_write_and_is_well_again(store: Store) -> None:
    find = "erp.find_entry"
    async with Client(build(store)) as client:
        faults.set_fault(store, find, "lookup_lags", delay_s=3600)
        assert not await entry_of(client)
        assert audit(store.path)["faults_fired"] == {}, "there was nothing to hide"
        own = (await ask(client, CREATE, **POST))["entry_id"]
        assert not await entry_of(client)
        assert not await entry_of(client)
        assert audit(store.path)["faults_fired"] == {"lookup_lags": 2}
        faults.set_fault(store, find, "lookup_ok")
        assert await entry_of(client) == own

        faults.set_fault(store, find, "lookup_fails")
        assert (await ask(client, find, idempotency_key="k1"))["error"]["code"] == "internal"
        faults.set_fault(store, find, "lookup_wrong")
        assert await entry_of(client) == "JE-000003"
        assert await entry_of(client) == own


async def test_every_look_up_has_anothers_write_to_find(store: Store) -> None:
    async with Client(build(store)) as client:
        for tool in TOOLS.values():
            if tool.finds:
                faults.set_fault(store, tool.name, "lookup_wrong")
                answer = await ask(client, tool.name, idempotency_key="mine")
                assert answer != tool.finds.nothing


async def test_a_changed_schema_shows_in_a_running_server_until_it_is_cleared(store: Store) -> None:
    async def described() -> Any:
        tools = (await client.list_tools()).tools
        return next(tool for tool in tools if tool.name == CREATE)

    async with Client(build(store)) as client:
        before = await described()
        faults.set_fault(store, CREATE, "schema_change")
        after = await described()
        assert after.description != before.description
        assert "cost_centre" in after.input_schema["properties"]
        assert after.output_schema == before.output_schema
        assert (await ask(client, CREATE, **POST, cost_centre="7"))["status"] == "posted"
        assert faults.clear(store) == 1
        assert await described() == before


async def test_duplicates_pass_only_while_that_fault_is_set(store: Store) -> None:
    async with Client(build(store)) as client:
        await ask(client, CREATE, **POST)
        again = POST | {"idempotency_key": "k2"}
        assert (await ask(client, CREATE, **again))["error"]["code"] == "invoice_already_posted"
        faults.set_fault(store, CREATE, "duplicates_pass", times=1)
        assert (await ask(client, "erp.preview_journal_entry", **ENTRY))["version"] == 2
        assert (await ask(client, CREATE, **again))["status"] == "posted"
        last = await ask(client, CREATE, **(POST | {"idempotency_key": "k3"}))
        assert last["error"]["code"] == "invoice_already_posted"
    assert audit(store.path)["double_writes"] == 1


async def test_a_late_write_lands_though_the_caller_hung_up_and_the_server_is_gone(db: Path) -> None:
    store = open_store(db)
    faults.set_fault(store, CREATE, "write_after_timeout", delay_s=1.5)
    async with over_stdio(db) as client:
        with pytest.raises(MCPError):
            await client.call_tool(CREATE, POST, read_timeout_seconds=0.3)
        assert not await entry_of(client)
    async with asyncio.timeout(30):
        while not audit(db)["writes"]:  # noqa: ASYNC110  # another process writes: there is nothing to be woken by
            await asyncio.sleep(0.05)
    assert [write["idempotency_key"] for write in audit(db)["writes"]] == ["k1"]
    store.close()


async def test_a_late_write_answers_a_caller_that_waits(store: Store) -> None:
    faults.set_fault(store, CREATE, "write_after_timeout", delay_s=0, times=2)
    async with Client(build(store)) as client:
        entry = await ask(client, CREATE, **POST)
        assert entry["entry_id"] == await entry_of(client)
        again = await ask(client, CREATE, **(POST | {"idempotency_key": "k2"}))
        assert again["error"]["code"] == "invoice_already_posted"


async def test_a_lost_answer_ends_the_server_after_its_write(db: Path) -> None:
    store = open_store(db)
    faults.set_fault(store, CREATE, "answer_lost")
    async with over_stdio(db) as client:
        with pytest.raises(MCPError):
            await client.call_tool(CREATE, POST, read_timeout_seconds=30)
    found = audit(db)
    assert (found["posted"], found["faults_fired"]) == (1, {"answer_lost": 1})
    async with Client(build(store)) as client:
        assert await entry_of(client)
    store.close()


@pytest.mark.parametrize(
    ("tool", "kind", "word"),
    [
        ("erp.nothing", "slow", "no tool"),
        (CREATE, "fire", "no fault"),
        (CREATE, "lookup_lags", "look-up"),
        ("erp.find_entry", "write_after_timeout", "writes"),
        ("erp.schedule_payment", "duplicates_pass", "create_journal_entry"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_what_would(store: Store, tool: str, kind: str, word: str) -> None:
    with pytest.raises(faults.NoSuchFault, match=word):
        faults.set_fault(store, tool, kind)
    assert faults.listed(store) == []
