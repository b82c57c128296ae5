# SPDX-License-Identifier: Apache-2.0
"""The kill switch: what is not sent stops, what was sent is told, and nothing comes back by lifting."""

import pytest

from signoff.app.authority import halts
from signoff.core.action.lifecycle import State
from signoff.core.errors import Conflict, Forbidden, NotFound
from tests.world import World, envelope


async def test_a_halt_between_approval_and_execution_stops_the_action(world: World) -> None:
    approved = await world.approved()
    effect = await world.halt("workflow:books")
    stopped = await world.get(approved)
    assert (stopped.state, stopped.reason) == (State.STOPPED, "halted")
    assert effect.stopped == 1
    await world.tick()
    assert world.target.calls == []
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_a_halt_stops_what_waits_for_people(world: World) -> None:
    waiting = await world.propose()
    await world.halt(f"agent:{world.cast.agent.id}")
    assert (await world.get(waiting)).state is State.STOPPED
    with pytest.raises(Conflict):
        await world.vote(waiting)
    await world.check_ledger()


async def test_new_proposals_are_denied_while_halted_and_runs_do_not_begin(world: World) -> None:
    await world.halt()
    assert (await world.propose()).reason == "halted"
    assert (await world.propose("book.find", {"key": "x"})).reason == "halted"
    with pytest.raises(Forbidden):
        await world.begin()
    await world.check_ledger()


async def test_lifting_brings_nothing_back(world: World) -> None:
    approved, waiting = await world.approved(), await world.propose(args={"shelf": "b", "amount": 1})
    effect = await world.halt()
    lifted = await world.lift(effect)
    assert lifted.is_lifted
    await world.tick()
    assert {(await world.get(one)).state for one in (approved, waiting)} == {State.STOPPED}
    assert world.target.calls == []
    assert (await world.propose(again=True)).state is State.PENDING_APPROVAL
    await world.check_ledger()


@pytest.mark.parametrize("scope", ["tool:book.note", "workflow:others", "agent:rival"])
async def test_a_halt_covers_its_scope_and_nothing_else(world: World, scope: str) -> None:
    waiting = await world.propose()
    await world.halt(scope.replace("rival", world.cast.rival.id))
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    assert ((await world.propose("book.note", {"text": "x"})).state is State.DENIED) == (scope == "tool:book.note")
    await world.check_ledger()


async def test_an_agent_is_halted_by_its_name_too_and_a_slip_of_the_pen_is_not_taken_for_a_halt(world: World) -> None:
    waiting = await world.propose()
    for slip in ("agent:scribbe", "agent:agt_" + "0" * 32):
        with pytest.raises(NotFound) as refused:
            await world.halt(slip)
        assert refused.value.code == "halt.agent_unknown"
    effect = await world.halt("agent:scribe")
    assert (effect.halt.target, effect.stopped) == (world.cast.agent.id, 1)
    assert (await world.get(waiting)).state is State.STOPPED
    await world.check_ledger()


async def test_what_was_sent_before_is_reported_in_flight_and_looked_up(world: World) -> None:
    world.target.plan.append("lost_after")
    world.target.reading["book.find"] = "fail"
    doubtful = await world.vote(await world.propose())
    effect = await world.halt()
    assert [action.action_id for action in effect.in_flight] == [doubtful.action_id]
    assert effect.stopped == 0
    world.target.reading.clear()
    await world.tick(60)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_halt_lets_nothing_be_sent_again(world: World) -> None:
    world.target.plan.append("lost_before")
    doubtful = await world.vote(await world.propose())
    assert doubtful.state is State.IN_DOUBT
    await world.halt()
    await world.pass_time(120, 10)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason) == (State.FAILED, "halted")
    assert failed.receipt_id is not None
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_a_reversal_asked_by_a_person_passes_a_halt(world: World) -> None:
    done = await world.posted()
    await world.halt()
    reversed_ = await world.vote(await world.undo(done))
    assert reversed_.state is State.SUCCEEDED
    await world.tick()
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_a_reversal_is_stopped_where_the_halt_says_so(world: World) -> None:
    done = await world.posted()
    waiting = await world.undo(done)
    await world.halt(stop_undo=True)
    assert (await world.get(waiting)).state is State.STOPPED
    denied = await world.undo(done)
    assert (denied.state, denied.reason) == (State.DENIED, "halted")
    assert (await world.get(done)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_reversal_asked_by_the_agent_does_not_pass_a_halt(world: World) -> None:
    done = await world.posted()
    waiting = await world.undo(done, world.cast.agent)
    await world.halt()
    assert (await world.get(waiting)).state is State.STOPPED
    denied = await world.undo(done, world.cast.agent)
    assert (denied.state, denied.reason) == (State.DENIED, "halted")
    await world.check_ledger()


async def test_a_halt_that_comes_while_the_preview_is_gathered_stops_the_action(world: World) -> None:
    original = world.target.read

    async def read(call: object) -> object:
        await world.halt()
        world.target.read = original  # type: ignore[method-assign]
        return await original(call)  # type: ignore[arg-type]

    world.target.read = read  # type: ignore[method-assign, assignment]
    stopped = await world.propose()
    assert (stopped.state, stopped.reason) == (State.STOPPED, "halted")
    await world.check_ledger()


async def test_only_operators_pull_the_switch(world: World) -> None:
    for who in (world.cast.ann, world.cast.agent):
        with pytest.raises(Forbidden):
            await halts.engage(world.node, who, "tenant", "because")
    await world.publish(envelope(version="3"))
    await world.check_ledger()
