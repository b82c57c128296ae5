# SPDX-License-Identifier: Apache-2.0
"""The journal: post an entry, reverse it, and show beforehand what either would change.

Preview and write share one plan, so that what was shown is what is written. An entry over its order's open amount
is not refused: the open amount goes negative, in the preview too, and a person decides.
"""

from dataclasses import dataclass
from typing import Any

from signoff_sample.erp import faults
from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Tx
from signoff_sample.erp.vendors import change, preview, titled, vendor_of

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an entry would touch; `version` is that of its order, or of its vendor where there is none."""

    vendor: Row
    document: Row | None
    order: Row | None

    @property
    def version(self) -> int:
        return int((self.order or self.vendor)["version"])


def preview_entry(tx: Tx, args: Row) -> Row:
    """Show what `create_entry` would change, or refuse as it would."""
    plan = _plan(tx, args)
    path = f"journal/{plan.vendor['vendor_id']}/{args['invoice_no']}"
    changes = [
        change(f"{path}/status", None, "posted"),
        change(f"{path}/vendor", None, titled(plan.vendor)),
        change(f"{path}/amount_cents", None, args["amount_cents"]),
        change(f"{path}/currency", None, args["currency"]),
        change(f"{path}/po_number", None, args["po_number"]),
        change(f"{path}/memo", None, args.get("memo") or ""),
    ]
    if plan.document:
        document = f"invoices/{plan.vendor['vendor_id']}/{args['invoice_no']}"
        changes.append(change(f"{document}/status", plan.document["status"], "posted"))
    if plan.order:
        open_cents = plan.order["open_cents"]
        order = f"purchase_orders/{plan.order['po_number']}"
        changes.append(change(f"{order}/open_cents", open_cents, open_cents - args["amount_cents"]))
    return preview(changes, plan.version)


def create_entry(tx: Tx, args: Row) -> Row:
    """Post an entry: the document becomes posted, and the order's open amount falls."""
    plan = _plan(tx, args)
    expected = args.get("expected_version")
    if expected is not None and expected != plan.version:
        raise Refusal("version_moved", f"The version is {plan.version}, not {expected}: look at a new preview.")
    row = {
        "entry_id": tx.next_id("JE"),
        "vendor_id": args["vendor_id"],
        "invoice_no": args["invoice_no"],
        "po_number": args["po_number"],
        "amount_cents": args["amount_cents"],
        "currency": args["currency"],
        "memo": args.get("memo") or "",
        "status": "posted",
        "version": 1,
        "idempotency_key": args["idempotency_key"],
        "written_us": tx.at_us,
    }
    tx.insert("journal_entries", row)
    _book(tx, row, "posted", -args["amount_cents"])
    return entry_answer(row)


def entry_answer(row: Row) -> Row:
    """Return what the tools say of an entry."""
    names = ("entry_id", "vendor_id", "invoice_no", "amount_cents", "currency", "status", "version")
    return {name: row[name] for name in names}


def get_entry(tx: Tx, args: Row) -> Row:
    """Read an entry by its number."""
    return entry_answer(_entry(tx, args["entry_id"]))


def preview_reversal(tx: Tx, args: Row) -> Row:
    """Show what `reverse_entry` would change, or refuse as it would."""
    entry = _reversible(tx, args["entry_id"])
    changes = [change(f"journal/{entry['entry_id']}/status", "posted", "reversed")]
    keys = (entry["vendor_id"], entry["invoice_no"])
    if document := tx.one("SELECT status FROM invoices WHERE vendor_id = ? AND invoice_no = ?", *keys):
        changes.append(change(f"invoices/{keys[0]}/{keys[1]}/status", document["status"], "open"))
    if order := tx.one("SELECT * FROM purchase_orders WHERE po_number = ?", entry["po_number"]):
        after = order["open_cents"] + entry["amount_cents"]
        changes.append(change(f"purchase_orders/{order['po_number']}/open_cents", order["open_cents"], after))
    return preview(changes, entry["version"])


