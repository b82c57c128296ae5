# SPDX-License-Identifier: Apache-2.0
"""Receipts: owed in the transaction of an outcome, and signed after its commit, in batches.

What a receipt says is a function of entries that never change, so that it is built when it is signed and whenever it
is asked for, and kept nowhere: only which entry it is of, and the signature.
"""

from signoff.app import record
from signoff.app.action.case import found
from signoff.app.world import World
from signoff.core.action import receipt
from signoff.core.action.lifecycle import Action
from signoff.core.errors import Corrupt
from signoff.ledger.dsse import PAYLOAD_TYPE, pae
from signoff.ports.storage import Receipt, Transaction

# A slice is work on the event loop: 64 signatures take two milliseconds. A call takes many, so that it keeps up with
# the writers; it ends all the same, for other timers wait behind it.
AT_ONCE, SLICES_MAX = 64, 32


def issue(world: World, tx: Transaction, action: Action) -> None:
    """Owe a receipt of the outcome that was just recorded; a read has none."""
    if action.receipt_id is not None:
        owed = Receipt(tx.tenant, action.receipt_id, action.action_id, action.seq, world.origin(tx.tenant))
        tx.receipts.add(owed)


def statement_of(tx: Transaction, owed: Receipt) -> bytes:
    """Return the statement of a receipt, from the action as its entries told it at the outcome, its run and votes.

    Raises:
        NotFound, Corrupt: its action or run is not there, which only an altered database brings about.
    """
    action = found(tx.actions.get(owed.action_id), owed.action_id)
    if action.seq != owed.seq:  # it was undone since
        action = record.as_of(tx, Action, owed.action_id, owed.seq)
    run = tx.runs.get(action.run_id)
    if run is None:
        raise Corrupt(
            what=f"The run of {owed.action_id} is missing.",
            why="Runs are never removed; this row was, past the log.",
            fix="Run `signoff ledger verify`, and restore a database that verifies.",
        )
    votes = tx.actions.votes(action.action_id) if action.owed else []
    counted = [vote for vote in votes if vote.digest == action.digest and vote.decision == "approve"]
    return receipt.statement(action, run, counted, owed.log)


async def sign_receipts(world: World, tenant: str) -> int:
    """Sign the receipts whose outcomes are committed, slice by slice; returns how many."""

    def body(tx: Transaction) -> int:
        waiting = tx.receipts.unsigned(AT_ONCE)
        signatures = world.signer.sign_many("receipt", [pae(PAYLOAD_TYPE, statement_of(tx, owed)) for owed in waiting])
        tx.receipts.sign(
            [
                (owed.receipt_id, signature.key_id, signature.value)
                for owed, signature in zip(waiting, signatures, strict=True)
            ]
        )
        return len(waiting)

    signed = 0
    for _ in range(SLICES_MAX):
        if not await world.storage.view(tenant, lambda tx: tx.receipts.unsigned(1), is_short=True):
            break
        count = await world.storage.transact(tenant, body, guards=("receipts",))
        signed += count
        if count < AT_ONCE:
            break
    return signed
