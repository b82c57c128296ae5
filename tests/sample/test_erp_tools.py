# SPDX-License-Identifier: Apache-2.0
"""What the ERP's tools promise, without a server between."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Store
from signoff_sample.erp.tools import TOOLS
from signoff_sample.erp.ubl import read_ubl, register
from signoff_sample.invoices import sample

from .driving import ENTRY, PAYMENT, call, refused

CREATE = "erp.create_journal_entry"


def changes(preview: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {line["path"]: (line["before"], line["after"]) for line in preview["changes"]}


def test_every_schema_is_a_closed_valid_object() -> None:
    for tool in TOOLS.values():
        for schema in (tool.input_schema, tool.output_schema):
            Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert schema["additionalProperties"] is False


def test_an_entry_does_what_its_preview_showed(store: Store) -> None:
    register(store, read_ubl(sample("01-brisk-paper.xml")))
    shown = changes(call(store, "erp.preview_journal_entry", **ENTRY))
    assert shown["invoices/V-1001/BP-2026-0412/status"] == ("open", "posted")
    assert shown["purchase_orders/PO-7001/open_cents"] == (145_200, 0)
    entry = call(store, CREATE, **ENTRY, idempotency_key="k1")
    assert entry == call(store, "erp.get_entry", entry_id=entry["entry_id"])
    assert call(store, "erp.get_invoice", invoice_no="BP-2026-0412")["status"] == "posted"
    assert call(store, "erp.match_po", po_number="PO-7001", vendor_id="V-1001", amount_cents=1, currency="EUR") == {
        "matched": False,
        "po_number": "PO-7001",
        "open_cents": 0,
        "reason": "over_open_amount",
    }


def test_two_previews_differ_in_their_id_alone(store: Store) -> None:
    first, second = (call(store, "erp.preview_journal_entry", **ENTRY, memo=None) for _ in range(2))
    assert first.pop("preview_id") != second.pop("preview_id")
    assert first == second


def test_a_preview_says_that_a_vendor_is_not_known_and_an_order_overdrawn(store: Store) -> None:
    stranger = ENTRY | {"vendor_id": "V-9066", "po_number": "PO-9066", "amount_cents": 5_000_001}
    shown = changes(call(store, "erp.preview_journal_entry", **stranger))
    assert shown["journal/V-9066/BP-2026-0412/vendor"][1] == "V-9066 Northgate Settlement Ltd (not a known vendor)"
    assert shown["purchase_orders/PO-9066/open_cents"] == (5_000_000, -1)


def test_the_same_key_and_content_gets_the_first_answer(store: Store) -> None:
    first = call(store, CREATE, **ENTRY, idempotency_key="k1", expected_version=1)
    assert call(store, CREATE, **ENTRY, idempotency_key="k1", expected_version=2) == first
    call(store, "erp.reverse_journal_entry", entry_id=first["entry_id"], idempotency_key="k2")
    assert call(store, CREATE, **ENTRY, idempotency_key="k1") == first, "a repeated call never posts anew"


def test_the_same_key_with_other_content_is_refused(store: Store) -> None:
    call(store, CREATE, **ENTRY, idempotency_key="k1")
    assert refused(store, CREATE, **(ENTRY | {"amount_cents": 1}), idempotency_key="k1") == "key_reused"
    assert refused(store, "erp.reverse_journal_entry", entry_id="JE-000001", idempotency_key="k1") == "key_reused"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"vendor_id": "V-1"}, "vendor_unknown"),
        ({"po_number": "PO-0"}, "po_mismatch"),
        ({"po_number": "PO-7004"}, "po_mismatch"),
        ({"po_number": "PO-7001", "currency": "USD"}, "po_mismatch"),
        ({"invoice_no": "BP-2026-0388", "po_number": "PO-6950"}, "invoice_already_posted"),
        ({"expected_version": 7}, "version_moved"),
        ({"amount_cents": 0}, "invalid_arguments"),
        ({"amount_cents": -1}, "invalid_arguments"),
        ({"amount_cents": 1.5}, "invalid_arguments"),
        ({"amount_cents": True}, "invalid_arguments"),
        ({"amount_cents": 10**14}, "invalid_arguments"),
        ({"currency": "eur"}, "invalid_arguments"),
        ({"memo": "\ud800"}, "invalid_arguments"),
        ({"surprise": 1}, "invalid_arguments"),
        ({"idempotency_key": ""}, "invalid_arguments"),
    ],
)
def test_what_may_not_be_posted_is_refused_by_a_code_and_writes_nothing(
    store: Store, change: dict[str, Any], code: str
) -> None:
    assert refused(store, CREATE, **({"idempotency_key": "k1"} | ENTRY | change)) == code
    assert call(store, "erp.find_entry", idempotency_key="k1")["entry_id"] == ""
    with store.reading() as tx:
        assert tx.one("SELECT count(*) AS n FROM journal_entries WHERE origin = 'tool'") == {"n": 0}
        assert tx.one("SELECT next_number FROM state") == {"next_number": 101}


def test_a_closed_period_takes_no_entry(store: Store) -> None:
    register(store, read_ubl(sample("01-brisk-paper.xml")))
    with store.writing() as tx:
        tx.run("UPDATE state SET closed_through = '2026-11-03'")
    assert refused(store, "erp.preview_journal_entry", **ENTRY) == "period_closed"
    assert refused(store, CREATE, **ENTRY, idempotency_key="k1") == "period_closed"


def test_a_refused_message_never_repeats_the_value(store: Store) -> None:
    from signoff_sample.erp.refusal import Refusal

    with pytest.raises(Refusal) as caught:
        call(store, CREATE, **(ENTRY | {"currency": "hunter2"}), idempotency_key="k1")
    assert "hunter2" not in caught.value.message
    assert "currency" in caught.value.message


def test_a_credit_note_is_posted_as_a_negative_amount_only(store: Store) -> None:
    register(store, read_ubl(sample("03-brisk-paper-credit-note.xml")))
    credit = ENTRY | {"invoice_no": "BP-CN-2026-0031", "po_number": "PO-6950", "amount_cents": 12_100}
    assert refused(store, CREATE, **credit, idempotency_key="k1") == "invalid_arguments"
    credit["amount_cents"] = -12_100
    fits = {name: credit[name] for name in ("po_number", "vendor_id", "amount_cents", "currency")}
    assert call(store, "erp.match_po", **fits)["matched"]
    assert call(store, CREATE, **credit, idempotency_key="k2")["amount_cents"] == -12_100


def test_a_reversal_gives_everything_back_and_happens_once(store: Store) -> None:
    register(store, read_ubl(sample("01-brisk-paper.xml")))
    entry_id = call(store, CREATE, **ENTRY, idempotency_key="k1")["entry_id"]
    shown = changes(call(store, "erp.preview_reversal", entry_id=entry_id))
    assert shown["purchase_orders/PO-7001/open_cents"] == (0, 145_200)
    reversal = call(store, "erp.reverse_journal_entry", entry_id=entry_id, idempotency_key="k2")
    assert call(store, "erp.find_reversal", idempotency_key="k2") == reversal
    assert call(store, "erp.get_entry", entry_id=entry_id)["status"] == "reversed"
    assert call(store, "erp.get_invoice", invoice_no="BP-2026-0412")["status"] == "open"
    for tool, more in (("erp.preview_reversal", {}), ("erp.reverse_journal_entry", {"idempotency_key": "k3"})):
        assert refused(store, tool, entry_id=entry_id, **more) == "already_reversed"
    assert call(store, CREATE, **ENTRY, idempotency_key="k4")["status"] == "posted", "and may be posted anew"


def test_a_payment_shows_whether_its_account_is_verified_and_is_cancelled_until_settled(store: Store) -> None:
    elsewhere = PAYMENT | {"iban": "GB73WXYZ90669066906690"}
    shown = changes(call(store, "erp.preview_payment", **elsewhere))
    assert shown["payments/V-1001/BP-2026-0412/iban"][1] == "GB73WXYZ90669066906690 (not on file)"
    assert refused(store, "erp.preview_payment", **(PAYMENT | {"iban": "NL12ABCD0417164300"})) == "invalid_arguments"
    payment = call(store, "erp.schedule_payment", **PAYMENT, idempotency_key="k1")
    assert call(store, "erp.find_payment", idempotency_key="k1") == payment
    assert refused(store, "erp.schedule_payment", **PAYMENT, idempotency_key="k2") == "invoice_already_paid"
    number = payment["payment_id"]
    assert changes(call(store, "erp.preview_cancellation", payment_id=number)) == {
        f"payments/{number}/status": ("initiated", "cancelled")
    }
    cancelled = call(store, "erp.cancel_payment", payment_id=number, idempotency_key="k3")
    assert call(store, "erp.find_cancellation", idempotency_key="k3") == cancelled
    assert call(store, "erp.get_payment", payment_id=number)["status"] == "cancelled"
    assert refused(store, "erp.cancel_payment", payment_id=number, idempotency_key="k4") == "already_cancelled"
    assert refused(store, "erp.cancel_payment", payment_id="PM-000005", idempotency_key="k4") == "already_settled"
    assert refused(store, "erp.cancel_payment", payment_id="PM-1", idempotency_key="k4") == "payment_unknown"


def test_a_note_comes_back_unless_somebody_changed_it_since(store: Store) -> None:
    before = call(store, "erp.get_vendor_note", vendor_id="V-1003")["note"]
    changed = call(store, "erp.update_vendor_note", vendor_id="V-1003", note="new", idempotency_key="k1")
    assert call(store, "erp.find_vendor_note", idempotency_key="k1") == changed
    shown = call(store, "erp.preview_note_restore", restores=changed["change_id"])
    assert changes(shown) == {"vendors/V-1003/note": ("new", before)}
    restored = call(store, "erp.restore_vendor_note", restores=changed["change_id"], idempotency_key="k2")
    assert restored["note"] == before == call(store, "erp.get_vendor_note", vendor_id="V-1003")["note"]
    again = {"restores": changed["change_id"], "idempotency_key": "k3"}
    assert refused(store, "erp.restore_vendor_note", **again) == "note_moved"
    assert refused(store, "erp.preview_note_restore", restores="NT-1") == "change_unknown"


def test_a_vendor_is_found_by_number_or_by_name_and_by_one_of_them_only(store: Store) -> None:
    by_name = call(store, "erp.lookup_vendor", name="  brisk  PAPER b.v. ")
    assert by_name == call(store, "erp.lookup_vendor", vendor_id="V-1001")
    assert by_name["known"] and by_name["bank_verified"]
    assert not call(store, "erp.lookup_vendor", vendor_id="V-9066")["known"]
    assert refused(store, "erp.lookup_vendor", name="Nobody") == "vendor_unknown"
    assert refused(store, "erp.lookup_vendor") == "invalid_arguments"
    assert refused(store, "erp.lookup_vendor", name="a", vendor_id="V-1001") == "invalid_arguments"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "ok"),
        ({"amount_cents": 145_201}, "over_open_amount"),
        ({"amount_cents": -1}, "over_invoiced_amount"),
        ({"amount_cents": 0}, "no_amount"),
        ({"currency": "USD"}, "other_currency"),
        ({"vendor_id": "V-1002"}, "other_vendor"),
        ({"po_number": "PO-0"}, "no_such_order"),
    ],
)
def test_a_match_says_why_it_is_none(store: Store, change: dict[str, Any], reason: str) -> None:
    asked = {"po_number": "PO-7001", "vendor_id": "V-1001", "amount_cents": 145_200, "currency": "EUR"} | change
    found = call(store, "erp.match_po", **asked)
    assert (found["matched"], found["reason"]) == (reason == "ok", reason)


def test_a_number_that_two_vendors_use_needs_the_vendor_too(store: Store) -> None:
    with store.writing() as tx:
        for vendor_id in ("V-1001", "V-1002"):
            tx.run(
                "INSERT INTO invoices VALUES"
                " (?, 'N-1', 'invoice', '2026-11-01', '', 5, 'EUR', '', '', '', 'open', 1, 'n1')",
                vendor_id,
            )
    assert refused(store, "erp.get_invoice", invoice_no="N-1") == "invoice_ambiguous"
    assert call(store, "erp.get_invoice", invoice_no="N-1", vendor_id="V-1002")["vendor_id"] == "V-1002"
    assert refused(store, "erp.get_invoice", invoice_no="N-2") == "invoice_unknown"


def test_whole_floats_are_integers(store: Store) -> None:
    entry = call(store, CREATE, **(ENTRY | {"amount_cents": 145_200.0}), idempotency_key="k1")
    assert entry["amount_cents"] == 145_200
    assert call(store, CREATE, **ENTRY, idempotency_key="k1") == entry


def test_a_line_is_added_to_a_card_and_taken_back(store: Store) -> None:
    first = call(store, "erp.add_note", vendor_id="V-1002", line="Partly delivered.", idempotency_key="k1")
    second = call(store, "erp.add_note", vendor_id="V-1002", line="Delivered.", idempotency_key="k2")
    assert (first["note"], second["note"]) == ("Partly delivered.", "Partly delivered.\nDelivered.")
    assert call(store, "erp.get_vendor_note", vendor_id="V-1002")["note"] == second["note"]
    call(store, "erp.restore_vendor_note", restores=second["change_id"], idempotency_key="k3")
    assert call(store, "erp.get_vendor_note", vendor_id="V-1002")["note"] == first["note"]
    for n in range(10):
        call(store, "erp.add_note", vendor_id="V-1002", line="x" * 190, idempotency_key=f"more-{n}")
    assert refused(store, "erp.add_note", vendor_id="V-1002", line="x" * 190, idempotency_key="full") == "note_full"


def test_a_look_up_repeats_what_it_was_asked_as_most_systems_do(store: Store) -> None:
    with pytest.raises(Refusal, match="GB73WXYZ90669066906690"):
        call(store, "erp.lookup_vendor", name="GB73WXYZ90669066906690")
    with pytest.raises(Refusal, match="V-77"):
        call(store, "erp.lookup_vendor", vendor_id="V-77")
    asked = {"vendor_id": "V-1001", "amount_cents": 1, "currency": "EUR"}
    assert call(store, "erp.match_po", po_number="GB73", **asked)["po_number"] == "GB73"


def test_a_vendors_history_and_account_are_told(store: Store) -> None:
    brisk = call(store, "erp.lookup_vendor", vendor_id="V-1001")
    assert (brisk["past_orders"], brisk["bank_account"]) == (2, "NL11ABCD0417164300")
    sato = call(store, "erp.lookup_vendor", vendor_id="V-1005")
    assert (sato["past_orders"], sato["bank_account"], sato["bank_verified"]) == (0, "", False)
