# SPDX-License-Identifier: Apache-2.0
"""A value goes through only if the user named it, or a trusted read brought it in before the agent said it."""

import asyncio
from typing import Any

from signoff.app import remembered
from signoff.app.action import traces
from signoff.app.action.runs import begin_run
from signoff.app.authority import policies, subjects
from signoff.core.action.lifecycle import Action, State
from tests.directory import OURS, TAILSPIN, THEIRS, Directory, contract, opened, page
from tests.world import World

RULES = (
    "invoice_no: [user, tool:dir.invoice.invoice_no], vendor_id: [tool:dir.invoice.vendor_id],"
    " amount_cents: [tool:dir.invoice.payable_cents], iban: [tool:dir.vendor.iban]"
)
TASK = "Please pay INV-7 of Northwind."


async def working(
    world: World, rules: str = RULES, task: str = TASK, *, mode: str = "autonomous", more: str = "", **changed: Any
) -> Directory:
    """Open a directory and begin a run under a page with these rules."""
    directory = await opened(world, **changed)
    await world.publish(page(rules, more=more, mode=mode))
    await begin(world, task)
    return directory


async def begin(world: World, task: str = TASK) -> None:
    world.clock.advance(1)
    run, _ = await begin_run(world.node, world.cast.agent, "payments", task)
    world.run_id = run.run_id


async def read(world: World, tool: str, **args: Any) -> Action:
    done = await world.propose(tool, args, again=True)
    assert done.state in (State.SUCCEEDED, State.FAILED), done
    return done


async def pay(world: World, **args: Any) -> Action:
    return await world.propose("dir.pay", args, again=True)


async def why(world: World, action: Action, check: str = "provenance") -> str:
    """Return what people are told about a check."""
    shown = await world.document(action)
    return str(next(one["detail"] for one in shown["decision"]["checks"] if one["check"] == check))


GOOD = {"invoice_no": "INV-7", "vendor_id": "V-1001", "amount_cents": 120_050, "iban": OURS}


async def test_what_the_user_named_and_trusted_reads_brought_in_goes_through(world: World) -> None:
    directory = await working(world)
    await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query="Northwind")
    paid = await pay(world, **GOOD)
    assert paid.state is State.SUCCEEDED, await why(world, paid)
    assert len(directory.paid) == 1
    assert "invoice_no: user" in await why(world, paid)
    await world.check_ledger()


async def test_a_value_of_a_stranger_asks_and_its_true_origin_is_told_to_people_alone(world: World) -> None:
    directory = await working(world)
    seen = await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query="Northwind")
    asked = await pay(world, **GOOD | {"iban": THEIRS})
    assert asked.state is State.PENDING_APPROVAL
    told = await why(world, asked)
    assert f"dir.invoice note of {seen.action_id} (untrusted, inside a text)" in told
    assert THEIRS not in told
    shown = await world.document(asked, world.cast.agent)
    assert {"check": "provenance", "outcome": "ask", "reason": "provenance_unproved"} in shown["decision"]["checks"]
    assert "note" not in str(shown["decision"])
    assert directory.paid == []
    await world.check_ledger()


async def test_a_value_that_the_agent_said_first_is_endorsed_by_no_echo(world: World) -> None:
    directory = await working(world)
    await read(world, "dir.invoice", invoice_no="INV-7")
    error = await read(world, "dir.vendor", query=THEIRS)
    assert error.state is State.FAILED
    await read(world, "dir.vendor", query="Nobody", hint=THEIRS)
    asked = await pay(world, **GOOD | {"iban": THEIRS})
    assert asked.state is State.PENDING_APPROVAL
    told = await why(world, asked)
    assert f"dir.vendor message of {error.action_id} (untrusted, inside a text, an error, said" in told
    assert "said by the agent before" in told
    assert directory.paid == []


async def test_what_the_error_of_a_trusted_look_up_says_endorses_nothing(world: World) -> None:
    """The error names the attacker's account although the agent never said it."""
    await working(world, "iban: [tool:dir.vendor.iban]")
    await read(world, "dir.vendor", query="Nobody")
    assert (await pay(world, iban=THEIRS)).state is State.PENDING_APPROVAL


