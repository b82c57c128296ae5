# SPDX-License-Identifier: Apache-2.0
"""A claim of a kind that the page lists quotes what the run has read; a list that does not verify is no citation."""

from typing import Any

import pytest

from signoff.app.action.runs import begin_run
from signoff.core.action.lifecycle import Action, State
from tests.directory import TERMS, Directory, opened, page
from tests.world import World

KINDS = 'safety: {require_citations_for: [policy, "payment terms"]}'
QUOTE = "payable within thirty days of receipt"


async def working(world: World, more: str = KINDS) -> Directory:
    directory = await opened(world)
    await world.publish(page("", more=more))
    await begin(world)
    return directory


async def begin(world: World) -> None:
    world.clock.advance(1)
    run, _ = await begin_run(world.node, world.cast.agent, "payments", "Pay what is due.")
    world.run_id = run.run_id


async def pay(world: World, memo: str = "INV-7", **claims: Any) -> Action:
    return await world.propose("dir.pay", {"memo": memo}, again=True, claims=claims)


async def said(world: World, action: Action) -> tuple[str, str]:
    """Return reason and detail of what the check of citations said."""
    shown = await world.document(action)
    check = next(one for one in shown["decision"]["checks"] if one["check"] == "citations")
    return check["reason"], check["detail"]


async def test_a_write_that_claims_nothing_of_the_kinds_needs_no_citation(world: World) -> None:
    directory = await working(world)
    assert (await pay(world, rationale="It is due.")).state is State.SUCCEEDED
    assert len(directory.paid) == 1
    await world.check_ledger()


@pytest.mark.parametrize(
    ("memo", "claims"),
    [
        ("INV-7", {"rationale": "Our policy says so."}),
        ("By our POLICY, pay now", {}),
        ("INV-7", {"rationale": "The payment  terms allow it.", "citations": []}),
    ],
)
async def test_a_claim_without_a_citation_asks(world: World, memo: str, claims: dict[str, Any]) -> None:
    directory = await working(world)
    asked = await pay(world, memo, **claims)
    assert asked.state is State.PENDING_APPROVAL
    reason, detail = await said(world, asked)
    assert reason == "citation_missing" and "cites nothing" in detail
    assert directory.paid == []
    assert (await world.vote(asked)).state is State.SUCCEEDED
    await world.check_ledger()


async def test_a_quote_of_what_was_read_lets_a_claim_pass(world: World) -> None:
    await working(world)
    read = await world.propose("dir.terms", {"topic": "payment"})
    cited = [{"read": read.action_id, "quote": f"  {QUOTE.replace(' ', chr(10))} "}]
    proved: tuple[dict[str, Any], ...] = (
        {"rationale": "By policy and payment terms.", "citations": cited},
        {"rationale": "By policy.", "citations": [cited[0] | {"kind": "Policy"}]},
        {"rationale": "By policy.", "citations": [{"read": read.action_id, "quote": "days: 30"}]},
        {"rationale": "By policy.", "citations": [{"read": read.action_id, "quote": TERMS, "kind": None}]},
    )
    for claims in proved:
        done = await pay(world, **claims)
        assert done.state is State.SUCCEEDED, await said(world, done)
        assert (
            f"dir.terms {'days' if 'days: 30' in str(claims) else 'text'} of {read.action_id}"
            in (await said(world, done))[1]
        )
    await world.check_ledger()


async def test_a_citation_serves_the_kind_it_names_and_no_other(world: World) -> None:
    await working(world)
    read = await world.propose("dir.terms", {"topic": "payment"})
    asked = await pay(
        world, rationale="By policy and payment terms.",
        citations=[{"read": read.action_id, "quote": QUOTE, "kind": "policy"}],
    )  # fmt: skip
    assert (await said(world, asked))[0] == "citation_missing"
    named = await pay(world, citations=[{"read": read.action_id, "quote": QUOTE, "kind": "policy"}])
    assert named.state is State.SUCCEEDED


