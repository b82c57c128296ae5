# SPDX-License-Identifier: Apache-2.0
"""Rules stand on facts that Signoff fetches itself: when, how often, how old, and what if they cannot be had."""

import asyncio
from typing import Any

import pytest

from signoff.app.action import facts as fetching
from signoff.core.action.lifecycle import Action, State
from tests.target import contract
from tests.world import SECOND, TENANT, World, envelope

FACTS = "facts: {shelf: {tool: book.shelf, args: {shelf: args.shelf}, max_age: 60s}}"
DENY = "{id: shut, tool: book.create, when: '!facts.shelf.is_open', then: deny}"
ASK = "{id: tight, tool: book.create, when: facts.shelf.room < args.amount, then: approve}"
READ = "{id: peek, tool: book.get, when: \"args.entry_id == 'E-9'\", then: deny}"


def page(*rules: str, facts: str = FACTS, mode: str = "autonomous") -> str:
    """Return a page with rules, under which writes need nobody unless a rule asks."""
    text = envelope(workflow="ruled", mode=mode, asks=False, more=facts)
    listed = "\n".join(f"    - {rule}" for rule in rules)
    return text.replace("  approval_roles:", f"  rules:\n{listed}\n  approval_roles:")


async def ruled(world: World, *rules: str, **given: str) -> None:
    await world.publish(page(*rules, **given))
    await world.begin("ruled")


def asked(world: World) -> list[str]:
    return [str(call.args["shelf"]) for call in world.target.reads if call.name == "book.shelf"]


async def kept(world: World, action: Action, name: str) -> dict[str, Any] | None:
    return await world.node.storage.view(TENANT, lambda tx: world.node.keyring.open(tx, action.action_id, name))


async def test_a_fact_denies_asks_or_lets_pass(world: World) -> None:
    await ruled(world, DENY, ASK)
    done = await world.propose()
    assert done.state is State.SUCCEEDED, done
    world.target.shelves["b"] = {"room": 5}
    waiting = await world.propose(args={"shelf": "b", "amount": 12})
    assert waiting.state is State.PENDING_APPROVAL
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    world.target.shelves["c"] = {"is_open": False}
    denied = await world.propose(args={"shelf": "c", "amount": 12})
    assert (denied.state, denied.reason) == (State.DENIED, "rule_denied")
    assert "rule shut" in await world.detail(denied)
    await world.check_ledger()


async def test_facts_are_fetched_only_for_rules_about_the_tool_and_after_what_needs_none(world: World) -> None:
    await ruled(world, DENY, READ)
    await world.propose("book.note", {"text": "x"})
    await world.propose("book.get", {"entry_id": "E-9"})
    await world.propose(args={"shelf": "a", "amount": "much"})
    halted = await world.halt()
    await world.propose()
    await world.lift(halted)
    assert asked(world) == []
    await world.check_ledger()


async def test_one_answer_serves_a_run_for_as_long_as_the_page_says(world: World) -> None:
    await ruled(world, ASK)
    world.target.shelves["a"] = {"room": 0}
    for amount in (1, 2, 3):
        assert (await world.propose(args={"shelf": "a", "amount": amount})).state is State.PENDING_APPROVAL
    assert asked(world) == ["a"]
    world.clock.advance(60)
    await world.propose(args={"shelf": "a", "amount": 4})
    assert asked(world) == ["a", "a"]
    await world.begin("ruled")
    await world.propose(args={"shelf": "a", "amount": 4})
    assert asked(world) == ["a", "a", "a"], "another run asks for itself"
    await world.check_ledger()


async def test_a_claim_stands_on_facts_of_the_last_five_seconds(world: World) -> None:
    await ruled(world, DENY)
    await world.propose(args={"shelf": "a", "amount": 1})
    world.clock.advance(3)
    assert (await world.propose(args={"shelf": "a", "amount": 2})).state is State.SUCCEEDED
    assert asked(world) == ["a"]
    world.clock.advance(3)
    done = await world.propose(args={"shelf": "a", "amount": 3})
    assert done.state is State.SUCCEEDED
    assert asked(world) == ["a", "a"], "decided on what the page allows to be a minute old, sent on what is new"
    decided, claimed = await kept(world, done, "facts.1"), await kept(world, done, "facts.1.1")
    assert decided and claimed
    assert claimed["facts"]["shelf"]["at"] - decided["facts"]["shelf"]["at"] > 6 * SECOND
    await world.check_ledger()