async def test_a_card_that_the_run_wrote_to_endorses_nothing_after_it(world: World) -> None:
    """Another agent's value on the card would do; what this run had a hand in does not."""
    directory = await working(world, "iban: [tool:dir.card.iban], vendor_id: [user, tool:dir.card.vendor_id]", "V-1001")
    await read(world, "dir.card", vendor_id="V-1001")
    wrote = await world.propose("dir.update", {"vendor_id": "V-1001", "iban": THEIRS})
    assert wrote.state is State.SUCCEEDED
    directory.cards["V-1001"]["iban"] = OURS[:-2] + "11"  # whatever the write has set off
    await read(world, "dir.card", vendor_id="V-1001")
    asked = await pay(world, iban=OURS[:-2] + "11", vendor_id="V-1001")
    assert asked.state is State.PENDING_APPROVAL
    assert "written to by this run before" in await why(world, asked)
    before = await pay(world, iban=OURS, vendor_id="V-1001")
    assert before.state is State.SUCCEEDED, "the read from before the write still stands"
    await world.check_ledger()


async def test_a_write_to_another_card_taints_nothing_where_reads_name_their_resource(world: World) -> None:
    await working(world, "iban: [tool:dir.card.iban]")
    await world.propose("dir.update", {"vendor_id": "V-1002", "iban": THEIRS})
    await read(world, "dir.card", vendor_id="V-1001")
    assert (await pay(world, iban=OURS)).state is State.SUCCEEDED


async def test_a_read_that_names_no_resource_counts_for_nothing_after_any_write_of_its_system(world: World) -> None:
    await working(world, "iban: [tool:dir.vendor.iban]")
    await world.propose("dir.update", {"vendor_id": "V-1002", "iban": THEIRS})
    await read(world, "dir.vendor", query="Northwind")
    assert (await pay(world, iban=OURS)).state is State.PENDING_APPROVAL


async def test_a_write_to_another_system_taints_nothing(world: World) -> None:
    await working(world, "iban: [tool:dir.vendor.iban]")
    elsewhere = page("iban: [tool:dir.vendor.iban]", version="2").replace(
        "allowed_tools: [", "allowed_tools: [book.note, "
    )
    await world.publish(elsewhere)
    await begin(world)
    assert (await world.propose("book.note", {"text": "x"})).state is State.SUCCEEDED
    await read(world, "dir.vendor", query="Northwind")
    assert (await pay(world, iban=OURS)).state is State.SUCCEEDED


async def test_halves_of_two_invoices_never_meet(world: World) -> None:
    directory = await working(world, task="Pay INV-7 and INV-8.")
    await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.invoice", invoice_no="INV-8")
    await read(world, "dir.vendor", query="Northwind")
    for wrong in ({"amount_cents": 990_000}, {"invoice_no": "INV-8"}, {"vendor_id": "V-1002"}):
        asked = await pay(world, **GOOD | wrong)
        assert asked.state is State.PENDING_APPROVAL, wrong
        assert "must match in one and the same result" in await why(world, asked)
    assert (await pay(world, **GOOD)).state is State.SUCCEEDED
    assert len(directory.paid) == 1


async def test_two_fields_that_are_lists_meet_at_one_place(world: World) -> None:
    await working(world, "vendor_id: [tool:dir.list.ids], iban: [tool:dir.list.ibans]")
    await read(world, "dir.list")
    assert (await pay(world, vendor_id="V-1002", iban=OURS)).state is State.PENDING_APPROVAL
    assert (await pay(world, vendor_id="V-1001", iban=OURS)).state is State.SUCCEEDED


async def test_the_task_must_ask_for_this_kind_of_act(world: World) -> None:
    rules = "invoice_no: [user], intents: [pay, settle]"
    await working(world, rules, task="Please file INV-7; it was repaid.")
    asked = await pay(world, invoice_no="INV-7")
    assert (asked.state, "pay or settle" in await why(world, asked)) == (State.PENDING_APPROVAL, True)
    await begin(world, "PAY INV-7 today.")
    assert (await pay(world, invoice_no="INV-7")).state is State.SUCCEEDED


async def test_what_nobody_needs_is_denied_where_the_page_says_so(world: World) -> None:
    await working(world, "invoice_no: [user], intents: [pay], then: deny")
    denied = await pay(world, invoice_no="INV-8")
    assert (denied.state, denied.reason) == (State.DENIED, "provenance_unproved")
    await begin(world, "File INV-7.")
    denied = await pay(world, invoice_no="INV-7")
    assert (denied.state, denied.reason) == (State.DENIED, "provenance_intent")
    await world.check_ledger()