def reverse_entry(tx: Tx, args: Row) -> Row:
    """Reverse an entry: it stays, marked; its document is open again and the order gets its amount back."""
    entry = _reversible(tx, args["entry_id"])
    row = {"reversal_id": tx.next_id("RV"), "entry_id": entry["entry_id"], "reason": args.get("reason") or ""}
    tx.insert("reversals", row | {"idempotency_key": args["idempotency_key"], "written_us": tx.at_us})
    tx.run(
        "UPDATE journal_entries SET status = 'reversed', version = version + 1 WHERE entry_id = ?", entry["entry_id"]
    )
    _book(tx, entry, "open", entry["amount_cents"])
    return reversal_answer(row)


def reversal_answer(row: Row) -> Row:
    """Return what the tools say of a reversal."""
    return {"reversal_id": row["reversal_id"], "entry_id": row["entry_id"], "status": "reversed"}


def _plan(tx: Tx, args: Row) -> _Plan:
    vendor = vendor_of(tx, args["vendor_id"])
    keys = (args["vendor_id"], args["invoice_no"])
    document = tx.one("SELECT * FROM invoices WHERE vendor_id = ? AND invoice_no = ?", *keys)
    _fits(tx, args, document)
    live = tx.one(
        "SELECT entry_id FROM journal_entries WHERE vendor_id = ? AND invoice_no = ? AND status = 'posted'", *keys
    )
    if live and not faults.duplicates_pass(tx, args.get("idempotency_key", "")):
        raise Refusal("invoice_already_posted", f"The document stands posted as {live['entry_id']}.")
    return _Plan(vendor, document, _order(tx, args))


def _fits(tx: Tx, args: Row, document: Row | None) -> None:
    """Hold the amount against the document received; one that never was received is taken for an invoice."""
    if args["amount_cents"] == 0:
        raise Refusal("invalid_arguments", "amount_cents: an entry of nothing is none.")
    if document is None:
        if args["amount_cents"] < 0:
            raise Refusal("invalid_arguments", "amount_cents: only a credit note that was received is negative.")
        return
    if args["currency"] != document["currency"]:
        raise Refusal("invalid_arguments", f"currency: the document is in {document['currency']}.")
    if (args["amount_cents"] < 0) != (document["payable_cents"] < 0):
        raise Refusal("invalid_arguments", "amount_cents: invoices are positive, credit notes negative.")
    closed = tx.one("SELECT closed_through FROM state")
    if closed and document["issue_date"] <= closed["closed_through"]:
        raise Refusal("period_closed", f"The books are closed through {closed['closed_through']}.")


def _order(tx: Tx, args: Row) -> Row | None:
    if not args["po_number"]:
        return None
    order = tx.one("SELECT * FROM purchase_orders WHERE po_number = ?", args["po_number"])
    if order is None:
        raise Refusal("po_mismatch", "There is no purchase order of that number; leave it empty to post without one.")
    if order["vendor_id"] != args["vendor_id"]:
        raise Refusal("po_mismatch", "The purchase order is another vendor's.")
    if order["currency"] != args["currency"]:
        raise Refusal("po_mismatch", f"The purchase order is in {order['currency']}.")
    return order


def _entry(tx: Tx, entry_id: str) -> Row:
    row = tx.one("SELECT * FROM journal_entries WHERE entry_id = ?", entry_id)
    if row is None:
        raise Refusal("entry_unknown", "There is no journal entry of that number.")
    return row


def _reversible(tx: Tx, entry_id: str) -> Row:
    entry = _entry(tx, entry_id)
    if entry["status"] == "reversed":
        raise Refusal("already_reversed", f"{entry_id} is reversed already.")
    return entry


def _book(tx: Tx, entry: Row, status: str, opened_cents: int) -> None:
    keys = (entry["vendor_id"], entry["invoice_no"])
    tx.run("UPDATE invoices SET status = ? WHERE vendor_id = ? AND invoice_no = ?", status, *keys)
    tx.run(
        "UPDATE purchase_orders SET open_cents = open_cents + ?, version = version + 1 WHERE po_number = ?",
        opened_cents,
        entry["po_number"],
    )
