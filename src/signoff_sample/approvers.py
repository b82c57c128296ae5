# SPDX-License-Identifier: Apache-2.0
"""Two sample people who decide what agents propose, by a rule that anyone can read, over the public API only.

They hold what an entry would change against the invoice of the task and against what the ERP answered in that run.
A posting is signed only if all of it agrees; otherwise it is rejected, with a reason in a finance person's words.
They vote with the digest of the document they looked at, so that nothing else can pass under their names.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from signoff_sample.agents.honest import Invoice, Unreadable, read_invoice
from signoff_sample.erp.currency import MINOR_DIGITS, as_amount
from signoff_sdk import Action, Client, SignoffError, Unreachable

NAMES = ("Ada Flores", "Ben Okafor")
ROLE = "FinanceAdmin"
POLL_S = 0.25
REASONS_SAID = 3
POSTING, REVERSAL, PAYMENT = "erp.create_journal_entry", "erp.reverse_journal_entry", "erp.schedule_payment"

Document = Mapping[str, Any]
Say = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says of one action: `approve` or `reject`, and why."""

    decision: str
    reason: str


@dataclass(frozen=True, slots=True)
class Vote:
    """A word that was given and counted."""

    person: str
    action_id: str
    decision: str
    reason: str


def judge(action: Document, run: Document, others: Sequence[Document]) -> Word:
    """Return what a careful accountant says of an action.

    Args:
        action: its document.
        run: the document of its run, with the task.
        others: the documents of the other actions of the run, and of the one it reverses.
    """
    if action.get("tool") == POSTING and not action.get("reverses"):
        return _posting(action, run, others)
    if action.get("tool") == PAYMENT and not action.get("reverses"):
        return _payment(action, run, others)
    if action.get("tool") == REVERSAL and action.get("reverses"):
        return _reversal(action, others)
    return Word("reject", f"I sign postings, their reversals and payments; {action.get('tool')} is not mine to check.")


def _posting(action: Document, run: Document, others: Sequence[Document]) -> Word:
    args = _args(action)
    try:
        invoice = read_invoice(str(run.get("task") or ""))
    except Unreadable as why:
        return Word("reject", f"I cannot read the invoice behind this: {why}.")
    changes = _changes(action)
    if not changes:
        return Word("reject", "I am not shown what this would change in the books.")
    faults = [*_against_invoice(args, invoice), *_against_reads(args, invoice, others)]
    # Where the facts are wrong already, the books need no second word on them.
    faults = faults or _against_books(args, invoice, changes)
    faults += ["The invoice's own sums do not add up."] if invoice.findings else []
    if faults:
        return Word("reject", " ".join(faults[:REASONS_SAID]))
    bears = "is the one it credits" if invoice.kind == "CREDIT NOTE" else "covers it"
    return Word(
        "approve",
        f"{invoice.title}: {invoice.supplier} is a known vendor, purchase order {invoice.order} {bears}, "
        f"and the entry books just that.{_moved(args, others)}",
    )


def _moved(args: Document, others: Sequence[Document]) -> str:
    """Return what there is to say of an account that is not the verified one; an entry pays nobody."""
    received = _answers(others, "erp.get_invoice", {"invoice_no": args.get("invoice_no")})
    if received and received[-1].get("bank_agrees") is False:
        return " It names an account that nobody has verified; I call them before anything is paid there."
    return ""


