# SPDX-License-Identifier: Apache-2.0
"""What people corrected is kept as labelled data: as proposed, as edited, and how it ended."""

import pytest

from signoff.app.action.corrections import corrections
from signoff.core.errors import Forbidden
from tests.world import World


async def test_each_correction_shows_what_was_asked_and_what_people_made_of_it(world: World) -> None:
    await world.posted()
    waiting = await world.propose(args={"shelf": "b", "amount": 3})
    once = await world.edit(waiting, {"shelf": "b", "amount": 4})
    twice = await world.edit(once, {"shelf": "b", "amount": 5})
    done = await world.vote(twice)
    rejected = await world.vote(
        await world.edit(await world.propose(args={"shelf": "c", "amount": 1}), {"shelf": "c", "amount": 2}),
        decision="reject",
    )
    page = await corrections(world.node, world.cast.zoe, None, 10)
    newest, one = page.items
    assert (newest["action_id"], newest["state"], newest["is_approved"]) == (rejected.action_id, "rejected", False)
    assert (one["action_id"], one["state"], one["is_approved"]) == (done.action_id, "succeeded", True)
    assert one["proposed"] == {"shelf": "b", "amount": 3}
    assert [(edit["revision"], edit["args"]["amount"], edit["reason"]) for edit in one["edits"]] == [
        (2, 4, "better so"),
        (3, 5, "better so"),
    ]
    assert {edit["by"] for edit in one["edits"]} == {world.cast.bob.id}
    first = await corrections(world.node, world.cast.zoe, None, 1)
    rest = await corrections(world.node, world.cast.zoe, first.after, 1)
    assert [line["action_id"] for line in (*first.items, *rest.items)] == [rejected.action_id, done.action_id]
    await world.check_ledger()


async def test_corrections_are_for_people(world: World) -> None:
    with pytest.raises(Forbidden):
        await corrections(world.node, world.cast.agent, None, 10)
