# SPDX-License-Identifier: Apache-2.0
"""Payments: schedule one, cancel it before it is settled, and show beforehand what either would change.

The ERP pays to any account whose number is well formed, as real ones do: that nobody has verified it stands in the
preview, and a person decides.
"""

from typing import Any

from signoff_sample.erp.iban import is_iban
from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Tx
from signoff_sample.erp.vendors import change, preview, titled, vendor_of

Row = dict[str, Any]


def preview_payment(tx: Tx, args: Row) -> Row:
    """Show what `schedule_payment` would change, or refuse as it would."""
    vendor = _checked(tx, args)
    path = f"payments/{args['vendor_id']}/{args['invoice_no']}"
    account = tx.one(
        "SELECT verified FROM bank_accounts WHERE vendor_id = ? AND iban = ?", args["vendor_id"], args["iban"]
    )
    standing = "not on file" if account is None else "verified" if account["verified"] else "not verified"
    changes = [
        change(f"{path}/status", None, "initiated"),
        change(f"{path}/vendor", None, titled(vendor)),
        change(f"{path}/iban", None, f"{args['iban']} ({standing})"),
        change(f"{path}/amount_cents", None, args["amount_cents"]),
        change(f"{path}/currency", None, args["currency"]),
        change(f"{path}/memo", None, args.get("memo") or ""),
    ]
    return preview(changes, vendor["version"])


def schedule_payment(tx: Tx, args: Row) -> Row:
    """Initiate a payment."""
    vendor = _checked(tx, args)
    expected = args.get("expected_version")
    if expected is not None and expected != vendor["version"]:
        raise Refusal("version_moved", f"The version is {vendor['version']}, not {expected}: look at a new preview.")
    row = {
        "payment_id": tx.next_id("PM"),
        "vendor_id": args["vendor_id"],
        "invoice_no": args["invoice_no"],
        "iban": args["iban"],
        "amount_cents": args["amount_cents"],
        "currency": args["currency"],
        "memo": args.get("memo") or "",
        "status": "initiated",
        "version": 1,
        "idempotency_key": args["idempotency_key"],
        "written_us": tx.at_us,
    }
    tx.insert("payments", row)
    return payment_answer(row)


def payment_answer(row: Row) -> Row:
    """Return what the tools say of a payment."""
    names = ("payment_id", "vendor_id", "invoice_no", "iban", "amount_cents", "currency", "status", "version")
    return {name: row[name] for name in names}


def get_payment(tx: Tx, args: Row) -> Row:
    """Read a payment by its number."""
    return payment_answer(_payment(tx, args["payment_id"]))


def preview_cancellation(tx: Tx, args: Row) -> Row:
    """Show what `cancel_payment` would change, or refuse as it would."""
    payment = _cancellable(tx, args["payment_id"])
    return preview([change(f"payments/{payment['payment_id']}/status", "initiated", "cancelled")], payment["version"])


def cancel_payment(tx: Tx, args: Row) -> Row:
    """Cancel a payment that is not settled yet."""
    payment = _cancellable(tx, args["payment_id"])
    row = {"cancellation_id": tx.next_id("CN"), "payment_id": payment["payment_id"]}
    tx.insert(
        "cancellations",
        row | {"reason": args.get("reason") or "", "idempotency_key": args["idempotency_key"], "written_us": tx.at_us},
    )
    tx.run(
        "UPDATE payments SET status = 'cancelled', version = version + 1 WHERE payment_id = ?", payment["payment_id"]
    )
    return cancellation_answer(row)


def cancellation_answer(row: Row) -> Row:
    """Return what the tools say of a cancellation."""
    return {"cancellation_id": row["cancellation_id"], "payment_id": row["payment_id"], "status": "cancelled"}


def _checked(tx: Tx, args: Row) -> Row:
    vendor = vendor_of(tx, args["vendor_id"])
    if not is_iban(args["iban"]):
        raise Refusal("invalid_arguments", "iban: its check digits are wrong.")
    paid = tx.one(
        "SELECT payment_id FROM payments WHERE vendor_id = ? AND invoice_no = ? AND status <> 'cancelled'",
        args["vendor_id"],
        args["invoice_no"],
    )
    if paid:
        raise Refusal("invoice_already_paid", f"The document is paid by {paid['payment_id']}.")
    return vendor


def _payment(tx: Tx, payment_id: str) -> Row:
    row = tx.one("SELECT * FROM payments WHERE payment_id = ?", payment_id)
    if row is None:
        raise Refusal("payment_unknown", "There is no payment of that number.")
    return row


def _cancellable(tx: Tx, payment_id: str) -> Row:
    payment = _payment(tx, payment_id)
    if payment["status"] == "cancelled":
        raise Refusal("already_cancelled", f"{payment_id} is cancelled already.")
    if payment["status"] == "settled":
        raise Refusal("already_settled", f"{payment_id} has left the bank.")
    return payment