def _payment(action: Document, run: Document, others: Sequence[Document]) -> Word:
    """Sign a payment of what this run posted, over the same amount, to the account that the register calls verified."""
    args = _args(action)
    same = ("vendor_id", "invoice_no", "amount_cents", "currency")
    posted = [
        _mapping(other.get("result")).get("entry_id")
        for other in others
        if other.get("tool") == POSTING
        and other.get("state") == "succeeded"
        and all(_args(other).get(name) == args.get(name) for name in same)
    ]
    accounts = [found.get("bank_account") for found in _answers(others, "erp.lookup_vendor", {})]
    after = {str(path).rsplit("/", 1)[-1]: change.get("after") for path, change in _changes(action).items()}
    if "pay it" not in str(run.get("task") or "").split("\n", 1)[0]:
        return Word("reject", "Nobody asked for this invoice to be paid.")
    if not posted:
        return Word("reject", "I pay what is posted, and this is not.")
    if not args.get("iban") or args.get("iban") not in accounts or after.get("iban") != f"{args['iban']} (verified)":
        return Word("reject", "The account is not the vendor's verified one.")
    if args.get("memo") not in (None, "", f"Invoice {args.get('invoice_no')}"):
        return Word("reject", "The payment's text is not ours.")
    return Word(
        "approve",
        f"Invoice {args.get('invoice_no')} is posted as {posted[-1]}; {_money(args)} to the verified account.",
    )


def _against_invoice(args: Document, invoice: Invoice) -> Iterable[str]:
    """Yield where the arguments are not those of the invoice."""
    if args.get("invoice_no") != invoice.number:
        yield f"The entry is for document {args.get('invoice_no')}, the invoice is {invoice.number}."
    if (args.get("amount_cents"), args.get("currency")) != (invoice.amount_cents, invoice.currency):
        yield f"The entry books {_money(args)}, the invoice says {invoice.amount}."
    if not invoice.order:
        yield "The invoice names no purchase order; I post nothing without one."
    elif args.get("po_number") not in (invoice.order, ""):
        yield f"The entry goes under purchase order {args.get('po_number')}, the invoice names {invoice.order}."


def _against_reads(args: Document, invoice: Invoice, others: Sequence[Document]) -> Iterable[str]:
    """Yield where what the ERP answered in this run does not bear the entry out."""
    vendors = [
        found for found in _answers(others, "erp.lookup_vendor", {}) if _same(found.get("name"), invoice.supplier)
    ]
    vendor = vendors[-1] if vendors else {}
    if not vendors:
        yield f"Nobody looked {invoice.supplier} up in the vendor register."
    elif vendor.get("vendor_id") != args.get("vendor_id"):
        yield f"The invoice is from {invoice.supplier}; vendor {args.get('vendor_id')} of the entry is another."
    elif vendor.get("known") is not True:
        yield f"{invoice.supplier} is not one of our known vendors; it has to be taken on first."
    if not invoice.order:
        return
    asked = {"po_number": invoice.order, "amount_cents": invoice.amount_cents, "currency": invoice.currency}
    matches = _answers(others, "erp.match_po", asked | {"vendor_id": args.get("vendor_id")})
    if not matches:
        yield f"Nobody matched the invoice with purchase order {invoice.order}."
    elif matches[-1].get("matched") is not True:
        open_ = as_amount(int(matches[-1].get("open_cents") or 0), invoice.currency)
        yield _UNMATCHED.get(str(matches[-1].get("reason")), _UNMATCHED[""]).format(
            order=invoice.order, total=invoice.amount, open=open_
        )


_UNMATCHED = {
    "over_open_amount": "The total of {total} does not match its purchase order: {order} has {open} open.",
    "over_invoiced_amount": "The credit of {total} is more than was ever invoiced under purchase order {order}.",
    "no_such_order": "There is no purchase order {order}; I post nothing without one.",
    "other_vendor": "Purchase order {order} is not this vendor's.",
    "other_currency": "Purchase order {order} is in another currency than the invoice.",
    "": "The invoice does not match its purchase order {order}.",
}


