# SPDX-License-Identifier: Apache-2.0
"""Who calls: an API key, an agent's token, or a page's session.

A session is an opaque random id in a cookie. What it stands for is kept in this node's memory only, for eight hours,
and holds the key's id and digest, never the key: each use asks the database again, so that a revoked key or a changed
role counts at once. A restart, or another node, asks for the key again. A session only reads.
"""

from collections import OrderedDict
from collections.abc import MutableMapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from signoff.app.action.lists import require_holding
from signoff.app.authority.people import authenticate_key, caller_of_token, read_key
from signoff.app.world import TENANT, World
from signoff.core.errors import Forbidden, Unauthenticated
from signoff.core.principal import Caller, require_person

Scope = MutableMapping[str, Any]
COOKIE: Final = "signoff_session"
LIFE_S: Final = 8 * 3600
SESSIONS_MAX: Final = 4096
MINTING: Final = "/v1/tokens"
CREDENTIAL_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Session:
    """The key a page's session stands for; `ends` in monotonic seconds, excluded."""

    key_id: str
    secret_digest: str
    ends: float


class Sessions:
    """The sessions of this node, by the digest of their ids; the oldest goes when there are too many."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Session] = OrderedDict()

    async def open(self, world: World, key: str) -> str:
        """Return the id of a new session for a person's API key.

        Raises:
            Unauthenticated: the key is not accepted.
            Forbidden: it is an agent's.
        """
        key_id, digest = read_key(key)
        require_person(await authenticate_key(world, TENANT, key_id, digest))
        session_id = world.chance.bytes(32).hex()
        self._known[_digest(session_id)] = Session(key_id, digest, world.clock.monotonic() + LIFE_S)
        if len(self._known) > SESSIONS_MAX:
            self._known.popitem(last=False)
        return session_id

    async def caller(self, world: World, session_id: str) -> Caller:
        """Return whose session it is.

        Raises:
            Unauthenticated: it is unknown or over, or its key no longer counts.
        """
        known = self._known.get(_digest(session_id))
        if known is None or world.clock.monotonic() >= known.ends:
            self._known.pop(_digest(session_id), None)
            raise Unauthenticated(
                what="This session is over.",
                why="Sessions last eight hours, and end when the server restarts.",
                fix="Sign in again at /login.",
                code="unauthenticated.session",
            )
        return await authenticate_key(world, TENANT, known.key_id, known.secret_digest)


async def caller_of(world: World, sessions: Sessions, scope: Scope, *, asks_itself: bool) -> Caller:
    """Return who makes this call.

    Args:
        asks_itself: the call asks in its own transaction whether a token still holds.

    Raises:
        Unauthenticated: there is no proof, or it is wrong.
        Forbidden: an agent's key, where only its token will do; or a token that would mint another.
    """
    shown, session = _shown(scope)
    if shown is None and session is not None and scope["method"] in ("GET", "HEAD"):
        return await sessions.caller(world, session)
    if shown is None:
        raise Unauthenticated(
            what="This call does not say who makes it.",
            why="It has no `Authorization` header.",
            fix="Send `Authorization: Bearer` with an API key or an agent's token; in a browser, sign in at /login.",
        )
    is_minting = scope["path"] == MINTING
    if shown.startswith("sgk_"):
        key_id, digest = read_key(shown)
        caller = await authenticate_key(world, TENANT, key_id, digest)
        if caller.is_agent and not is_minting:
            raise Forbidden(
                what="An agent's key only mints tokens.",
                why="A key lives long; what an agent does is done under a token of five minutes.",
                fix="Mint one with this key (POST /v1/tokens), and send that token here.",
                code="agent.key_only_mints",
            )
        return caller
    caller = caller_of_token(world, shown)
    if is_minting:
        raise Forbidden(
            what="A token mints no other.",
            why="Otherwise a stolen one would live for ever.",
            fix="Mint tokens with the agent's API key.",
            code="agent.token_mints_nothing",
        )
    if not asks_itself:
        await world.storage.view(caller.tenant, lambda tx: require_holding(tx, caller))
    return caller


def _shown(scope: Scope) -> tuple[str | None, str | None]:
    """Return the bearer credential and the session id of a request, as far as they were sent."""
    shown: str | None = None
    session: str | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if shown is not None:
                raise _unreadable("There are two `Authorization` headers.")
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() != b"bearer" or not rest.strip() or not value.isascii() or len(value) > CREDENTIAL_MAX:
                raise _unreadable("The `Authorization` header is not of the scheme Bearer.")
            shown = rest.strip().decode("ascii")
        elif name == b"cookie":
            for part in value.split(b";"):
                key, _, content = part.strip().partition(b"=")
                if key == COOKIE.encode() and content.isascii():
                    session = content.decode("ascii")
    return shown, session


def _unreadable(why: str) -> Unauthenticated:
    return Unauthenticated(
        what="The proof of who calls cannot be read.",
        why=why,
        fix="Send one header `Authorization: Bearer CREDENTIAL`.",
    )


def _digest(session_id: str) -> str:
    return sha256(session_id.encode()).hexdigest()
