# SPDX-License-Identifier: Apache-2.0
"""Call a running server over HTTP; its problems (RFC 9457) become errors in three parts."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx2

from signoff.core.errors import Malformed, SignoffError, Unavailable

TIMEOUT_S: Final = 30.0
LIST_MAX: Final = 200
_LOOPBACK: Final = ("127.", "localhost", "[::1]")


class Problem(SignoffError):
    """What a server answered instead; its `status` is the server's."""

    def __init__(self, status: int, what: str, why: str, fix: str, code: str, **detail: object) -> None:
        super().__init__(what, why, fix, code=code, **detail)
        self.status = status  # type: ignore[misc]  # an instance has the status it was answered with


class Client:
    """Calls one server with one key."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.has_key = key is not None
        host = url.split("://", 1)[-1]
        headers = {"Accept": "application/json", "User-Agent": "signoff-cli"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx2.Client(
            base_url=url,
            headers=headers,
            follow_redirects=False,  # a redirect would carry the key elsewhere
            trust_env=not host.startswith(_LOOPBACK),  # and so would a proxy, for this machine
        )

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON answer of a GET."""
        return self._json(self._send("GET", path, params=params))

    def raw(self, path: str, **params: Any) -> bytes:
        """Return the bytes of a GET as they came.

        Raises:
            Unavailable: they are promised, and not there yet.
        """
        response = self._send("GET", path, params=params)
        if response.status_code != 202:
            return response.content
        raise Unavailable(
            what="It is not there yet.",
            why="The server has promised it, and is about to make it.",
            fix="Ask again in a second.",
            code="cli.not_yet",
        )

    def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        is_keyed: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """Return the JSON answer of a POST; keyed, the same call again is answered as the first."""
        headers = {"Idempotency-Key": secrets.token_hex(16)} if is_keyed else {}
        return self._json(self._send("POST", path, body=body or {}, headers=headers, timeout_s=timeout_s))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer of a PUT."""
        return self._json(self._send("PUT", path, body=body))

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer of a PATCH."""
        return self._json(self._send("PATCH", path, body=body))

    def delete(self, path: str) -> Any:
        """Return the JSON answer of a DELETE."""
        return self._json(self._send("DELETE", path))

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, limit=LIST_MAX, **params)
            yield from page["items"]
            if not (following := page.get("next_cursor")) or following == cursor:
                return
            cursor = following

    def close(self) -> None:
        self._http.close()

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> httpx2.Response:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._http.request(method, path, params=given, json=body, headers=headers, timeout=timeout_s)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise Unavailable(
                what=f"The Signoff server at {self.url} gave no answer.",
                why=f"{_said(error)}.",
                fix="Start it with `signoff serve --data DIR`, or name another with --url or SIGNOFF_URL.",
                code="cli.no_answer",
            ) from error
        if response.is_success:
            return response
        raise self._problem(response)

    def _json(self, response: httpx2.Response) -> Any:
        if response.status_code == 204 or not response.content:
            return {}
        try:
            return response.json()
        except ValueError:
            raise self._strange(response) from None

    def _problem(self, response: httpx2.Response) -> SignoffError:
        try:
            body = response.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and isinstance(reasons := body.get("reasons"), list):
            fix = "Look into the server's log; run `signoff doctor --data DIR` on its machine."
            return Problem(
                response.status_code, "The server takes no work.", f"{'; '.join(map(str, reasons))}.", fix, "not_ready"
            )
        if not isinstance(body, dict) or not isinstance(body.get("what"), str):
            return self._strange(response)
        code = body.get("code")
        known = {"what", "why", "fix", "code", "type", "title", "detail", "status", "instance"}
        return Problem(
            response.status_code,
            body["what"],
            str(body.get("why", "")),
            str(body.get("fix", "")),
            code if isinstance(code, str) else str(body.get("type", "problem")).rsplit("#", 1)[-1],
            **{name: value for name, value in body.items() if name not in known and name.isidentifier()},
        )

    def _strange(self, response: httpx2.Response) -> SignoffError:
        return Malformed(
            what=f"{self.url} answered {response.status_code}, and not as a Signoff server does.",
            why="Its answer is neither a document nor a problem with what, why and fix.",
            fix="Check the address; a proxy, or another program, may stand there.",
            code="cli.strange_answer",
        )


def _said(error: BaseException) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