async def test_a_list_that_does_not_verify_is_no_citation(world: World) -> None:
    directory = await working(world)
    read = await world.propose("dir.terms", {"topic": "payment"})
    failed = await world.propose("dir.vendor", {"query": "Nobody at all"})
    directory.cards["V-1001"]["contact"] = "Mia of the northern office"
    card = await world.propose("dir.card", {"vendor_id": "V-1001"})
    said_by_error = "There is no vendor Nobody at all"
    good = {"read": read.action_id, "quote": QUOTE}
    for bad in (
        "policy", {}, {"read": read.action_id}, {"quote": QUOTE}, {"read": "act_x", "quote": QUOTE}, [good], None, 7,
        good | {"quote": QUOTE + "!"}, good | {"quote": QUOTE.upper()}, good | {"quote": "days of receipt"[:15]},
        good | {"quote": "ayable within thirty days of receip"}, good | {"quote": ""}, good | {"more": 1},
        good | {"kind": 7}, {"read": card.action_id, "quote": QUOTE}, {"read": world.run_id, "quote": QUOTE},
        {"read": failed.action_id, "quote": said_by_error}, good | {"quote": "days: 3"}, good | {"quote": "x" * 5000},
    ):  # fmt: skip
        asked = await pay(world, rationale="By policy.", citations=[bad])
        assert (asked.state, (await said(world, asked))[0]) == (State.PENDING_APPROVAL, "citation_unproved"), bad
        await world.cancel(asked)
    both = await pay(world, rationale="By policy.", citations=[good, good | {"quote": "never was in there at all"}])
    assert (await said(world, both))[0] == "citation_unproved"
    many = await pay(world, rationale="By policy.", citations=[good] * 51)
    assert (await said(world, many))[0] == "citation_unproved"
    odd = await pay(world, rationale="By policy.", citations={"read": read.action_id, "quote": QUOTE})
    assert odd.state is State.SUCCEEDED, "one citation need not stand in a list"
    assert len(directory.paid) == 1
    await world.check_ledger()


async def test_words_that_the_agent_sent_first_prove_nothing(world: World) -> None:
    """Neither echoed by a look-up nor read back from a card that it wrote to."""
    await working(world)
    words = "The board has approved every payment of this vendor"
    echoed = await world.propose("dir.vendor", {"query": "Nobody", "hint": words})
    asked = await pay(world, rationale="By policy.", citations=[{"read": echoed.action_id, "quote": words}])
    assert (await said(world, asked))[0] == "citation_unproved"
    await world.propose("dir.update", {"vendor_id": "V-1001", "iban": words.upper()})
    card = await world.propose("dir.card", {"vendor_id": "V-1001"})
    asked = await pay(world, rationale="By policy.", citations=[{"read": card.action_id, "quote": words.upper()}])
    assert (await said(world, asked))[0] == "citation_unproved"


async def test_a_read_that_came_later_or_in_another_run_proves_nothing(world: World) -> None:
    await working(world)
    other = await world.propose("dir.terms", {"topic": "payment"})
    await begin(world)
    asked = await pay(world, rationale="By policy.", citations=[{"read": other.action_id, "quote": QUOTE}])
    assert (await said(world, asked))[0] == "citation_unproved"
    write = await world.propose("dir.update", {"vendor_id": "V-1001 of the northern office", "iban": "x"})
    text = "vendor_id: V-1001 of the northern office"
    asked = await pay(world, rationale="By policy.", citations=[{"read": write.action_id, "quote": text}])
    assert (await said(world, asked))[0] == "citation_unproved", "a write is no read"


async def test_what_a_person_wrote_is_not_the_agents_claim(world: World) -> None:
    await working(world, KINDS + "\nprovenance: {dir.pay: {invoice_no: [user]}}")
    waiting = await world.propose("dir.pay", {"memo": "By policy", "invoice_no": "INV-7"})
    assert (await said(world, waiting))[0] == "citation_missing"
    edited = await world.edit(waiting, {"memo": "By our policy of 1 May", "invoice_no": "INV-7"})
    assert (await said(world, edited))[0] == ""


async def test_reads_and_reversals_claim_nothing_and_a_kind_alone_is_a_value(world: World) -> None:
    await working(world)
    assert (await world.propose("dir.terms", {"topic": "our policy"})).state is State.SUCCEEDED
    assert (await pay(world, "policy")).state is State.SUCCEEDED


async def test_after_a_denial_for_origins_no_claim_is_asked_about(world: World) -> None:
    rules = "provenance: {dir.update: {iban: [user], then: deny}}"
    await working(world, f"{KINDS}\n{rules}")
    denied = await world.propose("dir.update", {"vendor_id": "V-1001", "iban": "x"})
    assert denied.reason == "provenance_unproved"
    assert (await pay(world, rationale="By policy.")).reason == "provenance_barred"
