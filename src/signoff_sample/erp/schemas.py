# SPDX-License-Identifier: Apache-2.0
"""JSON Schemas (2020-12) of every tool's arguments and answers.

Objects are closed and answers complete, so that a contract can type its expressions by them. Amounts are integers
in the currency's minor unit.
"""

from typing import Any

AMOUNT_MAX = 10**13  # far below 2^53, so that sums of amounts stay exact everywhere

Schema = dict[str, Any]


def _text(description: str, longest: int = 128, shortest: int = 1) -> Schema:
    return {"type": "string", "minLength": shortest, "maxLength": longest, "description": description}


def _closed(properties: dict[str, Schema], required: list[str] | None = None, **more: Any) -> Schema:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False} | more


VENDOR_ID = _text("The vendor's number, such as V-1001.", 64)
INVOICE_NO = _text("The invoice's or credit note's own number.")
PO_NUMBER = _text("The purchase order's number; empty for none.", 64, 0)
ENTRY_ID = _text("The journal entry's number, such as JE-000101.", 64)
PAYMENT_ID = _text("The payment's number, such as PM-000101.", 64)
CHANGE_ID = _text("The number of the change to take back, such as NT-000101.", 64)
MEMO = _text("Free text for the journal.", 500, 0)
NOTE = _text("The note on the vendor's card; replaces the one before.", 2000, 0)
NOTE_LINE = _text("A line to add to the note on the vendor's card.", 200)
REASON = _text("Why, in a sentence.", 500, 0)
IBAN = _text("The account to pay to, without spaces.", 34, 5)
KEY = _text("One write for each key: a repeated call gets the first answer.", 200)
SINCE = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$",
    "description": "RFC 3339, in UTC: only writes from then on.",
}
VERSION = {"type": "integer", "minimum": 0, "description": "The version a preview named; refused if it has moved."}
CURRENCY = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217."}
AMOUNT = {
    "type": "integer",
    "minimum": -AMOUNT_MAX,
    "maximum": AMOUNT_MAX,
    "description": "In the currency's minor unit; negative for a credit note.",
}
TO_PAY = AMOUNT | {"minimum": 1, "description": "In the currency's minor unit."}
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
YES_NO: Schema = {"type": "boolean"}


def _maybe(schema: Schema) -> Schema:
    """Let `null` stand for an optional argument that was left out."""
    return schema | {"type": [schema["type"], "null"]}


_ENTRY = {
    "vendor_id": VENDOR_ID,
    "invoice_no": INVOICE_NO,
    "po_number": PO_NUMBER,
    "amount_cents": AMOUNT,
    "currency": CURRENCY,
}
_PAYMENT = {
    "vendor_id": VENDOR_ID,
    "invoice_no": INVOICE_NO,
    "iban": IBAN,
    "amount_cents": TO_PAY,
    "currency": CURRENCY,
}

INPUTS: dict[str, Schema] = {
    "erp.lookup_vendor": _closed(
        {"name": _text("The vendor's full name.", 200), "vendor_id": VENDOR_ID}, [], minProperties=1, maxProperties=1
    ),
    "erp.get_vendor_note": _closed({"vendor_id": VENDOR_ID}),
    "erp.match_po": _closed(
        {"po_number": PO_NUMBER, "vendor_id": VENDOR_ID, "amount_cents": AMOUNT, "currency": CURRENCY}
    ),
    "erp.get_invoice": _closed({"invoice_no": INVOICE_NO, "vendor_id": _maybe(VENDOR_ID)}, ["invoice_no"]),
    "erp.preview_journal_entry": _closed(_ENTRY | {"memo": _maybe(MEMO)}, list(_ENTRY)),
    "erp.create_journal_entry": _closed(
        _ENTRY | {"memo": MEMO, "idempotency_key": KEY, "expected_version": VERSION}, [*_ENTRY, "idempotency_key"]
    ),
    "erp.find_entry": _closed({"idempotency_key": KEY}),
    "erp.get_entry": _closed({"entry_id": ENTRY_ID}),
    "erp.preview_reversal": _closed({"entry_id": ENTRY_ID}),
    "erp.reverse_journal_entry": _closed(
        {"entry_id": ENTRY_ID, "reason": REASON, "idempotency_key": KEY}, ["entry_id", "idempotency_key"]
    ),
    "erp.find_reversal": _closed({"idempotency_key": KEY}),
    "erp.preview_payment": _closed(_PAYMENT | {"memo": _maybe(MEMO)}, list(_PAYMENT)),
    "erp.schedule_payment": _closed(
        _PAYMENT | {"memo": MEMO, "idempotency_key": KEY, "expected_version": VERSION}, [*_PAYMENT, "idempotency_key"]
    ),
    "erp.find_payment": _closed({"idempotency_key": KEY}),
    "erp.get_payment": _closed({"payment_id": PAYMENT_ID}),
    "erp.preview_cancellation": _closed({"payment_id": PAYMENT_ID}),
    "erp.cancel_payment": _closed(
        {"payment_id": PAYMENT_ID, "reason": REASON, "idempotency_key": KEY}, ["payment_id", "idempotency_key"]
    ),
    "erp.find_cancellation": _closed({"idempotency_key": KEY}),
    "erp.preview_vendor_note": _closed({"vendor_id": VENDOR_ID, "note": NOTE}),
    "erp.update_vendor_note": _closed({"vendor_id": VENDOR_ID, "note": NOTE, "idempotency_key": KEY}),
    "erp.add_note": _closed({"vendor_id": VENDOR_ID, "line": NOTE_LINE, "idempotency_key": KEY}),
    "erp.preview_note_restore": _closed({"restores": CHANGE_ID}),
    "erp.restore_vendor_note": _closed({"restores": CHANGE_ID, "idempotency_key": KEY}),
    "erp.find_vendor_note": _closed({"idempotency_key": KEY}),
    "erp.list_writes": _closed({"tool": _text("The tool that wrote."), "since": SINCE}),
}

