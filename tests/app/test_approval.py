# SPDX-License-Identifier: Apache-2.0
"""People say yes, no or otherwise, to exactly the bytes they saw."""

from collections.abc import Awaitable, Callable

import pytest

from signoff.app.action import approve
from signoff.app.authority import people
from signoff.core.action.lifecycle import State
from signoff.core.errors import Conflict, Forbidden, Malformed, NotFound
from tests.target import contract, without
from tests.world import DAY, World


async def refused(call: Awaitable[object], kind: type[Exception], code: str) -> None:
    """Expect a refusal of that kind and code."""
    with pytest.raises(kind) as told:
        await call
    assert told.value.code == code  # type: ignore[attr-defined]


async def test_a_vote_for_another_digest_is_refused(world: World) -> None:
    waiting = await world.propose()
    await refused(world.vote(waiting, digest="sha256:" + "0" * 64), Conflict, "approval.digest_mismatch")
    await refused(world.vote(waiting, digest=""), Conflict, "approval.digest_mismatch")
    assert (await world.get(waiting)).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_nobody_approves_their_own_request(world: World) -> None:
    """Olga owns the agent, so that the run is in her name; she is a clerk, and still the requester."""
    waiting = await world.propose()
    await refused(world.vote(waiting, world.cast.olga), Forbidden, "approval.own_request")
    await refused(world.vote(waiting, world.cast.olga, "reject"), Forbidden, "approval.own_request")
    assert await world.votes(waiting) == []
    await world.check_ledger()


async def test_an_agent_can_never_approve_reject_or_edit(world: World) -> None:
    waiting = await world.propose()
    for agent in (world.cast.agent, world.cast.rival):
        await refused(world.vote(waiting, agent), Forbidden, "forbidden.agent")
        await refused(world.vote(waiting, agent, "reject"), Forbidden, "forbidden.agent")
        await refused(world.edit(waiting, {"shelf": "a", "amount": 1}, agent), Forbidden, "forbidden.agent")
    await world.check_ledger()


async def test_a_vote_takes_a_role_that_is_owed_and_a_person_who_is_active(world: World) -> None:
    waiting = await world.propose()
    await refused(world.vote(waiting, world.cast.zoe), Forbidden, "approval.role_missing")
    await refused(world.vote(waiting, world.cast.admin), Forbidden, "approval.role_missing")
    await people.change_person(world.node, world.cast.admin, world.cast.ann.id, is_active=False)
    await refused(world.vote(waiting), Forbidden, "approval.person_inactive")
    await world.check_ledger()


async def test_a_word_that_is_neither_yes_nor_no_is_no_vote(world: World) -> None:
    waiting = await world.propose()
    with pytest.raises(Malformed):
        await world.vote(waiting, decision="perhaps")
    assert await world.votes(waiting) == []
    await world.check_ledger()


async def test_one_no_is_enough(world: World) -> None:
    waiting = await world.propose()
    rejected = await world.vote(waiting, decision="reject")
    assert (rejected.state, rejected.reason, rejected.receipt_id) == (State.REJECTED, "rejected", None)
    assert await world.spent() == (0, 0)
    await refused(world.vote(waiting, world.cast.bob), Conflict, "approval.not_pending")
    assert world.target.calls == []
    await world.check_ledger()


async def test_two_people_are_two_people(world: World) -> None:
    """What is of class D takes two; here the return of a loan."""
    lent = await world.posted("book.lend", {"shelf": "a", "until": "may"})
    reversal = await world.undo(lent)
    once = await world.vote(reversal)
    assert once.state is State.PENDING_APPROVAL
    await refused(world.vote(reversal), Conflict, "approval.already_voted")
    assert (await world.vote(reversal, world.cast.bob)).state is State.SUCCEEDED
    assert [vote.person_id for vote in await world.votes(reversal)] == [world.cast.ann.id, world.cast.bob.id]
    await world.check_ledger()


async def test_a_voter_who_lost_the_role_no_longer_counts_towards_two(world: World) -> None:
    reversal = await world.undo(await world.posted("book.lend", {"shelf": "a", "until": "may"}))
    await world.vote(reversal)
    await world.give_roles(world.cast.ann)
    assert (await world.vote(reversal, world.cast.bob)).state is State.PENDING_APPROVAL
    await world.check_ledger()


