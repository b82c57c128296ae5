# SPDX-License-Identifier: Apache-2.0
"""The ERP's tools: one table of names, descriptions and functions, and the one way to call each.

A write runs under its idempotency key: the same key with the same content gets the first answer, with other
content `key_reused`. The key is looked at before anything else, so that a repeated call cannot be refused for what
its first one did.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from signoff_sample.erp import documents, journal, payments, vendors
from signoff_sample.erp.refusal import Refusal
from signoff_sample.erp.schemas import INPUTS, OUTPUTS, Schema
from signoff_sample.erp.store import Store, Tx, canonical

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Not content: the key names the write, and a retry may carry the version of a younger preview.
_NOT_CONTENT = ("idempotency_key", "expected_version")


@dataclass(frozen=True, slots=True)
class Finds:
    """What a look-up looks in: its table, how it tells a row, and its answer when there is none."""

    table: str
    answer: Callable[[Row], Row]
    nothing: Row


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool, by the server's own name."""

    name: str
    description: str
    run: Callable[[Tx, Row], Row]
    writes: bool = False
    finds: Finds | None = None

    @property
    def input_schema(self) -> Schema:
        return INPUTS[self.name]

    @property
    def output_schema(self) -> Schema:
        return OUTPUTS[self.name]


def checked(tool: Tool, arguments: Mapping[str, Any] | None, schema: Schema | None = None) -> Row:
    """Return the arguments if they keep the tool's input schema (or `schema`); whole floats come back as integers.

    Raises:
        Refusal: `invalid_arguments`; the message names the place and never repeats the value.
    """
    given = {name: _whole(value) for name, value in (arguments or {}).items()}
    for error in _validator(canonical(schema or tool.input_schema)).iter_errors(given):
        place = "/".join(str(step) for step in error.absolute_path) or "arguments"
        why = {
            "additionalProperties": "has a member this tool does not know",
            "required": "lacks a member: " + ", ".join(n for n in error.schema.get("required", ()) if n not in given),
        }.get(str(error.validator), f"breaks {error.validator}: {json.dumps(error.validator_value)[:80]}")
        raise Refusal("invalid_arguments", f"{place} {why}.")
    for name, value in given.items():
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" or sign == "\0" for sign in value):
            raise Refusal("invalid_arguments", f"{name} holds a sign that no text has.")
    return given


def read(store: Store, tool: Tool, args: Row) -> Row:
    """Run a tool that changes nothing."""
    with store.reading() as tx:
        return tool.run(tx, args)


def write(store: Store, tool: Tool, args: Row) -> Row:
    """Run a tool that writes, once for each key; durable when it returns.

    Raises:
        Refusal: nothing was written by this call.
    """
    key = args["idempotency_key"]
    content = canonical({name: value for name, value in args.items() if name not in _NOT_CONTENT})
    refusal: Refusal | None = None
    answer: Row = {}
    with store.writing() as tx:
        earlier = tx.one("SELECT tool, content, answer FROM writes WHERE idempotency_key = ?", key)
        if earlier is None:
            tx.run("SAVEPOINT work")
            try:
                answer, outcome = tool.run(tx, args), "written"
                tx.insert(
                    "writes",
                    {"idempotency_key": key, "tool": tool.name, "content": content}
                    | {"answer": json.dumps(answer), "written_us": tx.at_us},
                )
            except Refusal as no:
                tx.run("ROLLBACK TO work")
                refusal, outcome = no, no.code
        elif (earlier["tool"], earlier["content"]) == (tool.name, content):
            answer, outcome = json.loads(earlier["answer"]), "repeated"
        else:
            refusal, outcome = Refusal("key_reused", "The key stands for another write."), "key_reused"
        tx.insert("calls", {"tool": tool.name, "idempotency_key": key, "at_us": tx.at_us, "outcome": outcome})
    if refusal:
        raise refusal
    return answer


def found(store: Store, finds: Finds, key: str) -> tuple[Row, int] | None:
    """Return what a look-up by key finds, and the instant it was written; `None` if there is nothing."""
    with store.reading() as tx:
        row = tx.one(f"SELECT * FROM {finds.table} WHERE idempotency_key = ?", key)  # noqa: S608  # our own table
    return None if row is None else (finds.answer(row), row["written_us"])


def someone_elses(store: Store, finds: Finds, key: str) -> Row:
    """Return the latest write under any other key; the opening data hold one of each kind."""
    with store.reading() as tx:
        row = tx.one(
            f"SELECT * FROM {finds.table} WHERE idempotency_key <> ? ORDER BY written_us DESC LIMIT 1",  # noqa: S608
            key,
        )
    return finds.nothing if row is None else finds.answer(row)


