# SPDX-License-Identifier: Apache-2.0
"""Right before a send everything is looked at again, and what came out stricter or other is not sent."""

import asyncio
import dataclasses
from typing import Any

import pytest

from signoff.app.action.execute import execute
from signoff.app.action.propose import onward
from signoff.app.action.runs import set_paused
from signoff.app.authority import people, policies
from signoff.core.action.lifecycle import State
from signoff.core.authority.decision import Decision, Duty
from signoff.core.authority.policy import decide
from tests.target import DESCRIBED, Row, contract, without
from tests.world import TENANT, World, envelope


async def test_drift_between_approval_and_send_voids(world: World) -> None:
    approved = await world.approved()
    world.target.rows["E-0"] = Row("E-0", "elsewhere", "a", 100)
    await world.tick()
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "drift")
    assert world.target.calls == []
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_a_version_that_moved_voids_though_no_value_did(world: World) -> None:
    approved = await world.approved()
    world.target.versions["a"] += 1
    await world.tick()
    assert (await world.get(approved)).reason == "drift"
    await world.check_ledger()


async def test_what_the_contract_ignores_may_differ(world: World) -> None:
    approved = await world.approved()
    world.target.reads.clear()  # `seen` counts reads, and is ignored
    await world.tick()
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_voter_who_lost_the_role_voids(world: World) -> None:
    approved = await world.approved()
    await world.give_roles(world.cast.ann)
    await world.tick()
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "vote_withdrawn")
    assert world.target.calls == []
    await world.check_ledger()


async def test_a_voter_who_was_switched_off_voids(world: World) -> None:
    approved = await world.approved()
    await people.change_person(world.node, world.cast.admin, world.cast.ann.id, is_active=False)
    await world.tick()
    assert (await world.get(approved)).reason == "vote_withdrawn"
    await world.check_ledger()


async def test_a_withdrawn_envelope_voids_what_waits_and_what_is_approved(world: World) -> None:
    approved = await world.approved()
    waiting = await world.propose(args={"shelf": "b", "amount": 1})
    await policies.withdraw(world.node, world.cast.admin, "envelope", "books", "1")
    for action in (approved, waiting):
        voided = await world.get(action)
        assert (voided.state, voided.reason) == (State.VOIDED, "version_withdrawn")
    await world.check_ledger()


