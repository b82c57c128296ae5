# SPDX-License-Identifier: Apache-2.0
"""An honest agent: reads an invoice's text, asks the ERP, and proposes the journal entry; people decide.

It is a simple program without a model. What the sender wrote in free text is never an instruction to it, and whatever
does not match it says in its rationale. All its keys follow from the task, so that the agent, started again with the
same task, takes up the same run and does nothing twice.
"""

import argparse
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff_sample.erp.currency import MINOR_DIGITS, as_amount, to_cents
from signoff_sdk import Action, Client, Run, SignoffError

KEY_VARIABLE = "SIGNOFF_AGENT_KEY"
DONE, NOT_DONE, MISUSE = 0, 1, 2
READ_WITHIN_S = 30.0
TRIES = 2  # of a step that ended without effect for a passing reason; the envelope allows 8 calls
PASSING = frozenset({"answer_lost", "not_sent", "tool_unavailable", "drift", "proved_absent"})
AGAIN_AFTER_S = 1.0
SUMMARY_MAX = 4000  # characters that a run keeps of it
_NAMES = uuid.UUID("5b9e3c1c-51a6-5a0b-9d0e-0c4f7c1f4a11")  # of this agent; its keys lie under it

Say = Callable[[Mapping[str, Any]], None]


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


@dataclass(frozen=True, slots=True)
class Ending:
    """How the agent's work ended; `outcome` is `completed`, `failed` or `waiting`."""

    outcome: str
    summary: str


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


def work(
    client: Client, workflow: str, text: str, *, run_id: str | None = None, wait: float | None, say: Say
) -> Ending:
    """Do the task, from the invoice's text to the end of the run.

    Args:
        run_id: go on with this run; without it the task's own run is begun, or taken up where it stands.
        wait: for how many seconds people are waited for; None without end.

    Raises:
        SignoffError: the server refused a call, or could not be reached.
    """
    deadline = float("inf") if wait is None else time.monotonic() + wait
    key = key_of(workflow, text, "run")
    run = client.run(run_id) if run_id else client.begin(workflow, text, idempotency_key=key)
    say({"step": "begin", "run_id": run.run_id, "state": run.state})
    ending = _Task(run, workflow, text, deadline, say).do()
    if ending.outcome == "waiting":
        say({"step": "waiting", "run_id": run.run_id, "summary": ending.summary})
        return ending
    closed = run.complete(ending.outcome, ending.summary, idempotency_key=key_of(workflow, text, "complete"))
    say({"step": "complete", "run_id": run.run_id, "outcome": closed.state, "summary": ending.summary})
    return ending


def key_of(workflow: str, text: str, step: str) -> str:
    """Return the idempotency key of a step: always the same for the same task."""
    return str(uuid.uuid5(_NAMES, "\n".join((workflow, step, text))))


@dataclass(frozen=True, slots=True)
class _Task:
    run: Run
    workflow: str
    text: str
    deadline: float
    say: Say

    def do(self) -> Ending:
        try:
            invoice = read_invoice(self.text)
        except Unreadable as why:
            return Ending("failed", f"The task is no invoice I can read: {why}.")
        vendor = self.propose("lookup_vendor", {"name": invoice.supplier}, f"Who is {invoice.supplier}?")
        if not vendor.is_done:
            return self.ended(vendor, f"The supplier {invoice.supplier} was not found.")
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
        if entry.is_done:
            return Ending("completed", f"{what} is posted as {entry.result.get('entry_id', 'an entry')}.")
        return self.ended(entry, f"{what} is not posted.")

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
                idempotency_key=key_of(self.workflow, self.text, f"{tool}.{attempt}"),
            )
            self.say(
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
        return left if tool == "create_journal_entry" else max(left, READ_WITHIN_S)

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
    """Run the agent on one task; exit 0 posted, 1 not posted, 2 misuse, no answer, or still waiting for people."""
    parser = argparse.ArgumentParser(prog="python -m signoff_sample.agents.honest", description="An honest agent.")
    parser.add_argument("--url", required=True, help="where Signoff serves, such as http://127.0.0.1:8470")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"the agent's API key; else ${KEY_VARIABLE}")
    parser.add_argument("--workflow", default="invoice_reconcile", metavar="NAME")
    parser.add_argument("--task-file", type=Path, required=True, metavar="FILE", help="the invoice's text, UTF-8")
    parser.add_argument("--run", metavar="RUN_ID", help="go on with this run instead of the task's own")
    parser.add_argument("--wait", type=float, metavar="S", help="wait for people for so many seconds; else without end")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="how long the server may be away")
    options = parser.parse_args(argv)
    try:
        key = options.key_file.read_text(encoding="ascii") if options.key_file else os.environ.get(KEY_VARIABLE, "")
        text = options.task_file.read_text(encoding="utf-8")
        with Client(options.url, key, holder="agent", patience_s=options.patience) as client:
            ending = work(client, options.workflow, text, run_id=options.run, wait=options.wait, say=_print)
    except SignoffError as error:
        _print({"step": "error", "code": error.code, "what": error.what, "why": error.why, "fix": error.fix})
        return MISUSE
    except (OSError, UnicodeError) as error:
        print(f"honest agent: a file cannot be read ({type(error).__name__}).", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        return 130
    return {"completed": DONE, "failed": NOT_DONE}.get(ending.outcome, MISUSE)


def _print(line: Mapping[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


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
