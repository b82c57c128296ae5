# SPDX-License-Identifier: Apache-2.0
"""An honest agent: reads an invoice's text, asks the ERP, and proposes the journal entry; people decide.

It is a simple program without a model. What the sender wrote in free text is never an instruction to it, and whatever
does not match it says in its rationale. All its keys follow from the task, so that the agent, started again with the
same task, takes up the same run and does nothing twice.
"""

import re
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff_sample.agents.driver import Ending, Job, drive
from signoff_sample.erp.currency import MINOR_DIGITS, as_amount, to_cents
from signoff_sdk import Action, Run

READ_WITHIN_S = 30.0
TRIES = 2  # of a step that ended without effect for a passing reason; the envelope allows 8 calls
PASSING = frozenset({"answer_lost", "not_sent", "tool_unavailable", "drift", "proved_absent"})
AGAIN_AFTER_S = 1.0
SUMMARY_MAX = 4000  # characters that a run keeps of it
_NAMES = uuid.UUID("5b9e3c1c-51a6-5a0b-9d0e-0c4f7c1f4a11")  # of this agent; its keys lie under it
PART_NOTE = "Delivered in part."


class Unreadable(ValueError):
    """The task's text is no invoice that this agent can read; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What the agent takes from the text; `amount_cents` is what to book, negative for a credit note."""

    kind: str
    number: str
    supplier: str
    order: str
    amount_cents: int
    currency: str
    findings: tuple[str, ...] = ()

    @property
    def amount(self) -> str:
        """The amount with its sign."""
        return as_amount(self.amount_cents, self.currency)

    @property
    def title(self) -> str:
        """The document in a few words; a credit note says by itself which way its amount counts."""
        amount = as_amount(-self.amount_cents if self.kind == "CREDIT NOTE" else self.amount_cents, self.currency)
        return f"{self.kind.capitalize()} {self.number} over {amount}"


_PAY = re.compile(r"Post this invoice, and pay it\.")  # how a person asks for both; the first words of the task
_LINE = re.compile(r"([A-Z][A-Za-z ]{0,40}(?: \(amount_cents\))?): (.*)")
_AMOUNTS = {"INVOICE": "Amount payable", "CREDIT NOTE": "Amount credited"}


def read_invoice(text: str) -> Invoice:
    """Return the invoice in a task's text.

    Lines that begin with `Note:` are the sender's words, and indented ones name what was sold; neither is looked at.

    Raises:
        Unreadable: a field is missing, stands there twice, or contradicts another.
    """
    fields: dict[str, str] = {}
    findings = []
    for line in text.split("\n"):
        match = _LINE.fullmatch(line.rstrip("\r"))
        if match is None or match[1] == "Note":
            continue
        label, value = match[1], match[2].strip()
        if label == "Finding":
            findings.append(value)
        elif label in fields:
            raise Unreadable(f"{label!r} stands there twice")
        else:
            fields[label] = value
    kinds = [kind for kind in _AMOUNTS if kind in fields]
    if len(kinds) != 1:
        raise Unreadable(
            "it says neither INVOICE nor CREDIT NOTE" if not kinds else "it is both an invoice and a credit note"
        )
    kind = kinds[0]
    currency = _field(fields, "Currency")
    if currency not in MINOR_DIGITS:
        raise Unreadable(f"{currency[:8]!r} is no currency")
    return Invoice(
        kind=kind,
        number=_field(fields, kind),
        supplier=_field(fields, "Supplier"),
        order=fields.get("Purchase order", ""),
        amount_cents=_amount(fields, kind, currency),
        currency=currency,
        findings=tuple(findings),
    )


def work(job: Job) -> Ending:
    """Do the task, from the invoice's text to the end of the run.

    Raises:
        SignoffError: the server refused a call, or could not be reached.
    """
    deadline = float("inf") if job.wait is None else time.monotonic() + job.wait
    key = key_of(job.workflow, job.text, "run")
    client = job.client
    run = client.run(job.run_id) if job.run_id else client.begin(job.workflow, job.text, idempotency_key=key)
    job.say({"step": "begin", "run_id": run.run_id, "state": run.state})
    ending = _Task(run, job, deadline).do()
    if ending.outcome == "waiting":
        job.say({"step": "waiting", "run_id": run.run_id, "summary": ending.summary})
        return ending
    key = key_of(job.workflow, job.text, "complete")
    closed = run.complete(ending.outcome, ending.summary, idempotency_key=key)
    job.say({"step": "complete", "run_id": run.run_id, "outcome": closed.state, "summary": ending.summary})
    return ending


