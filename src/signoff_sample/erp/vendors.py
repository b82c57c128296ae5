# SPDX-License-Identifier: Apache-2.0
"""Vendors: look them up, and change the note on their card."""

import secrets
from typing import Any

from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.store import Tx, name_key

Row = dict[str, Any]
NOTE_MAX = 2000


def vendor_of(tx: Tx, vendor_id: str) -> Row:
    """Return the vendor's row.

    Raises:
        Refusal: `vendor_unknown`.
    """
    row = tx.one("SELECT * FROM vendors WHERE vendor_id = ?", vendor_id)
    if row is None:
        raise Refusal("vendor_unknown", "There is no vendor of that number.")
    return row


def titled(vendor: Row) -> str:
    """Return how a preview names a vendor, so that nobody takes a stranger for a known one."""
    return f"{vendor['vendor_id']} {vendor['name']}" + ("" if vendor["known"] else " (not a known vendor)")


def preview(changes: list[Row], version: int) -> Row:
    """Return a preview's answer; `preview_id` differs each time and means nothing."""
    return {"changes": changes, "version": version, "preview_id": secrets.token_hex(8)}


def change(path: str, before: Any, after: Any) -> Row:
    """Return one line of a preview."""
    return {"path": path, "before": before, "after": after}


def lookup(tx: Tx, args: Row) -> Row:
    """Find a vendor by number, or by its full name whatever its case and spaces.

    What was asked for stands in the refusal, as in most systems: an answer that repeats a question proves nothing.
    """
    if "vendor_id" in args:
        found = tx.one("SELECT * FROM vendors WHERE vendor_id = ?", args["vendor_id"])
        if found is None:
            raise Refusal("vendor_unknown", f"There is no vendor {args['vendor_id']}.")
        row = found
    else:
        rows = tx.all("SELECT * FROM vendors WHERE name_key = ? LIMIT 2", name_key(args["name"]))
        if not rows:
            raise Refusal("vendor_unknown", f"There is no vendor named {args['name']}.")
        if len(rows) > 1:
            raise Refusal("vendor_ambiguous", "Several vendors have that name; ask by vendor_id.")
        row = rows[0]
    verified = tx.one(
        "SELECT iban FROM bank_accounts WHERE vendor_id = ? AND verified = 1 ORDER BY iban LIMIT 1", row["vendor_id"]
    )
    orders = tx.one(
        "SELECT count(*) AS n FROM purchase_orders WHERE vendor_id = ? AND open_cents < total_cents", row["vendor_id"]
    )
    return {
        "vendor_id": row["vendor_id"],
        "name": row["name"],
        "known": bool(row["known"]),
        "bank_verified": verified is not None,
        "bank_account": verified["iban"] if verified else "",
        "past_orders": orders["n"] if orders else 0,
        "currency": row["currency"],
    }


def get_note(tx: Tx, args: Row) -> Row:
    """Read the note on a vendor's card."""
    row = vendor_of(tx, args["vendor_id"])
    return {"vendor_id": row["vendor_id"], "note": row["note"], "version": row["version"]}


def preview_note(tx: Tx, args: Row) -> Row:
    """Show what `update_note` would change."""
    row = vendor_of(tx, args["vendor_id"])
    return preview([change(f"vendors/{row['vendor_id']}/note", row["note"], args["note"])], row["version"])


def update_note(tx: Tx, args: Row) -> Row:
    """Replace the note; the answer keeps the one before."""
    return _replace_note(tx, vendor_of(tx, args["vendor_id"]), args["note"], "", args["idempotency_key"])


def add_note(tx: Tx, args: Row) -> Row:
    """Add a line to the note; the answer keeps the note before.

    Raises:
        Refusal: `note_full`.
    """
    vendor = vendor_of(tx, args["vendor_id"])
    note = "\n".join(filter(None, (vendor["note"], args["line"])))
    if len(note) > NOTE_MAX:
        raise Refusal("note_full", "The card has no room for another line.")
    return _replace_note(tx, vendor, note, "", args["idempotency_key"])


def preview_restore(tx: Tx, args: Row) -> Row:
    """Show what `restore_note` would change, or refuse as it would."""
    vendor, before = _restorable(tx, args["restores"])
    return preview([change(f"vendors/{vendor['vendor_id']}/note", vendor["note"], before)], vendor["version"])


def restore_note(tx: Tx, args: Row) -> Row:
    """Take a change of a note back, if nobody has changed the note since."""
    vendor, before = _restorable(tx, args["restores"])
    return _replace_note(tx, vendor, before, args["restores"], args["idempotency_key"])


def note_answer(row: Row) -> Row:
    """Return what the tools say of a change."""
    return {name: row[name] for name in ("change_id", "vendor_id", "note", "note_before", "restores", "version")}


def _replace_note(tx: Tx, vendor: Row, note: str, restores: str, key: str) -> Row:
    version = vendor["version"] + 1
    tx.run("UPDATE vendors SET note = ?, version = ? WHERE vendor_id = ?", note, version, vendor["vendor_id"])
    row = {
        "change_id": tx.next_id("NT"),
        "vendor_id": vendor["vendor_id"],
        "note": note,
        "note_before": vendor["note"],
        "restores": restores,
        "version": version,
    }
    tx.insert("note_changes", row | {"idempotency_key": key, "written_us": tx.at_us})
    return row


def _restorable(tx: Tx, change_id: str) -> tuple[Row, str]:
    """Return the vendor and the note to put back."""
    row = tx.one("SELECT * FROM note_changes WHERE change_id = ?", change_id)
    if row is None:
        raise Refusal("change_unknown", "There is no change of a note of that number.")
    vendor = vendor_of(tx, row["vendor_id"])
    if (vendor["note"], vendor["version"]) != (row["note"], row["version"]):
        raise Refusal("note_moved", "The note was changed since; look at it, and write the one that is right.")
    return vendor, str(row["note_before"])
