# SPDX-License-Identifier: Apache-2.0
"""Judge a receipt offline: is it true by the keys given, and is its entry in the log?

Everything in the file is bound to the one signature: the statement names the log and the hash of the outcome entry,
the proof leads from that hash to a root, the checkpoint signs that root under that log's name, and each opening fits
a commitment in the statement. What nothing binds is refused, so no byte can be changed unnoticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from signoff.ledger import checkpoint as notes
from signoff.ledger.bundle import Bundle, Proof, read, read_statement
from signoff.ledger.canonical import canonical
from signoff.ledger.checkpoint import Checkpoint, VerifierKey, receipt_key_name, tenant_of
from signoff.ledger.commitment import opens
from signoff.ledger.dsse import open_envelope
from signoff.ledger.entry import decode
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import leaf_hash, verify_inclusion


class Outcome(Enum):
    """What a receipt is worth."""

    INCLUDED = "included"
    PROMISED = "promised"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, in the three parts of every message; `fix` is empty when there is nothing to mend.

    `statement` is what was signed, once its signature is verified, whatever the outcome; None before that.
    """

    outcome: Outcome
    what: str
    why: str
    fix: str
    statement: Mapping[str, Any] | None = None
    proof: Proof | None = None
    checkpoint: Checkpoint | None = None

    @property
    def exit_code(self) -> int:
        """0 included and true, 1 false, 2 cannot tell, or promised and not yet due."""
        return {Outcome.INCLUDED: 0, Outcome.FALSE: 1}.get(self.outcome, 2)


def verify_receipt(
    bundle: bytes, keys: Sequence[VerifierKey], checkpoint: bytes | None = None, now_us: int | None = None
) -> Verdict:
    """Return what a receipt is worth.

    Args:
        bundle: the file, byte for byte.
        keys: of the installation's receipts and of its log, from a source the receipt's sender does not control.
        checkpoint: a note kept elsewhere, against which the proof must hold too. A proof for another size cannot be
            compared with it offline, which is then the answer (UNKNOWN).
        now_us: microseconds since 1970, UTC, to tell a promise from a broken one; None leaves it a promise.
    """
    if not keys:
        return Verdict(Outcome.UNKNOWN, "No key was given.", "A receipt is true only by a key.", "Give the key file.")
    try:
        kept = None if checkpoint is None else notes.verify(checkpoint, keys)
    except Refused as refused:
        return Verdict(Outcome.UNKNOWN, f"The given checkpoint: {refused.what}", refused.why, refused.fix)
    statement: Mapping[str, Any] | None = None
    try:
        parts = read(bundle)
        opened = open_envelope(parts.envelope, keys)
        claimed = read_statement(opened.payload)
        _check_signer(opened.key, claimed["predicate"]["log"], parts.proof)
        statement = claimed
        _check_openings(parts, statement["predicate"])
        _check_entry(parts, statement["predicate"])
        own = _check_proof(parts, statement["predicate"], keys)
    except Refused as refused:
        return Verdict(Outcome.FALSE, refused.what, refused.why, refused.fix, statement)
    if parts.proof is None:
        return _promise(statement, now_us)
    return _included(statement, parts.proof, own, kept)


def _promise(statement: Mapping[str, Any], now_us: int | None) -> Verdict:
    due_us = statement["predicate"]["at"] + statement["predicate"]["due_s"] * 1_000_000
    if now_us is not None and now_us >= due_us:
        return Verdict(
            Outcome.FALSE,
            "The promise of this receipt is broken, as far as it shows.",
            "It is truly signed and its time is up, but it brings no proof that its entry is in the log.",
            "Fetch the receipt again: by now it has its proof. If it has none, show this file to the operator.",
            statement,
        )
    return Verdict(
        Outcome.PROMISED,
        "The receipt is truly signed, and its entry is promised to the log.",
        "It brings no proof of inclusion yet." + ("" if now_us is not None else " The time was not given."),
        "Fetch the receipt again once it is due, and verify that file.",
        statement,
    )


