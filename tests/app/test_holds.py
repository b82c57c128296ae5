# SPDX-License-Identifier: Apache-2.0
"""A review window: what is allowed waits, so that a person may still stop it; no timer stands in for an approval."""

import asyncio

import pytest

from signoff.app import record
from signoff.app.action import lists
from signoff.app.action.defer import defer
from signoff.app.action.runs import set_paused
from signoff.app.audit import audit
from signoff.app.authority import people, policies
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.quota import Quotas
from signoff.core.errors import Conflict, Forbidden, Malformed
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction
from tests.app import terms
from tests.target import Row
from tests.world import DAY, HOUR, TENANT, World, envelope

WINDOW_S = 4 * 3600


def page(end: str = "hold", tool: str = "book.create", **given: object) -> str:
    holds = f"holds: [{{tool: {tool}, window: 4h, on_timeout: {end}}}]"
    return envelope(workflow="held", **{"mode": "autonomous", "asks": False, "more": holds} | given)  # type: ignore[arg-type]


async def held(world: World, end: str = "hold", tool: str = "book.create", **given: object) -> Action:
    """Propose what is allowed and owes a review window."""
    await world.publish(page(end, tool, **given))
    await world.begin("held")
    action = await world.propose(tool, {"text": "a"} if tool == "book.note" else None)
    assert action.state is State.HELD, action
    return action


async def approved_and_held(world: World, end: str = "hold") -> Action:
    """Propose what owes an approval and then a review window, and have it approved."""
    await world.publish(page(end, mode="assist", asks=True))
    await world.begin("held")
    waiting = await world.propose()
    assert waiting.state is State.PENDING_APPROVAL
    assert (waiting.hold_us, waiting.hold_until) == (4 * HOUR, None)
    action = await world.vote(waiting)
    assert action.state is State.HELD, action
    return action


async def put_off(world: World, action: Action, until: int, who: Caller | None = None) -> Action:
    return await defer(world.node, who or world.cast.ann, action.action_id, action.digest or "", "later", until)


async def test_what_is_on_hold_is_not_sent_before_a_person_releases_it(world: World) -> None:
    action = await held(world)
    assert action.hold_until == action.proposed_at + 4 * HOUR
    await world.tick(WINDOW_S - 1)
    assert (await world.get(action)).state is State.HELD
    assert world.target.calls == []
    done = await world.vote(action)
    assert (done.state, done.released_by) == (State.SUCCEEDED, world.cast.ann.id)
    assert len(world.target.calls) == 1
    await world.check_ledger()


async def test_a_window_that_proceeds_sends_at_its_end_and_not_before(world: World) -> None:
    action = await held(world, "proceed")
    assert action.hold_until is not None
    world.clock.us = action.hold_until - 1
    await world.tick()
    assert (await world.get(action)).state is State.HELD
    world.clock.us = action.hold_until
    await world.tick()
    done = await world.get(action)
    assert (done.state, done.released_by) == (State.SUCCEEDED, None)
    assert (done.claimed_at or 0) >= action.hold_until
    await world.check_ledger()


async def test_a_window_that_does_not_proceed_ends_before_people(world: World) -> None:
    action = await held(world)
    await world.tick(WINDOW_S)
    waiting = await world.get(action)
    assert (waiting.state, waiting.reason, waiting.verdict) == (State.PENDING_APPROVAL, "hold_over", "ask")
    assert world.target.calls == []
    assert waiting.expires_at == world.clock.us + DAY
    done = await world.vote(waiting)
    assert done.state is State.SUCCEEDED  # the window was served once and is not owed again
    await world.check_ledger()


