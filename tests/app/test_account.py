# SPDX-License-Identifier: Apache-2.0
"""What is told of an action on demand is built from what is recorded: why, what was read before, what comes next."""

import pytest

from signoff.app.action.account import _NEXT, account
from signoff.core.action.lifecycle import MOVES, State
from signoff.core.errors import NotFound
from tests.world import World


async def test_what_waits_says_who_is_owed_what_was_read_and_what_may_come(world: World) -> None:
    await world.under()
    await world.propose("book.shelf", {"shelf": "a"})
    waiting = await world.propose()
    told = await account(world.node, world.cast.ann, waiting.action_id)
    assert told["verdict"] == "ask" and told["reasons"]
    assert any("It owes 1 of Clerk, other than the requester" in one for one in told["why"])
    assert any(one.startswith("The check `") and "asks for people" in one for one in told["why"])
    assert [(one["what"], one["tool"]) for one in told["read"]] == [("read", "book.shelf"), ("preview", None)]
    assert told["next"][0].startswith("It expires at ")
    assert len(told["next"]) == 1 + len(MOVES[State.PENDING_APPROVAL])
    voted = await world.vote(waiting)
    told = await account(world.node, world.cast.zoe, voted.action_id)
    assert any("approved it at" in one and ": because." in one for one in told["why"])
    assert told["stands"] == "Done, and receipted."
    assert told["next"] == ["It becomes `reversing` when it is undone by an action of its own."]


async def test_a_denial_says_which_check_denied_and_that_nothing_follows(world: World) -> None:
    await world.under(tools=["book.note"])
    denied = await world.propose()
    told = await account(world.node, world.cast.ann, denied.action_id)
    assert told["reasons"] == ["tool_not_allowed"]
    assert any("denies it" in one for one in told["why"])
    assert told["next"] == ["Nothing: it has ended."]


async def test_an_agent_is_told_the_verdict_and_reason_codes_and_nothing_of_others(world: World) -> None:
    await world.under()
    waiting = await world.propose()
    told = await account(world.node, world.cast.agent, waiting.action_id)
    assert set(told) == {"action_id", "verdict", "reasons"} and told["verdict"] == "ask"
    with pytest.raises(NotFound):
        await account(world.node, world.cast.rival, waiting.action_id)


def test_every_state_that_may_follow_has_its_words() -> None:
    assert {state for moves in MOVES.values() for state in moves} <= set(_NEXT)