async def test_a_fact_that_turned_between_proposal_and_claim_stops_what_was_allowed(world: World) -> None:
    """The target is not written to on an answer that is a minute old."""
    await ruled(world, DENY)
    await world.propose(args={"shelf": "a", "amount": 1})
    world.target.shelves["a"] = {"is_open": False}
    world.clock.advance(10)
    denied = await world.propose(args={"shelf": "a", "amount": 2})
    assert (denied.state, denied.reason) == (State.DENIED, "rule_denied")
    assert len(world.target.calls) == 1
    await world.check_ledger()


@pytest.mark.parametrize(
    ("turned", "reason"), [({"is_open": False}, "rule_denied"), ({"room": 0}, "stricter_decision")]
)
async def test_a_fact_that_turned_since_the_approval_voids_it(
    world: World, turned: dict[str, Any], reason: str
) -> None:
    boss = "{id: two, tool: book.create, when: facts.shelf.room == 0, then: approve, approve: {roles: [Boss]}}"
    await ruled(world, DENY, boss, mode="assist")
    approved = await world.approved()
    world.target.shelves["a"] = turned
    await world.tick(10)
    voided = await world.get(approved)
    assert (voided.state, voided.reason) == (State.VOIDED, reason)
    assert world.target.calls == []
    known = await kept(world, voided, "facts.1.1")
    assert known and known["facts"]["shelf"]["result"] == {"is_open": True, "room": 100} | turned
    await world.check_ledger()


