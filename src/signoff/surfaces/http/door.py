# SPDX-License-Identifier: Apache-2.0
"""The door of the HTTP surface: pure ASGI around every call.

It gives each request an id, asks who calls, turns every error into a problem document or page, sets the security
headers, counts and logs. A path is open only if it is named in `OPEN`; everything else needs a caller, also what does
not exist, so that nobody learns the paths by trying.
"""

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from signoff.app.world import World
from signoff.core.errors import Misuse, SignoffError, Unavailable
from signoff.surfaces import problems
from signoff.surfaces.http.authentication import Sessions, caller_of
from signoff.surfaces.http.hot import METHODS, place_of
from signoff.surfaces.http.metrics import Metrics
from signoff.surfaces.web import render

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("signoff.http")
OPEN: Final = frozenset({"/healthz", "/readyz", "/login"})
STATIC: Final = "/static/"
API_CSP: Final = b"default-src 'none'; frame-ancestors 'none'"
PAGE_CSP: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


class Door:
    """ASGI around the rooms: `inside` answers whoever was let in."""

    def __init__(self, world: World, inside: App, sessions: Sessions, metrics: Metrics) -> None:
        self._world, self._inside, self._sessions, self._metrics = world, inside, sessions, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = scope["request_id"] = self._world.chance.bytes(12).hex()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(scope, list(message.get("headers", ())), request_id)
            await send(message)

        try:
            path: str = scope["path"]
            if path not in OPEN and not path.startswith(STATIC):
                place = scope["hot"] = place_of(path)
                # The hot calls ask in their own transaction whether a token still holds.
                asks_itself = place is not None and scope["method"] in METHODS[place[0]]
                scope["caller"] = await caller_of(self._world, self._sessions, scope, asks_itself=asks_itself)
            await self._inside(scope, receive, answer)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a problem and the log its cause
            problem = _problem(error, request_id)
            _tell(error, problem, request_id)
            if status == 0:
                await _send(scope, answer, problem)
        finally:
            seconds = time.perf_counter() - began
            route = _route(scope)
            self._metrics.request(scope["method"], route, status, seconds)
            if log.isEnabledFor(logging.INFO):
                caller = scope.get("caller")
                fields = {
                    "request_id": request_id,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "caller": caller.id if caller else None,
                }
                log.info("request", extra={"fields": fields})


def is_page(scope: Scope) -> bool:
    """Tell whether a path is for people's eyes, and so are its errors."""
    path: str = scope["path"]
    return path in ("/", "/login") or path.startswith(("/actions/", "/receipts/"))


def _problem(error: Exception, request_id: str) -> problems.Problem:
    if isinstance(error, RequestValidationError):
        return problems.problem_of(problems.malformed_by(error.errors()), request_id)
    if isinstance(error, HTTPException):
        return problems.problem_of(_of_router(error), request_id)
    return problems.problem_of(error, request_id)


def _of_router(error: HTTPException) -> SignoffError:
    if error.status_code == 404:
        return problems.no_such_path()
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow", "")
        return problems.NoSuchMethod(
            what="This path has no such method.",
            why=f"It knows {allow or 'other ones'}.",
            fix="Look the call up in /openapi.json.",
            allow=allow,
        )
    return Misuse("The request cannot be read.", "It breaks HTTP.", "Send it as /openapi.json describes it.")


def _tell(error: Exception, problem: problems.Problem, request_id: str) -> None:
    fields = {"request_id": request_id, "code": problem.members["code"]}
    if isinstance(error, Unavailable):
        log.warning("unavailable", extra={"fields": fields | {"why": error.why}})
    elif problem.status >= 500:
        log.error("incident", extra={"fields": fields | {"incident": request_id}}, exc_info=error)


async def _send(scope: Scope, send: Send, problem: problems.Problem) -> None:
    if is_page(scope):
        words = problem.members
        if problem.status == 401:
            # Whoever followed a link here may sign in where they stand; nothing is told but that.
            page = render.sign_in(words["what"] if words["code"] != "unauthenticated" else None)
        else:
            page = render.problem(problem.status, words["what"], words["why"], words["fix"])
        content, media = page.encode(), b"text/html; charset=utf-8"
    else:
        content, media = orjson.dumps(problem.members), problems.MEDIA_TYPE.encode()
    headers = [(b"content-type", media), (b"content-length", str(len(content)).encode())]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": content if scope["method"] != "HEAD" else b""})


def _headers(scope: Scope, given: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    is_kept = any(name == b"cache-control" for name, _ in given)
    csp = PAGE_CSP if is_page(scope) else API_CSP
    given += (*HEADERS, (b"x-request-id", request_id.encode()), (b"content-security-policy", csp))
    if not is_kept:
        given.append((b"cache-control", b"no-store"))
    if scope.get("scheme") == "https":
        given.append(HSTS)
    return given


def _route(scope: Scope) -> str:
    """Return the template of the route that answered; a path may hold anything, and is neither counted nor logged."""
    template = scope.get("template") or getattr(scope.get("route"), "path", None)
    if isinstance(template, str):
        return template
    return "/static" if scope["path"].startswith(STATIC) else "none"


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "websocket.close", "code": 1008})