# --- deadlines --------------------------------------------------------------------------------------------------------


async def test_a_vote_in_the_last_microsecond_counts_and_at_the_deadline_it_does_not(world: World) -> None:
    early, late = await world.propose(), await world.propose(args={"shelf": "b", "amount": 1})
    assert early.expires_at == early.proposed_at + DAY
    world.clock.us = early.expires_at - 1
    assert (await world.vote(early)).state is State.SUCCEEDED
    assert late.expires_at is not None
    world.clock.us = late.expires_at
    await refused(world.vote(late), Conflict, "approval.expired")
    expired = await world.get(late)
    assert (expired.state, expired.reason) == (State.EXPIRED, "expired")
    assert await world.votes(late) == []
    await world.check_ledger()


async def test_a_deadline_falls_by_timer_too_and_gives_the_money_back(world: World) -> None:
    waiting = await world.propose()
    await world.tick(24 * 3600 - 1)
    assert (await world.get(waiting)).state is State.PENDING_APPROVAL
    await world.tick(1)
    assert (await world.get(waiting)).state is State.EXPIRED
    assert await world.spent() == (0, 0)
    await world.check_ledger()


async def test_an_approval_that_was_not_used_in_time_expires(world: World) -> None:
    approved = await world.approved()
    world.clock.advance(24 * 3600)
    await world.tick()
    assert (await world.get(approved)).state is State.EXPIRED
    assert world.target.calls == []
    await world.check_ledger()


# --- edits ------------------------------------------------------------------------------------------------------------


async def test_an_edit_is_another_digest_and_voids_every_vote(world: World) -> None:
    lent = await world.posted("book.lend", {"shelf": "a", "until": "may"})
    del lent
    waiting = await world.propose()
    edited = await world.edit(waiting, {"shelf": "a", "amount": 9})
    assert edited.state is State.PENDING_APPROVAL
    assert edited.revision == 2
    assert edited.digest != waiting.digest
    assert edited.preview != waiting.preview
    await refused(world.vote(waiting), Conflict, "approval.digest_mismatch")
    done = await world.vote(edited, world.cast.bob)  # the editor may vote on what they then see
    assert done.state is State.SUCCEEDED
    assert world.target.calls[-1].args["amount"] == 9
    shown = await world.document(done)
    assert shown["args"]["proposed"] == {"shelf": "a", "amount": 12}
    assert shown["args"]["approved"] == shown["args"]["effective"] == {"shelf": "a", "amount": 9}
    await world.check_ledger()


async def test_an_edit_that_policy_denies_changes_nothing(world: World) -> None:
    waiting = await world.propose()
    await refused(world.edit(waiting, {"shelf": "a"}), Conflict, "approval.edit_denied")
    await refused(world.edit(waiting, {"shelf": "a", "amount": 1, "key": "k"}), Conflict, "approval.edit_denied")
    world.target.reading["book.preview"] = "fail"
    await refused(world.edit(waiting, {"shelf": "a", "amount": 1}), Conflict, "approval.edit_denied")
    assert await world.get(waiting) == waiting
    world.target.reading.clear()
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_edit_takes_a_role_and_the_digest_that_was_shown(world: World) -> None:
    waiting = await world.propose()
    new = {"shelf": "a", "amount": 9}
    await refused(world.edit(waiting, new, world.cast.zoe), Forbidden, "approval.role_missing")
    edited = await world.edit(waiting, new)
    await refused(world.edit(waiting, {"shelf": "a", "amount": 8}), Conflict, "approval.digest_mismatch")
    assert await world.get(waiting) == edited
    await world.check_ledger()


async def test_the_requester_may_edit_and_still_not_approve(world: World) -> None:
    waiting = await world.propose()
    edited = await world.edit(waiting, {"shelf": "a", "amount": 9}, world.cast.olga)
    await refused(world.vote(edited, world.cast.olga), Forbidden, "approval.own_request")
    await world.check_ledger()