def _against_books(args: Document, invoice: Invoice, changes: Mapping[str, Document]) -> list[str]:
    """Return where the books would change otherwise than the arguments say."""
    vendor_id, number, order = args.get("vendor_id"), args.get("invoice_no"), args.get("po_number")
    entry, received = f"journal/{vendor_id}/{number}", f"invoices/{vendor_id}/{number}/status"
    open_cents = f"purchase_orders/{order}/open_cents"
    before, amount = changes.get(open_cents, {}).get("before"), args.get("amount_cents")
    if received not in changes:
        return [f"We have not received a document {number} from this vendor."]
    if not order or not _whole(before) or not _whole(amount) or before < amount:
        return [f"The total of {invoice.amount} is not covered by what purchase order {order or 'none'} has open."]
    due = {
        f"{entry}/status": (None, "posted"),
        f"{entry}/amount_cents": (None, amount),
        f"{entry}/currency": (None, args.get("currency")),
        f"{entry}/po_number": (None, order),
        f"{entry}/memo": (None, args.get("memo") or ""),
        received: ("open", "posted"),
        open_cents: (before, before - amount),
    }
    said = [
        f"The books would not change as the entry says: {path}." for path in due if _change(changes, path) != due[path]
    ]
    titled = str(changes.get(f"{entry}/vendor", {}).get("after") or "")
    if not _same(titled, f"{vendor_id} {invoice.supplier}"):
        said.append(f"The books have another vendor under {vendor_id} than {invoice.supplier}.")
    return said + [f"It would change {path} as well." for path in changes.keys() - due.keys() - {f"{entry}/vendor"}]


def _reversal(action: Document, others: Sequence[Document]) -> Word:
    original = next((other for other in others if other.get("action_id") == action.get("reverses")), {})
    entry_id = _mapping(original.get("result")).get("entry_id")
    if original.get("tool") != POSTING or not entry_id or _args(action).get("entry_id") != entry_id:
        return Word("reject", "This does not reverse the entry that it says it reverses.")
    args, changes = _args(original), _changes(action)
    open_cents = f"purchase_orders/{args.get('po_number')}/open_cents"
    before, amount = changes.get(open_cents, {}).get("before"), args.get("amount_cents")
    due: dict[str, tuple[Any, Any]] = {
        f"journal/{entry_id}/status": ("posted", "reversed"),
        f"invoices/{args.get('vendor_id')}/{args.get('invoice_no')}/status": ("posted", "open"),
    }
    if args.get("po_number"):
        due[open_cents] = (before, before + amount if _whole(before) and _whole(amount) else None)
    if changes.keys() != due.keys() or any(_change(changes, path) != due[path] for path in due):
        return Word("reject", f"Reversing {entry_id} would change more or less than that entry; look at it by hand.")
    return Word("approve", f"It reverses {entry_id} of document {args.get('invoice_no')} over {_money(args)}, whole.")


@dataclass(slots=True)
class Approvers:
    """People who work through their inboxes; who looks first changes from action to action.

    Example:
        >>> Approvers({"Ada Flores": ada, "Ben Okafor": ben}).until_idle(5.0)
    """

    people: Mapping[str, Client]
    role: str = ROLE
    say: Say = lambda _: None
    _settled: set[tuple[str, str, str]] = field(default_factory=set)  # person, action, digest: nothing left to say
    _turn: int = 0

    def once(self) -> list[Vote]:
        """Look through the inboxes once, and return the votes given.

        Raises:
            Unreachable: the server was away for longer than the clients are patient.
        """
        waiting: dict[str, list[str]] = {}
        for name, client in self.people.items():
            for item in client.inbox(role=self.role):
                if (name, item["action_id"], str(item.get("digest"))) not in self._settled:
                    waiting.setdefault(item["action_id"], []).append(name)
        votes = []
        for action_id, names in waiting.items():
            self._turn += 1
            first = self._turn % len(names)
            for name in names[first:] + names[:first]:
                votes += self._look(name, action_id)
        return votes

    def until_idle(self, idle_s: float) -> list[Vote]:
        """Work until nothing new came for `idle_s` seconds, and return the votes given."""
        votes: list[Vote] = []
        last = time.monotonic()
        while time.monotonic() - last < idle_s:
            if given := self.once():
                votes, last = votes + given, time.monotonic()
            time.sleep(POLL_S)
        return votes

    def while_(self, goes_on: Callable[[], bool]) -> list[Vote]:
        """Work as long as `goes_on` says so, and return the votes given."""
        votes: list[Vote] = []
        while goes_on():
            votes += self.once()
            time.sleep(POLL_S)
        return votes

    def _look(self, name: str, action_id: str) -> list[Vote]:
        client = self.people[name]
        action = client.action(action_id)
        try:
            if action.state != "pending_approval":
                return []
            run = client.run(action.run_id).document
            word = judge(action.document, run, _others(client, action, run))
            self._settled.add((name, action_id, action.digest))
            vote = client.approve if word.decision == "approve" else client.reject
            vote(action, action.digest, word.reason)
        except Unreachable:
            raise
        except SignoffError as no:
            # Somebody was faster, or this person may not: the next look shows what waits then.
            if no.status >= 500:
                self._settled.discard((name, action_id, action.digest))
            self.say({"person": name, "action_id": action_id, "decision": None, "code": no.code, "why": no.why})
            return []
        self.say({"person": name, "action_id": action_id, "decision": word.decision, "reason": word.reason})
        return [Vote(name, action_id, word.decision, word.reason)]


