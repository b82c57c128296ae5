# SPDX-License-Identifier: Apache-2.0
"""A pause keeps one run at its next step until a person resumes it; a closed run is never left."""

import asyncio
from typing import Any

import pytest

from signoff.app.action import lists
from signoff.app.action.documents import run_document
from signoff.app.action.runs import set_paused
from signoff.core.action.lifecycle import State
from signoff.core.authority.done import Done
from signoff.core.errors import Conflict, Forbidden
from signoff.core.run import RunState
from tests.app import terms
from tests.world import HOUR, SECOND, World, envelope


async def shown(world: World) -> dict[str, Any]:
    run = await world.run()
    return await world.node.storage.view("default", lambda tx: run_document(world.node, tx, run))


async def test_operators_and_the_agents_owner_pause_and_nobody_else(world: World) -> None:
    cast = world.cast
    for who in (cast.ann, cast.zoe, cast.agent, cast.rival):
        with pytest.raises(Forbidden):
            await set_paused(world.node, who, world.run_id, True)
    assert (await world.run()).state is RunState.OPEN
    for who in (cast.otto, cast.admin, cast.olga):
        assert (await set_paused(world.node, who, world.run_id, True)).state is RunState.PAUSED
        with pytest.raises(Forbidden):
            await set_paused(world.node, cast.agent, world.run_id, False)
        assert (await set_paused(world.node, who, world.run_id, False)).state is RunState.OPEN
    await world.check_ledger()


async def test_pausing_twice_is_pausing_once(world: World) -> None:
    first = await set_paused(world.node, world.cast.otto, world.run_id, True, "odd amounts")
    again = await set_paused(world.node, world.cast.olga, world.run_id, True, "me too")
    assert again == first
    assert first.turned_by == world.cast.otto.id
    await world.check_ledger()


async def test_who_paused_a_run_and_why_stands_on_its_page_and_in_the_list(world: World) -> None:
    assert (await shown(world))["turned"] is None
    await set_paused(world.node, world.cast.otto, world.run_id, True, "odd amounts")
    turned = (await shown(world))["turned"]
    assert (turned["by"], turned["is_paused"], turned["reason"]) == (world.cast.otto.id, True, "odd amounts")
    [line] = (await lists.runs(world.node, world.cast.zoe, None, 10)).items
    assert (line["state"], line["turned"]["by"]) == ("paused", world.cast.otto.id)
    await set_paused(world.node, world.cast.olga, world.run_id, False)
    turned = (await shown(world))["turned"]
    assert (turned["by"], turned["is_paused"], turned["reason"]) == (world.cast.olga.id, False, None)
    await world.check_ledger()


async def test_what_was_sent_goes_on_while_its_run_is_paused(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.pause = 0.05
    sending = asyncio.create_task(world.propose("book.note", {"text": "on its way"}))
    while not world.target.sending:  # noqa: ASYNC110  # the target has nothing to wait on
        await asyncio.sleep(0.001)
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    assert (await sending).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_approved_write_says_that_its_run_is_paused(world: World) -> None:
    approved = await world.approved()
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    assert "paused until a person resumes it" in (await world.document(approved))["explain"]
    await set_paused(world.node, world.cast.otto, world.run_id, False)
    await world.tick(1)
    assert (await world.get(approved)).state is State.SUCCEEDED


async def test_a_run_uses_no_time_while_it_is_paused_even_where_people_are_waited_for_besides(world: World) -> None:
    await world.publish(envelope(workflow="brief", more="loops: {max_run_seconds: 100}"))
    await world.begin("brief")
    world.clock.us = (await world.run()).started_at + 10 * SECOND
    await world.propose(args={"shelf": "a", "amount": 1})  # waited for from 10 s on
    world.clock.advance(20)
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    await world.tick(HOUR / SECOND)
    run = await set_paused(world.node, world.cast.otto, world.run_id, False)
    assert run.used_us is not None and 10 * SECOND <= run.used_us < 11 * SECOND
    [waiting] = [one for one in await world.actions() if one.state is State.PENDING_APPROVAL]
    await world.vote(waiting)
    world.clock.advance(85)
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    world.clock.advance(10)
    assert (await world.propose("book.get", {"entry_id": "E-2"})).reason == "time_exhausted"
    await world.check_ledger()


async def test_an_agent_does_not_complete_a_run_past_a_pause(world: World) -> None:
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    with pytest.raises(Conflict) as refused:
        await world.complete()
    assert refused.value.code == "run.paused"
    assert (await world.complete(who=world.cast.olga)).state is RunState.COMPLETED
    for is_paused in (True, False):
        with pytest.raises(Conflict, match="completed"):
            await set_paused(world.node, world.cast.otto, world.run_id, is_paused)
    assert (await world.propose()).reason == "run_closed"
    await world.check_ledger()


async def test_a_task_is_not_completed_before_what_its_page_requires_has_succeeded_and_still_stands(
    world: World,
) -> None:
    await terms.change(world, done=Done(("book.create", "book.get")))
    with pytest.raises(Conflict) as refused:
        await world.complete()
    assert (refused.value.code, refused.value.detail["missing"]) == ("run.not_done", ["book.create", "book.get"])
    done = await world.posted()
    await world.propose("book.get", {"entry_id": "E-1"})
    undone = await world.vote(await world.undo(done), world.cast.bob)
    assert undone.state is State.SUCCEEDED
    with pytest.raises(Conflict) as refused:
        await world.complete()
    assert refused.value.detail["missing"] == ["book.create"]
    await world.posted(args={"shelf": "b", "amount": 2})
    assert (await world.complete()).state is RunState.COMPLETED
    await world.check_ledger()


async def test_a_task_that_is_not_done_may_be_closed_as_failed(world: World) -> None:
    await terms.change(world, done=Done(("book.create",)))
    assert (await world.complete("failed")).state is RunState.FAILED
    await world.check_ledger()
