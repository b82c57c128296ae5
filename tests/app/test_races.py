# SPDX-License-Identifier: Apache-2.0
"""Two at once: one winner each time, no move outside the table, no vote for bytes its voter did not see.

Thirty rounds each; a thousand with `SIGNOFF_ROUNDS=1000`. The seed is printed; `SIGNOFF_SEED` plays it again.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from signoff.app.action.settle import settle
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Misuse
from tests.world import TENANT, World, envelope, new_world

ROUNDS = int(os.environ.get("SIGNOFF_ROUNDS", "30"))


class Race:
    """A world with a clock that goes on by itself, and chance that can be played again."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.won: Counter[str] = Counter()

    async def waiting(self, round_: int, tool: str = "book.note") -> Action:
        """Propose what no other round proposed, in a run of its own every 20 rounds."""
        if round_ % 20 == 0:
            await self.world.begin("races")
        args = {"text": str(round_)} if tool == "book.note" else {"shelf": str(round_), "amount": 12}
        action = await self.world.propose(tool, args)
        assert action.state is State.PENDING_APPROVAL, action
        return action

    async def at_once(self, *who: Awaitable[Any]) -> list[Any]:
        """Let all begin within a millisecond or so, in an order that chance says; a refusal is an answer."""

        async def one(call: Awaitable[Any]) -> Any:
            await asyncio.sleep(self.chance.choice((0, 0, self.chance.random() * 0.0015)))
            try:
                return await call
            except Misuse as refused:
                return refused

        return await asyncio.gather(*(one(call) for call in who), one(self.world.tick_without_waiting()))

    async def over(self, action: Action) -> Action:
        """Return the action once nothing moves it any more."""
        for _ in range(20):
            await self.world.tick(0.25)
            now = await self.world.get(action)
            if now.is_concluded and now.state is not State.REVERSING:
                return now
        raise AssertionError(now)

    def sent(self, action: Action) -> list[dict[str, Any]]:
        """Return the arguments with which the target was called for an action."""
        return [dict(call.args) for call in self.world.target.calls if call.args.get("key") == action.key]


@pytest.fixture(params=[True, False], ids=["bodies run twice", "bodies run once"])
async def race(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Race]:
    seed = int(os.environ.get("SIGNOFF_SEED", str(random.randrange(2**32))))
    print(f"SIGNOFF_SEED={seed} SIGNOFF_ROUNDS={ROUNDS}")
    async with new_world(tmp_path, seed=seed, runs_twice=request.param) as world:
        await world.publish(envelope(workflow="races", more="loops: {max_steps: 1000, max_run_seconds: 86400}"))
        world.clock.step = 1
        found = Race(world, random.Random(seed))
        yield found
        await world.check_ledger()
        print(dict(found.won))


async def test_of_two_who_approve_one_is_counted(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_)
        who = race.chance.choice(((world.cast.ann, world.cast.bob), (world.cast.ann, world.cast.ann)))
        *answers, _ = await race.at_once(*(world.vote(waiting, one) for one in who))
        assert sum(isinstance(one, Action) for one in answers) == 1, answers
        assert sum(isinstance(one, Conflict) for one in answers) == 1, answers
        done = await race.over(waiting)
        assert done.state is State.SUCCEEDED
        assert len(race.sent(done)) == 1
        [vote] = await world.votes(done)
        assert vote.digest == waiting.digest
        race.won[vote.person_id] += 1


async def test_an_approval_and_a_deadline_do_not_both_win(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_)
        assert waiting.expires_at is not None
        deadline = waiting.expires_at
        world.clock.us = deadline - race.chance.randrange(1, 60)

        async def time_passes(until: int = deadline) -> None:
            world.clock.us = max(world.clock.us, until)
            await world.tick_without_waiting()

        voted, *_ = await race.at_once(world.vote(waiting), time_passes())
        over = await race.over(waiting)
        votes = await world.votes(waiting)
        assert over.state in (State.SUCCEEDED, State.EXPIRED)
        assert [vote.at < deadline for vote in votes] == [True] * len(votes)
        assert len(votes) == (0 if isinstance(voted, Conflict) else 1)
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        assert over.state is State.EXPIRED or (over.claimed_at or deadline) < deadline
        race.won[str(over.state)] += 1


