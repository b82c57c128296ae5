# SPDX-License-Identifier: Apache-2.0
"""Documents received: read an invoice, and match one with its purchase order."""

from typing import Any

from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Tx

Row = dict[str, Any]


def get_invoice(tx: Tx, args: Row) -> Row:
    """Read an invoice by its number; where several vendors use that number, `vendor_id` says which.

    What the ERP found out itself (whether the sums agree, whether the account is the verified one, whether the vendor
    sent the number before in another spelling) stands beside what the sender wrote.
    """
    vendor_id = args.get("vendor_id")
    rows = tx.all(
        "SELECT rowid, * FROM invoices WHERE invoice_no = ? AND (? IS NULL OR vendor_id = ?)"
        " ORDER BY vendor_id LIMIT 2",
        args["invoice_no"],
        vendor_id,
        vendor_id,
    )
    if not rows:
        raise Refusal("invoice_unknown", "No document of that number was received.")
    if len(rows) > 1:
        raise Refusal("invoice_ambiguous", "Several vendors sent a document of that number; add vendor_id.")
    row = rows[0]
    verified = tx.one(
        "SELECT 1 FROM bank_accounts WHERE vendor_id = ? AND iban = ? AND verified = 1", row["vendor_id"], row["iban"]
    )
    earlier = tx.one(
        "SELECT invoice_no FROM invoices WHERE vendor_id = ? AND number_key = ? AND rowid < ? ORDER BY rowid LIMIT 1",
        row["vendor_id"],
        row["number_key"],
        row["rowid"],
    )
    said = ("invoice_no", "vendor_id", "payable_cents", "currency", "po_number", "status")
    return {name: row[name] for name in said} | {
        "sums_agree": bool(row["sums_agree"]),
        "duplicate_of": earlier["invoice_no"] if earlier else "",
        "bank_account": row["iban"],
        "bank_agrees": not row["iban"] or verified is not None,
        "note": row["note"],
    }


def match_po(tx: Tx, args: Row) -> Row:
    """Say whether an amount fits what a purchase order has open.

    A credit (negative amount) fits if at most that much was invoiced. Another vendor's order is not described.
    """
    order = tx.one("SELECT * FROM purchase_orders WHERE po_number = ?", args["po_number"])
    if order is None or order["vendor_id"] != args["vendor_id"]:
        reason = "no_such_order" if order is None else "other_vendor"
        return {"matched": False, "po_number": args["po_number"], "open_cents": 0, "reason": reason}
    if order["currency"] != args["currency"]:
        reason = "other_currency"
    elif args["amount_cents"] == 0:
        reason = "no_amount"
    elif args["amount_cents"] > order["open_cents"]:
        reason = "over_open_amount"
    elif -args["amount_cents"] > order["total_cents"] - order["open_cents"]:
        reason = "over_invoiced_amount"
    else:
        reason = "ok"
    return {
        "matched": reason == "ok",
        "po_number": order["po_number"],
        "open_cents": order["open_cents"],
        "reason": reason,
    }