async def test_a_window_over_which_nobody_decides_expires_like_any_approval(world: World) -> None:
    action = await held(world)
    await world.tick(WINDOW_S)
    await world.tick(24 * 3600)
    assert (await world.get(action)).state is State.EXPIRED
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize("end", ["hold", "proceed"])
async def test_an_approval_that_is_owed_comes_before_the_window(world: World, end: str) -> None:
    action = await approved_and_held(world, end)
    assert world.target.calls == []
    assert action.hold_until == world.clock.us + 4 * HOUR
    await world.tick(WINDOW_S)
    over = await world.get(action)
    if end == "proceed":
        assert over.state is State.SUCCEEDED
    else:
        assert over.state is State.HELD  # a person has said yes, and says when
        assert (await world.vote(over, world.cast.bob)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_no_timer_stands_in_for_an_approval(world: World) -> None:
    await world.publish(page("proceed", mode="assist", asks=True))
    await world.begin("held")
    waiting = await world.propose()
    await world.tick(WINDOW_S + 1)
    assert (await world.get(waiting)).state is State.PENDING_APPROVAL
    await world.tick(24 * 3600)
    assert (await world.get(waiting)).state is State.EXPIRED
    assert world.target.calls == []
    await world.check_ledger()


async def test_what_was_approved_and_is_never_released_is_void_in_the_end(world: World) -> None:
    action = await approved_and_held(world)
    await world.tick(WINDOW_S + 24 * 3600 - 1)
    assert (await world.get(action)).state is State.HELD
    await world.tick(1)
    over = await world.get(action)
    assert (over.state, over.reason) == (State.VOIDED, "hold_unanswered")
    assert world.target.calls == []
    await world.check_ledger()


async def test_a_person_cancels_what_is_on_hold(world: World) -> None:
    action = await held(world, "proceed")
    over = await world.vote(action, decision="reject")
    assert (over.state, over.reason, over.reserved_usd_micros) == (State.CANCELLED, "hold_cancelled", 0)
    await world.tick(WINDOW_S)
    assert world.target.calls == []
    await world.check_ledger()


async def test_the_agent_withdraws_what_is_on_hold(world: World) -> None:
    action = await held(world, "proceed")
    assert (await world.cancel(action)).state is State.CANCELLED
    await world.check_ledger()


async def test_a_window_is_moved_later_within_thirty_days_and_never_earlier(world: World) -> None:
    action = await held(world, "proceed")
    until, begun = action.hold_until or 0, action.waiting_since or 0
    for wrong in (until, until - 1, begun + 30 * DAY + 1):
        with pytest.raises(Malformed, match="was not moved"):
            await put_off(world, action, wrong)
    moved = await put_off(world, action, until + DAY)
    assert moved.hold_until == until + DAY
    await world.tick(WINDOW_S)
    assert (await world.get(action)).state is State.HELD
    await world.tick(24 * 3600)
    assert (await world.get(action)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_moving_the_window_of_what_was_approved_moves_its_deadline(world: World) -> None:
    action = await approved_and_held(world)
    moved = await put_off(world, action, (action.hold_until or 0) + DAY)
    assert (moved.expires_at or 0) - (moved.hold_until or 0) == DAY
    await world.check_ledger()


async def test_only_who_may_decide_does_and_nobody_releases_their_own_request(world: World) -> None:
    action = await held(world)
    for who in (world.cast.zoe, world.cast.otto, world.cast.agent):
        for decision in ("approve", "reject"):
            with pytest.raises(Forbidden):
                await world.vote(action, who, decision)
        with pytest.raises(Forbidden):
            await put_off(world, action, (action.hold_until or 0) + 1, who)
    with pytest.raises(Forbidden, match="your own name"):
        await world.vote(action, world.cast.olga)  # the run is hers
    assert (await world.vote(action, world.cast.olga, "reject")).state is State.CANCELLED
    await world.check_ledger()


async def test_where_a_page_names_no_approver_an_operator_decides(world: World) -> None:
    action = await held(world, tool="book.note")
    await terms.change(world, approval_roles=())
    with pytest.raises(Forbidden):
        await world.vote(action)
    assert (await world.vote(action, world.cast.otto)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_decision_on_another_digest_than_what_is_on_hold_is_refused(world: World) -> None:
    action = await held(world)
    with pytest.raises(Conflict) as refused:
        await world.vote(action, digest="sha256:" + "0" * 64)
    assert refused.value.code == "approval.digest_mismatch"
    await world.check_ledger()


async def test_a_release_after_the_window_is_too_late_timer_or_not(world: World) -> None:
    """By the time of the transaction an approval is owed, and what a release binds is no approval."""
    action = await held(world)
    world.clock.us = action.hold_until or 0
    with pytest.raises(Conflict) as refused:
        await world.vote(action)
    assert refused.value.code == "approval.hold_over"
    assert (await world.get(action)).state is State.PENDING_APPROVAL
    assert (await world.vote(await world.get(action))).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_halt_stops_what_is_on_hold(world: World) -> None:
    action = await held(world, "proceed")
    effect = await world.halt("tool:book.create")
    assert (await world.get(action)).state is State.STOPPED
    await world.lift(effect)
    await world.tick(WINDOW_S)
    assert world.target.calls == []
    await world.check_ledger()


async def test_withdrawing_the_version_voids_what_is_on_hold(world: World) -> None:
    action = await held(world, "proceed")
    await policies.withdraw(world.node, world.cast.admin, "envelope", "held", "1")
    assert (await world.get(action)).state is State.VOIDED
    await world.tick(WINDOW_S)
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize("is_released", [True, False])
async def test_drift_during_the_window_voids(world: World, is_released: bool) -> None:
    action = await held(world, "proceed")
    world.target.rows["E-0"] = Row("E-0", "elsewhere", "a", 100)
    if is_released:
        over = await world.vote(action)
    else:
        await world.tick(WINDOW_S)
        over = await world.get(action)
    assert (over.state, over.reason) == (State.VOIDED, "drift")
    assert world.target.calls == []
    await world.check_ledger()


async def test_a_token_revoked_during_the_window_voids(world: World) -> None:
    action = await held(world, "proceed")
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    await world.tick(WINDOW_S)
    over = await world.get(action)
    assert (over.state, over.reason) == (State.VOIDED, "token_revoked")
    await world.check_ledger()


async def test_an_approver_who_lost_the_role_during_the_window_voids(world: World) -> None:
    action = await approved_and_held(world, "proceed")
    await world.give_roles(world.cast.ann)
    await world.tick(WINDOW_S)
    over = await world.get(action)
    assert (over.state, over.reason) == (State.VOIDED, "vote_withdrawn")
    assert world.target.calls == []
    await world.check_ledger()


async def test_what_owes_an_approval_by_the_end_of_its_window_asks(world: World) -> None:
    """As when the tier that allowed it was closed meanwhile."""
    action = await held(world, "proceed")
    await terms.change(world, writes_ask=True)
    await world.tick(WINDOW_S)
    asked = await world.get(action)
    assert (asked.state, asked.reason) == (State.PENDING_APPROVAL, "now_owed")
    assert world.target.calls == []
    assert (await world.vote(asked)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_what_was_approved_and_owes_more_by_the_end_of_its_window_is_void(world: World) -> None:
    action = await approved_and_held(world, "proceed")
    await terms.change(world, approval_roles=("Chief",))
    await world.tick(WINDOW_S)
    over = await world.get(action)
    assert (over.state, over.reason) == (State.VOIDED, "stricter_decision")
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize("forged", [{}, {"released_by": "agt_1"}, {"hold_end": "proceed"}])
async def test_a_send_from_a_hold_that_was_not_over_is_found(world: World, forged: dict[str, str]) -> None:
    action = await held(world)

    def body(tx: Transaction) -> None:
        now = tx.actions.get(action.action_id)
        assert now is not None
        claim = {"state": State.DISPATCHING, "fence": 1, "claimed_at": tx.now, "claimed_by": "nod_1"}
        record.move(tx, now, "action.claimed", **claim, **forged)  # type: ignore[arg-type]

    await world.node.storage.transact(TENANT, body)
    report = await audit(world.node, TENANT)
    assert any("from a hold that was not over" in one.what for one in report.findings), report.findings


async def test_a_paused_run_keeps_what_its_window_lets_go(world: World) -> None:
    action = await held(world, "proceed")
    await set_paused(world.node, world.cast.otto, world.run_id, True)
    await world.tick(WINDOW_S)
    assert (await world.get(action)).state is State.HELD
    await set_paused(world.node, world.cast.otto, world.run_id, False)
    await world.tick(1)
    assert (await world.get(action)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_outage_at_the_end_of_a_window_is_waited_out_for_an_hour(world: World) -> None:
    action = await held(world, "proceed")
    world.target.is_down = True
    await world.tick(WINDOW_S + 1800)
    assert (await world.get(action)).state is State.HELD
    await world.tick(1801)
    over = await world.get(action)
    assert over.state is State.VOIDED
    assert world.target.calls == []
    await world.check_ledger()


@pytest.mark.parametrize("point", ["held->dispatching:before", "held->dispatching:after"])
async def test_a_crash_at_the_end_of_a_window_forgets_nothing(world: World, point: str) -> None:
    action = await held(world, "proceed", "book.note")
    world.fail_at(point)
    await asyncio.gather(world.tick(WINDOW_S), return_exceptions=True)
    await asyncio.sleep(0.02)  # the writer has answered everyone
    await world.crash()
    for _ in range(4):
        await world.tick(80)
    assert (await world.get(action)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_release_is_finished_after_a_crash(world: World) -> None:
    action = await held(world)
    world.target.is_down = True
    await world.vote(action)
    assert (await world.get(action)).released_by == world.cast.ann.id
    await world.crash()
    world.target.is_down = False
    await world.tick(40)
    assert (await world.get(action)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_reads_and_other_tools_wait_for_nothing(world: World) -> None:
    await held(world, "proceed")
    assert (await world.propose("book.note", {"text": "b"})).state is State.SUCCEEDED
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_undo_that_a_person_asks_for_owes_no_window_and_one_that_the_agent_asks_for_does(world: World) -> None:
    action = await held(world, "proceed")
    await world.tick(WINDOW_S)
    done = await world.get(action)
    asked = await world.undo(done, world.cast.agent)
    assert asked.state is State.HELD, asked
    assert (await world.vote(asked, decision="reject")).state is State.CANCELLED
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_the_inbox_shows_what_is_on_hold_and_to_whom(world: World) -> None:
    action = await held(world, "proceed")
    [line] = (await lists.approvals(world.node, world.cast.ann, None, 10, role="Clerk")).items
    assert (line["state"], line["approval_id"], line["owed"]) == (
        "held", action.approval_id, [{"roles": ["Clerk"], "count": 1}],
    )  # fmt: skip
    assert line["held_until"] is not None
    assert (await lists.approvals(world.node, world.cast.ann, None, 10, role="Chief")).items == []
    hold = (await world.document(action))["hold"]
    assert (hold["window_s"], hold["end"], hold["released_by"]) == (WINDOW_S, "proceed", None)
    assert await lists.decided_on(world.node, world.cast.ann, action.approval_id or "") == action.action_id
    await world.check_ledger()


async def test_time_on_hold_is_no_time_of_the_run(world: World) -> None:
    await held(world, "proceed", tool="book.note")
    await world.tick(WINDOW_S)
    assert (await world.propose("book.get", {"entry_id": "E-1"})).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_agent_keeps_no_more_on_hold_than_may_wait_for_people(world: World) -> None:
    world.node.quotas = Quotas(waiting_per_run_max=1)
    await held(world, "proceed")
    assert (await world.propose(args={"shelf": "b", "amount": 1})).reason == "too_many_waiting"
    await world.check_ledger()


async def test_a_resource_that_is_taken_at_the_end_of_a_window_is_waited_for(world: World) -> None:
    first = await held(world, "proceed")
    second = await world.propose(args={"shelf": "a", "amount": 3})
    world.target.plan.append("lost_before")
    await world.tick(WINDOW_S)
    states = {(await world.get(one)).state for one in (first, second)}
    assert states == {State.IN_DOUBT, State.HELD}
    assert len(world.target.calls) == 1
    await world.check_ledger()