async def test_an_approval_and_a_halt_do_not_both_win(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_)
        _, effect, _ = await race.at_once(world.vote(waiting), world.halt("workflow:races"))
        over = await race.over(waiting)
        if over.state is State.SUCCEEDED:
            assert (over.claimed_at or 0) <= effect.halt.since  # one instant a batch
            assert len(race.sent(over)) == 1
        else:
            assert over.state is State.STOPPED
            assert race.sent(over) == []
        await world.lift(effect)
        race.won[str(over.state)] += 1


async def test_an_edit_and_an_approval_do_not_both_win(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_, race.chance.choice(("book.note", "book.create")))
        is_note = waiting.tool == "book.note"
        better = {"text": f"better {round_}"} if is_note else {"shelf": str(round_), "amount": 9}
        voted, edited, _ = await race.at_once(world.vote(waiting), world.edit(waiting, better))
        assert isinstance(voted, Action) != isinstance(edited, Action), (voted, edited)
        if isinstance(edited, Action):
            assert await world.votes(waiting) == []
            assert edited.digest != waiting.digest
            await world.vote(edited, world.cast.bob)
        over = await race.over(waiting)
        assert over.state is State.SUCCEEDED
        [sent] = race.sent(over)
        assert (better.items() <= sent.items()) == isinstance(edited, Action)
        [vote] = await world.votes(over)
        assert vote.digest == over.digest == (edited.digest if isinstance(edited, Action) else waiting.digest)
        race.won["edit" if isinstance(edited, Action) else "approve"] += 1


async def test_of_two_who_undo_one_does(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        done = await world.vote(await race.waiting(round_, race.chance.choice(("book.note", "book.create"))))
        assert done.state is State.SUCCEEDED
        *answers, _ = await race.at_once(*(world.undo(done, who) for who in (world.cast.ann, world.cast.bob)))
        [reversal] = [one for one in answers if isinstance(one, Action)]
        assert sum(isinstance(one, Conflict) for one in answers) == 1, answers
        await race.at_once(*(world.vote(reversal, who) for who in (world.cast.ann, world.cast.bob)))
        assert (await race.over(reversal)).state is State.SUCCEEDED
        over = await world.get(done)
        assert (over.state, over.reversed_by) == (State.REVERSED, reversal.action_id)
        assert len(race.sent(reversal)) == 1
        race.won[reversal.by] += 1


async def test_an_approval_and_a_withdrawal_do_not_both_win(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_)
        rest = world.cancel(waiting) if round_ % 2 else world.vote(waiting, world.cast.bob, "reject")
        await race.at_once(world.vote(waiting), rest)
        over = await race.over(waiting)
        assert over.state in (State.SUCCEEDED, State.CANCELLED, State.REJECTED)
        assert len(race.sent(over)) == (over.state is State.SUCCEEDED)
        race.won[str(over.state)] += 1


async def test_the_same_write_proposed_at_once_is_one_action(race: Race) -> None:
    world = race.world
    for round_ in range(ROUNDS):
        if round_ % 20 == 0:
            await world.begin("races")
        args = {"shelf": str(round_), "amount": 1}
        *answers, _ = await race.at_once(*(world.propose(args=args, key=f"k{round_}") for _ in range(3)))
        assert len({one.action_id for one in answers}) == 1
        for _ in range(20):
            if (waiting := await world.get(answers[0])).state is State.PENDING_APPROVAL:
                break
            await world.tick()
        assert (await world.vote(waiting)).state is State.SUCCEEDED


async def test_a_doubt_looked_into_from_all_sides_is_resolved_once(race: Race) -> None:

    world = race.world
    for round_ in range(ROUNDS):
        waiting = await race.waiting(round_)
        world.target.plan.append(race.chance.choice(("lost_after", "not_sent", "lost_before")))
        doubtful = await world.vote(waiting)
        if race.chance.random() < 0.7:
            world.clock.advance(80)
        await race.at_once(*(settle(world.node, TENANT, doubtful.action_id) for _ in range(3)))
        for _ in range(4):
            await world.tick(80)
        over = await race.over(waiting)
        assert over.state is State.SUCCEEDED
        assert len(race.sent(over)) <= 2
        race.won[over.reason or "sent again"] += 1