async def test_after_the_first_denial_nothing_that_fails_is_asked(world: World) -> None:
    """Also of another tool, whose page would ask; what holds still goes through."""
    directory = await opened(world)
    rules = "{dir.pay: {invoice_no: [user], then: deny}, dir.update: {vendor_id: [user], iban: [user]}}"
    await world.publish(page("", more=f"provenance: {rules}"))
    await begin(world, f"Pay INV-7 and set V-1002 to {OURS}.")
    asked = await world.propose("dir.update", {"vendor_id": "V-1002", "iban": THEIRS})
    assert asked.state is State.PENDING_APPROVAL
    assert (await pay(world, invoice_no="INV-8")).reason == "provenance_unproved"
    barred = await world.propose("dir.update", {"vendor_id": "V-1001", "iban": OURS})
    assert (barred.state, barred.reason) == (State.DENIED, "provenance_barred")
    assert (await world.propose("dir.update", {"vendor_id": "V-1002", "iban": OURS})).state is State.SUCCEEDED
    assert (await world.vote(asked)).state is State.SUCCEEDED, "what was asked before is still people's to decide"
    assert directory.cards["V-1002"]["iban"] == THEIRS
    await begin(world, "Pay INV-7.")
    again = await world.propose("dir.update", {"vendor_id": "V-1001", "iban": THEIRS})
    assert again.state is State.PENDING_APPROVAL, "another run asks anew"


async def test_a_persons_no_to_an_unproved_value_ends_asking_too(world: World) -> None:
    await working(world, "invoice_no: [user]")
    await world.vote(await pay(world, invoice_no="INV-8"), decision="reject")
    assert (await pay(world, invoice_no="INV-9")).reason == "provenance_barred"
    assert (await pay(world, invoice_no="INV-7")).state is State.SUCCEEDED


async def test_an_argument_that_a_person_edits_is_theirs_and_the_rest_stays_the_agents(world: World) -> None:
    await working(world, "invoice_no: [user], vendor_id: [user]", mode="assist")
    waiting = await pay(world, invoice_no="INV-8", vendor_id="V-1002")
    edited = await world.edit(waiting, {"invoice_no": "INV-8", "vendor_id": "V-1001"})
    told = await why(world, edited)
    assert "invoice_no must come from user" in told
    assert "vendor_id" not in told
    edited = await world.edit(edited, {"invoice_no": "INV-7", "vendor_id": "V-1001"})
    assert "invoice_no: person\nvendor_id: person" in await why(world, edited)
    assert (await world.vote(edited)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_what_people_approved_is_sent_whatever_the_agent_says_meanwhile(world: World) -> None:
    """A claim sees what the proposal saw."""
    directory = await working(world)
    asked = await pay(world, **GOOD)
    await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query=OURS)
    assert (await world.vote(asked)).state is State.SUCCEEDED
    assert len(directory.paid) == 1


async def test_trust_that_a_contract_takes_back_counts_at_once_and_what_it_gives_never_backwards(world: World) -> None:
    await working(world, "iban: [tool:dir.vendor.iban]")
    await read(world, "dir.vendor", query="Northwind")
    untrusted = contract(dir_vendor=["effect: read", "output: {trust: untrusted}"])
    await policies.publish_contract(world.node, world.cast.admin, "directory", untrusted)
    assert (await pay(world, iban=OURS)).state is State.PENDING_APPROVAL
    await read(world, "dir.vendor", query="Tailspin")
    await policies.publish_contract(world.node, world.cast.admin, "directory", contract() + "# trusted again\n")
    assert (await pay(world, iban=TAILSPIN)).state is State.PENDING_APPROVAL
    await begin(world)
    await read(world, "dir.vendor", query="Tailspin")
    assert (await pay(world, iban=TAILSPIN)).state is State.SUCCEEDED


async def test_a_look_again_sees_what_the_proposal_saw(world: World) -> None:
    """A read that was under way then, or came later, vouches for nothing of it."""
    directory = await working(world, "memo: {from: [tool:dir.terms.days], normal: number}, invoice_no: [user]")
    directory.pause = asyncio.Event()
    reading = asyncio.create_task(world.propose("dir.terms", {"topic": "payment"}))
    await asyncio.sleep(0.05)
    waiting = await pay(world, memo="30", invoice_no="INV-8")
    world.clock.advance(0.001)
    directory.pause.set()
    assert (await reading).state is State.SUCCEEDED
    edited = await world.edit(waiting, {"memo": "30", "invoice_no": "INV-7"})
    assert "memo must come from tool:dir.terms.days" in await why(world, edited)
    await world.cancel(edited)
    await read(world, "dir.terms", topic="again")
    assert (await pay(world, memo="30")).state is State.PENDING_APPROVAL, "and by now the agent has said it"


