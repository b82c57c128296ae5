# SPDX-License-Identifier: Apache-2.0
"""An envelope opens for the key that signed it, and in one spelling only."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import canonical, to_base64
from signoff.ledger.dsse import PAYLOAD_TYPE, envelope, open_envelope, pae
from signoff.ledger.errors import Refused

from .sample import KEYS, LOG_KEY, RECEIPT_KEY, RECEIPT_NAME, key, private


def seal(payload: bytes, kind: str = PAYLOAD_TYPE) -> dict[str, Any]:
    return envelope(payload, RECEIPT_KEY.id, private("receipt").sign(pae(kind, payload)))


def test_the_bytes_that_are_signed_are_those_of_the_specification() -> None:
    """The test vector of the DSSE protocol, version 1."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@given(st.binary(max_size=200))
def test_an_envelope_opens_to_what_was_sealed(payload: bytes) -> None:
    assert open_envelope(seal(payload), KEYS) == (payload, RECEIPT_KEY)
    assert open_envelope(canonical(seal(payload)), KEYS) == (payload, RECEIPT_KEY)


SEALED = canonical(seal(b'{"a":1}'))


@pytest.mark.parametrize("at", range(len(SEALED)))
def test_no_byte_of_an_envelope_can_change(at: int) -> None:
    for mask in (1, 2, 4, 8, 16, 32, 64, 128):
        with pytest.raises(Refused):
            open_envelope(SEALED[:at] + bytes([SEALED[at] ^ mask]) + SEALED[at + 1 :], KEYS)


def test_a_signature_by_a_key_that_is_not_given_is_refused() -> None:
    for keys in ([], [LOG_KEY], [key("receipt", "other.test/receipt")], [key("other", RECEIPT_NAME)]):
        with pytest.raises(Refused, match="no given key"):
            open_envelope(SEALED, keys)


def test_a_signature_over_another_type_is_refused() -> None:
    with pytest.raises(Refused, match="is false"):
        open_envelope(seal(b"{}", "text/plain"), KEYS)


def changed(**members: Any) -> dict[str, Any]:
    return seal(b"{}") | members


SIGNATURE = seal(b"{}")["signatures"][0]


@pytest.mark.parametrize(
    "value",
    [
        changed(extra=1),
        {name: value for name, value in seal(b"{}").items() if name != "payloadType"},
        changed(payloadType="application/json"),
        changed(payloadType=None),
        changed(payload="e30"),
        changed(payload=None),
        changed(signatures=[]),
        changed(signatures=[SIGNATURE, SIGNATURE]),
        changed(signatures=SIGNATURE),
        changed(signatures=[None]),
        changed(signatures=[{**SIGNATURE, "cert": ""}]),
        changed(signatures=[{"sig": SIGNATURE["sig"]}]),
        changed(signatures=[{**SIGNATURE, "keyid": None}]),
        changed(signatures=[{**SIGNATURE, "keyid": ["a"]}]),
        changed(signatures=[{**SIGNATURE, "sig": SIGNATURE["sig"].replace("+", "-").replace("/", "_").rstrip("=")}]),
        changed(signatures=[{**SIGNATURE, "sig": to_base64(bytes(63))}]),
        changed(signatures=[{**SIGNATURE, "sig": to_base64(bytes(64))}]),
    ],
)
def test_an_envelope_of_any_other_shape_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        open_envelope(value, KEYS)
    with pytest.raises(Refused):
        open_envelope(canonical(value), KEYS)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", SEALED + b"\n", SEALED.replace(b":", b": ", 1)])
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        open_envelope(data, KEYS)
