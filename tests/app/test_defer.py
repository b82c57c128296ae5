# SPDX-License-Identifier: Apache-2.0
"""Putting off decides nothing, and silence is told of: no timer makes a decision of either."""

import pytest

from signoff.app import evidence
from signoff.app.action import lists
from signoff.app.action.defer import defer
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Forbidden, Malformed
from signoff.core.principal import Caller
from tests.world import DAY, HOUR, SECOND, TENANT, World

HALF_S = 12 * 3600


async def put_off(world: World, action: Action, until: int, who: Caller | None = None) -> Action:
    return await defer(world.node, who or world.cast.ann, action.action_id, action.digest or "", "on Monday", until)


async def seen(world: World, who: Caller) -> list[str]:
    return [line["action_id"] for line in (await lists.approvals(world.node, who, None, 50)).items]


async def test_putting_off_moves_nothing_and_hides_it_from_that_person_until_then(world: World) -> None:
    waiting = await world.propose()
    until = world.clock.us + HOUR
    after = await put_off(world, waiting, until)
    assert (after.state, after.expires_at, after.digest) == (waiting.state, waiting.expires_at, waiting.digest)
    assert await seen(world, world.cast.ann) == []
    assert await lists.waiting_for_people(world.node, world.cast.ann, 10) == []
    assert await seen(world, world.cast.bob) == [waiting.action_id]
    world.clock.us = until
    assert await seen(world, world.cast.ann) == [waiting.action_id]
    deferred = (await world.document(waiting))["approval"]["deferred"]
    assert deferred["by"] == world.cast.ann.id
    assert (await world.vote(after)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_what_was_put_off_expires_all_the_same(world: World) -> None:
    waiting = await world.propose()
    await put_off(world, waiting, (waiting.expires_at or 0) - 1)
    await world.tick(DAY / SECOND)
    assert (await world.get(waiting)).state is State.EXPIRED
    await world.check_ledger()


async def test_only_who_may_decide_puts_off_and_only_what_they_saw_and_before_its_deadline(world: World) -> None:
    waiting = await world.propose()
    soon = world.clock.us + HOUR
    for who in (world.cast.zoe, world.cast.otto, world.cast.agent):
        with pytest.raises(Forbidden):
            await put_off(world, waiting, soon, who)
    for wrong in (world.clock.us, waiting.expires_at or 0):
        with pytest.raises(Malformed, match="was not put off"):
            await put_off(world, waiting, wrong)
    with pytest.raises(Conflict, match="something else"):
        await defer(world.node, world.cast.ann, waiting.action_id, "sha256:0", "", soon)
    done = await world.vote(waiting)
    with pytest.raises(Conflict):
        await put_off(world, done, soon)
    await world.check_ledger()


async def test_an_approval_that_nobody_looks_at_is_told_of_at_half_of_its_time(world: World) -> None:
    first = await world.propose(args={"shelf": "a", "amount": 1})
    await world.tick(HALF_S - 1)
    assert (await world.get(first)).escalated_at is None
    world.clock.advance(1)
    second = await world.propose(args={"shelf": "b", "amount": 1})
    await world.tick(1)
    loud = await world.get(first)
    assert loud.escalated_at is not None
    assert loud.state is State.PENDING_APPROVAL
    assert (await evidence.vitals(world.node, TENANT)).escalated == 1
    assert await seen(world, world.cast.ann) == [first.action_id, second.action_id]
    assert (await world.get(second)).escalated_at is None
    await world.check_ledger()


async def test_what_is_told_of_stands_first_on_the_first_page_and_on_no_other(world: World) -> None:
    early, put_by, third = [await world.propose(args={"shelf": "a", "amount": n}) for n in (1, 2, 3)]
    await put_off(world, early, (early.expires_at or 0) - HOUR, world.cast.bob)
    await put_off(world, put_by, (early.expires_at or 0) - HOUR, world.cast.bob)
    await world.tick(HALF_S)
    assert (await world.get(third)).escalated_at is not None
    page = await lists.approvals(world.node, world.cast.ann, None, 2)
    rest = await lists.approvals(world.node, world.cast.ann, page.after, 2)
    found = [line["action_id"] for line in (*page.items, *rest.items)]
    assert found == [third.action_id, early.action_id, put_by.action_id]
    assert rest.after is None
    await world.check_ledger()


async def test_whoever_looks_ends_it(world: World) -> None:
    actions = [await world.propose(args={"shelf": "a", "amount": n}) for n in (1, 2, 3)]
    await world.tick(HALF_S)
    voted, deferred, edited = [await world.get(one) for one in actions]
    assert None not in [one.escalated_at for one in (voted, deferred, edited)]
    assert (await world.vote(voted)).escalated_at is None
    assert (await put_off(world, deferred, world.clock.us + HOUR)).escalated_at is None
    assert (await world.edit(edited, {"shelf": "a", "amount": 4})).escalated_at is None
    assert (await evidence.vitals(world.node, TENANT)).escalated == 0
    await world.check_ledger()


async def test_what_was_put_off_and_forgotten_is_told_of_when_its_time_has_come(world: World) -> None:
    waiting = await world.propose()
    await put_off(world, waiting, world.clock.us + 2 * HOUR)
    await world.tick(2 * HOUR / SECOND)
    assert (await world.get(waiting)).escalated_at is not None
    await world.check_ledger()


async def test_a_restart_forgets_no_silence(world: World) -> None:
    waiting = await world.propose()
    await world.crash()
    await world.tick(HALF_S)
    assert (await world.get(waiting)).escalated_at is not None
    await world.check_ledger()
