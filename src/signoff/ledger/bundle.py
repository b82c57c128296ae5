# SPDX-License-Identifier: Apache-2.0
"""A receipt as a file: the signed statement, and what proves that the log kept its promise.

    v, type      1, `signoff.receipt`
    envelope     the DSSE envelope; its payload is the statement
    proof        optional: {index, size, hashes}, the way from the entry to the root at `size`
    checkpoint   optional: the signed note for that size
    entry        optional: {index, leaf}, the entry's own bytes
    openings     optional: {name: {salt, value}}, payloads that the statement commits to

The file is canonical JSON without a newline at its end; hashes, bytes and salts are base64. Only the envelope is
signed, so reading refuses whatever nothing in it binds: an entry or checkpoint without a proof, an opening without
a commitment. `verify` asks whether it is true.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff.ledger.canonical import NUMBER_MAX, canonical, from_base64, parse, to_base64
from signoff.ledger.commitment import SALT_BYTES
from signoff.ledger.errors import Refused

TYPE: Final = "signoff.receipt"
BYTES_MAX: Final = 8 * 1024 * 1024
HASHES_MAX: Final = 64
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://signoff.dev/receipt/v1"
_HEX: Final = re.compile("[0-9a-f]{64}")
_COMMITMENT: Final = re.compile("sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Proof:
    """An inclusion proof: entry `index` lies in the tree of `size`."""

    index: int
    size: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """A payload and the salt that opens its commitment."""

    salt: bytes
    value: Any


@dataclass(frozen=True, slots=True)
class Bundle:
    """The parts of a receipt, well formed and not yet believed."""

    envelope: Mapping[str, Any]
    proof: Proof | None
    checkpoint: str | None
    entry: bytes | None
    openings: Mapping[str, Opening]


def bundle(
    envelope: Mapping[str, Any],
    *,
    proof: Proof | None = None,
    checkpoint: str | None = None,
    entry: bytes | None = None,
    openings: Mapping[str, Opening] | None = None,
) -> bytes:
    """Return the bytes of a receipt, which `read` takes apart again.

    Raises:
        Refused: `read` would refuse them.
    """
    value: dict[str, Any] = {"v": 1, "type": TYPE, "envelope": dict(envelope)}
    if proof is not None:
        hashes = [to_base64(one) for one in proof.hashes]
        value["proof"] = {"index": proof.index, "size": proof.size, "hashes": hashes}
    if checkpoint is not None:
        value["checkpoint"] = checkpoint
    if entry is not None:
        value["entry"] = {"index": proof.index if proof else None, "leaf": to_base64(entry)}
    if openings:
        value["openings"] = {name: {"salt": to_base64(one.salt), "value": one.value} for name, one in openings.items()}
    data = canonical(value)
    read(data)
    return data


def read(data: bytes) -> Bundle:
    """Return the parts of a receipt.

    Raises:
        Refused: the bytes are not canonical, or a member is unknown, missing, misspelt or without what binds it.
    """
    if len(data) > BYTES_MAX:
        raise _no_receipt(f"It is larger than {BYTES_MAX} bytes.")
    value = parse(data, "The receipt")
    known = {"v", "type", "envelope", "proof", "checkpoint", "entry", "openings"}
    if not isinstance(value, dict) or not {"v", "type", "envelope"} <= value.keys() <= known:
        raise _no_receipt("It lacks `v`, `type` or `envelope`, or has members that this version does not know.")
    if value["v"] != 1 or value["v"] is True or value["type"] != TYPE:
        raise _no_receipt(f"Its `v` is not 1 or its `type` not {TYPE}.")
    if not isinstance(value["envelope"], dict):
        raise _no_receipt("Its `envelope` is no object.")
    proof = _read_proof(value["proof"]) if "proof" in value else None
    if proof is None and value.keys() & {"checkpoint", "entry"}:
        raise _no_receipt("It brings a checkpoint or an entry without the proof that would bind them.")
    note = value.get("checkpoint")
    if "checkpoint" in value and not isinstance(note, str):
        raise _no_receipt("Its `checkpoint` is no text.")
    entry = _read_entry(value["entry"], proof) if proof and "entry" in value else None
    openings = _read_openings(value["openings"]) if "openings" in value else {}
    return Bundle(value["envelope"], proof, note, entry, openings)


def read_statement(payload: bytes) -> dict[str, Any]:
    """Return the statement of a receipt, its bound members checked; further members of the predicate are free.

    Raises:
        Refused: it is not canonical, not an in-toto Statement v1 of a receipt, or a bound member is out of shape.
    """
    value = parse(payload, "The statement")
    if not isinstance(value, dict) or value.keys() != {"_type", "subject", "predicateType", "predicate"}:
        raise _no_statement("It has other members than `_type`, `subject`, `predicateType` and `predicate`.")
    if value["_type"] != STATEMENT_TYPE or value["predicateType"] != PREDICATE_TYPE:
        raise _no_statement("Its `_type` or `predicateType` is another one.")
    match value["subject"]:
        case [{"name": str(name), "digest": {"sha256": str(digest), **others}, **more}] if not others and not more:
            if not name or not _HEX.fullmatch(digest):
                raise _no_statement("Its subject has no name, or its digest is not 64 hexadecimal digits.")
        case _:
            raise _no_statement("It does not have exactly one subject with `name` and `digest.sha256`.")
    predicate = value["predicate"]
    if not isinstance(predicate, dict):
        raise _no_statement("Its predicate is no object.")
    for member in ("receipt_id", "log"):
        if not isinstance(predicate.get(member), str) or not predicate[member]:
            raise _no_statement(f"Its predicate has no text `{member}`.")
    if not isinstance(predicate.get("leaf"), str) or not _HEX.fullmatch(predicate["leaf"]):
        raise _no_statement("Its `leaf` is not 64 hexadecimal digits.")
    for member in ("at", "due_s"):
        if type(predicate.get(member)) is not int or predicate[member] < 0:
            raise _no_statement(f"Its `{member}` is no integer of 0 or more.")
    commitments = predicate.get("commitments", {})
    if not isinstance(commitments, dict) or not all(
        isinstance(one, str) and _COMMITMENT.fullmatch(one) for one in commitments.values()
    ):
        raise _no_statement("Its `commitments` are not texts of the form sha256:<64 hexadecimal digits>.")
    return value


def _read_proof(value: Any) -> Proof:
    if not isinstance(value, dict) or value.keys() != {"index", "size", "hashes"}:
        raise _no_receipt("Its `proof` has other members than `index`, `size` and `hashes`.")
    index, size, hashes = value["index"], value["size"], value["hashes"]
    if type(index) is not int or type(size) is not int or not 0 <= index < size <= NUMBER_MAX:
        raise _no_receipt("The index of its proof does not lie below its size.")
    if not isinstance(hashes, list) or len(hashes) > HASHES_MAX:
        raise _no_receipt(f"The hashes of its proof are no list of at most {HASHES_MAX}.")
    return Proof(index, size, tuple(from_base64(one, "A hash of the proof", 32) for one in hashes))


def _read_entry(value: Any, proof: Proof) -> bytes:
    if not isinstance(value, dict) or value.keys() != {"index", "leaf"}:
        raise _no_receipt("Its `entry` has other members than `index` and `leaf`.")
    if type(value["index"]) is not int or value["index"] != proof.index:
        raise _no_receipt("The index of its entry is not that of its proof.")
    return from_base64(value["leaf"], "The entry")


def _read_openings(value: Any) -> dict[str, Opening]:
    if not isinstance(value, dict) or not value:
        raise _no_receipt("Its `openings` are no object, or empty: what is left out is left out whole.")
    openings = {}
    for name, one in value.items():
        if not isinstance(one, dict) or one.keys() != {"salt", "value"}:
            raise _no_receipt("An opening has other members than `salt` and `value`.")
        openings[name] = Opening(from_base64(one["salt"], "A salt", SALT_BYTES), one["value"])
    return openings


def _no_receipt(why: str) -> Refused:
    return Refused(what="This is no receipt.", why=why, fix="Fetch it again and keep it byte for byte.")


def _no_statement(why: str) -> Refused:
    return Refused(
        what="The signed statement is not that of a receipt.",
        why=why,
        fix="Fetch the receipt again; this key also signs other things, or another version made it.",
    )
