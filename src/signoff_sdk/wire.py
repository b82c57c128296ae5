# SPDX-License-Identifier: Apache-2.0
"""One call over HTTP: the proof of who calls, and patience where trying again is safe.

A call is tried again only if that cannot do it twice: reads, and calls under an idempotency key that stays the same
in all attempts. So a server that restarts costs its callers time, and nothing else.
"""

import contextlib
import random
import threading
import time
from collections.abc import Mapping
from typing import Any, Literal

import httpx2

from signoff_sdk.errors import SignoffError, Unreachable, from_problem

Holder = Literal["agent", "person"]

CONNECT_S, READ_S = 5.0, 15.0
PAUSE_FIRST_S, PAUSE_MAX_S = 0.1, 1.0
RENEW_AT = 0.8  # of a token's life
TOKEN_LIFE_S = 60.0  # taken where the server does not say
AWAY = frozenset({429, 502, 503, 504})  # the server, or a proxy for it, says: not now
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Wire:
    """A connection to one server, in the name of one holder of an API key.

    An agent's key is shown at `POST /v1/tokens` only, for a token that lives some minutes; a person's key is shown
    with each call. Who holds the key is told by the first call that only one of them makes.
    """

    def __init__(self, url: str, api_key: str, holder: Holder | None, patience_s: float) -> None:
        base = httpx2.URL(url)
        if base.scheme not in ("http", "https") or not base.host:
            raise SignoffError(
                what=f"{str(base)[:80]!r} is no address of a server.",
                why="It needs a scheme, http or https, and a host.",
                fix="Give the address that `signoff serve` prints, such as http://127.0.0.1:8470.",
                code="url.malformed",
            )
        self._key, self.holder, self.patience_s = api_key.strip(), holder, patience_s
        if not self._key.isascii() or not self._key.isprintable() or not self._key:
            raise SignoffError(
                what="This is no API key.",
                why="It is empty, or has characters that no key has.",
                fix="Give the whole key as it was shown when it was issued.",
                code="key.malformed",
            )
        self._token, self._renew_at = "", 0.0
        self._renewing = threading.Lock()
        self._http = httpx2.Client(
            base_url=base,
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
            headers={"Accept": "application/json"},
            trust_env=base.host not in _LOOPBACK,  # the way to this machine leads through no proxy
        )

    def close(self) -> None:
        """Close the connections; the wire cannot be used after."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        wait_s: float = 0.0,
    ) -> httpx2.Response:
        """Make one call, and return its good answer.

        Args:
            key: goes as `Idempotency-Key`, the same in every attempt; a call that changes something must have one.
            wait_s: how long the server may keep the answer back, as the call itself asks.

        Raises:
            SignoffError: the server refused the call.
            Unreachable: no answer within the client's patience.
        """
        renewed = False
        while True:
            bearer = self._bearer()
            answer, is_repeat = self._attempts(method, path, body, bearer, params=params, key=key, wait_s=wait_s)
            if answer.is_success:
                return answer
            if answer.status_code == 401 and self.holder == "agent" and not renewed:
                renewed = True  # once: a token that was just issued and is refused will not get better
                with self._renewing:
                    if self._token == bearer:
                        self._token = ""
                continue
            raise from_problem(answer.status_code, answer.content, is_repeat=is_repeat)

    def expect(self, holder: Holder) -> None:
        """Note who holds the key, where nobody said so before."""
        self.holder = self.holder or holder

    def _bearer(self) -> str:
        if self.holder == "person":
            return self._key
        with self._renewing:
            if not self._token or time.monotonic() >= self._renew_at:
                self._renew()
            return self._token or self._key

    def _renew(self) -> None:
        asked_at = time.monotonic()
        answer, _ = self._attempts("POST", "/v1/tokens", {}, self._key)
        if not answer.is_success:
            if self.holder is None and answer.status_code in (403, 404, 409, 422):
                self.holder = "person"  # a key that is good, and no agent's
                return
            raise from_problem(answer.status_code, answer.content)
        issued = json_of(answer)
        self.holder = "agent"
        self._token = str(issued.get("token", ""))
        self._renew_at = asked_at + RENEW_AT * _life_s(issued)

    def _attempts(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        bearer: str,
        *,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
        wait_s: float = 0.0,
    ) -> tuple[httpx2.Response, bool]:
        """Send until there is an answer that is worth having, or patience ends.

        Returns:
            The answer, and whether an earlier attempt may have been taken without our hearing of it.
        """
        headers = {"Authorization": f"Bearer {bearer}"} | ({"Idempotency-Key": key} if key else {})
        is_safe = method == "GET" or key is not None or path == "/v1/tokens"
        timeout = httpx2.Timeout(READ_S + wait_s, connect=CONNECT_S)
        until = time.monotonic() + self.patience_s
        is_repeat = False
        for attempt in range(1_000_000):
            why, pause_s = "", _pause_s(attempt)
            try:
                answer = self._http.request(
                    method, path, json=body, params=params or {}, headers=headers, timeout=timeout
                )
            except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
                raise _unreachable(f"The call cannot be made ({type(error).__name__}).") from error
            except httpx2.TransportError as error:
                why = f"No answer came ({type(error).__name__})."
                is_repeat = is_repeat or not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            except httpx2.HTTPError as error:
                raise _unreachable(f"The answer cannot be read ({type(error).__name__}).") from error
            else:
                if answer.status_code not in AWAY:
                    return answer, is_repeat
                why = f"The server answers {answer.status_code}: not now."
                pause_s = max(pause_s, _retry_after_s(answer.headers.get("Retry-After")))
            if not is_safe or time.monotonic() + pause_s >= until:
                raise _unreachable(why)
            time.sleep(pause_s)
        raise AssertionError("patience ends before attempts do")


def json_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        SignoffError: it is none.
    """
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(found := answer.json(), dict):
            return found
    raise SignoffError(
        what="The server's answer is no JSON object.",
        why="Something other than Signoff may answer at this address.",
        fix="Check the URL, and any proxy between.",
        code="answer.malformed",
        status=answer.status_code,
    )


def _life_s(issued: Mapping[str, Any]) -> float:
    """Return how long a token lives; a span, since our clock may be another than the server's."""
    life = issued.get("expires_in_s")
    return float(life) if isinstance(life, int | float) and life >= 0 else TOKEN_LIFE_S


def _pause_s(attempt: int) -> float:
    """Return the pause after an attempt: longer each time, and never in step with other callers."""
    return min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # spread, no secret


def _retry_after_s(text: str | None) -> float:
    return min(float(text), 30.0) if text and text.isascii() and text.isdigit() else 0.0


def _unreachable(why: str) -> Unreachable:
    return Unreachable(
        what="Signoff cannot be reached.",
        why=why,
        fix="Check the URL and that the server runs; the same call with the same key may be made again.",
        code="unreachable",
    )
