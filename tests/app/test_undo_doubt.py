# SPDX-License-Identifier: Apache-2.0
"""An undo is a write like any: while its own send is in doubt, its original is neither done nor undone."""

import pytest

from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict
from tests.world import World

SETTLED_S = 2 + 10 + 60  # after which a look-up that finds nothing proves it


async def reversing(world: World, *plans: str, reading: str = "ok") -> tuple[Action, Action]:
    """Return a write and its reversal, whose sends go as `plans` say."""
    done = await world.posted()
    world.target.plan.extend(plans)
    world.target.reading["book.find"] = reading
    reversal = await world.vote(await world.undo(done))
    assert (reversal.state, (await world.get(done)).state) == (State.IN_DOUBT, State.REVERSING)
    return done, reversal


async def states(world: World, *actions: Action) -> tuple[State, ...]:
    return tuple([(await world.get(one)).state for one in actions])


@pytest.mark.parametrize("how", ["lost_after", "bad_answer"])
async def test_an_undo_that_is_found_has_reversed_its_original(world: World, how: str) -> None:
    """It was written and nobody was told: the look-up tells, and nothing is sent twice."""
    done, reversal = await reversing(world, how)
    await world.tick()
    assert await states(world, reversal, done) == (State.SUCCEEDED, State.REVERSED)
    assert [row.status for row in world.target.rows.values()] == ["reversed"]
    assert len(world.target.calls) == 2
    assert (await world.get(done)).reversed_by == reversal.action_id
    await world.check_ledger()


async def test_an_undo_that_is_proved_absent_is_sent_again_under_its_key(world: World) -> None:
    done, reversal = await reversing(world, "lost_before")
    await world.pass_time(SETTLED_S + 60, 5)
    assert await states(world, reversal, done) == (State.SUCCEEDED, State.REVERSED)
    assert {call.args["key"] for call in world.target.calls[1:]} == {reversal.key} and len(world.target.calls) == 3
    await world.check_ledger()


async def test_an_undo_that_is_never_done_takes_nothing_back_and_may_be_tried_again(world: World) -> None:
    """After three attempts the original is `reversal_failed`: done, and open to another undo."""
    done, reversal = await reversing(world, *["lost_before"] * 3)
    await world.pass_time(5 * (SETTLED_S + 60), 5)
    assert await states(world, reversal, done) == (State.FAILED, State.REVERSAL_FAILED)
    assert [row.status for row in world.target.rows.values()] == ["posted"]
    again = await world.vote(await world.undo(done))
    assert await states(world, again, done) == (State.SUCCEEDED, State.REVERSED)
    assert (await world.get(done)).reversed_by == again.action_id != reversal.action_id
    await world.check_ledger()


async def test_while_an_undo_is_in_doubt_nothing_else_takes_its_original_back(world: World) -> None:
    """No second undo, no end of the run, and no other write on the resource, until it is proved."""
    done, reversal = await reversing(world, "lost_after", reading="fail")
    for who in (world.cast.bob, world.cast.agent):
        with pytest.raises(Conflict, match="reversing") as refused:
            await world.undo(done, who)
        assert refused.value.code == "undo.state"
    with pytest.raises(Conflict, match="not concluded"):
        await world.complete()
    with pytest.raises(Conflict, match="undo cannot be undone"):
        await world.undo(reversal)
    other = await world.vote(await world.propose(args={"shelf": "a", "amount": 1}))
    assert other.state is State.APPROVED
    world.target.reading.clear()
    await world.pass_time(30, 5)
    assert await states(world, reversal, done, other) == (State.SUCCEEDED, State.REVERSED, State.SUCCEEDED)
    await world.complete()
    await world.check_ledger()


@pytest.mark.parametrize(
    ("found", "states_"),
    [("done", (State.SUCCEEDED, State.REVERSED)), ("not_done", (State.FAILED, State.REVERSAL_FAILED))],
)
async def test_where_only_a_person_can_tell_their_word_ends_original_and_undo(
    world: World, found: str, states_: tuple[State, State]
) -> None:
    plan = "lost_after" if found == "done" else "lost_before"
    done, reversal = await reversing(world, plan, reading="fail")
    await world.pass_time(3700, 100)
    assert await states(world, reversal, done) == (State.NEEDS_PERSON, State.REVERSING)
    await world.resolve(await world.get(reversal), found)
    assert await states(world, reversal, done) == states_
    await world.check_ledger()


async def test_an_undo_whose_node_died_is_looked_up_by_the_next_one(world: World) -> None:
    done = await world.posted()
    waiting = await world.undo(done)
    world.target.plan.append("hang")
    assert (await world.vote(waiting)).state is State.DISPATCHING
    await world.crash()
    assert await states(world, waiting, done) == (State.DISPATCHING, State.REVERSING)
    await world.pass_time(30, 1)
    assert await states(world, waiting, done) == (State.SUCCEEDED, State.REVERSED)
    assert len(world.target.calls) == 2
    await world.check_ledger()


async def test_a_halt_leaves_an_undo_in_doubt_to_be_looked_up_and_sends_it_no_more(world: World) -> None:
    """What was sent is still asked for; what is proved absent under a halt of undos too is not sent again."""
    done, reversal = await reversing(world, "lost_before")
    await world.halt(stop_undo=True)
    await world.pass_time(SETTLED_S + 60, 5)
    assert await states(world, reversal, done) == (State.FAILED, State.REVERSAL_FAILED)
    assert len(world.target.calls) == 2
    await world.check_ledger()
