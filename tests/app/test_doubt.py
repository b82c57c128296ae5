# SPDX-License-Identifier: Apache-2.0
"""After a send whose outcome nobody knows: ask the target, never hope; and let a person say what only a person can."""

import asyncio
import logging
from dataclasses import replace

import pytest

from signoff.app.action import lease
from signoff.app.action.case import load
from signoff.app.action.execute import conclude
from signoff.core.action.doubt import ATTEMPTS_MAX, Judgement
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Forbidden, Malformed
from signoff.ports.storage import Lease
from tests.target import TOOLS, contract, without
from tests.world import TENANT, World

SETTLES = 2 + 10 + 60  # s: a send begins within 2 s, its time-out is 10 s, the contract's look-up settles after 60 s


async def in_doubt(world: World, how: str, reading: str = "ok") -> Action:
    """Send a write whose outcome is unknown."""
    world.target.plan.append(how)
    if reading != "ok":
        world.target.reading["book.find"] = reading
    doubtful = await world.vote(await world.propose())
    assert doubtful.state is State.IN_DOUBT
    return doubtful


@pytest.mark.parametrize("how", ["lost_after", "bad_answer", "error:weather", "error:"])
async def test_whatever_proves_nothing_is_doubt(world: World, how: str) -> None:
    """A time-out, an answer that breaks its schema, an error that is not in `not_done`, an error without a code."""
    doubtful = await in_doubt(world, how)
    assert doubtful.reserved_usd_micros == 250_000
    assert doubtful.proof is None
    await world.check_ledger()


async def test_what_a_look_up_finds_has_succeeded(world: World) -> None:
    doubtful = await in_doubt(world, "lost_after")
    await world.tick()
    found = await world.get(doubtful)
    assert (found.state, found.reason) == (State.SUCCEEDED, "found")
    assert found.settled_usd_micros == 250_000
    assert len(world.target.calls) == 1
    assert (await world.document(found))["result"]["entry_id"] == "E-1"
    reversed_ = await world.vote(await world.undo(found))
    assert reversed_.state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_error_that_the_contract_names_proves_that_nothing_was_written(world: World) -> None:
    world.target.plan.append("error:shelf_closed")
    failed = await world.vote(await world.propose())
    assert (failed.state, failed.reason) == (State.FAILED, "shelf_closed")
    assert failed.receipt_id is not None
    assert (await world.document(failed))["error"]["code"] == "shelf_closed"
    await world.check_ledger()


async def test_not_found_too_early_proves_nothing(world: World) -> None:
    doubtful = await in_doubt(world, "late")
    await world.pass_time(SETTLES - 2, 1)
    assert (await world.get(doubtful)).state is State.IN_DOUBT
    assert len(world.target.calls) == 1
    world.target.land()
    await world.pass_time(5, 1)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_proved_absent_is_sent_again_under_the_same_key(world: World) -> None:
    doubtful = await in_doubt(world, "lost_before")
    await world.pass_time(SETTLES + 2, 1)
    done = await world.get(doubtful)
    assert (done.state, done.fence) == (State.SUCCEEDED, 2)
    assert [call.args["key"] for call in world.target.calls] == [doubtful.key] * 2
    await world.check_ledger()


async def test_three_attempts_and_then_it_has_failed(world: World) -> None:
    doubtful = await in_doubt(world, "lost_before")
    world.target.plan.extend(["lost_before"] * 5)
    await world.pass_time(4 * SETTLES, 2)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason, failed.fence) == (State.FAILED, "proved_absent", ATTEMPTS_MAX)
    assert failed.receipt_id is not None
    assert len(world.target.calls) == ATTEMPTS_MAX
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_a_system_that_cannot_be_reached_was_sent_nothing(world: World) -> None:
    world.target.plan.extend(["not_sent"] * ATTEMPTS_MAX)
    doubtful = await world.vote(await world.propose())
    assert (doubtful.state, doubtful.proof) == (State.IN_DOUBT, "not_sent")
    await world.pass_time(10, 1)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason, failed.fence) == (State.FAILED, "not_sent", ATTEMPTS_MAX)
    assert world.target.calls == []
    await world.check_ledger()


