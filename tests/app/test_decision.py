# SPDX-License-Identifier: Apache-2.0
"""What policy says of a proposal: denied with its reason, asked, suggested or allowed."""

from typing import Any

import pytest

from signoff.app.action.runs import set_paused
from signoff.app.authority import people, policies
from signoff.core.action.lifecycle import State
from signoff.core.authority.contract import schema_digest
from signoff.core.run import RunState
from tests.target import DESCRIBED, contract
from tests.world import World


@pytest.mark.parametrize(
    ("tool", "args", "reason"),
    [
        ("book.burn", {}, "tool_not_allowed"),
        ("book.create", {"shelf": "a"}, "args_invalid"),
        ("book.create", {"shelf": "a", "amount": "12"}, "args_invalid"),
        ("book.create", {"shelf": "a", "amount": 12, "colour": "red"}, "args_invalid"),
        ("book.create", {"shelf": "a", "amount": 12, "key": "mine"}, "argument_reserved"),
        ("book.create", {"shelf": "a", "amount": 12, "version": 3}, "argument_reserved"),
        ("book.erase", {"shelf": "a"}, "class_d_unreviewed"),
    ],
)
async def test_what_policy_refuses_is_denied_with_its_reason(
    world: World, tool: str, args: dict[str, Any], reason: str
) -> None:
    denied = await world.propose(tool, args)
    assert (denied.state, denied.reason) == (State.DENIED, reason)
    assert await world.detail(denied)
    assert world.target.calls == []
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_a_listed_tool_that_no_contract_knows_is_denied(world: World) -> None:
    await world.publish(contract(book_pay=[]))
    denied = await world.propose("book.pay", {"amount": 1})
    assert denied.reason == "tool_unregistered"
    await world.check_ledger()


async def test_a_tool_without_a_pin_is_denied(world: World) -> None:
    await world.publish(contract().replace(f"    schema_digest: {_digest('book.pay')}\n", ""))
    assert (await world.propose("book.pay", {"amount": 1})).reason == "tool_unpinned"
    await world.check_ledger()


async def test_a_tool_that_changed_is_denied_until_a_person_accepts_it(world: World) -> None:
    changed = DESCRIBED["book.note"].__class__("book.note", "now it also sells", DESCRIBED["book.note"].input_schema)
    world.target.described["book.note"] = changed
    world.clock.advance(60)
    denied = await world.propose("book.note", {"text": "x"})
    assert denied.reason == "tool_changed"
    await world.publish(contract(world.target.described))
    assert (await world.propose("book.note", {"text": "x"}, again=True)).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_a_system_that_cannot_be_asked_offers_nothing(world: World) -> None:
    world.target.is_down = True
    world.clock.advance(60)  # it was asked what it offers when its contract was published
    denied = await world.propose("book.note", {"text": "x"})
    assert denied.reason == "tool_unavailable"
    await world.check_ledger()


async def test_what_cannot_be_previewed_is_denied(world: World) -> None:
    world.target.reading["book.preview"] = "fail"
    assert (await world.propose()).reason == "preview_failed"
    world.target.reading["book.preview"] = "garbage"
    assert (await world.propose(again=True)).reason == "preview_failed"
    await world.check_ledger()


async def test_a_resource_that_cannot_be_told_is_no_reason_to_write_without_it(world: World) -> None:
    """`resource` names an optional argument; without it nobody could keep writers apart."""
    denied = await world.propose("book.lend", {"shelf": "a"})
    assert (denied.state, denied.reason) == (State.DENIED, "resource_unknown")
    assert (await world.propose("book.lend", {"shelf": "a", "until": "may"})).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_an_agent_that_is_switched_off_or_whose_tokens_were_revoked_is_denied(world: World) -> None:
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    assert (await world.propose("book.pay", {"amount": 1})).reason == "token_revoked"
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, is_active=False)
    assert (await world.propose("book.pay", {"amount": 2})).reason == "agent_inactive"
    await world.check_ledger()


async def test_an_agent_acts_for_nobody_who_has_left(world: World) -> None:
    await people.change_person(world.node, world.cast.admin, world.cast.olga.id, is_active=False)
    assert (await world.propose()).reason == "principal_inactive"
    await world.check_ledger()


