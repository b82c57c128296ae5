# SPDX-License-Identifier: Apache-2.0
"""A system that answers nothing is left alone for a while, whoever asks; a read that tells nothing new is no poll."""

import pytest

from signoff.app import evidence
from signoff.app.action.circuits import open_circuits
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.circuit import Circuits
from tests.world import TENANT, World


async def failing(world: World, times: int = 5, how: str = "lost_after") -> list[Action]:
    """Let sends of one tool go wrong, one after the other."""
    world.node.circuits = Circuits()
    await world.under(mode="autonomous", asks=False, more="loops: {max_steps: 1000}")
    made = []
    for number in range(times):
        world.target.plan.append(how)
        made.append(await world.propose("book.note", {"text": f"failing {number}"}))
    return made


async def circuits(world: World) -> list[str]:
    return sorted(await world.node.storage.view(TENANT, lambda tx: open_circuits(world.node, tx)))


async def test_a_tool_whose_last_sends_all_went_wrong_is_left_alone_and_then_tried_once(world: World) -> None:
    await failing(world)
    assert await circuits(world) == ["book.note"]
    assert list((await evidence.vitals(world.node, TENANT)).broken_off) == ["book.note"]
    calls = len(world.target.calls)
    denied = await world.propose("book.note", {"text": "one more"})
    assert (denied.state, denied.reason) == (State.DENIED, "circuit_open")
    assert "None is sent before" in await world.detail(denied)
    assert "circuit" not in str((await world.document(denied, world.cast.agent))["args"])
    assert len(world.target.calls) == calls
    world.clock.advance(60)
    assert (await world.propose("book.note", {"text": "the trial"})).state is State.SUCCEEDED
    assert await circuits(world) == []
    assert (await world.propose("book.note", {"text": "after it"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_trial_that_fails_too_begins_another_pause(world: World) -> None:
    await failing(world)
    world.clock.advance(60)
    world.target.plan.append("lost_after")
    await world.propose("book.note", {"text": "the trial"})
    assert (await world.propose("book.note", {"text": "too soon"})).reason == "circuit_open"
    world.clock.advance(60)
    assert (await world.propose("book.note", {"text": "another trial"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_one_tool_is_left_alone_and_no_other(world: World) -> None:
    await failing(world)
    assert (await world.propose("book.register", {"name": "x"})).state is State.SUCCEEDED
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_fewer_or_such_with_a_success_among_them_change_nothing(world: World) -> None:
    await failing(world, 4)
    assert await circuits(world) == []
    assert (await world.propose("book.note", {"text": "well"})).state is State.SUCCEEDED
    world.target.plan.append("lost_after")
    await world.propose("book.note", {"text": "lost"})
    assert await circuits(world) == []
    await world.check_ledger()


async def test_what_the_target_itself_refuses_opens_no_circuit(world: World) -> None:
    """Or one clumsy agent would keep all others from a system that is well."""
    made = await failing(world, 8, "error:shelf_closed")
    assert {one.state for one in made} == {State.FAILED}
    assert await circuits(world) == []
    await world.check_ledger()


async def test_reads_that_are_never_answered_open_it_too(world: World) -> None:
    world.node.circuits = Circuits()
    world.target.reading["book.get"] = "lost"
    for number in range(5):
        assert (await world.propose("book.get", {"entry_id": f"E-{number}"})).reason == "answer_lost"
    assert (await world.propose("book.get", {"entry_id": "E-9"})).reason == "circuit_open"
    await world.check_ledger()


async def test_what_is_denied_for_it_is_no_denial_of_the_agents_making(world: World) -> None:
    await failing(world)
    for number in range(5):
        assert (await world.propose("book.note", {"text": f"denied {number}"})).reason == "circuit_open"
    assert (await world.propose("book.register", {"name": "x"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_what_was_approved_waits_for_the_system_and_is_not_void(world: World) -> None:
    await world.begin()
    approved = await world.approved("book.note", {"text": "approved before"})
    await failing(world)
    await world.tick()
    assert (await world.get(approved)).state is State.APPROVED
    await world.tick(61)
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_another_node_on_the_same_database_says_the_same(world: World) -> None:
    await failing(world)
    await world.crash()
    world.node.circuits = Circuits()
    assert await circuits(world) == ["book.note"]
    await world.begin((await world.run()).workflow)
    assert (await world.propose("book.note", {"text": "one more"})).reason == "circuit_open"
    await world.check_ledger()


async def test_a_person_may_have_a_write_taken_back_through_an_open_circuit(world: World) -> None:
    done = await world.posted()
    world.node.circuits = Circuits(sends=2)
    for _ in range(2):
        world.target.plan.append("lost_after")
        lost = await world.propose("book.note", {"text": f"{world.clock.us}"})
        await world.vote(lost)
    assert await circuits(world) == ["book.note"]
    assert (await world.vote(await world.undo(done), world.cast.bob)).state is State.SUCCEEDED
    await world.check_ledger()


# --- polling -------------------------------------------------------------------------------------------------------


async def test_a_read_that_tells_nothing_new_is_not_made_over_and_over(world: World) -> None:
    await world.posted()
    for _ in range(3):
        assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    polled = await world.propose("book.get", {"entry_id": "E-1"})
    assert (polled.state, polled.reason) == (State.DENIED, "identical_calls")
    assert "has not changed" in await world.detail(polled)
    assert "?wait=" in (await world.document(polled, world.cast.agent))["explain"]
    await world.check_ledger()


async def test_a_read_whose_result_changes_is_no_loop(world: World) -> None:
    await world.under(mode="autonomous", asks=False, more="loops: {max_steps: 1000}")
    await world.propose("book.note", {"text": "first"})
    row = next(iter(world.target.rows.values()))
    for amount in range(8):
        row.amount = amount
        assert (await world.propose("book.get", {"entry_id": row.entry_id})).state is State.SUCCEEDED
    for _ in range(2):
        assert (await world.propose("book.get", {"entry_id": row.entry_id})).state is State.SUCCEEDED
    assert (await world.propose("book.get", {"entry_id": row.entry_id})).reason == "identical_calls"
    await world.check_ledger()


@pytest.mark.parametrize("reading", ["fail", "lost"])
async def test_a_read_that_fails_again_and_again_tells_nothing_new(world: World, reading: str) -> None:
    world.target.reading["book.get"] = reading
    for _ in range(3):
        assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.FAILED
    assert (await world.propose("book.get", {"entry_id": "E-1"})).reason == "identical_calls"
    await world.check_ledger()


async def test_a_write_is_no_other_for_what_it_answered(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    for _ in range(3):
        assert (await world.propose("book.note", {"text": "same"}, again=True)).state is State.SUCCEEDED
    assert (await world.propose("book.note", {"text": "same"}, again=True)).reason == "identical_calls"
    await world.check_ledger()
