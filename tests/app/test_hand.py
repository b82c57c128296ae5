# SPDX-License-Identifier: Apache-2.0
"""What is told from a leg's hand is, byte for byte, what would have been read from the database."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.app import record
from signoff.app.action.documents import action_document, as_kept, told
from signoff.app.action.hand import Hand
from signoff.app.action.propose import propose
from signoff.app.authority import people
from signoff.core.action.lifecycle import Action, State
from signoff.core.proposal import Proposal
from signoff.ledger.canonical import canonical
from tests.world import World

ALLOWED = {"mode": "autonomous", "asks": False}
# Out of order, with numbers that have another form once they are kept; the tool takes no such arguments.
ODD = {"text": "ok", "b": 1.0, "a": {"z": [1, 2.5, -0.0], "y": None, "\u00e9": 1e-7, "\U0001f600": True}, "B": 10**15}


async def proposed(world: World, tool: str, args: dict[str, Any]) -> tuple[Action, Hand]:
    hand = Hand()
    proposal = Proposal(world.run_id, tool, args, {"rationale": "it is due"})
    return await propose(world.node, world.cast.agent, proposal, None, hand), hand


@pytest.mark.parametrize(
    ("given", "tool", "args", "plan", "state"),
    [
        (ALLOWED, "book.note", {"text": "caf\u00e9"}, "ok", State.SUCCEEDED),
        (ALLOWED, "book.note", {"text": "x"}, "error:shelf_closed", State.FAILED),
        (ALLOWED, "book.note", {"text": "x"}, "not_sent", State.IN_DOUBT),
        (ALLOWED, "book.note", {"text": "x"}, "lost_before", State.IN_DOUBT),
        (ALLOWED, "book.note", {"text": "x"}, "bad_answer", State.IN_DOUBT),
        (ALLOWED, "book.note", ODD, "ok", State.DENIED),
        (ALLOWED, "book.burn", ODD, "ok", State.DENIED),
        (ALLOWED, "book.mail", {"to": "a"}, "ok", State.SUCCEEDED),
        (ALLOWED, "book.find", {"name": "b", "key": "a"}, "ok", State.SUCCEEDED),
        (ALLOWED, "book.get", {"entry_id": "none"}, "ok", State.FAILED),
        ({"mode": "assist"}, "book.note", {"text": "x"}, "ok", State.PENDING_APPROVAL),
        ({"mode": "assist", "roles": ["Clerk", "Auditor"]}, "book.pay", {"amount": 3}, "ok", State.PENDING_APPROVAL),
        ({"mode": "suggest"}, "book.note", {"text": "x"}, "ok", State.SUGGESTED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_told_is_what_would_be_read(
    world: World, given: dict[str, Any], tool: str, args: dict[str, Any], plan: str, state: State
) -> None:
    await world.under(**given)
    world.target.plan.append(plan)
    if tool == "book.get":
        world.target.reading[tool] = "fail"
    action, hand = await proposed(world, tool, args)
    assert action.state is state, action.reason
    assert hand.action is action
    document = told(hand, args)
    read = await action_document(world.node, world.cast.agent, action.action_id)
    assert document is not None
    assert orjson.dumps(document) == orjson.dumps(read)
    await world.check_ledger()


async def test_what_a_revoked_token_proposed_is_told_as_denied_with_the_agent_as_it_stands(world: World) -> None:
    await world.under(**ALLOWED)
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    action, hand = await proposed(world, "book.note", {"text": "x"})
    assert (action.state, action.reason) == (State.DENIED, "token_revoked")
    assert hand.agent is not None and hand.agent.epoch != world.cast.agent.epoch
    read = await action_document(world.node, world.cast.agent, action.action_id)
    assert orjson.dumps(told(hand, {"text": "x"})) == orjson.dumps(read)


async def test_a_token_that_is_revoked_while_its_write_is_sent_is_known_to_be(world: World) -> None:
    await world.under(**ALLOWED)
    execute = world.target.execute

    async def revoking(call: Any) -> Any:
        await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
        return await execute(call)

    world.target.execute = revoking  # type: ignore[method-assign]
    action, hand = await proposed(world, "book.note", {"text": "x"})
    assert action.state is State.SUCCEEDED
    assert hand.agent is not None and hand.agent.epoch != world.cast.agent.epoch


async def test_an_earlier_action_is_not_in_hand_nor_is_one_that_was_gathered_for(world: World) -> None:
    await world.under(**ALLOWED)
    first, hand = await proposed(world, "book.note", {"text": "x"})
    assert hand.action is first
    again, hand = await proposed(world, "book.note", {"text": "x"})
    assert again.action_id == first.action_id
    assert (hand.action, told(hand, {})) == (None, None)
    _, hand = await proposed(world, "book.create", {"shelf": "a", "amount": 12})
    assert hand.action is None or hand.action.preview is not None


async def test_an_answer_that_comes_after_another_record_is_not_told(world: World) -> None:
    """Whoever recorded the outcome first is read from the database, with what they recorded."""
    await world.under(**ALLOWED)
    execute, storage = world.target.execute, world.node.storage

    async def taken_over(call: Any) -> Any:
        answer = await execute(call)
        running = [name for name in world.node.legs._running if name.startswith("act_")]
        await storage.transact(world.cast.agent.tenant, lambda tx: _fail(tx, running[0]))
        return answer

    world.target.execute = taken_over  # type: ignore[method-assign]
    action, hand = await proposed(world, "book.note", {"text": "x"})
    assert action.state is State.NEEDS_PERSON
    assert hand.action is None


def _fail(tx: Any, action_id: str) -> None:
    now = tx.actions.get(action_id)
    doubted = record.move(tx, now, "action.in_doubt", state=State.IN_DOUBT, outcome="sha256:" + "0" * 64)
    record.move(tx, doubted, "action.needs_person", state=State.NEEDS_PERSON)


TEXT = st.text(st.characters(codec="utf-8"))
NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_a_value_is_told_as_it_is_read_back(value: dict[str, Any]) -> None:
    assert orjson.dumps(as_kept(value)) == orjson.dumps(json.loads(canonical(value)))