def _find(finds: Finds) -> Callable[[Tx, Row], Row]:
    def run(tx: Tx, args: Row) -> Row:
        key = args["idempotency_key"]
        row = tx.one(f"SELECT * FROM {finds.table} WHERE idempotency_key = ?", key)  # noqa: S608  # our own table
        return finds.nothing if row is None else finds.answer(row)

    return run


def _list_writes(tx: Tx, args: Row) -> Row:
    try:
        since = datetime.fromisoformat(args["since"])
    except ValueError:
        raise Refusal("invalid_arguments", "since is no instant.") from None
    sql = "SELECT idempotency_key, written_us FROM writes WHERE tool = ? AND written_us >= ? ORDER BY written_us"
    return {"writes": tx.all(sql, args["tool"], (since - _EPOCH) // timedelta(microseconds=1))}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


@cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator  # a tenth of a second, so only at the first call

    return Draft202012Validator(json.loads(schema))


_ENTRIES = Finds(
    "journal_entries",
    journal.entry_answer,
    {"entry_id": "", "vendor_id": "", "invoice_no": "", "amount_cents": 0, "currency": "", "status": "", "version": 0},
)
_REVERSALS = Finds("reversals", journal.reversal_answer, {"reversal_id": "", "entry_id": "", "status": ""})
_PAYMENTS = Finds(
    "payments",
    payments.payment_answer,
    {"payment_id": "", "vendor_id": "", "invoice_no": "", "iban": "", "amount_cents": 0, "currency": ""}
    | {"status": "", "version": 0},
)
_CANCELLATIONS = Finds(
    "cancellations", payments.cancellation_answer, {"cancellation_id": "", "payment_id": "", "status": ""}
)
_NOTES = Finds(
    "note_changes",
    vendors.note_answer,
    {"change_id": "", "vendor_id": "", "note": "", "note_before": "", "restores": "", "version": 0},
)


def _look_up(name: str, description: str, finds: Finds) -> Tool:
    return Tool(name, description, _find(finds), finds=finds)


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("erp.lookup_vendor", "Find a vendor by number or by full name.", vendors.lookup),
        Tool("erp.get_vendor_note", "Read the note on a vendor's card.", vendors.get_note),
        Tool("erp.match_po", "Check an amount against what a purchase order has open.", documents.match_po),
        Tool("erp.get_invoice", "Read an invoice or credit note that was received.", documents.get_invoice),
        Tool("erp.preview_journal_entry", "Show what posting an entry would change.", journal.preview_entry),
        Tool("erp.create_journal_entry", "Post an invoice or credit note to the journal.", journal.create_entry, True),
        _look_up("erp.find_entry", "Find the journal entry that a key wrote.", _ENTRIES),
        Tool("erp.get_entry", "Read a journal entry.", journal.get_entry),
        Tool("erp.preview_reversal", "Show what reversing an entry would change.", journal.preview_reversal),
        Tool("erp.reverse_journal_entry", "Reverse a journal entry.", journal.reverse_entry, True),
        _look_up("erp.find_reversal", "Find the reversal that a key wrote.", _REVERSALS),
        Tool("erp.preview_payment", "Show what scheduling a payment would change.", payments.preview_payment),
        Tool("erp.schedule_payment", "Schedule a payment to a bank account.", payments.schedule_payment, True),
        _look_up("erp.find_payment", "Find the payment that a key wrote.", _PAYMENTS),
        Tool("erp.get_payment", "Read a payment.", payments.get_payment),
        Tool("erp.preview_cancellation", "Show what cancelling a payment would change.", payments.preview_cancellation),
        Tool("erp.cancel_payment", "Cancel a payment that is not settled yet.", payments.cancel_payment, True),
        _look_up("erp.find_cancellation", "Find the cancellation that a key wrote.", _CANCELLATIONS),
        Tool("erp.preview_vendor_note", "Show what replacing a vendor's note would change.", vendors.preview_note),
        Tool("erp.update_vendor_note", "Replace the note on a vendor's card.", vendors.update_note, True),
        Tool("erp.add_note", "Add a line to the note on a vendor's card.", vendors.add_note, True),
        Tool("erp.preview_note_restore", "Show what taking a change of a note back would do.", vendors.preview_restore),
        Tool("erp.restore_vendor_note", "Take a change of a vendor's note back.", vendors.restore_note, True),
        _look_up("erp.find_vendor_note", "Find the change of a note that a key wrote.", _NOTES),
        Tool("erp.list_writes", "List the keys under which a tool has written since an instant.", _list_writes),
    )
}