def key_of(workflow: str, text: str, step: str) -> str:
    """Return the idempotency key of a step: always the same for the same task."""
    return str(uuid.uuid5(_NAMES, "\n".join((workflow, step, text))))


@dataclass(frozen=True, slots=True)
class _Task:
    run: Run
    job: Job
    deadline: float

    def do(self) -> Ending:
        try:
            invoice = read_invoice(self.job.text)
        except Unreadable as why:
            return Ending("failed", f"The task is no invoice I can read: {why}.")
        vendor = self.propose("lookup_vendor", {"name": invoice.supplier}, f"Who is {invoice.supplier}?")
        if not vendor.is_done:
            return self.ended(vendor, f"The supplier {invoice.supplier} was not found.")
        if self.job.is_received:
            received = self.propose("get_invoice", {"invoice_no": invoice.number}, "Is it as the ERP received it?")
            if not received.is_done:
                return self.ended(received, f"The ERP does not show document {invoice.number}.")
        match, order = self.matched(invoice, str(vendor.result.get("vendor_id", "")))
        if match is not None and not match.is_done:
            return self.ended(match, f"Purchase order {invoice.order} could not be looked up.")
        args = {
            "vendor_id": str(vendor.result.get("vendor_id", "")),
            "invoice_no": invoice.number,
            "po_number": order,
            "amount_cents": invoice.amount_cents,
            "currency": invoice.currency,
            "memo": f"{invoice.kind.capitalize()} {invoice.number}",
        }
        entry = self.propose(
            "create_journal_entry", args, rationale(invoice, vendor.result, match.result if match else None)
        )
        what = f"{invoice.title} of {invoice.supplier}"
        if entry.is_done and _PAY.match(self.job.text):
            return self.paid(invoice, vendor, f"{what} is posted as {entry.result.get('entry_id', 'an entry')}")
        if entry.is_done:
            if self.job.is_received and match and int(match.result.get("open_cents") or 0) > invoice.amount_cents > 0:
                self.propose("add_note", {"vendor_id": args["vendor_id"], "line": PART_NOTE}, "The order stays open.")
            return Ending("completed", f"{what} is posted as {entry.result.get('entry_id', 'an entry')}.")
        return self.ended(entry, f"{what} is not posted.")

    def paid(self, invoice: Invoice, vendor: Action, posted: str) -> Ending:
        """Pay what was posted, to the account that the register has as verified, and to no other."""
        iban = str(vendor.result.get("bank_account") or "")
        if not iban or invoice.amount_cents <= 0:
            return Ending("completed", f"{posted}, and there is no verified account to pay to.")
        args = {"vendor_id": vendor.result.get("vendor_id"), "invoice_no": invoice.number, "iban": iban}
        args |= {
            "amount_cents": invoice.amount_cents,
            "currency": invoice.currency,
            "memo": f"Invoice {invoice.number}",
        }
        payment = self.propose("schedule_payment", args, f"You asked for it to be paid; {posted}.")
        if not payment.is_concluded:
            return self.ended(payment, f"{posted}, and its payment waits.")
        if payment.is_done:
            return Ending("completed", f"{posted} and paid by {payment.result.get('payment_id', 'a payment')}.")
        return Ending("completed", f"{posted}, and not paid. {payment.refusal}"[:SUMMARY_MAX])

    def matched(self, invoice: Invoice, vendor_id: str) -> tuple[Action | None, str]:
        """Return what the ERP says of the invoice's order, and the order under which to post: none that it refuses."""
        if not invoice.order:
            return None, ""
        args = {"po_number": invoice.order, "vendor_id": vendor_id, "amount_cents": invoice.amount_cents}
        match = self.propose(
            "match_po", args | {"currency": invoice.currency}, f"Does it fit purchase order {invoice.order}?"
        )
        is_his = match.result.get("reason") not in ("no_such_order", "other_vendor", "other_currency")
        return match, invoice.order if is_his else ""

    def propose(self, tool: str, args: Mapping[str, Any], why: str) -> Action:
        """Propose a step and wait; what ended without effect for a passing reason is proposed once more."""
        for attempt in range(1, TRIES + 1):
            action = self.run.propose(
                f"erp.{tool}",
                args,
                rationale=why,
                again=attempt > 1,
                wait=self._wait(tool),
                idempotency_key=key_of(self.job.workflow, self.job.text, f"{tool}.{attempt}"),
            )
            self.job.say(
                {"step": tool, "action_id": action.action_id, "state": action.state, "reason": action.reason or None}
            )
            if action.is_done or not action.is_concluded or action.reason not in PASSING:
                break
            if attempt < TRIES:
                time.sleep(AGAIN_AFTER_S)
        return action

    def _wait(self, tool: str) -> float | None:
        """Return for how long to wait: people have their time with the write, a read comes back by itself."""
        if self.deadline == float("inf"):
            return None
        left = max(0.0, self.deadline - time.monotonic())
        return left if tool in ("create_journal_entry", "schedule_payment") else max(left, READ_WITHIN_S)

    def ended(self, action: Action, what: str) -> Ending:
        if not action.is_concluded:
            return Ending("waiting", f"{what} {action.document.get('explain', '')}".strip())
        return Ending("failed", f"{what} {action.refusal}".strip()[:SUMMARY_MAX])


