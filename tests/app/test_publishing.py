# SPDX-License-Identifier: Apache-2.0
"""A contract is published once a tool, against what its server says; a doubt about whose rules hold is no call."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from signoff.app.authority import policies
from signoff.core.action.lifecycle import State
from signoff.core.authority.contract import ToolDescription
from signoff.core.errors import Conflict, Malformed
from tests.target import DESCRIBED, TOOLS, contract, without
from tests.world import World

ONE = 'format: 1\nserver: {mcp: {command: ["%s"]}}\ntools:\n  %s: {effect: read%s}\n'


async def publish(world: World, system: str, text: str) -> policies.Published:
    return await policies.publish_contract(world.node, world.cast.admin, system, text)


@pytest.mark.parametrize(
    "text",
    [
        ONE % ("elsewhere", "book.note", ""),
        ONE % ("book", "milder.note", ", name: book.note"),
    ],
    ids=["by our name", "by the server's"],
)
async def test_a_tool_that_another_system_describes_is_refused_and_both_are_named(world: World, text: str) -> None:
    """Otherwise the later would silently replace the other, or be a way around it."""
    with pytest.raises(Conflict, match=r"contract of shadow was not published.* which book describes") as refused:
        await publish(world, "shadow", text)
    assert refused.value.code == "contract.tool_taken"
    assert (refused.value.detail["system"], refused.value.detail["published_by"]) == ("shadow", "book")
    waiting = await world.propose("book.note", {"text": "x"})
    assert (waiting.state, waiting.effect) == (State.PENDING_APPROVAL, "write")
    await world.check_ledger()


async def test_a_name_is_free_for_another_system_once_the_first_has_left_it(world: World) -> None:
    """And a system may publish its own tools anew as often as it likes."""
    await publish(world, "book", contract(book_pay=[]))
    await publish(world, "book", contract(book_pay=[], book_mail=[]))
    await publish(world, "till", ONE % ("till", "book.pay", ""))
    with pytest.raises(Conflict, match=r"contract of book was not published.* book\.pay, which till describes"):
        await publish(world, "book", contract(book_mail=[]))


async def test_of_two_that_publish_one_name_at_once_one_wins(world: World) -> None:
    texts = {name: ONE % (name, "new.tool", "") for name in ("left", "right")}
    found = await asyncio.gather(*(publish(world, *pair) for pair in texts.items()), return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Conflict", "Published"]


async def test_a_withdrawal_that_brings_a_name_back_twice_allows_no_call_of_it(world: World) -> None:
    """Whose rules hold cannot be told, so that none does."""
    version = (await world.node.storage.view("default", lambda tx: tx.authority.versions("contract", "book")))[0]
    newer = (await publish(world, "book", contract(book_note=[]))).publication
    await publish(world, "till", ONE % ("till", "book.note", ""))
    await policies.withdraw(world.node, world.cast.admin, "contract", "book", newer.version)
    assert (await world.propose("book.note", {"text": "x"})).reason == "tool_unregistered"
    assert (await world.propose("book.pay", {"amount": 1})).state is State.PENDING_APPROVAL
    assert version.version != newer.version
    await world.check_ledger()


def described(**changed: Any) -> dict[str, ToolDescription]:
    note = DESCRIBED["book.note"]
    return {**DESCRIBED, "book.note": replace(note, **changed)}


async def test_what_fits_no_schema_of_the_server_is_found_when_it_is_published(world: World) -> None:
    """A misspelt field would else be found by the first write, as a denial."""
    lines = [*without("book.note", "resource"), "resource: \"'note/' + args.txet\""]
    with pytest.raises(Malformed, match="was not published") as refused:
        await publish(world, "book", contract(book_note=lines))
    assert any("txet" in str(finding) for finding in _list(refused.value.detail))


async def test_a_schema_that_cannot_be_checked_is_warned_of_when_it_is_published(world: World) -> None:
    world.target.described = described(input_schema={"type": "object", "$ref": "https://elsewhere.test/schema"})
    published = await publish(world, "book", contract(world.target.described))
    (found,) = [finding for finding in published.findings if finding.code == "contract.schema"]
    assert "book.note" in found.what and found.line > 3


@pytest.mark.parametrize("is_down", [True, False], ids=["down", "pinned otherwise"])
async def test_a_server_that_cannot_say_so_is_no_obstacle(world: World, is_down: bool) -> None:
    """The pin is looked at again before each call; a contract may be published while its system is away."""
    world.target.is_down = is_down
    if not is_down:
        world.target.described = described(description="Now it says something else.", input_schema={"type": "object"})
    lines = [*TOOLS["book.note"], "resource: \"'note/' + args.txet\""]
    assert (await publish(world, "book", contract(book_note=lines))).findings is not None
    world.clock.advance(60)
    denied = await world.propose("book.note", {"text": "x"})
    assert denied.reason in ("tool_unavailable", "tool_changed", "resource_unknown")
    await world.check_ledger()


@pytest.mark.parametrize(
    ("resource", "reason"),
    [("args.shelf", "resource_unknown"), ("'loan/' + args.shelf", None), ("args.until", "resource_unknown")],
)
async def test_a_resource_that_is_no_text_is_none_that_could_be_held(
    world: World, resource: str, reason: str | None
) -> None:
    """An empty text or null would lock what has nothing to do with one another, and keep nothing apart."""
    lines = [*without("book.lend", "resource"), f'resource: "{resource}"']
    await publish(world, "book", contract(book_lend=lines))
    assert (await world.propose("book.lend", {"shelf": ""})).reason == reason
    await world.check_ledger()


def _list(detail: Mapping[str, object]) -> list[object]:
    found = detail["findings"]
    assert isinstance(found, list)
    return found