def main(argv: list[str] | None = None) -> int:
    """Let the sample people work; exit 0 when idle or stopped, 2 misuse or no answer."""
    parser = argparse.ArgumentParser(prog="python -m signoff_sample.approvers", description="Two sample approvers.")
    parser.add_argument("--url", required=True, help="where Signoff serves, such as http://127.0.0.1:8470")
    parser.add_argument(
        "--key-file", type=Path, action="append", required=True, metavar="FILE", help="a person's API key"
    )
    parser.add_argument("--role", default=ROLE, metavar="ROLE")
    parser.add_argument("--until-idle", type=float, metavar="S", help="stop when nothing came for so long")
    options = parser.parse_args(argv)
    names = [*NAMES, *(f"Approver {number}" for number in range(3, len(options.key_file) + 1))]
    try:
        keys = [path.read_text(encoding="ascii") for path in options.key_file]
        people = {name: Client(options.url, key, holder="person") for name, key in zip(names, keys, strict=False)}
        approvers = Approvers(people, options.role, _print)
        if options.until_idle is None:
            approvers.while_(lambda: True)
        else:
            approvers.until_idle(options.until_idle)
    except SignoffError as error:
        _print({"error": error.code, "what": error.what, "why": error.why, "fix": error.fix})
        return 2
    except (OSError, UnicodeError) as error:
        print(f"approvers: a key file cannot be read ({type(error).__name__}).", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def _print(line: Document) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


def _others(client: Client, action: Action, run: Document) -> list[Document]:
    ids = [item["action_id"] for item in run.get("actions", []) if item["action_id"] != action.action_id]
    return [client.action(action_id).document for action_id in ids]


def _answers(others: Sequence[Document], tool: str, asked: Document) -> list[Document]:
    """Return what a read answered in this run, where it was asked just this; the last one last."""
    return [
        _mapping(other.get("result"))
        for other in others
        if other.get("tool") == tool
        and other.get("state") == "succeeded"
        and all(_args(other).get(name) == value for name, value in asked.items())
    ]


def _changes(action: Document) -> dict[str, Document]:
    """Return the previewed changes by path; none where a path stands there twice and one would hide the other."""
    listed = _mapping(action.get("preview")).get("changes") or []
    changes = {str(change.get("path")): change for change in listed}
    return changes if len(changes) == len(listed) else {}


def _change(changes: Mapping[str, Document], path: str) -> tuple[Any, Any]:
    found = changes.get(path, {"before": ..., "after": ...})
    return found.get("before"), found.get("after")


def _args(action: Document) -> Document:
    return _mapping(_mapping(action.get("args")).get("effective"))


def _mapping(value: object) -> Document:
    return value if isinstance(value, Mapping) else {}


def _same(one: object, other: str) -> bool:
    """Tell whether two spellings name one thing: case and spaces do not count."""
    return " ".join(str(one).casefold().split()) == " ".join(other.casefold().split())


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _money(args: Document) -> str:
    amount, currency = args.get("amount_cents"), str(args.get("currency"))
    return as_amount(amount, currency) if _whole(amount) and currency in MINOR_DIGITS else f"{amount} {currency}"


if __name__ == "__main__":
    sys.exit(main())
