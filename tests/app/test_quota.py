# SPDX-License-Identifier: Apache-2.0
"""One agent cannot fill the inbox or begin runs without end, however many calls it makes at once (ADR 0018)."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from signoff.adapters.sql.action import SqlActions
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.quota import Quotas
from signoff.core.errors import Conflict
from tests.world import World


async def note(world: World, number: int, **given: Any) -> Action:
    return await world.propose("book.note", {"text": f"note {number}"}, **given)


async def test_a_run_has_only_so_many_calls_waiting_and_a_denied_one_is_on_record(world: World) -> None:
    """The denial is an action like any, with its check and reason, and reserves nothing."""
    world.node.quotas = Quotas(waiting_per_run_max=3)
    for number in range(3):
        assert (await note(world, number)).state is State.PENDING_APPROVAL
    denied = await note(world, 3)
    assert (denied.state, denied.reason, denied.reserved_usd_micros) == (State.DENIED, "too_many_waiting", 0)
    shown = await world.document(denied, world.cast.agent)
    assert shown["decision"]["checks"][-1] == {"check": "waiting", "outcome": "deny", "reason": "too_many_waiting"}
    assert "3 calls of this agent wait for people in this run" in await world.detail(denied)
    await world.check_ledger()


async def test_an_agent_has_only_so_many_waiting_in_all_its_runs_and_another_agent_is_not_touched(world: World) -> None:
    """New runs reset nothing, and one agent's flood is not another's."""
    world.node.quotas = Quotas(waiting_max=3)
    for number in range(3):
        await world.begin()
        assert (await note(world, number)).state is State.PENDING_APPROVAL
    run = await world.begin()
    assert (await note(world, 3)).reason == "too_many_waiting"
    await world.begin(who=world.cast.rival)
    assert (await note(world, 4, who=world.cast.rival)).state is State.PENDING_APPROVAL
    world.run_id = run.run_id
    await world.check_ledger()


@pytest.mark.parametrize("tool", ["book.note", "book.create"])
async def test_of_many_that_come_at_once_exactly_as_many_wait_as_there_is_room_for(world: World, tool: str) -> None:
    """It is counted in the transaction that has them wait: also where a preview is gathered in between."""
    world.node.quotas = Quotas(waiting_max=7)
    world.target.pause = 0.002
    runs = [(await world.begin()).run_id for _ in range(3)]

    def args(number: int) -> dict[str, Any]:
        return {"text": f"n {number}"} if tool == "book.note" else {"shelf": f"s{number}", "amount": 1}

    made = await asyncio.gather(*(world.propose(tool, args(n), run=runs[n % 3]) for n in range(24)))
    await world.settled()
    states = Counter([(now := await world.get(one)).state for one in made])
    assert states == {State.PENDING_APPROVAL: 7, State.DENIED: 17}
    assert {(await world.get(one)).reason for one in made} == {None, "too_many_waiting"}
    assert now is not None
    await world.check_ledger()


async def test_there_is_room_again_once_people_have_decided(world: World) -> None:
    """And such denials are no fault of the run, which may go on writing."""
    world.node.quotas = Quotas(waiting_per_run_max=1)
    waiting = await note(world, 0)
    for number in range(1, 6):
        assert (await note(world, number)).reason == "too_many_waiting"
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    assert (await note(world, 9)).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_reads_and_what_is_allowed_pass_whatever_waits_and_cost_no_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.node.quotas = Quotas(waiting_max=1, waiting_per_run_max=1)
    await note(world, 0)
    counted: list[str] = []

    def count(_: SqlActions, by: str) -> int:
        counted.append(by)
        return 99

    monkeypatch.setattr(SqlActions, "waiting_of", count)
    assert (await world.propose("book.find", {"key": "x"})).state is State.SUCCEEDED
    await world.under(mode="autonomous", asks=False)
    assert (await note(world, 1)).state is State.SUCCEEDED
    assert counted == []
    monkeypatch.undo()
    await world.check_ledger()


async def test_what_people_ask_for_is_not_counted_and_an_edit_keeps_its_place(world: World) -> None:
    """A person's undo passes a full inbox; the agent's own does not."""
    first, second = await world.posted("book.note", {"text": "a"}), await world.posted("book.note", {"text": "b"})
    world.node.quotas = Quotas(waiting_max=1, waiting_per_run_max=1)
    waiting = await note(world, 0)
    assert (await world.undo(first)).state is State.PENDING_APPROVAL
    assert (await world.undo(second, world.cast.agent)).reason == "too_many_waiting"
    edited = await world.edit(waiting, {"text": "better"})
    assert (edited.state, edited.revision) == (State.PENDING_APPROVAL, 2)
    await world.check_ledger()


async def test_an_agent_has_only_so_many_runs_open_and_completing_one_makes_room(world: World) -> None:
    """The refusal records nothing; a retry of a run that did begin is answered as the first time."""
    first = await world.begin(idempotency_key="once")
    world.node.quotas = Quotas(open_runs_max=3)
    await world.begin()
    before = len(world.edges)
    with pytest.raises(Conflict, match="3 runs of this agent are open or paused; at most 3") as refused:
        await world.begin()
    assert refused.value.code == "run.too_many_open"
    assert len(world.edges) == before
    assert (await world.begin(idempotency_key="once")).run_id == first.run_id
    await world.begin(who=world.cast.rival)
    world.run_id = first.run_id
    await world.complete()
    await world.begin()
    await note(world, 0)
    await world.check_ledger()


async def test_of_many_runs_begun_at_once_exactly_as_many_open_as_there_is_room_for(world: World) -> None:
    world.node.quotas = Quotas(open_runs_max=5)
    made = await asyncio.gather(*(world.begin() for _ in range(20)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, Conflict)]
    assert (len(made) - len(refused), len(refused)) == (4, 16)  # one was open before
    await note(world, 0)
    await world.check_ledger()