async def test_an_outage_before_a_second_send_is_waited_out(world: World) -> None:
    world.target.plan.append("not_sent")
    doubtful = await world.vote(await world.propose())
    world.target.is_down = True
    await world.pass_time(120, 10)
    assert (await world.get(doubtful)).state is State.IN_DOUBT
    world.target.is_down = False
    await world.pass_time(40, 10)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_outage_before_a_second_send_is_not_waited_out_for_ever(world: World) -> None:
    world.target.plan.append("not_sent")
    doubtful = await world.vote(await world.propose())
    world.target.is_down = True
    await world.pass_time(3700, 100)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason) == (State.FAILED, "tool_unavailable")
    assert world.target.calls == []
    await world.check_ledger()


async def test_nothing_is_sent_again_after_the_target_forgot_the_key(world: World) -> None:
    rows = [*without("book.create", "idempotency"), "idempotency: {argument: key, keeps: 1m}"]
    await world.publish(contract(book_create=rows))
    doubtful = await in_doubt(world, "lost_before")
    await world.pass_time(SETTLES + 5, 1)
    assert (await world.get(doubtful)).state is State.FAILED
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_a_key_that_ran_out_between_proof_and_send_is_not_used(world: World) -> None:
    rows = [*without("book.create", "idempotency"), "idempotency: {argument: key, keeps: 1m}"]
    await world.publish(contract(book_create=rows))
    world.target.plan.append("not_sent")
    doubtful = await world.vote(await world.propose())
    assert doubtful.proof == "not_sent"
    await world.tick(61)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason) == (State.FAILED, "not_sent_again")
    assert world.target.calls == []
    await world.check_ledger()


async def test_a_second_send_takes_a_last_look_too(world: World) -> None:
    doubtful = await in_doubt(world, "lost_before")
    world.target.versions["a"] += 1
    await world.pass_time(SETTLES + 2, 1)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason) == (State.FAILED, "drift")
    assert failed.receipt_id is not None
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_a_look_up_counts_from_when_it_was_asked(world: World) -> None:
    """An answer that took its time says what was there when it was asked, not when it came."""
    doubtful = await in_doubt(world, "late")
    original = world.target.read

    async def slow(call: object) -> object:
        answer = await original(call)  # type: ignore[arg-type]
        world.clock.advance(SETTLES)
        world.target.land()
        return answer

    world.target.read = slow  # type: ignore[method-assign, assignment]
    await world.tick(1)
    world.target.read = original  # type: ignore[method-assign]
    assert (await world.get(doubtful)).state is State.IN_DOUBT
    await world.pass_time(60, 10)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_what_is_found_with_other_arguments_needs_a_person(world: World) -> None:
    doubtful = await in_doubt(world, "lost_before", "wrong")
    await world.tick(1)
    waiting = await world.get(doubtful)
    assert (waiting.state, waiting.reason) == (State.NEEDS_PERSON, "found_differs")
    assert waiting.reserved_usd_micros == 250_000
    await world.tick(3600)
    assert (await world.get(doubtful)).state is State.NEEDS_PERSON
    resolved = await world.resolve(waiting, "not_done")
    assert (resolved.state, resolved.reserved_usd_micros) == (State.FAILED, 0)
    await world.check_ledger()