@pytest.mark.parametrize("how", ["fail", "lost", "unreachable", "garbage"])
async def test_a_fact_that_cannot_be_had_denies(world: World, how: str) -> None:
    await ruled(world, DENY)
    world.target.reading["book.shelf"] = how
    denied = await world.propose()
    assert (denied.state, denied.reason) == (State.DENIED, "fact_unavailable")
    assert "book.shelf" in await world.detail(denied)
    assert world.target.calls == []
    world.target.reading.clear()
    assert (await world.propose(again=True)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_fact_that_takes_too_long_denies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WITHIN_S", 0.05)
    await ruled(world, DENY)
    world.target.reading["book.shelf"] = "hang"
    denied = await world.propose()
    assert (denied.state, denied.reason) == (State.DENIED, "fact_unavailable")
    assert "within" in await world.detail(denied)
    world.target.restart()
    await world.check_ledger()


async def test_facts_are_asked_for_side_by_side(world: World) -> None:
    many = {f"s{number}": f"s{number}" for number in range(8)}
    facts = ", ".join(f"{name}: {{tool: book.shelf, args: {{shelf: \"'{name}'\"}}}}" for name in many)
    when = " || ".join(f"!facts.{name}.is_open" for name in many)
    await ruled(world, f"{{id: all, tool: book.note, when: {when!r}, then: deny}}", facts=f"facts: {{{facts}}}")
    world.target.most_reading = world.target.reading_now = 0
    world.target.pause = 0.02
    assert (await world.propose("book.note", {"text": "x"})).state is State.SUCCEEDED
    assert sorted(asked(world)) == sorted(many)
    assert world.target.most_reading == 8
    await world.check_ledger()


async def test_an_approval_outlasts_an_outage_of_its_facts_and_not_their_refusal(world: World) -> None:
    await ruled(world, DENY, mode="assist")
    approved = await world.approved()
    world.target.reading["book.shelf"] = "unreachable"
    await world.pass_time(20, 5)
    assert (await world.get(approved)).state is State.APPROVED
    world.target.reading.clear()
    await world.tick(1)
    assert (await world.get(approved)).state is State.SUCCEEDED
    other = await world.approved(args={"shelf": "b", "amount": 1})
    world.target.reading["book.shelf"] = "fail"
    await world.tick(10)
    assert (await world.get(other)).reason == "fact_unavailable"
    await world.check_ledger()


@pytest.mark.parametrize(
    "lines",
    [
        ["effect: read"],
        ["effect: read", "output: {trust: untrusted}"],
        ["effect: write", "risk: A", "reversibility: irreversible", "reversal_note: none"],
        [],
    ],
)
async def test_only_a_trusted_read_vouches_for_a_fact(world: World, lines: list[str]) -> None:
    """Also where the contract was changed after the page was published."""
    await ruled(world, DENY)
    await world.publish(contract(book_shelf=lines))
    assert (await world.propose()).reason == "fact_unavailable"
    assert asked(world) == []
    await world.check_ledger()


async def test_a_field_that_is_not_trusted_is_no_part_of_a_fact(world: World) -> None:
    await ruled(world, ASK)
    await world.publish(contract(book_shelf=["effect: read", "output: {trust: {is_open: trusted}}"]))
    denied = await world.propose()
    assert denied.reason == "rule_unevaluable"
    await world.check_ledger()


async def test_a_tool_that_is_not_the_pinned_one_vouches_for_nothing(world: World) -> None:
    await ruled(world, DENY)
    world.target.described["book.shelf"] = world.target.described["book.get"]
    world.node.systems.forget(next(iter(world.node.systems._connectors)))
    assert (await world.propose()).reason == "fact_unavailable"
    await world.check_ledger()


async def test_rules_about_reads_and_what_leaves_stand_on_facts_too(world: World) -> None:
    mail = "{id: open, tool: book.mail, when: '!facts.lobby.is_open', then: deny}"
    get = "{id: late, tool: book.get, when: facts.lobby.room == 0, then: approve}"
    await ruled(world, mail, get, facts="facts: {lobby: {tool: book.shelf, args: {shelf: \"'lobby'\"}}}")
    assert (await world.propose("book.mail", {"to": "x"})).state is State.SUCCEEDED
    world.target.shelves["lobby"] = {"is_open": False, "room": 0}
    world.clock.advance(6)
    assert (await world.propose("book.mail", {"to": "y"})).reason == "rule_denied"
    waiting = await world.propose("book.get", {"entry_id": "E-1"})
    assert waiting.state is State.PENDING_APPROVAL
    assert (await world.vote(waiting)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_an_edit_is_decided_on_facts_about_what_it_says(world: World) -> None:
    await ruled(world, DENY, ASK, mode="assist")
    world.target.shelves |= {"b": {"is_open": False}, "c": {"room": 1}}
    waiting = await world.propose()
    with pytest.raises(Exception, match="rule shut"):
        await world.edit(waiting, {"shelf": "b", "amount": 12})
    edited = await world.edit(waiting, {"shelf": "c", "amount": 12})
    assert "rules:ask:rule_asks" in (edited.checks or "")
    known = await kept(world, edited, "facts.2")
    assert known and known["facts"]["shelf"]["args"] == {"shelf": "c"}
    await world.check_ledger()


async def test_a_crash_while_facts_are_fetched_is_found_again(world: World) -> None:
    await ruled(world, DENY)
    world.target.reading["book.shelf"] = "hang"
    proposing = asyncio.create_task(world.propose())
    for _ in range(200):
        if world.target.hanging:
            break
        await asyncio.sleep(0.01)
    await world.crash()
    assert proposing.cancelled()
    world.target.reading.clear()
    await world.tick(1)
    [done] = [one for one in await world.actions() if one.tool == "book.create"]
    assert done.state is State.SUCCEEDED, done
    await world.check_ledger()


async def test_people_see_what_was_known_and_the_agent_does_not(world: World) -> None:
    await ruled(world, ASK)
    world.target.shelves["a"] = {"room": 5}
    waiting = await world.propose()
    shown = await world.document(waiting)
    assert shown["facts"]["decided"]["shelf"]["result"] == {"is_open": True, "room": 5}
    told = await world.document(waiting, world.cast.agent)
    assert "facts" not in told
    assert "room" not in str(told)
    await world.check_ledger()


async def test_nothing_is_fetched_for_a_reversal_that_a_person_asks(world: World) -> None:
    back = "{id: back, tool: book.reverse, when: facts.lobby.is_open, then: deny}"
    await ruled(world, back, facts="facts: {lobby: {tool: book.shelf, args: {shelf: \"'lobby'\"}}}")
    done = await world.propose()
    reversal = await world.undo(done)
    assert (await world.vote(reversal, world.cast.bob)).state is State.SUCCEEDED
    assert asked(world) == []
    again = await world.propose(args={"shelf": "b", "amount": 1})
    denied = await world.undo(again, world.cast.agent)
    assert denied.reason == "rule_denied"
    assert asked(world) == ["lobby"]
    await world.check_ledger()