def _included(statement: Mapping[str, Any], proof: Proof, own: Checkpoint | None, kept: Checkpoint | None) -> Verdict:
    """Weigh a bundle that is sound in itself against the checkpoint that was kept elsewhere, if one was given."""
    predicate = statement["predicate"]
    if kept is not None:
        if kept.origin != predicate["log"] or kept.size != proof.size:
            return Verdict(
                Outcome.UNKNOWN,
                "The receipt and the given checkpoint cannot be compared.",
                f"The receipt's proof is for {predicate['log']} at size {proof.size}, "
                f"the checkpoint for {kept.origin} at size {kept.size}.",
                "Fetch the receipt with a proof for the checkpoint's size, or give the checkpoint of the proof's size.",
                statement,
            )
        if own is not None and own.root != kept.root:
            return Verdict(
                Outcome.FALSE,
                f"The log {kept.origin} has signed two different trees of size {kept.size}.",
                "The receipt's checkpoint and the given one are both truly signed, and their roots differ.",
                "Keep both files: together they prove that the log showed different histories.",
                statement,
            )
        if not _leads_to(kept, predicate, proof):
            return Verdict(
                Outcome.FALSE,
                "The receipt's entry is not in the log that the given checkpoint signs.",
                "The proof does not lead to its root.",
                "Keep both files and show them to the operator.",
                statement,
            )
    believed = own or kept
    if believed is None:
        return Verdict(
            Outcome.UNKNOWN,
            "The receipt brings a proof, but no checkpoint to prove it against.",
            f"The proof is for size {proof.size}, and nobody signed a root of that size here.",
            "Give the checkpoint of that size, or fetch the receipt again.",
            statement,
        )
    return Verdict(
        Outcome.INCLUDED,
        f"The receipt is true, and its entry is number {proof.index} of the log {believed.origin}.",
        f"The statement's signature holds, and the proof leads to the root that the log signed at size {proof.size}.",
        "",
        statement,
        proof,
        believed,
    )


def _check_signer(key: VerifierKey, origin: str, proof: Proof | None) -> None:
    if key.name != receipt_key_name(origin):
        raise Refused(
            what=f"{key.id} does not speak for receipts about the log {origin}.",
            why=f"They are signed by keys named {receipt_key_name(origin)}, so that no key of another purpose can.",
            fix="Fetch the receipt again; show this one to the operator, since a given key signed it.",
        )
    if proof is not None and not key.counts_at(proof.index + 1):
        raise Refused(
            what=f"{key.id} does not count for entry {proof.index} of the log {origin}.",
            why="The key file ends or begins its time at another log size.",
            fix="Fetch the receipt again, signed by a key of that time.",
        )


def _check_openings(parts: Bundle, predicate: Mapping[str, Any]) -> None:
    commitments = predicate.get("commitments", {})
    for name, opening in parts.openings.items():
        if name not in commitments or not opens(commitments[name], opening.salt, canonical(opening.value)):
            raise Refused(
                what="A payload beside the statement is not what the statement commits to.",
                why=f"The opening {name[:48]!r} fits no commitment of that name.",
                fix="Fetch the receipt again, or leave the opening out.",
            )


def _check_entry(parts: Bundle, predicate: Mapping[str, Any]) -> None:
    if parts.entry is None:
        return
    if leaf_hash(parts.entry).hex() != predicate["leaf"]:
        raise Refused(
            what="The entry beside the statement is not the one the statement names.",
            why="Its hash is not the statement's `leaf`.",
            fix="Fetch the receipt again.",
        )
    entry = decode(parts.entry)
    if entry["tenant"] != tenant_of(predicate["log"]):
        raise Refused(
            what="The entry belongs to another tenant than the log.",
            why="A log holds the entries of the one tenant its origin names.",
            fix="Show this receipt to the operator.",
        )


def _check_proof(parts: Bundle, predicate: Mapping[str, Any], keys: Sequence[VerifierKey]) -> Checkpoint | None:
    """Return the bundle's own checkpoint, signed, of this log and size, with the proof leading to its root."""
    if parts.proof is None or parts.checkpoint is None:
        return None
    own = notes.verify(parts.checkpoint, keys)
    if len(notes.verified_signers(own, keys)) != len(own.signatures):
        # C2SP passes over lines of unknown keys; in a receipt they would be bytes that nothing binds.
        raise Refused(
            what="The receipt's checkpoint carries a signature by no given key.",
            why="In a receipt nothing may stand that cannot be checked.",
            fix="Give the key file that holds all keys of the checkpoint, witnesses included.",
        )
    if own.origin != predicate["log"] or own.size != parts.proof.size:
        raise Refused(
            what="The receipt's checkpoint is of another log or size than its proof.",
            why=f"The statement names {predicate['log']} and the proof size {parts.proof.size}.",
            fix="Fetch the receipt again.",
        )
    if not _leads_to(own, predicate, parts.proof):
        raise Refused(
            what="The proof does not lead from the statement's entry to the signed root.",
            why="The hashes on the way give another root: the entry is not at that index of that tree.",
            fix="Fetch the receipt again; if it stays false, show it to the operator.",
        )
    return own


def _leads_to(believed: Checkpoint, predicate: Mapping[str, Any], proof: Proof) -> bool:
    return verify_inclusion(bytes.fromhex(predicate["leaf"]), proof.index, proof.size, proof.hashes, believed.root)