async def test_a_paused_run_takes_no_new_calls(world: World) -> None:
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    for amount in range(4):
        assert (await world.propose(args={"shelf": "a", "amount": amount})).reason == "run_paused"
    assert (await set_paused(world.node, world.cast.otto, world.run_id, False)).state is RunState.OPEN
    assert (await world.propose()).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_a_withdrawn_envelope_denies_what_is_proposed_under_it(world: World) -> None:
    await policies.withdraw(world.node, world.cast.admin, "envelope", "books", "1")
    assert (await world.propose()).reason == "version_withdrawn"
    await world.check_ledger()


# --- modes ------------------------------------------------------------------------------------------------------------


async def test_suggest_decides_and_previews_and_never_runs(world: World) -> None:
    await world.under(mode="suggest")
    suggested = await world.propose()
    assert suggested.state is State.SUGGESTED
    assert suggested.preview is not None
    assert world.target.calls == []
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_watch_asks_for_reads_too(world: World) -> None:
    await world.posted()
    await world.under(mode="watch")
    waiting = await world.propose("book.get", {"entry_id": "E-1"})
    assert waiting.state is State.PENDING_APPROVAL
    reads = len(world.target.reads)
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    assert len(world.target.reads) == reads + 1
    await world.check_ledger()


async def test_assist_asks_for_each_write_and_lets_reads_run(world: World) -> None:
    await world.under(mode="assist", asks=False)
    assert (await world.propose("book.note", {"text": "x"})).state is State.PENDING_APPROVAL
    assert (await world.propose("book.mail", {"to": "x"})).state is State.PENDING_APPROVAL
    assert (await world.propose("book.find", {"key": "x"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_autonomous_asks_for_class_c_only(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    assert (await world.propose("book.note", {"text": "x"})).state is State.SUCCEEDED
    assert (await world.propose("book.mail", {"to": "x"})).state is State.SUCCEEDED
    assert (await world.propose("book.pay", {"amount": 1})).state is State.PENDING_APPROVAL
    assert (await world.propose("book.erase", {"shelf": "a"})).state is State.DENIED
    await world.check_ledger()


@pytest.mark.parametrize(
    "more",
    [
        "safety: {block_on_prompt_injection_score_gte: 0.7}",
        "budgets: {max_tokens_per_task: 100}",
    ],
)
async def test_a_control_that_is_not_there_makes_a_write_ask(world: World, more: str) -> None:
    await world.under(mode="autonomous", asks=False, more=more)
    assert (await world.propose("book.note", {"text": "x"})).state is State.PENDING_APPROVAL
    read = await world.propose("book.find", {"key": "x"})
    assert read.state is State.SUCCEEDED
    assert ":inert" in (read.checks or "")
    await world.check_ledger()


# --- how much ---------------------------------------------------------------------------------------------------------


async def test_reservations_never_pass_the_cap_and_are_released(world: World) -> None:
    await world.under(cap="0.60")
    first = await world.propose()
    second = await world.propose(args={"shelf": "b", "amount": 1})
    assert await world.spent() == (500_000, 0)
    assert (await world.propose(args={"shelf": "c", "amount": 1})).reason == "spend_exhausted"
    await world.cancel(second)
    assert await world.spent() == (250_000, 0)
    assert (await world.vote(first)).state is State.SUCCEEDED
    assert await world.spent() == (0, 250_000)
    third = await world.propose(args={"shelf": "d", "amount": 1})
    assert (await world.vote(third)).state is State.SUCCEEDED
    assert (await world.propose(args={"shelf": "e", "amount": 1})).reason == "spend_exhausted"
    assert await world.spent() == (0, 500_000)
    await world.check_ledger()


async def test_what_a_reversal_costs_counts_against_the_cap_too(world: World) -> None:
    await world.under(cap="0.51")
    done = await world.posted()
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    assert await world.spent() == (0, 260_000)
    assert (await world.propose(args={"shelf": "b", "amount": 1})).state is State.PENDING_APPROVAL
    assert (await world.propose("book.get", {"entry_id": "E-1"})).reason == "spend_exhausted"
    await world.check_ledger()


async def test_a_failed_write_costs_nothing(world: World) -> None:
    world.target.plan.append("error:shelf_closed")
    failed = await world.vote(await world.propose())
    assert (failed.state, failed.reason) == (State.FAILED, "shelf_closed")
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_the_call_budget_counts_what_was_sent(world: World) -> None:
    await world.under(calls=2)
    first, second, third = [await world.propose(args={"shelf": s, "amount": 1}) for s in "abc"]
    assert (await world.vote(first)).state is State.SUCCEEDED
    assert (await world.vote(second)).state is State.SUCCEEDED
    assert (await world.propose("book.find", {"key": "x"})).reason == "calls_exhausted"
    late = await world.vote(third)
    assert (late.state, late.reason) == (State.VOIDED, "calls_exhausted")
    assert len(world.target.calls) == 2
    await world.check_ledger()


async def test_steps_are_counted(world: World) -> None:
    await world.under(more="loops: {max_steps: 2}")
    await world.propose("book.find", {"key": "x"})
    await world.propose("book.find", {"key": "y"})
    assert (await world.propose("book.find", {"key": "z"})).reason == "steps_exhausted"
    await world.check_ledger()


async def test_the_same_call_over_and_over_is_denied(world: World) -> None:
    for _ in range(3):
        assert (await world.propose("book.find", {"key": "x"})).state is State.SUCCEEDED
    assert (await world.propose("book.find", {"key": "x"})).reason == "identical_calls"
    assert (await world.propose("book.find", {"key": "y"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_after_too_many_denials_a_run_may_only_read(world: World) -> None:
    for amount in range(3):
        await world.propose("book.burn", {"n": amount})
    assert (await world.propose()).reason == "denials_exhausted"
    assert (await world.propose("book.mail", {"to": "x"})).reason == "denials_exhausted"
    assert (await world.propose("book.find", {"key": "x"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_outages_and_halts_are_no_denials_of_the_agents_making(world: World) -> None:
    world.target.is_down = True
    world.clock.advance(60)
    for amount in range(2):
        assert (await world.propose("book.pay", {"amount": amount})).reason == "tool_unavailable"
    world.target.is_down = False
    world.target.reading["book.preview"] = "lost"
    for amount in range(2):
        assert (await world.propose(args={"shelf": "a", "amount": amount})).reason == "preview_unavailable"
    world.target.reading.clear()
    effect = await world.halt()
    for amount in range(2):
        assert (await world.propose("book.pay", {"amount": 10 + amount})).reason == "halted"
    await world.lift(effect)
    assert (await world.propose()).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_the_time_of_a_run_stands_still_while_people_are_waited_for(world: World) -> None:
    await world.under(more="loops: {max_run_seconds: 600}")
    waiting = await world.propose()
    world.clock.advance(3000)
    assert (await world.propose("book.find", {"key": "x"})).state is State.SUCCEEDED
    await world.vote(waiting)
    world.clock.advance(500)
    assert (await world.propose("book.find", {"key": "y"})).state is State.SUCCEEDED
    world.clock.advance(101)
    assert (await world.propose("book.find", {"key": "z"})).reason == "time_exhausted"
    await world.check_ledger()


async def test_waiting_for_two_people_at_once_is_waiting_once(world: World) -> None:
    await world.under(more="loops: {max_run_seconds: 600}")
    first = await world.propose()
    second = await world.propose(args={"shelf": "b", "amount": 1})
    world.clock.advance(500)
    await world.vote(first)
    await world.vote(second)
    world.clock.advance(400)
    third = await world.propose(args={"shelf": "c", "amount": 1})
    assert third.state is State.PENDING_APPROVAL
    world.clock.advance(100)
    await world.cancel(third)
    world.clock.advance(190)
    assert (await world.propose("book.find", {"key": "y"})).state is State.SUCCEEDED
    world.clock.advance(15)
    assert (await world.propose("book.find", {"key": "z"})).reason == "time_exhausted"
    await world.check_ledger()


async def test_a_write_that_its_natural_key_shows_done_is_a_duplicate(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    assert (await world.propose("book.register", {"name": "Moby"})).state is State.SUCCEEDED
    denied = await world.propose("book.register", {"name": "Moby"}, again=True)
    assert (denied.state, denied.reason) == (State.DENIED, "duplicate")
    assert len(world.target.calls) == 1
    await world.check_ledger()


def _digest(tool: str) -> str:
    return schema_digest(DESCRIBED[tool])
