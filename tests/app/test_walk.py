# SPDX-License-Identifier: Apache-2.0
"""One governed write from proposal to receipt, and what a repeated request becomes."""

import asyncio

import pytest

from signoff.app import record
from signoff.core.action.lifecycle import MOVES, State
from signoff.core.errors import Conflict, Forbidden, NotFound
from signoff.core.run import RunState
from tests.world import TENANT, World


async def test_an_approved_write_is_done_once_and_receipted(world: World) -> None:
    waiting = await world.propose()
    assert waiting.state is State.PENDING_APPROVAL
    assert world.target.calls == []
    done = await world.vote(waiting)
    assert done.state is State.SUCCEEDED
    assert [call.args["amount"] for call in world.target.calls] == [12]
    assert done.receipt_id is not None
    assert (done.settled_usd_micros, done.reserved_usd_micros) == (250_000, 0)
    await world.check_ledger()


async def test_the_target_is_given_the_key_and_the_version_that_was_previewed(world: World) -> None:
    done = await world.posted()
    assert world.target.calls[0].args["key"] == done.key
    assert world.target.calls[0].args["version"] == 1
    await world.check_ledger()


@pytest.mark.parametrize("after", sorted(set(State) - MOVES[State.SUCCEEDED]))
async def test_no_record_moves_an_action_outside_the_table(world: World, after: State) -> None:
    done = await world.posted()
    with pytest.raises(Conflict) as refused:
        await world.node.storage.transact(TENANT, lambda tx: record.move(tx, done, "action.forged", state=after))
    assert refused.value.code == "action.illegal_move"
    assert await world.get(done) == done
    await world.check_ledger()


async def test_a_read_goes_through_without_asking_and_without_receipt(world: World) -> None:
    await world.posted()
    read = await world.propose("book.get", {"entry_id": "E-1"})
    assert read.state is State.SUCCEEDED
    assert read.receipt_id is None
    assert (await world.document(read))["result"]["amount"] == 12
    await world.check_ledger()


async def test_an_allowed_write_is_sent_at_once(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    done = await world.propose("book.note", {"text": "hello"})
    assert done.state is State.SUCCEEDED
    assert done.verdict == "allow"
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_an_allowed_write_with_a_preview_is_previewed_first(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    done = await world.propose()
    assert done.state is State.SUCCEEDED
    assert done.preview is not None
    assert (await world.document(done))["preview"]["changes"][0]["after"] == 12
    await world.check_ledger()


async def test_an_agent_sees_verdicts_but_neither_preview_nor_key(world: World) -> None:
    done = await world.posted()
    seen = await world.document(done, world.cast.agent)
    assert "changes" not in seen["preview"]
    assert "key" not in seen
    with pytest.raises(NotFound):
        await world.document(done, world.cast.rival)
    await world.check_ledger()


async def test_the_same_idempotency_key_gives_the_first_answer(world: World) -> None:
    first = await world.propose(key="k1", again=True)
    assert (await world.propose(key="k1", again=True)).action_id == first.action_id
    with pytest.raises(Conflict) as clash:
        await world.propose(args={"shelf": "a", "amount": 13}, key="k1", again=True)
    assert clash.value.code == "idempotency.key_reused"
    assert len(await world.actions()) == 1
    await world.check_ledger()


async def test_an_idempotency_key_belongs_to_its_run(world: World) -> None:
    first = await world.propose(key="k1")
    await world.begin()
    assert (await world.propose(key="k1")).action_id != first.action_id
    await world.check_ledger()


async def test_the_same_write_collects_and_again_makes_another(world: World) -> None:
    first = await world.posted()
    assert (await world.propose()).action_id == first.action_id
    other = await world.propose(again=True)
    assert other.action_id != first.action_id
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_an_edited_write_is_still_collected_by_what_was_proposed(world: World) -> None:
    """An agent that asks again for what it asked before must not get a second write beside the edited one."""
    waiting = await world.propose()
    edited = await world.edit(waiting, {"shelf": "a", "amount": 9})
    done = await world.vote(edited)
    assert done.state is State.SUCCEEDED
    assert (await world.propose()).action_id == waiting.action_id
    await world.check_ledger()


async def test_a_caller_that_hangs_up_stops_waiting_and_not_the_work(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.pause = 0.05
    call = asyncio.create_task(world.propose())
    while not world.target.reads:  # noqa: ASYNC110  # the target rings no bell
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await world.settled()
    assert (await world.propose()).state is State.SUCCEEDED
    assert len(world.target.calls) == 1
    await world.check_ledger()


@pytest.mark.parametrize("turns", range(12))
async def test_a_caller_may_hang_up_at_any_moment(world: World, turns: int) -> None:
    """What was recorded is taken on by the node itself, without waiting for a lease to run out."""
    await world.under(mode="autonomous", asks=False)
    call = asyncio.create_task(world.propose("book.note", {"text": "x"}))
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait({call})
    for _ in range(20):
        await asyncio.sleep(0.002)
        await world.settled()
    states = [action.state for action in await world.actions()]
    assert states in ([], [State.SUCCEEDED])
    assert len(world.target.calls) == len(states)
    await world.check_ledger()


async def test_another_agents_run_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.propose(who=world.cast.rival)
    await world.check_ledger()


async def test_a_run_is_closed_only_when_everything_in_it_is_concluded(world: World) -> None:
    waiting = await world.propose()
    with pytest.raises(Conflict) as refused:
        await world.complete()
    assert refused.value.code == "run.unconcluded"
    await world.vote(waiting)
    assert (await world.complete()).state is RunState.COMPLETED
    assert (await world.complete()).state is RunState.COMPLETED
    await world.check_ledger()


async def test_a_run_with_a_reversal_under_way_is_not_closed(world: World) -> None:
    done = await world.posted()
    reversal = await world.undo(done)
    with pytest.raises(Conflict):
        await world.complete()
    await world.vote(reversal)
    assert (await world.complete()).state is RunState.COMPLETED
    await world.check_ledger()


async def test_a_closed_run_takes_no_more_calls(world: World) -> None:
    await world.complete()
    denied = await world.propose()
    assert (denied.state, denied.reason) == (State.DENIED, "run_closed")
    await world.check_ledger()


async def test_only_those_it_concerns_close_a_run(world: World) -> None:
    with pytest.raises(NotFound):
        await world.complete(who=world.cast.rival)
    with pytest.raises(Forbidden):
        await world.complete(who=world.cast.zoe)
    assert (await world.complete(who=world.cast.otto)).state is RunState.COMPLETED
    await world.check_ledger()
