# SPDX-License-Identifier: Apache-2.0
"""Mint and verify agents' tokens, and make and read the secrets of API keys.

A token is a JWT of type `at+jwt` (RFC 9068) signed with Ed25519 (RFC 8037, under the algorithm name of RFC 9864):

    {"alg": "Ed25519", "kid": "<key id>", "typ": "at+jwt"}
    {"aud": "signoff", "client_id": "<agent>", "epoch": 3, "exp": 1767225900, "iat": 1767225600,
     "iss": "<installation>", "jti": "<token id>", "owner": "<person>", "sub": "<agent>", "tid": "<tenant>"}

`sub` is who acts, the agent. `act` (RFC 8693, section 4.1) would name somebody who acts in the place of `sub`, of
whom there is none; on whose authority the agent acts stands in `owner`. Both objects have exactly these members: a
member that this version does not know could be a restriction, and to skip it would widen the token.
"""

import base64
import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from signoff.core.errors import Malformed, Unauthenticated
from signoff.ports.identity import TokenClaims

TOKEN_BYTES_MAX: Final = 4096
SKEW_US: Final = 60_000_000  # how far ahead of us the minting node's clock may be

_ALGORITHM, _TYPE = "Ed25519", "at+jwt"
_TEXTS: Final = ("iss", "aud", "sub", "client_id", "tid", "owner", "jti")
_YEAR_10000_S: Final = 253_402_300_800
_NUMBERS: Final = {"iat": _YEAR_10000_S, "exp": _YEAR_10000_S, "epoch": 2**53}  # ends excluded
_CLAIMS: Final = frozenset((*_TEXTS, *_NUMBERS))
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class TokenKey(Protocol):
    """An Ed25519 key pair as raw bytes: a seed of 32 and a public key of 32."""

    @property
    def key_id(self) -> str:
        """Return the id that stands in `kid`."""

    @property
    def public(self) -> bytes:
        """Return the raw public key."""

    @property
    def secret(self) -> bytes:
        """Return the seed (RFC 8032, section 5.1.5)."""


class TokenKeys(Protocol):
    """Where token keys are kept; asked whenever one is needed, so that a rotation holds at once."""

    def active(self, purpose: Literal["token"], /) -> TokenKey:
        """Return the key to mint with."""

    def keys(self, purpose: Literal["token"], /) -> Sequence[TokenKey]:
        """Return all keys, retired ones included: tokens minted before a rotation live on to their end."""


