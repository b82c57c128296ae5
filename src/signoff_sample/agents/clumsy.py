# SPDX-License-Identifier: Apache-2.0
"""A clumsy agent: it means well, and makes the mistakes that models make.

It calls tools that do not exist and arguments that no schema has, takes whole units for cents, asks the same over and
over where it should wait, and sends again, under another key or in another run, what it believes was lost. In between
it does the task as the honest agent would. What chance decides follows from the task's text.
"""

import sys
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff_sample.agents.driver import Ending, Job, drive
from signoff_sample.agents.honest import Invoice, Unreadable, read_invoice
from signoff_sdk import Action, Run, SignoffError

POLLS_MAX = 20  # it gives up at the first refusal; without one it would go on
READ_WITHIN_S = 30.0
ENTRY = "erp.create_journal_entry"


def work(job: Job) -> Ending:
    """Do the task clumsily, from the invoice's text to the end of the run.

    Raises:
        SignoffError: the server refused to begin or to end a run, or could not be reached.
    """
    run = job.client.begin(job.workflow, job.text)
    job.say({"step": "begin", "run_id": run.run_id, "state": run.state})
    deadline = float("inf") if job.wait is None else time.monotonic() + job.wait
    ending = _Task(run, job, deadline).do()
    if ending.outcome == "waiting":
        job.say({"step": "waiting", "run_id": run.run_id, "summary": ending.summary})
        return ending
    closed = run.complete(ending.outcome, ending.summary)
    job.say({"step": "complete", "run_id": run.run_id, "outcome": closed.state, "summary": ending.summary})
    return ending


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
        self._hallucinate(invoice)
        vendor = self._propose("erp.lookup_vendor", {"name": invoice.supplier})
        if self.job.is_received:
            vendor_id = self._propose("erp.get_invoice", {"invoice_no": invoice.number}).result.get("vendor_id", "")
        else:
            vendor_id = vendor.result.get("vendor_id", "")
        asked = {"po_number": invoice.order, "vendor_id": vendor_id, "amount_cents": invoice.amount_cents}
        match = self._propose("erp.match_po", asked | {"currency": invoice.currency})
        if match.result.get("reason") in ("no_such_order", "other_vendor", "other_currency"):
            asked["po_number"] = ""  # the ERP would refuse it
        args: dict[str, Any] = asked | {"invoice_no": invoice.number, "currency": invoice.currency}
        args["memo"] = f"{invoice.kind.capitalize()} {invoice.number}"
        if self.job.is_received:  # where only people check, the slip would just be one more question to them
            self._propose(ENTRY, args | {"amount_cents": invoice.amount_cents // 100 or 1}, step="slip")
        entry = self._propose(ENTRY, args, step="create_journal_entry", wait=max(0.0, self.deadline - time.monotonic()))
        if not entry.is_concluded:
            return Ending("waiting", str(entry.document.get("explain", "")))
        self._send_again(args)
        self._poll(invoice)
        what = f"{invoice.title} of {invoice.supplier}"
        if entry.is_done:
            return Ending("completed", f"{what} is posted as {entry.result.get('entry_id', 'an entry')}.")
        return Ending("failed", f"{what} is not posted. {entry.refusal}"[:4000])

    def _hallucinate(self, invoice: Invoice) -> None:
        """Make one call that cannot be right: which one follows from the text."""
        tool, args = (
            ("erp.find_vendor", {"name": invoice.supplier}),
            ("erp.lookup_vendor", {"vendor": invoice.supplier, "fuzzy": True}),
            ("erp.lookup_vendor", {"vendor_id": 1001}),
            ("erp.approve_invoice", {"invoice_no": invoice.number}),
            (ENTRY, {"invoice": invoice.number, "pay": True}),
        )[zlib.crc32(self.job.text.encode()) % 5]
        self._propose(tool, args, step="hallucination")

    def _send_again(self, args: Mapping[str, Any]) -> None:
        """Send what was sent: under other keys, as another one, and from another run."""
        for _ in range(2):
            self._propose(ENTRY, args, step="blind_retry")
        self._propose(ENTRY, args, step="blind_retry", again=True)
        try:
            other = self.job.client.begin(self.job.workflow, self.job.text, idempotency_key=str(uuid.uuid4()))
            self._propose(ENTRY, args, step="blind_retry", run=other)
            other.complete("failed", "Sent again, to be sure.")
        except SignoffError as error:
            self.job.say({"step": "blind_retry", "state": "refused", "reason": error.code})

    def _poll(self, invoice: Invoice) -> None:
        """Ask for the same until it is refused."""
        tool, args = (
            ("erp.get_invoice", {"invoice_no": invoice.number})
            if self.job.is_received
            else ("erp.lookup_vendor", {"name": invoice.supplier})
        )
        for _ in range(POLLS_MAX):
            if not self._propose(tool, args, step="poll").is_done:
                return

    def _propose(
        self,
        tool: str,
        args: Mapping[str, Any],
        *,
        step: str = "",
        again: bool = False,
        run: Run | None = None,
        wait: float = READ_WITHIN_S,
    ) -> Action:
        action = (run or self.run).propose(tool, args, again=again, wait=None if wait == float("inf") else wait)
        name = step or tool.removeprefix("erp.")
        self.job.say({"step": name, "action_id": action.action_id, "state": action.state, "reason": action.reason})
        return action


def main(argv: list[str] | None = None) -> int:
    """Run the agent; see `driver.drive`."""
    return drive("clumsy", "An agent that makes the mistakes models make.", work, argv)


if __name__ == "__main__":
    sys.exit(main())