async def test_a_newer_envelope_does_not_touch_a_run_under_way(world: World) -> None:
    approved = await world.approved()
    await world.publish(envelope(version="2", tools=["book.get"]))
    await world.tick()
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_tool_that_changed_is_quarantined(world: World) -> None:
    approved = await world.approved()
    world.target.described["book.create"] = DESCRIBED["book.create"].__class__(
        "book.create", "and more", DESCRIBED["book.create"].input_schema
    )
    await world.tick(60)
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "tool_changed")
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize(
    "changed",
    [
        contract(book_create=[*without("book.create", "cost"), "cost: {usd: 0.30}"]),
        contract(book_preview=["effect: read", "timeout: 3s"]),
        contract(book_get=["effect: read", "output: {trust: trusted}"]),
        contract().replace('["book"]', '["book", "--other"]'),
    ],
    ids=["its own entry", "its preview", "the check of its undo", "the server"],
)
async def test_a_contract_that_says_otherwise_voids_what_was_approved_under_it(world: World, changed: str) -> None:
    """What people approved would now be sent under other rules: its own, or those of a tool that it has called."""
    approved = await world.approved()
    await world.publish(changed)
    await world.tick()
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "contract_changed")
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize(
    "changed",
    [
        "# Reviewed in November.\n" + contract(),
        contract(book_pay=[*without("book.pay", "risk"), "risk: D"]),
        contract(book_mail=[]),
    ],
    ids=["a comment", "another tool", "another tool left out"],
)
async def test_a_contract_that_says_the_same_of_the_tool_voids_nothing(world: World, changed: str) -> None:
    """Nobody waits longer because an unrelated tool of the same file was changed; the approval binds what it did."""
    approved, waiting = await world.approved(), await world.propose("book.note", {"text": "x"})
    published = await policies.publish_contract(world.node, world.cast.admin, "book", changed)
    assert published.publication.digest != approved.contract
    await world.tick()
    done = await world.get(approved)
    assert (done.state, done.contract, done.digest) == (State.SUCCEEDED, approved.contract, approved.digest)
    edited = await world.edit(waiting, {"text": "better"})
    assert (await world.vote(edited)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_decision_that_comes_out_stricter_voids(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of the time of the send owes what nobody has approved, or says less than a yes."""
    more = Duty(("Chief",), 1, True, 1, "new")

    def stricter(*given: Any, **named: Any) -> Decision:
        decision = decide(*given, **named)
        return dataclasses.replace(decision, duties=(*decision.duties, more))

    approved = await world.approved()
    monkeypatch.setattr("signoff.app.action.execute.decide", stricter)
    await world.tick()
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "stricter_decision")
    assert world.target.calls == []
    await world.check_ledger()


async def test_an_agent_whose_tokens_were_revoked_since_sends_nothing(world: World) -> None:
    approved = await world.approved()
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    await world.tick()
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, "token_revoked")
    await world.check_ledger()


async def test_an_agent_that_was_switched_off_sends_nothing(world: World) -> None:
    approved = await world.approved()
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, is_active=False)
    await world.tick()
    assert (await world.get(approved)).state is State.VOIDED
    assert world.target.calls == []
    await world.check_ledger()


async def test_an_outage_at_the_last_look_keeps_the_approval(world: World) -> None:
    """No answer is no change: what people approved waits, until its deadline, for the system to come back."""
    approved = await world.approved()
    world.target.is_down = True
    await world.tick(60)
    assert (await world.get(approved)).state is State.APPROVED
    world.target.is_down = False
    world.target.reading["book.preview"] = "lost"
    await world.tick(60)
    assert (await world.get(approved)).state is State.APPROVED
    world.target.reading.clear()
    await world.tick(60)
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_outage_outlives_no_deadline(world: World) -> None:
    approved = await world.approved()
    world.target.is_down = True
    await world.tick(24 * 3600)
    assert (await world.get(approved)).state is State.EXPIRED
    await world.check_ledger()


async def test_a_paused_run_is_kept_at_its_next_step(world: World) -> None:
    approved = await world.approved()
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    await world.tick(1)
    assert (await world.get(approved)).state is State.APPROVED
    await set_paused(world.node, world.cast.otto, world.run_id, False)
    await world.tick(1)
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_preview_older_than_five_seconds_is_looked_at_again(world: World) -> None:
    approved = await world.approved()
    started = False
    original = world.target.read

    async def read(call: object) -> object:
        nonlocal started
        answer = await original(call)  # type: ignore[arg-type]
        if not started:
            started = True
            world.clock.advance(6)
        return answer

    world.target.read = read  # type: ignore[method-assign, assignment]
    await world.tick()
    assert (await world.get(approved)).state is State.APPROVED
    await world.tick()
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_send_that_does_not_begin_within_two_seconds_of_its_claim_is_not_begun(world: World) -> None:
    approved = await world.approved()
    world.failing = lambda point: world.clock.advance(2) if point == "approved->dispatching:after" else None
    await world.tick()
    world.failing = None
    doubtful = await world.get(approved)
    assert (doubtful.state, doubtful.proof) == (State.IN_DOUBT, "not_sent")
    assert world.target.calls == []
    await world.tick(1)
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


# --- one at a time ----------------------------------------------------------------------------------------------------


async def test_two_who_take_an_action_on_send_it_once(world: World) -> None:
    """Whoever lost the claim must not take the winner's for its own."""
    approved = await world.approved()
    world.target.pause = 0.01
    await asyncio.gather(*(execute(world.node, TENANT, approved.action_id) for _ in range(4)))
    assert len(world.target.calls) == 1
    assert (await world.get(approved)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_two_who_decide_an_action_send_it_once(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.reading["book.preview"] = "ok"
    held = asyncio.Event()
    original = world.target.read

    async def read(call: object) -> object:
        await held.wait()
        return await original(call)  # type: ignore[arg-type]

    world.target.read = read  # type: ignore[method-assign, assignment]
    call = asyncio.create_task(world.propose())
    while not await world.actions():  # noqa: ASYNC110  # what is awaited is a row
        await asyncio.sleep(0.001)
    [undecided] = await world.actions()
    others = [asyncio.create_task(onward(world.node, undecided)) for _ in range(3)]
    await asyncio.sleep(0.01)
    held.set()
    await asyncio.gather(call, *others)
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_one_writer_at_a_time_on_a_resource_doubt_included(world: World) -> None:
    first, second = await world.propose(), await world.propose(args={"shelf": "a", "amount": 3})
    world.target.plan.append("lost_after")
    world.target.reading["book.find"] = "fail"
    doubtful = await world.vote(first)
    assert doubtful.state is State.IN_DOUBT
    await world.vote(second)
    await world.tick(5)
    assert (await world.get(second)).state in (State.APPROVED, State.VOIDED)
    assert len(world.target.calls) == 1
    other = await world.posted(args={"shelf": "b", "amount": 1})
    assert other.state is State.SUCCEEDED
    world.target.reading.clear()
    await world.pass_time(120, 10)
    assert (await world.get(first)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_whoever_waits_for_a_resource_leaves_the_target_alone(world: World) -> None:
    await world.under(mode="autonomous", asks=False, more="loops: {max_steps: 10}")
    world.target.plan.append("lost_after")
    world.target.reading["book.find"] = "fail"
    assert (await world.propose()).state is State.IN_DOUBT
    waiting = await world.propose(args={"shelf": "a", "amount": 3})
    assert waiting.state is State.PROPOSED
    previews = [call for call in world.target.reads if call.name == "book.preview"]
    await world.tick(0.25)
    await world.tick(0.25)
    assert [call for call in world.target.reads if call.name == "book.preview"] == previews
    world.target.reading.clear()
    await world.pass_time(120, 10)
    assert (await world.get(waiting)).state.value in ("succeeded", "denied")
    await world.check_ledger()


@pytest.mark.parametrize("how_many", [5])
async def test_writers_of_one_resource_go_one_after_the_other(world: World, how_many: int) -> None:
    """`book.lend` has no preview, so that nothing drifts while it waits."""
    actions = [await world.propose("book.lend", {"shelf": str(n), "until": "may"}) for n in range(how_many)]
    world.target.pause = 0.002
    await asyncio.gather(*(world.vote(action) for action in actions))
    for _ in range(how_many):
        await world.tick(0.25)
    assert world.target.sending_most == 1
    assert {(await world.get(action)).state for action in actions} == {State.SUCCEEDED}
    await world.check_ledger()
