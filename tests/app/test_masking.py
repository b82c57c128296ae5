# SPDX-License-Identifier: Apache-2.0
"""What people read back is masked once nobody decides on it; approvers and agents see what was said."""

from typing import Any

import pytest

from signoff.app import evidence
from signoff.app.action import runs
from signoff.app.action.documents import receipt_bundle, run_document
from signoff.app.action.receipts import sign_receipts
from signoff.ledger.bundle import read
from signoff.ports.storage import Transaction
from tests.world import TENANT, World

IBAN = "DE89 3704 0044 0532 0130 00"
ARGS = {"shelf": f"pay {IBAN}, ask ada@acme.test", "amount": 12}
MASKED = {"shelf": "pay [iban], ask [e-mail]", "amount": 12}


async def played(world: World, **given: Any) -> tuple[Any, Any]:
    waiting = await world.propose(args=ARGS, claims={"rationale": "call +49 30 901820"})
    shown = await world.document(waiting)
    assert shown["args"]["proposed"] == ARGS and shown["claims"]["rationale"] == "call +49 30 901820"
    assert IBAN in str(shown["preview"]["changes"])
    done = await world.vote(waiting)
    await sign_receipts(world.node, TENANT)
    return waiting, done


async def test_an_approver_sees_what_was_said_and_who_reads_it_later_sees_it_masked(world: World) -> None:
    await world.under()
    _, done = await played(world)
    assert (await world.document(done))["args"][
        "proposed"
    ] == ARGS  # the run goes on: another call may be compared with it
    waiting = await world.propose(args={"shelf": "b", "amount": 1})
    assert (await world.document(done))["result"] is not None
    await world.vote(waiting, decision="reject")
    await world.complete()
    later = await world.document(done)
    assert later["args"] == {"proposed": MASKED, "approved": MASKED, "effective": MASKED}
    assert later["claims"]["rationale"] == "call [phone]"
    assert IBAN not in str(later) and "ada@" not in str(later)
    assert later["is_redacted"] is True
    assert later["digest"] == done.digest
    assert (await world.document(done, world.cast.agent))["args"]["proposed"] == ARGS
    reversal = await world.undo(done)
    assert reversal.state == "pending_approval"
    assert (await world.document(done))["args"]["proposed"] == ARGS  # whoever decides on it sees what it takes back
    await world.check_ledger()


async def test_a_page_that_says_so_shows_everything(world: World) -> None:
    await world.under(more="logging: {redact_pii: false}")
    _, done = await played(world)
    await world.complete()
    assert (await world.document(done))["args"]["proposed"] == ARGS


@pytest.mark.parametrize("redacts", [True, False])
async def test_a_receipt_that_is_taken_along_opens_nothing_personal(world: World, redacts: bool) -> None:
    await world.under(more=f"logging: {{redact_pii: {str(redacts).lower()}}}")
    _, done = await played(world)
    await world.complete()

    def bundle(tx: Transaction) -> bytes:
        data = receipt_bundle(world.node, tx, world.cast.admin, done.receipt_id or "")
        assert data is not None
        return data

    data = await world.node.storage.view(TENANT, bundle)
    assert (IBAN.encode() in data) is not redacts
    assert ("preview" in read(data).openings) is not redacts
    assert "outcome" in read(data).openings
    shown = await evidence.receipt_shown(world.node, world.cast.admin, done.receipt_id or "")
    assert shown is not None
    assert (IBAN in str(shown["changes"])) is not redacts
    await world.check_ledger()


async def test_a_run_is_masked_for_people_once_it_is_closed(world: World) -> None:
    await world.under(asks=False, mode="autonomous")
    run, _ = await runs.begin_run(
        world.node,
        world.cast.agent,
        (await world.run()).workflow,
        "write to ada@acme.test",
        labels={"to": "ada@acme.test"},
    )
    world.run_id = run.run_id

    async def told(**given: Any) -> dict[str, Any]:
        now = await world.run()
        return await world.node.storage.view(TENANT, lambda tx: run_document(world.node, tx, now, **given))

    assert (await told())["task"] == "write to ada@acme.test"
    await world.complete()
    assert ((await told())["task"], (await told())["labels"]) == ("write to [e-mail]", {"to": "[e-mail]"})
    assert (await told(for_agent=True))["task"] == "write to ada@acme.test"
