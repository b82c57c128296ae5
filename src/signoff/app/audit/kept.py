# SPDX-License-Identifier: Apache-2.0
"""What was kept outside the database: checkpoints and receipts, by which truncation and an old backup are found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from signoff.app.action.receipts import statement_of
from signoff.app.audit.findings import Findings
from signoff.core.errors import SignoffError
from signoff.ledger import bundle, dsse
from signoff.ledger import checkpoint as notes
from signoff.ledger.checkpoint import Checkpoint, VerifierKey
from signoff.ledger.epochs import Epochs, family, number_of
from signoff.ledger.errors import Refused
from signoff.ledger.verify import Outcome, verify_receipt
from signoff.ports.storage import Receipt, Transaction

RECOVER: str = "`signoff ledger recover --accept-loss` opens a new epoch."
FETCH: str = "Fetch it again and keep it byte for byte; give the file of this installation's log."


@dataclass(slots=True)
class Kept:
    """What was kept outside, as far as it is truly signed and about this log."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    promised: dict[str, set[str]] = field(default_factory=dict)
    """Leaf hashes (hex) by stream."""


def read_kept(
    tx: Transaction, epochs: Epochs, keys: Sequence[VerifierKey], against: Sequence[bytes], found: Findings
) -> Kept:
    """Return what checkpoints and receipts say; what is false or about another log is a finding.

    Args:
        against: files, byte for byte; one that begins with `{` is a receipt.
    """
    kept = Kept()
    for number, data in enumerate(against, 1):
        if data[:1] == b"{":
            _read_receipt(tx, epochs, keys, data, number, kept, found)
        else:
            _read_note(epochs, keys, data, f"The checkpoint given as file {number}", kept, found)
    return kept


def streams_without_entry(tx: Transaction, kept: Kept, found: Findings) -> None:
    """Name promised entries whose whole stream is gone, which no pass over the entries can come by."""
    for stream, leaves in kept.promised.items():
        if not tx.ledger.entries_of(stream):
            why = f"A receipt kept outside promises {len(leaves)} entry of it, and the log has none."
            found.add("entries", f"The stream {stream} is missing from the log.", why, stream=stream)


def _other_log(origin: str, epochs: Epochs) -> tuple[str, str]:
    """Return why what is of another log is not used, and what to do."""
    why = f"It is of {origin}, and this database holds {', '.join(one.origin for one in epochs.all)}."
    if family(origin) != family(epochs.current.origin) or number_of(origin) < epochs.current.number:
        return why, FETCH
    return why, f"This is an old backup: look for the newer database; if there is none, {RECOVER}"


def _read_note(
    epochs: Epochs, keys: Sequence[VerifierKey], data: bytes | str, name: str, kept: Kept, found: Findings
) -> None:
    try:
        note = notes.verify(data, keys)
    except Refused as refused:
        found.add("against", f"{name} is not used.", f"{refused.what} {refused.why}", FETCH)
        return
    if epochs.of(note.origin) is None:
        found.add("against", f"{name} is not used.", *_other_log(note.origin, epochs))
        return
    kept.checkpoints.append(note)


def _read_receipt(
    tx: Transaction, epochs: Epochs, keys: Sequence[VerifierKey], data: bytes, number: int, kept: Kept, found: Findings
) -> None:
    name = f"The receipt given as file {number}"
    verdict = verify_receipt(data, keys)
    if verdict.outcome in (Outcome.FALSE, Outcome.UNKNOWN) or verdict.statement is None:
        found.add("against", f"{name} is not used.", f"{verdict.what} {verdict.why}", verdict.fix or FETCH)
        return
    predicate = verdict.statement["predicate"]
    epoch = epochs.of(predicate["log"])
    if epoch is None:
        found.add("against", f"{name} is not used.", *_other_log(predicate["log"], epochs))
        return
    action = verdict.statement["subject"][0]["name"]
    kept.promised.setdefault(action, set()).add(predicate["leaf"])
    parts = bundle.read(data)
    if parts.checkpoint is not None:
        _read_note(epochs, keys, parts.checkpoint, f"{name}, or rather its checkpoint,", kept, found)
    row = tx.stored.find("receipts", predicate["receipt_id"])
    if row is None:
        found.add(
            "receipts",
            f"The receipt {predicate['receipt_id']} was issued, and is not in the database.",
            "Its row was removed, or this database is an old backup."
            if epochs.following(epoch) is None
            else f"{epoch.origin} was given up for a backup: what was done after that is lost, or its row was removed.",
            stream=action,
        )
    elif (said := _said(tx, row)) != dsse.open_envelope(parts.envelope, keys).payload:
        found.add(
            "receipts",
            f"The receipt {predicate['receipt_id']} says something else in the database.",
            "Two statements exist under one receipt, and the one kept outside is truly signed.",
            stream=action,
            column="seq" if said is None else None,
        )


def _said(tx: Transaction, row: Sequence[Any]) -> bytes | None:
    """Return what a receipt's row says, None where its action can no longer be read: other findings tell of that."""
    kept = dict(zip(tx.stored.columns("receipts"), row, strict=True))
    try:
        return statement_of(tx, Receipt(**kept))
    except (SignoffError, LookupError, TypeError, ValueError):
        return None
