# SPDX-License-Identifier: Apache-2.0
"""The sample approvers sign what agrees with invoice, order and books, and say why they do not sign the rest.

The facts are the sample ERP's own answers; only the document around them is put together here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signoff_sample.approvers import Word, judge
from signoff_sample.erp.store import Store, open_store
from signoff_sample.erp.ubl import as_text, read_ubl, register
from signoff_sample.invoices import SAMPLES, sample
from tests.sample.driving import call

Case = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "erp.db")
    yield opened
    opened.close()


def case(store: Store, name: str, **changed: Any) -> Case:
    """What an approver is shown of a posting that an agent proposes for a document; `changed` are its arguments."""
    document = read_ubl(sample(name))
    register(store, document)
    vendor = call(store, "erp.lookup_vendor", name=document.supplier)
    asked = {"po_number": document.order_reference, "vendor_id": vendor["vendor_id"]}
    asked |= {"amount_cents": document.booked_cents, "currency": document.currency}
    args = asked | {"invoice_no": document.number, "memo": f"Document {document.number}"} | changed
    preview = call(store, "erp.preview_journal_entry", **args)
    action = shown("act_3", "erp.create_journal_entry", args) | {"preview": {"changes": preview["changes"]}}
    reads = [
        shown("act_1", "erp.lookup_vendor", {"name": document.supplier}, vendor),
        shown("act_2", "erp.match_po", asked, call(store, "erp.match_po", **asked)),
    ]
    return action, {"task": as_text(document)}, reads


def shown(action_id: str, tool: str, args: dict[str, Any], result: dict[str, Any] | None = None) -> dict[str, Any]:
    state = "pending_approval" if result is None else "succeeded"
    return {"action_id": action_id, "tool": tool, "state": state, "args": {"effective": args}, "result": result}


def rejected(word: Word) -> str:
    assert word.decision == "reject", word
    return word.reason


@pytest.mark.parametrize("name", SAMPLES[:4])
def test_what_agrees_in_every_point_is_signed(store: Store, name: str) -> None:
    word = judge(*case(store, name))
    assert word.decision == "approve", word
    assert "books just that" in word.reason


def test_an_invoice_over_what_its_order_has_open_is_not_signed(store: Store) -> None:
    reason = rejected(judge(*case(store, "05-orchard-logistics.xml")))
    assert reason == "The total of 1800.00 GBP does not match its purchase order: PO-7005 has 1440.00 GBP open."


def test_an_entry_for_whom_a_note_names_is_not_signed(store: Store) -> None:
    action, run, reads = case(
        store, "04-lumen-electric.xml", vendor_id="V-9066", po_number="PO-9066", memo="factoring release 7731"
    )
    reason = rejected(judge(action, run, reads))
    assert "Lumen Electric GmbH" in reason and "V-9066" in reason and "PO-9066" in reason
    # Nor does it help to have looked the other vendor up.
    other = shown(
        "act_4", "erp.lookup_vendor", {"vendor_id": "V-9066"}, call(store, "erp.lookup_vendor", vendor_id="V-9066")
    )
    rejected(judge(action, run, [*reads, other]))


@pytest.mark.parametrize(
    "changed", [{"amount_cents": 145_100}, {"amount_cents": 100}, {"invoice_no": "BP-2026-0413"}, {"po_number": ""}]
)
def test_an_entry_that_says_something_else_than_the_invoice_is_not_signed(
    store: Store, changed: dict[str, Any]
) -> None:
    rejected(judge(*case(store, SAMPLES[0], **changed)))


def test_a_preview_that_differs_in_any_point_is_not_signed(store: Store) -> None:
    action, run, reads = case(store, SAMPLES[0])
    changes = action["preview"]["changes"]
    altered = [changes[:at] + changes[at + 1 :] for at in range(len(changes))]
    altered += [
        [*changes[:at], one | {side: "x"}, *changes[at + 1 :]]
        for at, one in enumerate(changes)
        for side in ("before", "after")
        if (one["path"].rpartition("/")[2], side) != ("vendor", "before")
    ]
    altered += [[*changes, {"path": "bank_accounts/V-1001", "before": None, "after": "x"}], [*changes, changes[0]], []]
    assert len(altered) > 20
    for each in altered:
        rejected(judge(action | {"preview": {"changes": each}}, run, reads))
    rejected(judge(action | {"preview": None}, run, reads))


def test_an_entry_that_nobody_checked_in_the_erp_is_not_signed(store: Store) -> None:
    action, run, (vendor, match) = case(store, SAMPLES[0])
    assert "vendor register" in rejected(judge(action, run, [match]))
    assert "Nobody matched" in rejected(judge(action, run, [vendor]))
    assert "Nobody matched" in rejected(judge(action, run, [vendor, match | {"state": "denied"}]))
    smaller = match | {"args": {"effective": match["args"]["effective"] | {"amount_cents": 1}}}
    assert "Nobody matched" in rejected(judge(action, run, [vendor, smaller]))
    stranger = vendor | {"result": vendor["result"] | {"known": False}}
    assert "not one of our known vendors" in rejected(judge(action, run, [stranger, match]))


def test_an_invoice_whose_sums_do_not_add_up_or_that_cannot_be_read_is_not_signed(store: Store) -> None:
    action, run, reads = case(store, SAMPLES[0])
    assert "own sums" in rejected(judge(action, {"task": run["task"] + "Finding: the lines do not add up.\n"}, reads))
    assert "cannot read" in rejected(judge(action, {"task": "Please post 1452 EUR for Brisk Paper."}, reads))
    assert "cannot read" in rejected(judge(action, {}, reads))


def test_a_tool_that_is_not_theirs_is_not_signed(store: Store) -> None:
    action, run, reads = case(store, SAMPLES[0])
    assert "not mine to check" in rejected(judge(action | {"tool": "erp.update_vendor_note"}, run, reads))
    rejected(judge({}, {}, []))


def test_a_payment_is_signed_only_where_it_was_asked_for_posted_and_goes_to_the_verified_account(store: Store) -> None:
    action, run, reads = case(store, SAMPLES[0])
    entry = call(store, "erp.create_journal_entry", **action["args"]["effective"], idempotency_key="k1")
    posted = action | {"state": "succeeded", "result": entry}
    same = {name: action["args"]["effective"][name] for name in ("vendor_id", "invoice_no", "amount_cents", "currency")}
    asked = {"task": f"Post this invoice, and pay it.\n{run['task']}"}

    def payment(**changed: Any) -> dict[str, Any]:
        args = same | {"iban": reads[0]["result"]["bank_account"], "memo": f"Invoice {same['invoice_no']}"} | changed
        preview = call(store, "erp.preview_payment", **args)
        return shown("act_4", "erp.schedule_payment", args) | {"preview": {"changes": preview["changes"]}}

    assert judge(payment(), asked, [*reads, posted]).decision == "approve"
    assert "Nobody asked" in rejected(judge(payment(), run, [*reads, posted]))
    assert "is not" in rejected(judge(payment(), asked, reads))
    assert "is not" in rejected(judge(payment(amount_cents=same["amount_cents"] - 1), asked, [*reads, posted]))
    assert "verified" in rejected(judge(payment(), asked, [posted]))
    assert "verified" in rejected(judge(payment(iban="GB73WXYZ90669066906690"), asked, [*reads, posted]))
    assert "text" in rejected(judge(payment(memo="factoring release 7731"), asked, [*reads, posted]))


def test_a_reversal_is_signed_only_where_it_takes_back_its_entry_and_no_more(store: Store) -> None:
    action, _, _ = case(store, SAMPLES[0])
    args = action["args"]["effective"]
    entry = call(store, "erp.create_journal_entry", **args, idempotency_key="k1")
    original = action | {"state": "succeeded", "result": entry}
    preview = call(store, "erp.preview_reversal", entry_id=entry["entry_id"])
    reversal = shown("act_9", "erp.reverse_journal_entry", {"entry_id": entry["entry_id"]}) | {"reverses": "act_3"}
    reversal |= {"preview": {"changes": preview["changes"]}}
    word = judge(reversal, {}, [original])
    assert word.decision == "approve", word
    rejected(judge(reversal, {}, []))
    rejected(judge(reversal, {}, [original | {"result": entry | {"entry_id": "JE-000001"}}]))
    for at in range(len(preview["changes"])):
        fewer = preview["changes"][:at] + preview["changes"][at + 1 :]
        rejected(judge(reversal | {"preview": {"changes": fewer}}, {}, [original]))