async def test_an_edit_moves_the_write_to_its_new_resource(world: World) -> None:
    waiting = await world.propose()
    edited = await world.edit(waiting, {"shelf": "b", "amount": 9})
    assert edited.resource is not None
    assert edited.resource != waiting.resource
    await world.check_ledger()


async def test_an_edit_under_a_contract_that_was_replaced_is_refused(world: World) -> None:
    waiting = await world.propose()
    await world.publish(contract(book_create=[*without("book.create", "cost"), "cost: {usd: 0.30}"]))
    await refused(world.edit(waiting, {"shelf": "a", "amount": 9}), Conflict, "approval.edit_denied")
    assert await world.get(waiting) == waiting
    await world.check_ledger()


async def test_the_arguments_of_a_reversal_are_not_edited(world: World) -> None:
    """It says what it takes back; with other arguments it would take back something else."""
    reversal = await world.undo(await world.posted())
    await refused(world.edit(reversal, {"entry_id": "E-9"}), Conflict, "approval.edit_denied")
    await world.check_ledger()


# --- withdrawn --------------------------------------------------------------------------------------------------------


Who = Callable[[World], object]


async def test_what_was_not_sent_can_be_withdrawn_and_what_was_sent_cannot(world: World) -> None:
    waiting = await world.propose()
    cancelled = await world.cancel(waiting)
    assert (cancelled.state, cancelled.reason) == (State.CANCELLED, "cancelled")
    assert await world.spent() == (0, 0)
    await refused(world.vote(waiting), Conflict, "approval.not_pending")
    done = await world.vote(await world.propose(again=True))
    await refused(world.cancel(done), Conflict, "action.sent")
    await world.check_ledger()


async def test_a_write_is_withdrawn_by_those_it_concerns_only(world: World) -> None:
    waiting = await world.propose()
    with pytest.raises(Forbidden):
        await world.cancel(waiting, world.cast.zoe)
    with pytest.raises((Forbidden, NotFound)):
        await world.cancel(waiting, world.cast.rival)
    for amount, who in enumerate((world.cast.olga, world.cast.ann, world.cast.otto)):
        waiting = await world.propose(args={"shelf": "a", "amount": amount})
        assert (await world.cancel(waiting, who)).state is State.CANCELLED
    await world.check_ledger()


async def test_an_agent_does_not_withdraw_what_a_person_asked_for(world: World) -> None:
    reversal = await world.undo(await world.posted())
    with pytest.raises(Forbidden):
        await world.cancel(reversal)
    assert (await world.cancel(reversal, world.cast.bob)).state is State.CANCELLED
    await world.check_ledger()


async def test_a_revoked_token_moves_nothing(world: World) -> None:
    """Whether a proof still holds is asked again in each transaction that acts on it."""
    waiting, done = await world.propose(), await world.posted("book.note", {"text": "x"})
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, revoke_tokens=True)
    with pytest.raises(Forbidden):
        await world.cancel(waiting)
    with pytest.raises(Forbidden):
        await world.undo(done, world.cast.agent)
    with pytest.raises(Forbidden):
        await world.complete()
    with pytest.raises(Forbidden):
        await world.begin()
    await world.check_ledger()


async def test_a_person_who_was_switched_off_moves_nothing(world: World) -> None:
    waiting = await world.propose()
    await people.change_person(world.node, world.cast.admin, world.cast.otto.id, is_active=False)
    with pytest.raises(Forbidden):
        await world.cancel(waiting, world.cast.otto)
    await people.change_person(world.node, world.cast.admin, world.cast.bob.id, is_active=False)
    done = await world.vote(waiting)
    with pytest.raises(Forbidden):
        await world.undo(done)
    await world.check_ledger()


async def test_an_approval_is_found_by_its_own_id(world: World) -> None:
    waiting = await world.propose()
    assert waiting.approval_id is not None
    shown = await world.document(waiting)
    assert shown["approval"]["owed"][0]["count"] == 1
    assert (await approve.vote(
        world.node, world.cast.ann, waiting.action_id, "reject", waiting.digest or "", ""
    )).state is State.REJECTED  # fmt: skip
    await world.check_ledger()
