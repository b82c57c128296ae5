# SPDX-License-Identifier: Apache-2.0
"""Signed statements: the DSSE envelope, version 1, with one Ed25519 signature.

Profile: one payload type (an in-toto statement), exactly one signature, standard base64 in its one spelling, no
other members. The keyid is the C2SP `name+hash` of the key; it says which given key to try, and proves nothing
(DSSE protocol, KEYID).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from signoff.ledger.canonical import from_base64, parse, to_base64
from signoff.ledger.checkpoint import VerifierKey, key_by_id
from signoff.ledger.errors import Refused

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class Opened(NamedTuple):
    """What was signed, and the given key that signed it."""

    payload: bytes
    key: VerifierKey


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (DSSE protocol, PAE): lengths first, so that nothing can be shifted."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, keyid: str, signature: bytes) -> dict[str, Any]:
    """Return the envelope as a JSON value; `canonical` makes its bytes.

    Args:
        keyid: `VerifierKey.id` of the key that signed.
        signature: 64 bytes of Ed25519 over `pae(PAYLOAD_TYPE, payload)`.
    """
    return {
        "payload": to_base64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": keyid, "sig": to_base64(signature)}],
    }


def open_envelope(data: bytes | Mapping[str, Any], keys: Sequence[VerifierKey]) -> Opened:
    """Return the payload, its signature verified by one of the given keys.

    Args:
        data: canonical bytes of an envelope, or the value already read from canonical bytes.

    Raises:
        Refused: anything is missing, unknown, spelt otherwise, or not signed by a given key.
    """
    value = parse(data, "The envelope") if isinstance(data, bytes) else data
    if not isinstance(value, Mapping) or set(value) != {"payload", "payloadType", "signatures"}:
        raise _no_envelope("It has other members than `payload`, `payloadType` and `signatures`.")
    if value["payloadType"] != PAYLOAD_TYPE:
        raise _no_envelope(f"Its payload type is not {PAYLOAD_TYPE}.")
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise _no_envelope("It does not hold exactly one signature.")
    (signature,) = signatures
    if not isinstance(signature, Mapping) or set(signature) != {"keyid", "sig"}:
        raise _no_envelope("Its signature has other members than `keyid` and `sig`.")
    payload = from_base64(value["payload"], "The payload")
    raw = from_base64(signature["sig"], "The signature", 64)
    key = key_by_id(keys, signature["keyid"])
    if key is None:
        raise Refused(
            what="The statement is signed by no given key.",
            why="Its keyid names a key that the key file does not hold.",
            fix="Give the key file of the installation that issued it; do not take a key from the receipt's sender.",
        )
    if not key.verifies(raw, pae(PAYLOAD_TYPE, payload)):
        raise Refused(
            what=f"The signature of {key.id} under the statement is false.",
            why="The statement or its signature was changed after signing, or another key made it.",
            fix="Fetch the receipt again; if it stays false, what it says was not said by this key.",
        )
    return Opened(payload, key)


def _no_envelope(why: str) -> Refused:
    return Refused(
        what="This is no signed statement of the kind receipts use.",
        why=why,
        fix="Fetch the receipt again and keep it byte for byte.",
    )
