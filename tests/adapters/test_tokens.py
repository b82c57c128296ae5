# SPDX-License-Identifier: Apache-2.0
"""A token holds if this installation signed it, for this audience, and its time has come and not ended."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from signoff.adapters.keyfiles import KeyFiles
from signoff.adapters.tokens import JwtTokens
from signoff.core.errors import Malformed, Unauthenticated
from signoff.ports.identity import TokenClaims, Tokens

NAME = "signoff.acme.test"
S = 1_000_000
ISSUED = 1_767_225_600 * S
CLAIMS = TokenClaims(
    tenant="acme",
    agent_id="agt_" + "1" * 32,
    person_id="prs_" + "2" * 32,
    token_id="jti-1",
    epoch=3,
    issued_at=ISSUED,
    expires_at=ISSUED + 300 * S,
)


@dataclass(frozen=True)
class Key:
    key_id: str
    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.secret).public_key().public_bytes_raw()


class Ring:
    """Keys in memory; it counts how often they are asked for, which is once a signature looked at."""

    def __init__(self, *made: Key) -> None:
        self.made, self.looked = made, 0

    def active(self, purpose: Literal["token"], /) -> Key:
        return self.made[-1]

    def keys(self, purpose: Literal["token"], /) -> Sequence[Key]:
        self.looked += 1
        return self.made


RING = Ring(Key("token-1", bytes(32)))
TOKENS: Tokens = JwtTokens(RING, NAME)


def encoded(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def header(**changed: Any) -> dict[str, Any]:
    return {"alg": "Ed25519", "kid": "token-1", "typ": "at+jwt", **changed}


def payload(**changed: Any) -> dict[str, Any]:
    return {
        "iss": NAME,
        "aud": "signoff",
        "sub": CLAIMS.agent_id,
        "client_id": CLAIMS.agent_id,
        "tid": "acme",
        "owner": CLAIMS.person_id,
        "jti": "jti-1",
        "iat": ISSUED // S,
        "exp": ISSUED // S + 300,
        "epoch": 3,
        **changed,
    }


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def signed(head: Any, body: Any, key: Key = RING.made[0]) -> str:
    """Sign anything at all with the true key, as a mint gone wrong would."""
    text = f"{encoded(head)}.{encoded(body)}"
    return f"{text}.{encoded(Ed25519PrivateKey.from_private_bytes(key.secret).sign(text.encode()))}"


def refused(token: str, now: int = ISSUED, *, match: str | None = None, by: Tokens = TOKENS) -> None:
    with pytest.raises(Unauthenticated, match=match) as caught:
        by.verify(token, now)
    error = caught.value
    assert error.what
    assert error.why
    assert error.fix
    for part in filter(None, token.split(".")):
        assert len(part) < 8 or part[:8] not in f"{error} {error.detail}"


def test_what_is_minted_verifies() -> None:
    assert TOKENS.verify(TOKENS.mint(CLAIMS), ISSUED) == CLAIMS


def test_the_bytes_are_a_plain_jwt_that_others_can_check() -> None:
    head, body, signature = TOKENS.mint(CLAIMS).split(".")
    assert decoded(head) == header()
    assert decoded(body) == payload()
    key = Ed25519PublicKey.from_public_bytes(RING.made[0].public)
    key.verify(base64.urlsafe_b64decode(signature + "=="), f"{head}.{body}".encode())


@given(issued=st.integers(0, 10**15), life=st.integers(-(10**7), 10**9), epoch=st.integers(0, 2**53 - 1))
def test_a_token_never_outlives_what_was_asked(issued: int, life: int, epoch: int) -> None:
    asked = replace(CLAIMS, issued_at=issued, expires_at=max(0, issued + life), epoch=epoch)
    if asked.expires_at // S <= issued // S:
        with pytest.raises(Malformed):
            TOKENS.mint(asked)
        return
    found = TOKENS.verify(TOKENS.mint(asked), found_at := issued // S * S)
    assert found_at < found.expires_at <= asked.expires_at
    assert 0 <= asked.issued_at - found.issued_at < S
    assert replace(found, issued_at=issued, expires_at=asked.expires_at) == asked


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": ""},
        {"agent_id": ""},
        {"person_id": ""},
        {"token_id": ""},
        {"epoch": -1},
        {"epoch": 2**53},
        {"expires_at": ISSUED},
        {"expires_at": 253_402_300_800 * S},
        {"token_id": "j" * 4000},
    ],
)
def test_what_would_be_refused_is_not_minted(changed: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        TOKENS.mint(replace(CLAIMS, **changed))


def test_the_end_is_excluded_and_looked_at_again_after_the_signature_is_remembered() -> None:
    token = TOKENS.mint(CLAIMS)
    for _ in range(2):
        assert TOKENS.verify(token, CLAIMS.expires_at - 1) == CLAIMS
        refused(token, CLAIMS.expires_at, match="life has ended")
        refused(token, CLAIMS.expires_at + 10**12, match="life has ended")


def test_a_start_in_the_future_is_borne_for_a_minute_and_no_longer() -> None:
    token = TOKENS.mint(CLAIMS)
    for _ in range(2):
        assert TOKENS.verify(token, ISSUED - 60 * S) == CLAIMS
        refused(token, ISSUED - 60 * S - 1, match="in the future")


@given(at=st.integers(0, 10_000), to=st.sampled_from("ABab01-_.=+/ \nä\0"))
def test_a_token_with_one_character_changed_is_refused(at: int, to: str) -> None:
    token = TOKENS.mint(CLAIMS)
    at %= len(token)
    if token[at] != to:
        refused(token[:at] + to + token[at + 1 :])


@given(text=st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,9}\.[A-Za-z0-9_-]{0,9}\.[A-Za-z0-9_-]{0,9}"))
def test_no_text_at_all_does_worse_than_be_refused(text: str) -> None:
    refused(text)


def test_spare_bits_of_the_last_character_make_no_second_token() -> None:
    token = TOKENS.mint(CLAIMS)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + alphabet[alphabet.index(token[-1]) + 1]
    raw = [base64.urlsafe_b64decode(text.rsplit(".", 1)[1] + "==") for text in (token, twin)]
    assert raw[0] == raw[1]
    refused(twin)


def hmac_signed(head: dict[str, Any], secret: bytes) -> str:
    text = f"{encoded(head)}.{encoded(payload())}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def test_no_other_algorithm_is_taken_nor_none() -> None:
    public = RING.made[0].public
    body = encoded(payload())
    for alg in ("none", "None", "NONE", ""):
        refused(f"{encoded(header(alg=alg))}.{body}.")
        refused(f"{encoded(header(alg=alg))}.{body}.{encoded(b'x')}", match="no other algorithm")
    for secret in (public, encoded(public).encode(), b""):  # HMAC keyed with what everyone knows
        refused(hmac_signed(header(alg="HS256"), secret), match="no other algorithm")
        refused(hmac_signed(header(), secret), match="signature")
    for other in ("EdDSA", "Ed448", "ES256", "ed25519", None, 1, ["Ed25519"]):
        refused(signed(header(alg=other), payload()), match="no other algorithm")


@pytest.mark.parametrize("typ", ["JWT", "AT+JWT", "application/at+jwt", "", None])
def test_no_other_type_is_taken(typ: str | None) -> None:
    refused(signed(header(typ=typ), payload()), match="type is not")


@pytest.mark.parametrize(
    "head",
    [
        header(crit=["exp"], exp=1),
        header(crit=[]),
        header(b64=False, crit=["b64"]),
        header(jwk={"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes(32))}),
        header(jku="https://keys.test"),
        header(x5c=[]),
        header(cty="JWT"),
        header(zip="DEF"),
        without(header(), "kid"),
        without(header(), "typ"),
        without(header(), "alg"),
        {},
    ],
)
def test_no_other_header_member_is_taken_and_none_is_missing(head: dict[str, Any]) -> None:
    refused(signed(head, payload()), match="other members")


@pytest.mark.parametrize("kid", ["token-2", "", None, 1, ["token-1"], {"token-1": 1}, "../token-1"])
def test_an_unknown_key_is_refused(kid: Any) -> None:
    refused(signed(header(kid=kid), payload()), match="key that is not")


def test_a_stranger_under_a_known_key_id_is_refused() -> None:
    refused(signed(header(), payload(), Key("token-1", bytes([1]) * 32)), match="signature")


@pytest.mark.parametrize("members", ["[]", "1", '"x"', "null", "{", "", "\xff", '{"alg":"Ed25519","alg":"none"}'])
def test_a_header_that_is_no_plain_object_is_refused(members: str) -> None:
    refused(f"{encoded(members.encode('latin-1'))}.{encoded(payload())}.{encoded(bytes(64))}")


def test_a_member_named_twice_is_refused_though_signed() -> None:
    twice = json.dumps(payload())[:-1] + ', "exp": 99999999999}'
    refused(signed(header(), twice.encode()), match="claims are not")
    refused(signed(json.dumps(header())[:-1].encode() + b', "kid": "token-1"}', payload()), match="no JSON object")


@pytest.mark.parametrize("aud", ["other", ["signoff"], ["signoff", "other"], "Signoff", ""])
def test_a_token_for_another_audience_is_refused(aud: Any) -> None:
    refused(signed(header(), payload(aud=aud)), match=r"audience|`aud`")


def test_a_token_of_another_installation_is_refused_even_under_the_same_key() -> None:
    refused(JwtTokens(RING, "other.test").mint(CLAIMS), match="another installation")


@pytest.mark.parametrize(
    "body",
    [
        *(without(payload(), name) for name in payload()),
        payload(scope="admin"),
        payload(nbf=ISSUED // S),
        payload(act={"sub": "x"}),
        payload(sub=1),
        payload(tid=""),
        payload(jti=None),
        payload(epoch=True),
        payload(epoch=-1),
        payload(epoch=1.0),
        payload(exp="1767225900"),
        payload(exp=1e12),
        payload(exp=float("inf")),
        payload(exp=10**30),
        payload(iat=-1),
        payload(client_id="agt_" + "9" * 32),
        [],
        "text",
    ],
)
def test_claims_that_are_not_exactly_ours_are_refused_though_signed(body: Any) -> None:
    """A member that is not known could be a restriction."""
    refused(signed(header(), body), match=r"claims are not|same agent")


def test_a_signed_payload_that_is_too_deep_or_no_json_is_refused() -> None:
    for body in (b"[" * 2000, b"", b"\xff", b"nope", b'{"exp":' + b"9" * 2500 + b"}"):
        refused(signed(header(), body))


def test_a_token_over_four_kibibytes_is_refused_unread() -> None:
    ring = Ring(*RING.made)
    refused(signed(header(), payload(jti="j" * 4000)), match="longer than 4096", by=JwtTokens(ring, NAME))
    assert ring.looked == 0


def test_a_signature_is_verified_once_in_a_tokens_life() -> None:
    ring = Ring(*RING.made)
    tokens = JwtTokens(ring, NAME)
    token = tokens.mint(CLAIMS)
    for n in range(5):
        tokens.verify(token, ISSUED + n)
    assert ring.looked == 1
    refused(f"{token[:-86]}{'A' * 86}", by=tokens)
    refused(f"{token[:-86]}{'A' * 86}", by=tokens)
    assert ring.looked == 3  # what failed is not remembered


def test_only_so_many_tokens_are_remembered_the_latest_used() -> None:
    ring = Ring(*RING.made)
    tokens = JwtTokens(ring, NAME, remembered_max=2)
    a, b, c = (tokens.mint(replace(CLAIMS, token_id=name)) for name in "abc")
    for token in (a, b, a, c, a):
        tokens.verify(token, ISSUED)
    assert ring.looked == 3
    tokens.verify(b, ISSUED)
    assert ring.looked == 4


def test_a_token_that_is_not_alive_takes_no_place() -> None:
    ring = Ring(*RING.made)
    tokens = JwtTokens(ring, NAME, remembered_max=1)
    alive, dead = tokens.mint(CLAIMS), tokens.mint(replace(CLAIMS, expires_at=ISSUED + S))
    tokens.verify(alive, ISSUED)
    refused(dead, ISSUED + 2 * S, by=tokens)
    tokens.verify(alive, ISSUED)
    assert ring.looked == 2


def test_tokens_live_on_through_a_rotation(tmp_path: Path) -> None:
    keys = KeyFiles.create_or_open(tmp_path / "keys", NAME)
    tokens = JwtTokens(keys, NAME)
    before = tokens.mint(CLAIMS)
    new = keys.rotate("token")
    after = tokens.mint(CLAIMS)
    assert decoded(after.split(".")[0])["kid"] == new.key_id
    for token in (before, after):
        assert JwtTokens(keys, NAME).verify(token, ISSUED) == CLAIMS


def test_keys_of_other_purposes_sign_no_token(tmp_path: Path) -> None:
    keys = KeyFiles.create_or_open(tmp_path / "keys", NAME)
    log = keys.active("log")
    refused(signed(header(kid=log.key_id), payload(), Key(log.key_id, log.secret)), by=JwtTokens(keys, NAME))


def test_many_threads_share_one_verifier() -> None:
    tokens = JwtTokens(RING, NAME, remembered_max=4)
    minted = {tokens.mint(each): each for each in (replace(CLAIMS, token_id=f"j{n}") for n in range(8))}
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            wrong.extend(claims for token, claims in minted.items() if tokens.verify(token, ISSUED) != claims)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
