# SPDX-License-Identifier: Apache-2.0
"""The cases of a job: small stretches of work that between them cross every edge.

Each can be begun again at any point and then goes on where things stand. None expects to be left alone: when a kill
or another case's fault has led an action elsewhere, the case takes it from there to its end.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.faults import stage
from benchmarks.faults.office import Office
from benchmarks.faults.stage import ENTRY, NOTE, PAY, REVERSE
from signoff.core.action.lifecycle import State
from signoff.core.run import Run

FIND_ENTRY, FIND_NOTE = "erp.find_entry", "erp.find_vendor_note"
FOREVER = 0
SETTLED_BY_BANK, BACK_FROM_BANK = "settled", "initiated"
Fault = tuple[str, str, int, float | None]  # tool, kind, times, delay in seconds


@dataclass(frozen=True, slots=True)
class Desk:
    """One case at work: its slot gives it an agent, a vendor, an order and an invoice of its own."""

    office: Office
    slot: int

    @property
    def agent(self) -> str:
        return stage.agent_of(self.slot)

    @property
    def voter(self) -> str:
        return ("ann", "ben")[self.slot % 2]

    async def begin(self, workflow: str = "daily") -> Run:
        return await self.office.begin(self.agent, workflow)

    async def propose(self, run: Run, step: str, tool: str, args: Mapping[str, Any]) -> str:
        return await self.office.propose(self.agent, run, f"{self.slot}-{step}", tool, args)

    def entry(self, memo: str = "") -> dict[str, Any]:
        where = {"vendor_id": stage.vendor_of(self.slot), "invoice_no": stage.invoice_of(self.slot)}
        amount = {"amount_cents": stage.PAYABLE_CENTS, "currency": "EUR", "po_number": stage.order_of(self.slot)}
        return where | amount | ({"memo": memo} if memo else {})

    def payment(self) -> dict[str, Any]:
        where = {"vendor_id": stage.vendor_of(self.slot), "invoice_no": stage.invoice_of(self.slot)}
        return where | {"iban": stage.IBAN, "amount_cents": stage.PAYABLE_CENTS, "currency": "EUR"}

    def note(self, text: str) -> dict[str, Any]:
        return {"vendor_id": stage.vendor_of(self.slot), "note": text}

    async def posted(self, workflow: str = "daily") -> tuple[Run, str]:
        """Propose an entry, approve it and see it through."""
        run = await self.begin(workflow)
        entry = await self.propose(run, "entry", ENTRY, self.entry())
        await self.office.vote(self.voter, entry)
        await self.office.ended(entry)
        return run, entry

    async def blocked(self, run: Run) -> str:
        """Take the vendor by a note of which nobody can tell whether it was written."""
        block = await self.propose(run, "block", NOTE, self.note("by another hand"))
        await self.office.until(block, State.NEEDS_PERSON)
        return block

    async def closed(self, run: Run, *actions: str) -> None:
        for action in actions:
            await self.office.ended(action)
        await self.office.complete(self.agent, run)


Play = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """A stretch of work, the faults the target has in it, and the edges for which it is the one that is killed."""

    play: Play
    edges: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


async def _post(desk: Desk) -> None:
    run, entry = await desk.posted()
    await desk.closed(run, entry)


async def _read(desk: Desk) -> None:
    run = await desk.begin()
    args = {"vendor_id": stage.vendor_of(desk.slot)}
    await desk.closed(run, await desk.propose(run, "look", "erp.lookup_vendor", args))


async def _forbidden(desk: Desk) -> None:
    run = await desk.begin()
    await desk.closed(run, await desk.propose(run, "undo", REVERSE, {"entry_id": "JE-000001"}))


async def _no_preview(desk: Desk) -> None:
    run = await desk.begin()
    entry = desk.entry() | {"vendor_id": "V-0000"}
    await desk.closed(run, await desk.propose(run, "entry", ENTRY, entry))


async def _suggest(desk: Desk) -> None:
    run = await desk.begin("rehearsal")
    note = await desk.propose(run, "note", NOTE, desk.note("would be"))
    await desk.closed(run, note, await desk.propose(run, "pay", PAY, desk.payment()))


async def _note(desk: Desk) -> None:
    run = await desk.begin()
    await desk.closed(run, await desk.propose(run, "note", NOTE, desk.note("net 30 days")))


async def _pay(desk: Desk) -> None:
    run = await desk.begin()
    await desk.closed(run, await desk.propose(run, "pay", PAY, desk.payment()))


async def _paid_elsewhere(desk: Desk) -> None:
    values = (stage.vendor_of(desk.slot), stage.invoice_of(desk.slot), stage.IBAN, stage.PAYABLE_CENTS)
    desk.office.erp(
        "INSERT OR IGNORE INTO payments (payment_id, vendor_id, invoice_no, iban, amount_cents, currency, memo, status,"
        " idempotency_key, written_us, origin) VALUES (?, ?, ?, ?, ?, 'EUR', '', 'settled', ?, 1, 'counter')",
        f"PM-9{desk.slot:05}",
        *values,
        f"counter-{desk.slot}",
    )
    await _pay(desk)


async def _reject(desk: Desk) -> None:
    run = await desk.begin()
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.vote(desk.voter, entry, "reject")
    await desk.closed(run, entry)


async def _cancel(desk: Desk) -> None:
    run = await desk.begin()
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.until(entry, State.PENDING_APPROVAL)
    await desk.office.cancel(desk.agent, entry)
    await desk.closed(run, entry)


async def _expire(desk: Desk) -> None:
    run = await desk.begin("brief")
    await desk.closed(run, await desk.propose(run, "entry", ENTRY, desk.entry()))


async def _halt(desk: Desk) -> None:
    run = await desk.begin()
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.until(entry, State.PENDING_APPROVAL)
    await desk.office.halt(desk.agent)
    await desk.office.ended(entry)
    await desk.office.lift(desk.agent)
    await desk.closed(run)


async def _withdraw(desk: Desk) -> None:
    run = await desk.begin("fleeting")
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.until(entry, State.PENDING_APPROVAL)
    await desk.office.withdraw("fleeting")
    await desk.closed(run, entry)


async def _drift(desk: Desk) -> None:
    run = await desk.begin()
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.until(entry, State.PENDING_APPROVAL)
    sql = "UPDATE purchase_orders SET open_cents = 777, version = 50 WHERE po_number = ? AND version < 50"
    desk.office.erp(sql, stage.order_of(desk.slot))
    await desk.office.vote(desk.voter, entry)
    await desk.closed(run, entry)


async def _blocked_entry(desk: Desk, workflow: str = "daily") -> tuple[Run, str, str]:
    """Approve an entry whose vendor is taken, so that it waits after its approval."""
    run = await desk.begin(workflow)
    block = await desk.blocked(run)
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.vote(desk.voter, entry)
    return run, block, entry


async def _cancel_approved(desk: Desk) -> None:
    run, block, entry = await _blocked_entry(desk)
    await desk.office.cancel(desk.agent, entry)
    await desk.closed(run, entry, block)


async def _expire_approved(desk: Desk) -> None:
    run, block, entry = await _blocked_entry(desk, "brief")
    await desk.closed(run, entry, block)


async def _halt_approved(desk: Desk) -> None:
    run, block, entry = await _blocked_entry(desk)
    await desk.office.halt(desk.agent)
    await desk.office.ended(entry)
    await desk.office.lift(desk.agent)
    await desk.closed(run, block)


async def _cancel_allowed(desk: Desk) -> None:
    run = await desk.begin()
    block = await desk.blocked(run)
    note = await desk.propose(run, "note", NOTE, desk.note("net 30 days"))
    await desk.office.cancel(desk.agent, note)
    await desk.closed(run, note, block)


async def _halt_allowed(desk: Desk) -> None:
    run = await desk.begin()
    block = await desk.blocked(run)
    note = await desk.propose(run, "note", NOTE, desk.note("net 30 days"))
    await desk.office.halt(desk.agent)
    await desk.office.ended(note)
    await desk.office.lift(desk.agent)
    await desk.closed(run, block)


async def _halt_in_doubt(desk: Desk) -> None:
    run = await desk.begin()
    note = await desk.propose(run, "note", NOTE, desk.note("net 30 days"))
    await desk.office.until(note, State.IN_DOUBT, State.NEEDS_PERSON)
    await desk.office.halt(desk.agent)
    await desk.office.ended(note)
    await desk.office.lift(desk.agent)
    await desk.closed(run)


async def _undo(desk: Desk) -> None:
    run, entry = await desk.posted()
    await desk.office.reverse(desk.voter, entry)
    await desk.closed(run, entry)


async def _undo_too_late(desk: Desk) -> None:
    """The bank has the payment when it is taken back; then the bank returns it, and it is taken back after all."""
    run = await desk.begin()
    payment = await desk.propose(run, "pay", PAY, desk.payment())
    await desk.office.ended(payment)
    sql = "UPDATE payments SET status = ? WHERE invoice_no = ? AND status IN ('initiated', 'settled')"
    reversals = await desk.office.reversals(run, payment)
    if len(reversals) < 2 and not (reversals and reversals[0].is_concluded):
        desk.office.erp(sql, SETTLED_BY_BANK, stage.invoice_of(desk.slot))
        await desk.office.reverse(desk.voter, payment, tries=1)
    desk.office.erp(sql, BACK_FROM_BANK, stage.invoice_of(desk.slot))
    await desk.office.reverse(desk.voter, payment)
    await desk.closed(run, payment)


async def _undo_conflict(desk: Desk) -> None:
    run, entry = await desk.posted()
    sql = "UPDATE journal_entries SET amount_cents = 1 WHERE invoice_no = ?"
    desk.office.erp(sql, stage.invoice_of(desk.slot))
    await desk.office.reverse(desk.voter, entry)
    await desk.closed(run, entry)


async def _edit(desk: Desk) -> None:
    run = await desk.begin()
    entry = await desk.propose(run, "entry", ENTRY, desk.entry())
    await desk.office.edit(desk.voter, entry, desk.entry("cost centre 7"))
    await desk.office.vote(desk.voter, entry)
    await desk.closed(run, entry)


async def _held_note(desk: Desk, workflow: str) -> tuple[Run, str]:
    run = await desk.begin(workflow)
    note = await desk.propose(run, "note", NOTE, desk.note("net 30 days"))
    await desk.office.until(note, State.HELD, State.PENDING_APPROVAL, State.NEEDS_PERSON)
    return run, note


async def _hold_release(desk: Desk) -> None:
    run, note = await _held_note(desk, "held")
    await desk.office.decide_hold(desk.voter, note, "approve")
    await desk.closed(run, note)


async def _hold_move(desk: Desk) -> None:
    run, note = await _held_note(desk, "held")
    await desk.office.put_off(desk.voter, note, 60_000_000)
    await desk.office.decide_hold(desk.voter, note, "approve")
    await desk.closed(run, note)


async def _hold_cancel(desk: Desk) -> None:
    run, note = await _held_note(desk, "held")
    await desk.office.decide_hold(desk.voter, note, "reject")
    await desk.closed(run, note)


async def _hold_halt(desk: Desk) -> None:
    run, note = await _held_note(desk, "held")
    await desk.office.halt(desk.agent)
    await desk.office.ended(note)
    await desk.office.lift(desk.agent)
    await desk.closed(run)


async def _hold_withdraw(desk: Desk) -> None:
    run, note = await _held_note(desk, "held-fleeting")
    await desk.office.withdraw("held-fleeting")
    await desk.closed(run, note)


async def _hold_over(desk: Desk) -> None:
    """Nobody looks while it is on hold; then a person is asked, and says yes."""
    run, note = await _held_note(desk, "held-briefly")
    await desk.office.until(note, State.PENDING_APPROVAL, State.NEEDS_PERSON)
    await desk.office.vote(desk.voter, note)
    await desk.closed(run, note)


async def _hold_proceeds(desk: Desk) -> None:
    run = await desk.begin("held")
    await desk.closed(run, await desk.propose(run, "pay", PAY, desk.payment()))


async def _hold_approved(desk: Desk) -> None:
    _, entry = await desk.posted("held")
    await desk.closed(await desk.begin("held"), entry)


_LOST: Fault = (NOTE, "answer_lost", 1, None)
_BLOCK: tuple[Fault, ...] = (_LOST, (FIND_NOTE, "lookup_wrong", FOREVER, None))
CASES: dict[str, Case] = {
    "post": Case(
        _post,
        (
            "new->proposed",
            "proposed->pending_approval",
            "pending_approval->approved",
            "approved->dispatching",
            "dispatching->succeeded",
        ),
    ),
    "read": Case(_read, ("new->dispatching",)),
    "forbidden": Case(_forbidden, ("new->denied",)),
    "no-preview": Case(_no_preview, ("proposed->denied",)),
    "suggest": Case(_suggest, ("new->suggested", "proposed->suggested")),
    "note": Case(_note, ("proposed->dispatching",)),
    "pay": Case(_pay),
    "paid-elsewhere": Case(_paid_elsewhere, ("dispatching->failed",)),
    "reject": Case(_reject, ("pending_approval->rejected",)),
    "cancel": Case(_cancel, ("pending_approval->cancelled",)),
    "expire": Case(_expire, ("pending_approval->expired",)),
    "halt": Case(_halt, ("pending_approval->stopped",)),
    "withdraw": Case(_withdraw, ("pending_approval->voided",)),
    "drift": Case(_drift, ("approved->voided",)),
    "cancel-approved": Case(_cancel_approved, ("approved->cancelled",), _BLOCK),
    "expire-approved": Case(_expire_approved, ("approved->expired",), _BLOCK),
    "halt-approved": Case(_halt_approved, ("approved->stopped",), _BLOCK),
    "cancel-allowed": Case(_cancel_allowed, ("proposed->cancelled",), _BLOCK),
    "halt-allowed": Case(_halt_allowed, ("proposed->stopped",), _BLOCK),
    "answer-lost": Case(_post, ("dispatching->in_doubt", "in_doubt->succeeded"), ((ENTRY, "answer_lost", 1, None),)),
    "found-anothers": Case(_note, ("in_doubt->needs_person", "needs_person->succeeded"), _BLOCK),
    "nothing-found": Case(
        _note,
        ("needs_person->failed",),
        ((NOTE, "error_before_write", 1, None), (FIND_NOTE, "lookup_wrong", FOREVER, None)),
    ),
    "sent-again": Case(_note, ("in_doubt->dispatching",), ((NOTE, "error_before_write", 1, None),)),
    "halt-in-doubt": Case(_halt_in_doubt, ("in_doubt->failed",), ((NOTE, "error_before_write", 1, None),)),
    "undo": Case(_undo, ("new->pending_approval", "succeeded->reversing", "reversing->reversed")),
    "undo-too-late": Case(_undo_too_late, ("reversing->reversal_failed", "reversal_failed->reversing")),
    "hold-release": Case(_hold_release, ("proposed->held",)),
    "hold-proceeds": Case(_hold_proceeds, ("new->held", "held->dispatching")),
    "hold-approved": Case(_hold_approved, ("approved->held",)),
    "hold-over": Case(_hold_over, ("held->pending_approval",)),
    "hold-cancel": Case(_hold_cancel, ("held->cancelled",)),
    "hold-halt": Case(_hold_halt, ("held->stopped",)),
    "hold-withdraw": Case(_hold_withdraw, ("held->voided",)),
    # These cross no edge that another does not; they are the target's own ways of being late or wrong.
    "undo-conflict": Case(_undo_conflict),
    "edit": Case(_edit),
    "hold-move": Case(_hold_move),
    "time-out": Case(_post, (), ((ENTRY, "timeout_after_write", 1, 30.0),)),
    "pay-time-out": Case(_pay, (), ((PAY, "timeout_after_write", 1, 30.0),)),
    "late-write": Case(_post, (), ((ENTRY, "write_after_timeout", 1, 1.3),)),
    "look-up-lags": Case(_post, (), ((ENTRY, "answer_lost", 1, None), (FIND_ENTRY, "lookup_lags", FOREVER, 1.5))),
    "look-up-fails": Case(_post, (), ((ENTRY, "answer_lost", 1, None), (FIND_ENTRY, "lookup_fails", 3, None))),
    "bad-answer": Case(_post, (), ((ENTRY, "bad_answer", 1, None),)),
    "gives-up": Case(_note, (), ((NOTE, "error_before_write", 3, None),)),
}
