# SPDX-License-Identifier: Apache-2.0
"""One word on several similar actions: each vote is bound to its own digest, and nothing unlike rides along."""

import pytest

from signoff.app.action.batch import ITEMS_MAX, vote_on_all
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from signoff.core.principal import Caller
from tests.world import World


def items(*actions: Action) -> list[tuple[str, str]]:
    return [(action.approval_id or "", action.digest or "") for action in actions]


async def three(world: World) -> list[Action]:
    return [await world.propose("book.note", {"text": text}) for text in ("one", "two", "three")]


async def test_each_of_a_batch_is_its_own_vote_on_its_own_digest(world: World) -> None:
    await world.under()
    waiting = await three(world)
    told = await vote_on_all(world.node, world.cast.ann, items(*waiting), "approve", "all alike")
    await world.settled()
    assert [one["is_counted"] for one in told] == [True, True, True]
    for action in waiting:
        (vote,) = await world.votes(action)
        assert (vote.digest, vote.person_id) == (action.digest, world.cast.ann.id)
        assert (await world.get(action)).state is State.SUCCEEDED
        assert (await world.document(action))["approval"]["votes"][0]["reason"] == "all alike"
    again = await vote_on_all(world.node, world.cast.ann, items(*waiting), "approve", "all alike")
    assert [one["error"] for one in again] == [None, None, None]
    await world.check_ledger()


async def test_what_is_refused_of_one_is_told_with_it_and_the_others_are_counted(world: World) -> None:
    await world.under()
    first, second, third = await three(world)
    edited = await world.edit(second, {"text": "other"})
    asked = [*items(first), (edited.approval_id or "", second.digest or ""), *items(third)]
    told = await vote_on_all(world.node, world.cast.ann, asked, "approve", "")
    await world.settled()
    assert [one["is_counted"] for one in told] == [True, False, True]
    assert told[1]["error"]["code"] == "approval.digest_mismatch"
    assert (await world.get(second)).state is State.PENDING_APPROVAL
    assert not await world.votes(second)


@pytest.mark.parametrize("what", ["tool", "workflow", "duties"])
async def test_what_is_not_alike_is_refused_as_a_whole(world: World, what: str) -> None:
    await world.under()
    first = await world.propose("book.note", {"text": "one"})
    if what == "tool":
        other = await world.propose("book.stamp", {"text": "two"})
    elif what == "workflow":
        await world.under()
        other = await world.propose("book.note", {"text": "two"})
    else:
        workflow = (await world.run()).workflow
        await world.under(workflow=workflow, version="2", roles=("Clerk", "Chief"))
        other = await world.propose("book.note", {"text": "two"})
    with pytest.raises(Conflict) as refused:
        await vote_on_all(world.node, world.cast.ann, items(first, other), "approve", "")
    assert refused.value.code == "approval.batch_differs" and what in refused.value.why
    assert not await world.votes(first) and not await world.votes(other)


async def test_a_batch_is_of_people_of_one_to_fifty_and_of_each_once(world: World) -> None:
    await world.under()
    first = await world.propose("book.note", {"text": "one"})

    async def refused(who: Caller, asked: list[tuple[str, str]], error: type[Exception]) -> None:
        with pytest.raises(error):
            await vote_on_all(world.node, who, asked, "approve", "")

    await refused(world.cast.agent, items(first), Forbidden)
    await refused(world.cast.ann, [], Malformed)
    await refused(world.cast.ann, items(first) * (ITEMS_MAX + 1), Malformed)
    await refused(world.cast.ann, [*items(first), (first.action_id, first.digest or "")], Malformed)
    await refused(world.cast.ann, [*items(first), ("apr_0", "x")], NotFound)
    assert not await world.votes(first)


async def test_who_may_not_vote_alone_may_not_vote_on_many(world: World) -> None:
    await world.under()
    waiting = await three(world)
    told = await vote_on_all(world.node, world.cast.zoe, items(*waiting), "approve", "")
    assert not any(one["is_counted"] for one in told)
    assert {(await world.get(action)).state for action in waiting} == {State.PENDING_APPROVAL}