class JwtTokens:
    """The port Tokens. Safe to use from several threads.

    Args:
        issuer: this installation's name; a token of another is refused.
        remembered_max: how many verified tokens are remembered, the least recently used leaving first.
    """

    def __init__(self, keys: TokenKeys, issuer: str, *, audience: str = "signoff", remembered_max: int = 4096) -> None:
        self._keys, self._issuer, self._audience = keys, issuer, audience
        self._registry = jws.JWSRegistry(algorithms=[_ALGORITHM])
        self._ready: dict[str, OKPKey] = {}
        self._verified: OrderedDict[bytes, TokenClaims] = OrderedDict()  # by SHA-256, so that no token stays in memory
        self._remembered_max = remembered_max
        self._lock = threading.Lock()

    def mint(self, claims: TokenClaims) -> str:
        """Return the compact serialisation.

        JWT counts whole seconds: both times are rounded down, so that a token never outlives what was asked.

        Raises:
            Malformed: it would be past its end when minted, or longer than 4 KiB.
        """
        issued, expires = claims.issued_at // 1_000_000, claims.expires_at // 1_000_000
        payload = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": claims.agent_id,
            "client_id": claims.agent_id,  # required by RFC 9068, section 2.2
            "tid": claims.tenant,
            "owner": claims.person_id,
            "jti": claims.token_id,
            "iat": issued,
            "exp": expires,
            "epoch": claims.epoch,
        }
        if (broken := _broken_claim(payload)) or expires <= issued:
            raise Malformed(
                what="No token can be minted from these claims.",
                why=f"`{broken}` is empty or out of bounds." if broken else "Its end is not a second after its start.",
                fix="Give every id, an epoch from 0, and a life of at least one whole second.",
                path=broken or "exp",
            )
        key = self._keys.active("token")
        header = {"alg": _ALGORITHM, "kid": key.key_id, "typ": _TYPE}
        text = jws.serialize_compact(
            header, json.dumps(payload, separators=(",", ":")), self._private(key), registry=self._registry
        )
        if len(text) > TOKEN_BYTES_MAX:
            raise Malformed(
                what="No token can be minted from these claims.",
                why=f"It would have {len(text)} bytes; {TOKEN_BYTES_MAX} are the bound when it is read.",
                fix="Use shorter ids.",
                path="token",
            )
        return text

    def verify(self, token: str, now: int) -> TokenClaims:
        """Return the claims of a token whose signature, type, audience and times hold at `now` (microseconds).

        The signature is verified once in a token's life (RFC 8725, section 3, for what is pinned); its times are
        looked at on every call. `now >= exp` is refused, so its last second is excluded (RFC 7519, section 4.1.4).

        Raises:
            Unauthenticated: anything about it is wrong; the message names what, never the token.
        """
        if len(token) > TOKEN_BYTES_MAX:
            raise _refused(f"It is longer than {TOKEN_BYTES_MAX} bytes.", "Send the token as it was minted.")
        if not token.isascii():
            raise _misshapen()
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            claims = self._verified.get(digest)
            if claims is not None:
                self._verified.move_to_end(digest)
        if claims is None:
            if not _SHAPE.fullmatch(token):
                raise _misshapen()
            claims = self._verify_bytes(token)
            _check_times(claims, now)  # a token that is not alive takes no place of one that is
            with self._lock:
                self._verified[digest] = claims
                if len(self._verified) > self._remembered_max:
                    self._verified.popitem(last=False)
        else:
            _check_times(claims, now)
        return claims

    def _verify_bytes(self, token: str) -> TokenClaims:
        header = _json_object(_decoded(token.partition(".")[0]))
        mint_anew = "Ask this installation for a new token."
        if header is None:
            raise _refused("Its header is no JSON object in strict base64url.", mint_anew)
        if header.keys() != {"alg", "kid", "typ"}:
            raise _refused(
                "Its header has other members than `alg`, `kid` and `typ`.",
                "Use a token of this installation; extensions (`crit`) and keys in the header are not taken.",
            )
        if header["alg"] != _ALGORITHM:
            raise _refused(f"It is not signed with `{_ALGORITHM}`; no other algorithm is taken, nor none.", mint_anew)
        if header["typ"] != _TYPE:
            raise _refused(f"Its type is not `{_TYPE}`.", "Use an agent's access token, not one of another purpose.")
        key = next((key for key in self._keys.keys("token") if key.key_id == header["kid"]), None)
        if key is None:
            raise _refused("It is signed with a key that is not this installation's.", mint_anew)
        try:
            payload = jws.deserialize_compact(token, self._public(key), registry=self._registry).payload
        except (JoseError, ValueError):
            raise _refused("Its signature does not fit its content.", mint_anew) from None
        claims = _json_object(payload)
        if claims is None or claims.keys() != _CLAIMS or (broken := _broken_claim(claims)):
            named = f" (`{broken}`)" if claims is not None and claims.keys() == _CLAIMS else ""
            raise _refused(f"Its claims are not those of this version{named}.", mint_anew)
        if claims["iss"] != self._issuer:
            raise _refused("It was issued by another installation.", "Ask this installation for a token.")
        if claims["aud"] != self._audience:
            raise _refused(f"Its audience is not `{self._audience}`.", "Ask for a token for this audience.")
        if claims["client_id"] != claims["sub"]:
            raise _refused("Its `client_id` and `sub` are not the same agent.", mint_anew)
        return TokenClaims(
            tenant=claims["tid"],
            agent_id=claims["sub"],
            person_id=claims["owner"],
            token_id=claims["jti"],
            epoch=claims["epoch"],
            issued_at=claims["iat"] * 1_000_000,
            expires_at=claims["exp"] * 1_000_000,
        )

    def _private(self, key: TokenKey) -> OKPKey:
        return self._made(f"private {key.key_id}", {"d": _encoded(key.secret), "x": _encoded(key.public)})

    def _public(self, key: TokenKey) -> OKPKey:
        return self._made(f"public {key.key_id}", {"x": _encoded(key.public)})

    def _made(self, name: str, members: dict[str, str]) -> OKPKey:
        made = self._ready.get(name)
        if made is None:
            made = self._ready[name] = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", **members})
        return made


def _check_times(claims: TokenClaims, now: int) -> None:
    if now >= claims.expires_at:
        raise _refused("Its life has ended.", "Ask for a new token; they are short-lived on purpose.")
    if claims.issued_at > now + SKEW_US:
        raise _refused(
            f"It was issued more than {SKEW_US // 1_000_000} s in the future.",
            "Set the clocks of the machines right, then ask for a new token.",
        )


def _misshapen() -> Unauthenticated:
    return _refused(
        "It is not three parts of base64url with dots between.",
        "Send the token as it was minted, after `Bearer` and one space.",
    )


def _refused(why: str, fix: str) -> Unauthenticated:
    return Unauthenticated(what="This token is not accepted.", why=why, fix=fix)


def _broken_claim(claims: dict[str, Any]) -> str | None:
    """Name the first claim whose value is out of bounds, or None."""
    for name in _TEXTS:
        if not isinstance(claims[name], str) or not claims[name]:
            return name
    for name, end in _NUMBERS.items():
        if type(claims[name]) is not int or not 0 <= claims[name] < end:  # a bool is an int to isinstance
            return name
    return None


def _json_object(text: bytes | None) -> dict[str, Any] | None:
    """Return the object, or None for anything else; a member named twice is anything else (RFC 8725, section 2.4)."""
    if text is None:
        return None
    try:
        found = json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is named twice")
    return found


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes | None:
    """Decode base64url without padding, or return None; spare bits must be zero (RFC 4648, section 3.5)."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return raw if _encoded(raw) == text else None