@pytest.mark.parametrize("reading", ["fail", "lost", "garbage", "unreachable"])
async def test_no_answer_for_an_hour_needs_a_person(world: World, reading: str) -> None:
    doubtful = await in_doubt(world, "lost_after", reading)
    await world.pass_time(3500, 50)
    assert (await world.get(doubtful)).state is State.IN_DOUBT
    await world.pass_time(200, 50)
    waiting = await world.get(doubtful)
    assert (waiting.state, waiting.reason) == (State.NEEDS_PERSON, "look_up_unanswered")
    assert (await world.resolve(waiting, "done")).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_answer_that_is_only_too_early_is_an_answer(world: World) -> None:
    """Where a look-up settles after two hours, the first hour of "not found" calls nobody."""
    rows = [row.replace("settles_after: 60s", "settles_after: 2h") for row in TOOLS["book.create"]]
    await world.publish(contract(book_create=rows))
    doubtful = await in_doubt(world, "lost_before")
    await world.pass_time(7000, 100)
    assert (await world.get(doubtful)).state is State.IN_DOUBT
    await world.pass_time(400, 50)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    assert len(world.target.calls) == 2
    await world.check_ledger()


async def test_without_a_look_up_a_person_looks(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("lost_after")
    doubtful = await world.propose("book.stamp", {"text": "x"})
    await world.tick()
    waiting = await world.get(doubtful)
    assert (waiting.state, waiting.reason) == (State.NEEDS_PERSON, "no_look_up")
    await world.check_ledger()


async def test_who_needs_a_person_is_left_in_peace_by_the_timers(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("lost_after")
    waiting = await world.propose("book.stamp", {"text": "x"})
    await world.tick()
    before = await world.get(waiting)
    assert (before.state, before.look_at) == (State.NEEDS_PERSON, None)
    await world.pass_time(100, 10)
    assert await world.get(waiting) == before
    await world.check_ledger()


async def test_a_natural_key_that_is_proved_absent_has_failed(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("lost_before")
    doubtful = await world.propose("book.register", {"name": "Moby"})
    assert doubtful.state is State.IN_DOUBT
    await world.pass_time(SETTLES + 5, 1)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason, failed.fence) == (State.FAILED, "proved_absent", 1)
    await world.check_ledger()


async def test_a_lost_egress_has_failed_and_may_have_left(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("lost_after")
    failed = await world.propose("book.mail", {"to": "x"})
    assert (failed.state, failed.reason) == (State.FAILED, "answer_lost")
    assert failed.receipt_id is not None
    await world.check_ledger()


# --- a person says ----------------------------------------------------------------------------------------------------


async def needing(world: World) -> Action:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("lost_after")
    waiting = await world.propose("book.stamp", {"text": "x"})
    await world.tick()
    return await world.get(waiting)


@pytest.mark.parametrize(("found", "state"), [("done", State.SUCCEEDED), ("not_done", State.FAILED)])
async def test_a_person_says_what_they_found_with_evidence(world: World, found: str, state: State) -> None:
    resolved = await world.resolve(await needing(world), found)
    assert (resolved.state, resolved.reason) == (state, f"resolved_{found}")
    assert resolved.receipt_id is not None
    said = (await world.document(resolved))["resolution"]
    assert (said["found"], said["evidence"], said["by"]) == (found, "page 7 of the book", world.cast.otto.id)
    with pytest.raises(Conflict):
        await world.resolve(resolved, found)
    await world.check_ledger()


async def test_only_an_operator_says_and_only_one_of_two_things(world: World) -> None:
    waiting = await needing(world)
    for who in (world.cast.agent, world.cast.ann):
        with pytest.raises(Forbidden):
            await world.resolve(waiting, "done", who)
    with pytest.raises(Malformed):
        await world.resolve(waiting, "perhaps")
    with pytest.raises(Conflict):
        await world.resolve(await world.propose("book.find", {"key": "x"}), "done")
    assert await world.get(waiting) == waiting
    await world.check_ledger()


async def test_of_two_people_who_found_otherwise_one_is_told(world: World) -> None:
    waiting = await needing(world)
    both = await asyncio.gather(
        world.resolve(waiting, "done"), world.resolve(waiting, "not_done"), return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in both) == 1
    await world.check_ledger()


# --- the node goes away -----------------------------------------------------------------------------------------------


async def hanging(world: World) -> Action:
    """Send a write, which is done, and whose answer never comes."""
    waiting = await world.propose()
    world.target.plan.append("hang")
    sent = await world.vote(waiting)
    assert sent.state is State.DISPATCHING
    return sent


async def test_a_node_that_dies_while_it_sends_leaves_doubt_which_the_next_one_resolves(world: World) -> None:
    sent = await hanging(world)
    await world.crash()
    await world.tick()
    doubtful = await world.get(sent)
    assert (doubtful.state, doubtful.reason) in ((State.IN_DOUBT, "lease_lost"), (State.SUCCEEDED, "found"))
    await world.tick(1)
    assert (await world.get(sent)).state is State.SUCCEEDED
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_a_late_record_under_an_old_fence_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A node that was only paused wakes up after another one has taken its action over."""
    sent = await hanging(world)
    world.node.is_alone = False
    other = world._open()
    other.is_alone = False
    first, world.node = world.node, other
    other.tags, other.logs = first.tags, first.logs
    world.clock.advance(16)
    hung, world.target.hanging = world.target.hanging, []
    await world.tick()
    await world.tick(1)
    assert (await world.get(sent)).state is State.SUCCEEDED
    with caplog.at_level(logging.WARNING):
        for event in hung:
            event.set()
        await first.legs.drain(5)
    assert "late record" in caplog.text
    assert (await world.get(sent)).state is State.SUCCEEDED
    await first.storage.close()
    world.node = other
    await world.check_ledger()


async def test_a_record_under_an_old_fence_is_refused_while_the_next_attempt_is_under_way(world: World) -> None:
    """The first attempt wakes up when the second one is being sent: its answer is not the second's."""
    waiting = await world.propose()
    case = await world.node.storage.view(TENANT, lambda tx: load(world.node, tx, waiting.action_id))
    world.target.plan.extend(["lost_before", "hang"])
    first = await world.vote(waiting)
    for _ in range(80):
        await world.tick(1)
        if world.target.hanging:
            break
    second = await world.get(waiting)
    assert (second.state, second.fence) == (State.DISPATCHING, 2)
    stale = replace(second, fence=1, seq=first.seq)
    late = Judgement(State.SUCCEEDED, result={"entry_id": "E-0"})
    assert await conclude(world.node, case, stale, late, None, None) == second
    assert await world.get(waiting) == second
    await world.crash()
    await world.pass_time(20, 2)
    assert (await world.get(waiting)).state is State.SUCCEEDED
    await world.check_ledger()


async def leases(world: World) -> list[Lease]:
    return await world.node.storage.view(TENANT, lambda tx: tx.leases.aged(tx.now, None))


async def test_a_lease_that_was_renewed_meanwhile_is_not_lost(world: World) -> None:
    """What a timer saw is looked at again in the transaction that acts on it."""
    sent = await hanging(world)
    world.clock.advance(16)
    [lost] = await leases(world)
    until = world.clock.now() + 15_000_000
    await world.node.storage.transact(TENANT, lambda tx: tx.leases.renew(sent.action_id, sent.fence, until))
    await lease._recover(world.node, TENANT, lost, None)
    assert (await world.get(sent)).state is State.DISPATCHING
    assert [one.until for one in await leases(world)] == [until]
    await world.crash()
    await world.tick(20)
    await world.check_ledger()


async def test_a_node_renews_what_it_is_still_sending_and_lets_go_once_it_is_answered(world: World) -> None:
    sent = await hanging(world)
    [claim] = await leases(world)
    assert claim.until == (sent.claimed_at or 0) + 15_000_000
    assert claim.node == sent.claimed_by == world.node.node
    for _ in range(5):
        await world.tick(6)
        assert (await world.get(sent)).state is State.DISPATCHING
        [renewed] = await leases(world)
        assert renewed.until == world.clock.now() + 15_000_000
    await world.check_ledger()
    world.target.restart()
    await world.settled()
    assert (await world.get(sent)).state is State.IN_DOUBT
    assert not await leases(world)
    assert not await world.node.storage.view(TENANT, lambda tx: tx.stored.count("leases"))
    await world.check_ledger()


async def test_a_read_whose_node_died_has_failed(world: World) -> None:
    held = asyncio.Event()
    original = world.target.read

    async def never(call: object) -> object:
        await held.wait()
        return await original(call)  # type: ignore[arg-type]

    world.target.read = never  # type: ignore[method-assign, assignment]
    call = asyncio.create_task(world.propose("book.find", {"key": "x"}))
    while not await world.actions():  # noqa: ASYNC110  # what is awaited is a row
        await asyncio.sleep(0.001)
    await world.tick_without_waiting()
    assert [one.state for one in await world.actions()] == [State.DISPATCHING]
    await world.crash()
    assert call.done()
    world.target.read = original  # type: ignore[method-assign]
    await world.tick(2)
    [read] = await world.actions()
    assert (read.state, read.reason) == (State.FAILED, "answer_lost")
    await world.check_ledger()


async def test_an_egress_whose_node_died_has_failed(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("hang")
    call = asyncio.create_task(world.propose("book.mail", {"to": "x"}))
    while not world.target.hanging:  # noqa: ASYNC110  # the target rings no bell
        await asyncio.sleep(0.001)
    await world.crash()
    assert call.done()
    await world.tick()
    [lost] = await world.actions()
    assert (lost.state, lost.reason) == (State.FAILED, "answer_lost")
    assert lost.receipt_id is not None
    await world.check_ledger()


async def test_an_answer_is_held_against_the_form_that_was_pinned_when_it_was_sent(world: World) -> None:
    """That the server is asked anew while a call is under way makes no answer acceptable, or doubtful."""
    waiting = await world.propose()
    original = world.target.execute

    async def forgetful(call: object) -> object:
        answer = await original(call)  # type: ignore[arg-type]
        for server in list(world.node.systems._described):
            world.node.systems.forget(server)
        return answer

    world.target.execute = forgetful  # type: ignore[method-assign, assignment]
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    await world.check_ledger()


EDGES = (
    "new->proposed", "proposed->pending_approval", "pending_approval->approved", "approved->dispatching",
    "dispatching->succeeded",
)  # fmt: skip


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("edge", EDGES)
async def test_a_crash_on_any_edge_loses_nothing_and_writes_nothing_twice(world: World, edge: str, side: str) -> None:
    world.fail_at(f"{edge}:{side}")

    async def walk() -> None:
        action = await world.propose()
        if action.state is State.PENDING_APPROVAL:
            await world.vote(action)

    # The process ends at the failing commit: whatever it raises, nobody is left to see it.
    await asyncio.gather(walk(), return_exceptions=True)
    await world.crash()
    await world.tick()
    again = await world.propose()
    if again.state is State.PENDING_APPROVAL:
        await world.vote(again)
    await world.pass_time(SETTLES + 10, 4)
    [action] = await world.actions()
    assert action.state is State.SUCCEEDED
    assert len(world.target.rows) == 1
    assert len(world.target.calls) == 1
    await world.check_ledger()


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("edge", ["dispatching->in_doubt", "in_doubt->dispatching", "in_doubt->succeeded"])
async def test_a_crash_in_doubt_writes_nothing_twice(world: World, edge: str, side: str) -> None:
    waiting = await world.propose()
    world.target.plan.append("lost_after" if edge.endswith("succeeded") else "lost_before")
    world.fail_at(f"{edge}:{side}")
    await asyncio.gather(world.vote(waiting), return_exceptions=True)
    for _ in range(20):
        await asyncio.gather(world.pass_time(5, 5), return_exceptions=True)
    await world.crash()
    await world.pass_time(3 * SETTLES, 5)
    assert (await world.get(waiting)).state is State.SUCCEEDED
    assert len(world.target.rows) == 1
    await world.check_ledger()