_PREVIEW = _closed(
    {
        "changes": {"type": "array", "items": _closed({"path": TEXT, "before": {}, "after": {}})},
        "version": WHOLE,
        "preview_id": TEXT,
    }
)
_ENTRY_ANSWER = _closed(
    {
        "entry_id": TEXT,
        "vendor_id": TEXT,
        "invoice_no": TEXT,
        "amount_cents": WHOLE,
        "currency": TEXT,
        "status": TEXT,
        "version": WHOLE,
    }
)
_PAYMENT_ANSWER = _closed(
    {
        "payment_id": TEXT,
        "vendor_id": TEXT,
        "invoice_no": TEXT,
        "iban": TEXT,
        "amount_cents": WHOLE,
        "currency": TEXT,
        "status": TEXT,
        "version": WHOLE,
    }
)
_REVERSAL_ANSWER = _closed({"reversal_id": TEXT, "entry_id": TEXT, "status": TEXT})
_CANCELLATION_ANSWER = _closed({"cancellation_id": TEXT, "payment_id": TEXT, "status": TEXT})
_NOTE_ANSWER = _closed(
    {
        "change_id": TEXT,
        "vendor_id": TEXT,
        "note": TEXT,
        "note_before": TEXT,
        "restores": TEXT | {"description": "The change this one takes back; empty for none."},
        "version": WHOLE,
    }
)

OUTPUTS: dict[str, Schema] = {
    "erp.lookup_vendor": _closed(
        {
            "vendor_id": TEXT,
            "name": TEXT,
            "known": YES_NO,
            "bank_verified": YES_NO,
            "bank_account": TEXT | {"description": "The verified account to pay to; empty for none."},
            "past_orders": WHOLE | {"description": "Purchase orders under which something was invoiced."},
            "currency": TEXT,
        }
    ),
    "erp.get_vendor_note": _closed({"vendor_id": TEXT, "note": TEXT, "version": WHOLE}),
    "erp.match_po": _closed({"matched": YES_NO, "po_number": TEXT, "open_cents": WHOLE, "reason": TEXT}),
    "erp.get_invoice": _closed(
        {
            "invoice_no": TEXT,
            "vendor_id": TEXT,
            "payable_cents": WHOLE,
            "currency": TEXT,
            "po_number": TEXT | {"description": "The order that the document names; empty for none."},
            "status": TEXT,
            "sums_agree": YES_NO | {"description": "Whether the document's own sums add up."},
            "duplicate_of": TEXT | {"description": "The same number as the vendor sent it before; empty for none."},
            "bank_account": TEXT | {"description": "The account that the document names: its sender's word."},
            "bank_agrees": YES_NO | {"description": "Whether it names no account but the vendor's verified one."},
            "note": TEXT | {"description": "What the sender wrote: anyone's words, not the ERP's."},
        }
    ),
    "erp.preview_journal_entry": _PREVIEW,
    "erp.create_journal_entry": _ENTRY_ANSWER,
    "erp.find_entry": _ENTRY_ANSWER,
    "erp.get_entry": _ENTRY_ANSWER,
    "erp.preview_reversal": _PREVIEW,
    "erp.reverse_journal_entry": _REVERSAL_ANSWER,
    "erp.find_reversal": _REVERSAL_ANSWER,
    "erp.preview_payment": _PREVIEW,
    "erp.schedule_payment": _PAYMENT_ANSWER,
    "erp.find_payment": _PAYMENT_ANSWER,
    "erp.get_payment": _PAYMENT_ANSWER,
    "erp.preview_cancellation": _PREVIEW,
    "erp.cancel_payment": _CANCELLATION_ANSWER,
    "erp.find_cancellation": _CANCELLATION_ANSWER,
    "erp.preview_vendor_note": _PREVIEW,
    "erp.update_vendor_note": _NOTE_ANSWER,
    "erp.add_note": _NOTE_ANSWER,
    "erp.preview_note_restore": _PREVIEW,
    "erp.restore_vendor_note": _NOTE_ANSWER,
    "erp.find_vendor_note": _NOTE_ANSWER,
    "erp.list_writes": _closed(
        {"writes": {"type": "array", "items": _closed({"idempotency_key": TEXT, "written_us": WHOLE})}}
    ),
}
