# SPDX-License-Identifier: Apache-2.0
"""A write is taken back by a governed action of its own, refused where its target has moved."""

from dataclasses import replace

import pytest

from signoff.app.authority import people, policies
from signoff.core.action.lifecycle import State
from signoff.core.errors import Conflict, Forbidden, NotFound
from tests.target import CONTRACT, TOOLS, contract, without
from tests.world import World


async def test_an_undo_owes_an_approval_which_the_asker_may_give(world: World) -> None:
    done = await world.posted()
    reversal = await world.undo(done)
    assert reversal.state is State.PENDING_APPROVAL
    assert (await world.get(done)).state is State.SUCCEEDED
    back = await world.vote(reversal, world.cast.bob)  # who asked
    assert back.state is State.SUCCEEDED
    original = await world.get(done)
    assert (original.state, original.reversed_by) == (State.REVERSED, reversal.action_id)
    assert world.target.rows["E-1"].status == "reversed"
    await world.check_ledger()


async def test_who_could_not_have_approved_the_write_cannot_approve_its_undo(world: World) -> None:
    """Olga is the requester of the original; asking for the undo does not change that."""
    reversal = await world.undo(await world.posted(), world.cast.olga)
    with pytest.raises(Forbidden) as refused:
        await world.vote(reversal, world.cast.olga)
    assert refused.value.code == "approval.own_request"
    with pytest.raises(Forbidden):
        await world.vote(reversal, world.cast.zoe)
    assert (await world.vote(reversal)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_undo_whose_target_has_moved_is_refused_naming_both_values(world: World) -> None:
    done = await world.posted()
    world.target.rows["E-1"].amount = 13
    denied = await world.undo(done)
    assert (denied.state, denied.reason) == (State.DENIED, "conflict")
    detail = await world.detail(denied)
    assert "amount" in detail
    assert "12" in detail
    assert "13" in detail
    assert (await world.get(done)).state is State.SUCCEEDED
    assert (await world.get(done)).reversed_by is None
    await world.check_ledger()


async def test_a_target_that_moves_while_people_decide_voids_the_undo(world: World) -> None:
    done = await world.posted()
    reversal = await world.undo(done)
    world.target.rows["E-1"].amount = 13
    voided = await world.vote(reversal)
    assert (voided.state, voided.reason) == (State.VOIDED, "conflict")
    assert (await world.get(done)).state is State.SUCCEEDED
    world.target.rows["E-1"].amount = 12
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_target_that_cannot_be_read_is_an_outage_and_no_conflict(world: World) -> None:
    done = await world.posted()
    world.target.reading["book.get"] = "lost"
    denied = await world.undo(done)
    assert (denied.state, denied.reason) == (State.DENIED, "target_unavailable")
    world.target.reading.clear()
    reversal = await world.undo(done)
    world.target.reading["book.get"] = "lost"
    assert (await world.vote(reversal)).state is State.APPROVED
    world.target.reading.clear()
    await world.tick(1)
    assert (await world.get(reversal)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_write_that_could_not_be_read_back_cannot_be_compared(world: World) -> None:
    world.target.reading["book.get"] = "fail"
    done = await world.posted()
    assert done.image is None
    world.target.reading.clear()
    assert (await world.undo(done)).reason == "conflict"
    await world.check_ledger()


async def test_one_reversal_at_a_time(world: World) -> None:
    done = await world.posted()
    first = await world.undo(done)
    with pytest.raises(Conflict) as refused:
        await world.undo(done)
    assert refused.value.code == "undo.underway"
    await world.cancel(first, world.cast.bob)
    second = await world.undo(done)
    assert (await world.vote(second)).state is State.SUCCEEDED
    with pytest.raises(Conflict) as over:
        await world.undo(done)
    assert over.value.code == "undo.state"
    await world.check_ledger()


async def test_an_undo_cannot_be_undone(world: World) -> None:
    reversal = await world.vote(await world.undo(await world.posted()))
    with pytest.raises(Conflict) as refused:
        await world.undo(reversal)
    assert refused.value.code == "undo.of_undo"
    await world.check_ledger()


async def test_what_has_no_undo_says_what_a_person_does(world: World) -> None:
    done = await world.posted("book.pay", {"amount": 1})
    with pytest.raises(Conflict) as refused:
        await world.undo(done)
    assert refused.value.code == "undo.none"
    assert "ask for it back" in refused.value.fix
    read = await world.propose("book.find", {"key": "x"})
    with pytest.raises(Conflict):
        await world.undo(read)
    await world.check_ledger()


async def test_only_what_succeeded_can_be_undone(world: World) -> None:
    waiting = await world.propose()
    with pytest.raises(Conflict) as refused:
        await world.undo(waiting)
    assert refused.value.code == "undo.state"
    await world.check_ledger()


async def test_a_reversal_that_failed_takes_nothing_back_and_may_be_tried_again(world: World) -> None:
    done = await world.posted()
    world.target.plan.append("error:already_reversed")
    failed = await world.vote(await world.undo(done))
    assert failed.state is State.FAILED
    assert (await world.get(done)).state is State.REVERSAL_FAILED
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_a_reversal_in_doubt_is_looked_up_like_any_write(world: World) -> None:
    done = await world.posted()
    world.target.plan.append("lost_after")
    doubtful = await world.vote(await world.undo(done))
    assert doubtful.state is State.IN_DOUBT
    assert (await world.get(done)).state is State.REVERSING
    await world.tick(1)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_a_reversal_proved_absent_is_sent_again(world: World) -> None:
    done = await world.posted()
    world.target.plan.append("lost_before")
    doubtful = await world.vote(await world.undo(done))
    await world.pass_time(80, 4)
    assert (await world.get(doubtful)).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_an_agent_may_ask_for_its_own_and_owes_what_the_original_owed(world: World) -> None:
    done = await world.posted()
    with pytest.raises(NotFound):
        await world.undo(done, world.cast.rival)
    reversal = await world.undo(done, world.cast.agent)
    assert reversal.state is State.PENDING_APPROVAL
    with pytest.raises(Forbidden):
        await world.vote(reversal, world.cast.olga)
    assert (await world.vote(reversal)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_agent_takes_back_by_itself_what_it_was_allowed_to_do_by_itself(world: World) -> None:
    await world.under(mode="autonomous", asks=False)
    done = await world.propose("book.note", {"text": "x"})
    assert done.state is State.SUCCEEDED
    reversal = await world.undo(done, world.cast.agent)
    assert reversal.verdict == "allow"
    assert reversal.state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_what_a_class_c_write_owed_its_undo_by_the_agent_owes_too(world: World) -> None:
    rows = [*(row for row in TOOLS["book.note"] if not row.startswith("risk")), "risk: C"]
    await world.publish(contract(book_note=rows))
    await world.under(mode="autonomous", asks=False)
    done = await world.vote(await world.propose("book.note", {"text": "x"}))
    assert (await world.undo(done, world.cast.agent)).state is State.PENDING_APPROVAL
    await world.check_ledger()


async def test_a_person_undoes_under_a_page_that_names_nobody(world: World) -> None:
    """Nothing under it ever asked, so that the page names no approver; an operator is one then."""
    await world.under(mode="autonomous", asks=False, roles=[], tools=["book.note", "book.find"])
    done = await world.propose("book.note", {"text": "x"})
    assert done.state is State.SUCCEEDED
    reversal = await world.undo(done, world.cast.otto)
    assert (await world.vote(reversal, world.cast.otto)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_person_undoes_what_a_closed_run_under_a_withdrawn_page_did(world: World) -> None:
    done = await world.posted()
    await world.complete()
    await policies.withdraw(world.node, world.cast.admin, "envelope", "books", "1")
    await people.change_agent(world.node, world.cast.admin, world.cast.agent.id, is_active=False)
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_agent_undoes_nothing_in_a_closed_run(world: World) -> None:
    done = await world.posted()
    await world.complete()
    assert (await world.undo(done, world.cast.agent)).reason == "run_closed"
    await world.check_ledger()


async def test_a_contract_that_was_published_anew_leaves_the_way_back_open(world: World) -> None:
    done = await world.posted()
    await world.publish(CONTRACT + "# the same tools, another page\n")
    reversal = await world.undo(done)
    assert (await world.vote(reversal)).state is State.SUCCEEDED
    assert (await world.get(done)).state is State.REVERSED
    await world.check_ledger()


async def test_an_undo_may_be_told_in_terms_of_the_preview(world: World) -> None:
    rows = [
        *without("book.create", "undo"),
        "undo: {tool: book.reverse, args: {entry_id: \"preview.version == 1 ? result.entry_id : ''\"}}",
    ]
    await world.publish(contract(book_create=rows))
    done = await world.posted()
    assert (await world.vote(await world.undo(done))).state is State.SUCCEEDED
    await world.check_ledger()


# --- a whole run ------------------------------------------------------------------------------------------------------


async def test_a_run_is_undone_newest_first_and_what_was_left_is_told_with_its_reason(world: World) -> None:
    first = await world.posted()
    paid = await world.posted("book.pay", {"amount": 1})
    second = await world.posted(args={"shelf": "b", "amount": 2})
    third = await world.posted(args={"shelf": "b", "amount": 3})
    waiting = await world.propose(args={"shelf": "c", "amount": 3})
    world.target.rows[(await world.document(third))["result"]["entry_id"]].amount = 99
    reversals, left = await world.undo_run()
    assert [one.reverses for one in reversals] == [first.action_id]
    told = {one.action_id: one.why for one in left}
    assert told.keys() == {paid.action_id, second.action_id, third.action_id, waiting.action_id}
    assert "conflict" in told[third.action_id]
    assert third.action_id in told[second.action_id]
    assert "pending_approval" in told[waiting.action_id]
    await world.check_ledger()


async def test_newest_is_what_was_sent_last_and_not_what_was_proposed_last(world: World) -> None:
    early, late = await world.propose(), await world.propose("book.note", {"text": "x"})
    assert (await world.vote(late)).state is State.SUCCEEDED
    world.clock.advance(1)
    assert (await world.vote(early)).state is State.SUCCEEDED
    reversals, left = await world.undo_run()
    assert [one.reverses for one in reversals] == [early.action_id, late.action_id]
    assert left == []
    await world.check_ledger()


async def test_an_older_write_on_a_resource_waits_until_the_newer_one_is_undone(world: World) -> None:
    older = await world.posted()
    world.clock.advance(1)
    newer = await world.posted(args={"shelf": "a", "amount": 2})
    reversals, left = await world.undo_run()
    assert left == []
    [of_newer, of_older] = reversals
    assert [of_newer.reverses, of_older.reverses] == [newer.action_id, older.action_id]
    assert (await world.vote(of_older)).state is State.APPROVED
    await world.tick(1)
    assert (await world.get(of_older)).state is State.APPROVED
    assert (await world.vote(of_newer)).state is State.SUCCEEDED
    await world.tick(1)
    assert (await world.get(of_older)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_where_the_newer_one_is_not_undone_the_older_one_is_left(world: World) -> None:
    older = await world.posted()
    world.clock.advance(1)
    await world.posted(args={"shelf": "a", "amount": 2})
    [of_newer, of_older], _ = await world.undo_run()
    await world.vote(of_older)
    await world.vote(of_newer, decision="reject")
    await world.tick(1)
    voided = await world.get(of_older)
    assert (voided.state, voided.reason) == (State.VOIDED, "newer_not_undone")
    assert (await world.get(older)).state is State.SUCCEEDED
    # Asked for by itself, knowing that, it goes its own way.
    assert (await world.vote(await world.undo(older))).state is State.SUCCEEDED
    await world.check_ledger()


async def test_undoing_a_run_again_takes_nothing_back_twice(world: World) -> None:
    await world.posted()
    [reversal], _ = await world.undo_run()
    again, left = await world.undo_run()
    assert again == []
    assert len(left) == 1
    assert (await world.vote(reversal)).state is State.SUCCEEDED
    assert await world.undo_run() == ([], [])
    await world.check_ledger()


async def test_what_no_contract_knew_is_told_as_what_it_is_and_never_as_missing(world: World) -> None:
    """A denied call of an unheard-of tool is there: undoing, cancelling or resolving it says what it is."""
    denied = await world.propose("book.unheard", {"text": "x"})
    assert (denied.state, denied.contract) == (State.DENIED, "")
    for call, code in (
        (world.undo(denied), "undo.state"),
        (world.undo(denied, world.cast.agent), "undo.state"),
        (world.cancel(denied), "action.sent"),
        (world.cancel(denied, world.cast.otto), "action.sent"),
        (world.resolve(denied, "done"), "action.not_needing_person"),
    ):
        with pytest.raises(Conflict, match="denied") as refused:
            await call
        assert refused.value.code == code
    await world.check_ledger()


async def test_an_agent_is_told_of_another_agents_action_what_it_is_told_of_none(world: World) -> None:
    """To the word: so that no agent learns what others do by trying ids."""
    done, waiting = await world.posted(), await world.propose("book.note", {"text": "x"})
    for act in (world.undo, world.cancel):
        for action in (done, waiting):
            told = []
            for one in (action, replace(action, action_id="act_" + "0" * 32)):
                with pytest.raises(NotFound) as refused:
                    await act(one, world.cast.rival)
                told.append(str(refused.value).replace(one.action_id, "ID"))
            assert told[0] == told[1]
    assert (await world.get(waiting)).state is State.PENDING_APPROVAL
    await world.check_ledger()
