# SPDX-License-Identifier: Apache-2.0
"""The life of each action as its entries tell it: legal moves, what was approved, votes, claims, money and receipt.

Each rule here is one that the use cases keep; a forged entry, or a use case that broke one, is named by the entry.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from signoff.app.action.lease import LEASE_US, RENEW_US
from signoff.app.audit.findings import KEEP, Findings
from signoff.app.audit.state import Rows, Told
from signoff.app.audit.streams import DUE_US
from signoff.app.pages import Shelf
from signoff.core.action import approval, receipt
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import CONCLUDED, MOVES, Action, State
from signoff.core.authority.hold import HoldEnd
from signoff.core.errors import Corrupt, SignoffError
from signoff.core.run import CLOSED, Run, RunState
from signoff.ledger.checkpoint import VerifierKey, receipt_key_name
from signoff.ledger.dsse import PAYLOAD_TYPE, pae
from signoff.ledger.entry import Entry
from signoff.ledger.epochs import Epochs
from signoff.ports.storage import Transaction

RUNS_REMEMBERED: Final = 4096
_BOUND: Final = frozenset(
    {"digest", "revision", "args_effective", "preview", "contract", "tool", "reverses", "run_id", "plan"}
)
_FIRST: Final = MOVES[State.PROPOSED] | {State.PROPOSED}


class Actions:
    """Looks at the entries of actions and runs, and at the rows that hang on them: votes, leases, receipts."""

    def __init__(
        self, tx: Transaction, epochs: Epochs, keys: Sequence[VerifierKey], shelf: Shelf, found: Findings
    ) -> None:
        self._tx, self._epochs, self._shelf, self._found = tx, epochs, shelf, found
        self._runs: OrderedDict[str, Run | None] = OrderedDict()
        self._outcome: tuple[Told, Action, list[Vote], str] | None = None
        self._votes = Rows(tx.stored, "votes", found)
        self._leases = Rows(tx.stored, "leases", found)
        name = receipt_key_name(epochs.current.origin)
        self._signers = {key.id: key for key in reversed(keys) if key.name == name}
        self.receipts = 0

    # --- entry by entry ------------------------------------------------------------------------------------------

    def step(self, told: Told, entry: Entry, before: Mapping[str, Any]) -> None:
        """Look at one entry of an action."""
        changes = entry["set"]
        if "state" in changes:
            self._check_move(told, entry, before)
        if changes.get("owed") is not None:
            approval.duties_of(self._noun(told))  # raises where nobody could tell what is owed
        votes = entry.get("rows", {}).get("votes", [])
        if votes or changes.get("state") == State.APPROVED:
            self._check_votes(told, entry, votes)
        if told.get("digest") is not None and not _BOUND.isdisjoint(changes):
            self._check_digest(told)
        if "ended_at" in changes and changes["ended_at"] is not None and _is_receipted(told):
            self._outcome = self._as_of_now(told)

    def _check_move(self, told: Told, entry: Entry, before: Mapping[str, Any]) -> None:
        was, now = before.get("state"), entry["set"]["state"]
        legal = _FIRST if was is None else MOVES.get(was, frozenset())
        if now not in legal:
            self._refuse(told, "state", f"It goes from {was or 'nothing'} to {now}.", "The table has no such move.")
        if now == State.DISPATCHING:
            if was in (None, State.PROPOSED) and told.get("verdict") != "allow":
                self._refuse(
                    told, "state", "It was sent without an approval.", f"Its verdict is {told.get('verdict')}."
                )
            if told.get("fence") != before.get("fence", 0) + 1:
                self._refuse(told, "fence", "It was claimed under a wrong fence.", "Each claim counts one up.")
            self._check_hold(told, entry["at"], was)
        if now == State.HELD and told.get("hold_until") != entry["at"] + (told.get("hold_us") or 0):
            self._refuse(told, "hold_until", "Its review window is not the one it owes.", "It begins with the hold.")
        if now in CONCLUDED and told.get("reserved_usd_micros"):
            why = f"{told.get('reserved_usd_micros')} micro-dollars are still set aside; an end settles or releases."
            self._refuse(told, "reserved_usd_micros", "It is concluded and holds a reservation.", why)

    def _check_hold(self, told: Told, at: int, was: str | None) -> None:
        """Look at what owes a review window and is sent: a person released it, or its time is over and lets it go."""
        until, who = told.get("hold_until"), told.get("released_by")
        if told.get("hold_us") is not None and until is None:
            self._refuse(told, "hold_until", "It was sent past its review window.", "The window never began.")
        if was != State.HELD or (who is not None and str(who).startswith("prs_")):
            return
        if told.get("hold_end") != HoldEnd.PROCEED or until is None or at < until:
            why = "Nobody released it, and time alone does not let it go before the window is over."
            self._refuse(told, "released_by", "It was sent from a hold that was not over.", why)

    def _check_digest(self, told: Told) -> None:
        run = self._run(told.get("run_id"))
        action = self._noun(told)
        if run is None:
            return
        if approval.digest(action, run) != told.get("digest"):
            why = "Computed anew from run, tool, contract, arguments and preview it is another."
            self._refuse(told, "digest", "The digest that people approve is not that of the action.", why)

    def _check_votes(self, told: Told, entry: Entry, votes: list[dict[str, Any]]) -> None:
        run, action = self._run(told.get("run_id")), self._noun(told)
        if run is None:
            return
        duties = approval.duties_of(action)
        owed = {role for duty in duties for role in duty.roles}
        requesters = {run.principal_id, run.started_by, action.by}
        for vote in votes:
            who, role = vote.get("person_id"), vote.get("role")
            if vote.get("digest") != action.digest or vote.get("at") != entry["at"]:
                self._refuse(told, "votes", f"The vote of {who} is on something else.", "Votes count for one digest.")
            if role not in owed or not str(who).startswith("prs_"):
                self._refuse(told, "votes", f"The vote of {who} counts for nothing.", f"{role} is owed no vote here.")
            mine = [duty for duty in duties if role in duty.roles]
            if who in requesters and all(duty.distinct_from_requester for duty in mine):
                self._refuse(told, "votes", f"{who} voted on their own request.", "Separation of duties forbids it.")
        if entry["set"].get("state") == State.APPROVED:
            yes = {vote["person_id"] for vote in told.votes if _counts(vote, action)}
            needed = max((duty.count for duty in duties), default=1)
            if len(yes) < needed or any(vote.get("decision") != "approve" for vote in votes):
                why = f"{len(yes)} people approved its digest, {needed} are owed."
                self._refuse(told, "state", "It is approved without the votes for it.", why)

    # --- at the end of a stream ----------------------------------------------------------------------------------

    def end(self, told: Told) -> None:
        """Look at what hangs on an action: its votes, its lease, its receipt."""
        self._compare_votes(told)
        self._compare_lease(told)
        if self._outcome is not None and self._outcome[0] is told:
            self._compare_receipt(told, *self._outcome[1:])

    def _compare_votes(self, told: Told) -> None:
        rows = self._votes.of(told.stream)
        if not rows and not told.votes:
            return
        columns = self._tx.stored.columns("votes")
        names = {"tenant": self._tx.tenant, "action_id": told.stream}
        want = sorted((tuple((names | vote).get(name) for name in columns) for vote in told.votes), key=repr)
        there = sorted(rows, key=repr)
        if want == there:
            return
        extra, missing = [row for row in there if row not in want], [row for row in want if row not in there]
        for row in extra or missing:
            vote = dict(zip(columns, row, strict=True))
            twin = next((one for one in missing if extra and _is_same_vote(one, row, columns)), None)
            odd = [name for name, mine, its in zip(columns, row, twin or row, strict=True) if mine != its]
            self._found.add(
                "votes",
                f"The vote of {str(vote['person_id'])[:64]} on {told.stream} is not what the entries tell.",
                f"They tell of another {', '.join(odd)}."
                if odd
                else "They tell of none."
                if extra
                else "Its row is gone.",
                stream=told.stream,
                seq=told.seq,
                index=told.index,
                column=odd[0] if odd else None,
            )

    def _compare_lease(self, told: Told) -> None:
        rows = self._leases.of(told.stream)
        is_sending = told.get("state") == State.DISPATCHING and told.get("effect") != "read"
        if not rows:
            return  # a claim holds by itself, and only a renewal has a row
        lease = dict(zip(self._tx.stored.columns("leases"), rows[0], strict=True))
        if not is_sending:
            self._lease(told, None, f"It is {told.get('state')}, and a lease is held on sending it.")
            return
        if lease["fence"] != told.get("fence"):
            self._lease(told, "fence", f"Its last claim is {told.get('fence')}, the lease is for {lease['fence']}.")
        if not (told.get("claimed_at") or 0) + RENEW_US + LEASE_US <= lease["until"] <= self._tx.now + LEASE_US:
            self._lease(told, "until", "It ends at a time to which no renewal could have put it.")

    def _lease(self, told: Told, column: str | None, why: str) -> None:
        what = f"The lease of {told.stream} is not what its entries allow."
        self._found.add("leases", what, why, stream=told.stream, seq=told.seq, index=told.index, column=column)

    def _compare_receipt(self, told: Told, action: Action, votes: list[Vote], origin: str) -> None:
        receipt_id, run = action.receipt_id, self._run(action.run_id)
        if receipt_id is None or run is None:
            self._receipt(told, None, "It was sent and has ended, and there is no receipt of it.")
            return
        row = self._tx.stored.find("receipts", receipt_id)
        if row is None:
            self._receipt(told, None, f"It was sent and has ended, and its receipt {receipt_id} is missing.")
            return
        self.receipts += 1
        kept = dict(zip(self._tx.stored.columns("receipts"), row, strict=True))
        if kept["action_id"] != told.stream:
            self._receipt(told, "action_id", "It names another action.")
        if kept["seq"] != action.seq:
            self._receipt(told, "seq", "It names another entry than that of the outcome.")
        if kept["log"] != origin:
            self._receipt(told, "log", "It names another log.")
        statement = receipt.statement(action, run, votes, origin)
        self._check_signature(told, kept, statement, action.ended_at or 0)

    def _check_signature(self, told: Told, kept: Mapping[str, Any], statement: bytes, ended_at: int) -> None:
        key_id, signature = kept["key_id"], kept["signature"]
        if (key_id is None) != (signature is None):
            self._receipt(told, "signature" if signature is None else "key_id", "Signature and key come together.")
        elif signature is None:
            if self._tx.now - ended_at > DUE_US:
                fix = (
                    "Start the node: it signs what waits at its first tick. If it runs, look into its log for why not."
                )
                self._receipt(told, "signature", "It is still unsigned 60 s after the outcome.", fix)
        else:
            key = self._signers.get(str(key_id))
            if key is None:
                self._receipt(told, "key_id", "It is signed by no receipt key of this installation.")
            elif not key.verifies(signature, pae(PAYLOAD_TYPE, statement)):
                self._receipt(told, "signature", "It is no signature of what the entries tell.")

    def _receipt(self, told: Told, column: str | None, why: str, fix: str = KEEP) -> None:
        what = f"The receipt of {told.stream} is not what its entries tell."
        self._found.add("receipts", what, why, fix, stream=told.stream, seq=told.seq, index=told.index, column=column)

    # --- runs ------------------------------------------------------------------------------------------------------

    def step_run(self, told: Told, entry: Entry, before: Mapping[str, Any]) -> None:
        """Look at one entry of a run: open and paused change places, and a closed run is never left."""
        was, now = before.get("state", RunState.OPEN), entry["set"].get("state", before.get("state"))
        if now is not None and now != was and (was in CLOSED or now not in frozenset(RunState)):
            self._refuse(told, "state", f"The run goes from {was} to {now}.", "A closed run is never left.")

    def end_run(self, told: Told) -> None:
        """Look at what a run has spent."""
        try:
            envelope = self._shelf.envelope(self._tx, told.get("envelope"))
            spent = self._tx.stored.spent(told.stream)
        except SignoffError as error:
            self._found.add("publications", f"The envelope of {told.stream} cannot be read.", error.why)
            return
        cap = envelope.budgets.cap_usd_micros
        if cap is not None and spent > cap:
            why = f"{spent} micro-dollars are settled or set aside, its cap is {cap}."
            self._refuse(told, "settled_usd_micros", "The run has passed its cap.", why)

    # --- once all streams have passed ---------------------------------------------------------------------------

    def finish(self) -> None:
        """Find votes, leases and receipts that belong to no action."""
        self._votes.end()
        self._leases.end()
        try:
            if self._tx.stored.count("receipts") != self.receipts:
                self._name_extra_receipts()
        except Corrupt as error:
            self._found.add("receipts", error.what, error.why, error.fix)

    def counts(self) -> dict[str, int]:
        """Return how many rows were compared, by table."""
        return {"votes": self._votes.count, "leases": self._leases.count, "receipts": self.receipts}

    def _name_extra_receipts(self) -> None:
        stored = self._tx.stored
        mine, columns = stored.columns("receipts"), stored.columns("actions")
        for row in stored.rows("receipts"):
            kept = dict(zip(mine, row, strict=True))
            action = dict(zip(columns, stored.find("actions", kept["action_id"]) or [None] * len(columns), strict=True))
            if action["receipt_id"] != kept["receipt_id"] or action["ended_at"] is None:
                what = f"The receipt {str(kept['receipt_id'])[:64]} belongs to no outcome."
                why = "No action that was sent and has ended names it: it was inserted, or its action was removed."
                self._found.add("receipts", what, why, stream=kept["action_id"], column="receipt_id")

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _as_of_now(self, told: Told) -> tuple[Told, Action, list[Vote], str]:
        action = self._noun(told)
        votes = [
            Vote(**{"tenant": self._tx.tenant, "action_id": told.stream} | vote)
            for vote in told.votes
            if _counts(vote, action)
        ]
        origin = self._epochs.written_under(told.index).origin
        return told, action, sorted(votes, key=lambda vote: (vote.at, vote.person_id)), origin

    def _run(self, run_id: str) -> Run | None:
        """Return a run as its row says; the row itself is compared when its own stream passes by."""
        if run_id not in self._runs:
            row = self._tx.stored.find("runs", run_id)
            self._runs[run_id] = Run(*row) if row else None
            if len(self._runs) > RUNS_REMEMBERED:
                self._runs.popitem(last=False)
        return self._runs[run_id]

    def _noun(self, told: Told) -> Action:
        """Return the action as its entries tell it so far."""
        action: Action = told.noun(self._tx.tenant)
        return action

    def _refuse(self, told: Told, column: str, what: str, why: str) -> None:
        self._found.add(
            "entries", f"{told.stream}: {what}", why, stream=told.stream, seq=told.seq, index=told.index, column=column
        )


def _is_receipted(told: Told) -> bool:
    """Tell whether an end as it stands owes a receipt: something was sent, and it was no read."""
    return told.get("effect") != "read" and bool(told.get("fence"))


def _counts(vote: Mapping[str, Any], action: Action) -> bool:
    return (vote.get("digest"), vote.get("decision")) == (action.digest, "approve")


def _is_same_vote(one: tuple[Any, ...], other: tuple[Any, ...], columns: tuple[str, ...]) -> bool:
    """Tell whether two rows are of one vote that differs in few columns."""
    differing = [name for name, mine, its in zip(columns, one, other, strict=True) if mine != its]
    return len(differing) < len(columns) // 2
