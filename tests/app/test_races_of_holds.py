# SPDX-License-Identifier: Apache-2.0
"""Two at once over a review window: one winner each time, and nothing leaves a hold before it was let go."""

from signoff.app.action.defer import defer
from signoff.core.action.lifecycle import Action, State
from tests.app.test_races import ROUNDS, Race, race  # noqa: F401  # the fixture is found by its name
from tests.world import envelope

WINDOWS = {"proceed": "windows-proceed", "hold": "windows-hold"}


async def held(race: Race, round_: int, end: str) -> Action:  # noqa: F811  # the fixture's value
    world, name = race.world, WINDOWS[end]
    if round_ == 0:
        windows = f"holds: [{{tool: book.note, window: 1h, on_timeout: {end}}}]"
        bounds = "loops: {max_steps: 1000, max_run_seconds: 86400}"
        await world.publish(envelope(workflow=name, mode="autonomous", asks=False, more=f"{windows}\n{bounds}"))
    if round_ % 10 == 0:
        await world.begin(name)
    action = await world.propose("book.note", {"text": f"{round_} {world.clock.us}"})
    assert action.state is State.HELD, action
    return action


async def test_a_release_and_the_end_of_its_window_do_not_both_win(race: Race) -> None:  # noqa: F811
    world = race.world
    for round_ in range(ROUNDS):
        action = await held(race, round_, "hold")
        end = action.hold_until or 0
        world.clock.us = end - race.chance.randrange(1, 60)

        async def time_passes(until: int = end) -> None:
            world.clock.us = max(world.clock.us, until)
            await world.tick_without_waiting()

        await race.at_once(world.vote(action), time_passes())
        for _ in range(4):
            await world.tick(0.25)
        now = await world.get(action)
        if now.released_by is not None:
            assert now.hold_until is not None and now.hold_until < end
            over = await race.over(action)
            assert over.state is State.SUCCEEDED
        elif now.args_approved is not None:  # asked by then, and the same word was an approval
            assert len(await world.votes(now)) == 1
            over = await race.over(now)
        else:
            assert now.state is State.PENDING_APPROVAL, now
            assert race.sent(now) == []
            over = await world.vote(now, decision="reject")
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        race.won[str(over.state)] += 1


async def test_a_release_and_a_halt_do_not_both_win(race: Race) -> None:  # noqa: F811
    world = race.world
    for round_ in range(ROUNDS):
        action = await held(race, round_, "hold")
        _, effect, _ = await race.at_once(world.vote(action), world.halt("workflow:windows-hold"))
        over = await race.over(action)
        if over.state is State.SUCCEEDED:
            assert (over.claimed_at or 0) <= effect.halt.since  # one instant a batch
        else:
            assert over.state is State.STOPPED
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        await world.lift(effect)
        race.won[str(over.state)] += 1


async def test_a_cancellation_and_the_end_of_a_window_that_proceeds_do_not_both_win(race: Race) -> None:  # noqa: F811
    world = race.world
    for round_ in range(ROUNDS):
        action = await held(race, round_, "proceed")
        end = action.hold_until or 0
        world.clock.us = end - race.chance.randrange(1, 60)

        async def time_passes(until: int = end) -> None:
            world.clock.us = max(world.clock.us, until)
            await world.tick_without_waiting()

        stop = world.vote(action, decision="reject") if round_ % 2 else world.cancel(action)
        await race.at_once(stop, time_passes())
        over = await race.over(action)
        assert over.state in (State.SUCCEEDED, State.CANCELLED)
        assert over.state is State.CANCELLED or (over.claimed_at or 0) >= end
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        race.won[str(over.state)] += 1


async def test_a_release_a_cancellation_and_a_move_do_not_all_win(race: Race) -> None:  # noqa: F811
    world = race.world
    for round_ in range(ROUNDS):
        action = await held(race, round_, "hold")
        later = (action.hold_until or 0) + 3_600_000_000
        shown = action.digest or ""
        await race.at_once(
            world.vote(action),
            world.vote(action, world.cast.bob, "reject"),
            defer(world.node, world.cast.bob, action.action_id, shown, "", later),
        )
        now = await world.get(action)
        if now.state is State.HELD and now.released_by is None:  # only the move was in time for what came after it
            now = await world.vote(now, decision="reject")
        over = await race.over(now)
        assert over.state in (State.SUCCEEDED, State.CANCELLED)
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        race.won[f"{over.state} {over.released_by is not None}"] += 1