def rationale(invoice: Invoice, vendor: Mapping[str, Any], match: Mapping[str, Any] | None) -> str:
    """Return why the entry is proposed, with all that speaks against it; the same words for the same facts."""
    said = [
        f"{invoice.title} of {invoice.supplier}".removesuffix(".") + ".",  # many a company's name ends in one
        f"The ERP has this supplier as {vendor.get('vendor_id')}"
        + (", a known vendor." if vendor.get("known") is True else ", which is not a known vendor."),
    ]
    if match is None:
        said.append("It names no purchase order.")
    elif match.get("matched") is True:
        said.append(f"It matches purchase order {invoice.order}.")
    else:
        said.append(_UNMATCHED.get(str(match.get("reason")), "It does not match its purchase order {order}.").format(
            order=invoice.order, open=as_amount(int(match.get("open_cents") or 0), invoice.currency)
        ))  # fmt: skip
    said += [f"Checking its sums found: {finding.removesuffix('.')}." for finding in invoice.findings]
    return " ".join(said)


_UNMATCHED = {
    "no_such_order": "It names purchase order {order}, which the ERP does not know; proposed without an order.",
    "other_vendor": "It names purchase order {order}, which is another vendor's; proposed without an order.",
    "other_currency": "Its purchase order {order} is in another currency; proposed without an order.",
    "over_open_amount": "Its total is more than the {open} that purchase order {order} has open.",
    "over_invoiced_amount": "It credits more than was invoiced under purchase order {order}.",
}


def main(argv: list[str] | None = None) -> int:
    """Run the agent; see `driver.drive`."""
    return drive("honest", "An honest agent.", work, argv)


def _field(fields: Mapping[str, str], label: str) -> str:
    if value := fields.get(label):
        return value
    raise Unreadable(f"{label!r} is missing")


def _amount(fields: Mapping[str, str], kind: str, currency: str) -> int:
    label = _AMOUNTS[kind]
    number, _, named = _field(fields, label).partition(" ")
    if named not in ("", currency):
        raise Unreadable(f"{label!r} is in another currency")
    try:
        cents = to_cents(number, currency)
        booked = int(fields["To book (amount_cents)"]) if "To book (amount_cents)" in fields else None
    except ValueError:
        raise Unreadable(f"{label!r} is no amount in {currency}") from None
    due = -cents if kind == "CREDIT NOTE" else cents
    if booked not in (None, due):
        raise Unreadable(f"what to book is not the {label.lower()}")
    return due


if __name__ == "__main__":
    sys.exit(main())
