# SPDX-License-Identifier: Apache-2.0
"""Personal data and secrets are masked wherever they stand, and what only looks like them stays readable."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.redaction import is_card, is_iban, mask, redacted

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZ2VudCJ9.c2lnbmF0dXJl"
FOUND = [
    # e-mail
    ("write to ada.flores@acme.test today", "write to [e-mail] today"),
    ("<o'neil+tag@mail.co.uk>", "<[e-mail]>"),
    ("jürgen@müller.example, bob_1@x-y.example.", "[e-mail], [e-mail]."),
    # account numbers: by their remainder, in groups or not
    ("DE89370400440532013000", "[iban]"),
    ("pay GB29 NWBK 6016 1331 9268 19 by May", "pay [iban] by May"),
    ("iban: nl91 abna 0417 1643 00, thanks", "iban: [iban], thanks"),
    ("NO9386011117947 and MT84MALT011000012345MTLCAST001S", "[iban] and [iban]"),
    ("FR14-2004-1010-0505-0001-3M02-606", "[iban]"),
    # cards: by their check digit
    ("4111 1111 1111 1111", "[card]"),
    ("card 5555-5555-5555-4444 exp 12/29", "card [card] exp 12/29"),
    ("amex 378282246310005.", "amex [card]."),
    ("6011111111111117", "[card]"),
    # phones
    ("+49 30 901820", "[phone]"),
    ("call +1 (212) 555-0187 now", "call [phone] now"),
    ("0049 89 1234567", "[phone]"),
    ("tel. 030/901820-17", "tel. [phone]"),
    ("(0)171 is not one, 0171 2345678 is", "(0)171 is not one, [phone] is"),
    ("212-555-0187", "[phone]"),
    # secrets
    (f"Authorization: Bearer {'a' * 20}", "Authorization: [secret]"),
    ("bearer abc.def, and the bearer of this, of bonds.", "[secret] and the bearer of this, of bonds."),
    (f"token {JWT} was used", "token [secret] was used"),
    (f"sgk_{'0' * 32}_{'f' * 64}", "[secret]"),
    ("sk-proj-abcdefghij0123456789ABCD", "[secret]"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret]"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
    ("password=hunter22&x=1", "password=[secret]&x=1"),
    ('{"api_key": "0123456789abcdef"}', '{"api_key": "[secret]"}'),
    ("postgres://bob:s3cr3t@db/x", "postgres://[secret]@db/x"),
    ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\nrest", "[secret]\nrest"),
]  # fmt: skip
KEPT = [
    "",
    "invoice 2026-0042 of 1 250 000.00 EUR, due 2026-03-01",
    "PO-4500017 / V-1042 / JE-2026-000123",
    "05/11/2026 14:30, 05-11-2026, 2026-11-05T14:30:00.123Z",
    "1780000000000000 us, 16 digits 1234567890123456",
    "4111 1111 1111 1112",  # a digit wrong
    "DE89370400440532013001",  # a digit wrong
    "act_019e7044880078 9c936550a4a3a65c0c",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "amount_cents 1250000, 40 hours at 95.50",
    "a@b, @handle, user@host",
    "the token was refused; the secret: no",
    "0, 00, 007, 0800",
    "192.168.17.20 and 10.0.0.1",
    "DE 19% VAT, VAT id DE123456789",
]


@pytest.mark.parametrize(("text", "shown"), FOUND)
def test_what_is_personal_or_secret_is_masked(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_it_is_kept(text: str) -> None:
    assert mask(text) == text


@given(st.text(max_size=300))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@given(st.text(alphabet="abc ,.\n", max_size=40), st.sampled_from(FOUND), st.text(alphabet="abc ,.\n", max_size=40))
def test_it_is_found_between_other_words(before: str, case: tuple[str, str], after: str) -> None:
    secret, _ = case
    shown = mask(f"{before} {secret} {after}")
    kinds = ("[e-mail]", "[iban]", "[card]", "[phone]", "[secret]")
    assert any(kind in shown for kind in kinds), shown


@given(st.integers(0, 10**15 - 1))
def test_a_number_with_its_check_digit_is_a_cards_and_with_any_other_is_not(number: int) -> None:
    body = f"4{number:015d}"[:15]
    valid = [digit for digit in string.digits if is_card(body + digit)]
    assert len(valid) == 1
    assert mask(body + valid[0]) == "[card]"


@given(st.text(alphabet=string.digits + string.ascii_uppercase, min_size=11, max_size=26))
def test_an_account_number_is_told_by_its_remainder(account: str) -> None:
    check = 98 - int("".join(str(int(one, 36)) for one in account + "DE00")) % 97
    assert is_iban(f"DE{check:02d}{account}")
    assert not is_iban(f"DE{(check % 96) + 2 if check != (check % 96) + 2 else 2:02d}{account}")


@given(st.integers(1, 2000), st.sampled_from(["a", "0", "1 ", "a@", "+1", "eyJ", "DE00", "a.", "0-", "://a:", "sk-"]))
def test_no_text_takes_long(times: int, piece: str) -> None:
    """Whoever writes what is masked cannot make masking it hang: this returns at all."""
    mask(piece * times)


def test_a_value_is_masked_wherever_texts_stand_in_it() -> None:
    value: Any = {
        "to": ["ada@acme.test", {"bob@acme.test": 1, "eve@acme.test": 2}],
        "card": 4111111111111111, "amount": 1250000, "is_paid": True, "rate": 0.19, "none": None,
        "password": "short", "api_key": "k", "token_count": 7, "note": "DE89 3704 0044 0532 0130 00",
    }  # fmt: skip
    assert redacted(value) == {
        "to": ["[e-mail]", {"[e-mail]": 1, "[e-mail] 2": 2}],
        "card": "[card]", "amount": 1250000, "is_paid": True, "rate": 0.19, "none": None,
        "password": "[secret]", "api_key": "[secret]", "token_count": 7, "note": "[iban]",
    }  # fmt: skip


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_masked_value_has_the_shape_it_had(value: Any) -> None:
    shown = redacted(value)
    json.dumps(shown)
    assert type(shown) is type(value) or shown == "[card]"
    if isinstance(value, dict):
        assert len(shown) == len(value)