async def test_what_a_denied_call_carried_was_said_too(world: World) -> None:
    await working(world, "iban: [tool:dir.vendor.iban]")
    denied = await world.propose("dir.unheard_of", {"text": f"account {OURS}"})
    assert denied.state is State.DENIED
    await read(world, "dir.vendor", query="Northwind")
    assert (await pay(world, iban=OURS)).state is State.PENDING_APPROVAL


async def test_a_run_that_reads_more_than_is_traced_has_nothing_endorsed(world: World, monkeypatch: Any) -> None:
    await working(world, "iban: [tool:dir.vendor.iban], invoice_no: [user]")
    await read(world, "dir.vendor", query="Northwind")
    monkeypatch.setattr(remembered, "RUN_MAX", 20)
    asked = await pay(world, iban=OURS, invoice_no="INV-7")
    assert asked.state is State.PENDING_APPROVAL
    assert "More was said and read in this run than is traced" in await why(world, asked)
    assert (await pay(world, invoice_no="INV-7")).state is State.SUCCEEDED


async def test_a_node_forgets_the_runs_it_looked_at_longest_ago(world: World, monkeypatch: Any) -> None:
    await working(world, "iban: [tool:dir.vendor.iban], invoice_no: [user]")
    monkeypatch.setattr(remembered, "NODE_MAX", 100)
    for _ in range(3):
        await begin(world)
        await read(world, "dir.vendor", query="Northwind")
        assert (await pay(world, iban=OURS)).state is State.SUCCEEDED
    assert len(world.node.remembered) <= 2


async def test_what_was_erased_is_forgotten_and_endorses_nothing(world: World) -> None:
    about = "subject: \"'vendor/' + args.query\""
    directory = await working(
        world, "iban: [tool:dir.vendor.iban]", dir_vendor=["effect: read", "output: {trust: trusted}", about]
    )
    await read(world, "dir.vendor", query="Northwind")
    assert (await pay(world, iban=OURS)).state is State.SUCCEEDED
    await subjects.erase(world.node, world.cast.admin, "vendor/Northwind", "they asked for it")
    assert len(world.node.remembered) == 0
    asked = await pay(world, iban=OURS)
    assert asked.state is State.PENDING_APPROVAL
    assert "some of it is gone" in await why(world, asked)
    assert len(directory.paid) == 1


async def test_another_run_of_the_agent_vouches_for_nothing(world: World) -> None:
    await working(world, "iban: [tool:dir.vendor.iban]")
    await read(world, "dir.vendor", query="Northwind")
    await begin(world)
    assert (await pay(world, iban=OURS)).state is State.PENDING_APPROVAL


async def test_a_node_that_was_restarted_traces_the_same(world: World) -> None:
    directory = await working(world)
    await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query="Northwind")
    await world.crash()
    world.node.systems._connect = lambda server: directory
    assert len(world.node.remembered) == 0
    assert (await pay(world, **GOOD)).state is State.SUCCEEDED
    assert (await pay(world, **GOOD | {"iban": THEIRS})).state is State.PENDING_APPROVAL
    assert len(world.node.remembered) == 1
    await world.check_ledger()


async def test_nothing_is_read_where_the_page_has_no_such_rule(world: World) -> None:
    await working(world, "invoice_no: [user]")
    await read(world, "dir.invoice", invoice_no="INV-7")
    await world.propose("dir.update", {"vendor_id": "V-1001", "iban": THEIRS})
    assert len(world.node.remembered) == 0


async def test_past_its_bounds_no_result_endorses_anything(world: World, monkeypatch: Any) -> None:
    await working(world, "iban: [tool:dir.vendor.iban], invoice_no: [user]")
    await read(world, "dir.vendor", query="Northwind")
    await read(world, "dir.inbox")
    monkeypatch.setattr(traces, "ACTIONS_MAX", 1)
    asked = await pay(world, iban=OURS, invoice_no="INV-7")
    assert asked.state is State.PENDING_APPROVAL
    assert "more than 1 calls" in await why(world, asked)
    monkeypatch.undo()
    assert (await pay(world, invoice_no="INV-7")).state is State.SUCCEEDED
