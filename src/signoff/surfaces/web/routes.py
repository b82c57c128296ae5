# SPDX-License-Identifier: Apache-2.0
"""The pages' routes: read-only, for people who signed in with their API key; no script, nothing from elsewhere.

Signing in exchanges the key for a session (see `http/authentication.py`), so that no cookie ever holds a key.
"""

from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from signoff.app.world import World
from signoff.core.errors import Forbidden, Malformed, SignoffError, Unauthenticated
from signoff.core.principal import Caller, require_person
from signoff.surfaces.http.authentication import COOKIE, LIFE_S, Sessions
from signoff.surfaces.http.replies import caller_in
from signoff.surfaces.problems import TooLarge, WrongContentType
from signoff.surfaces.web import pages, render, statics

FORM_MAX: Final = 4096
FOREVER: Final = "public, max-age=31536000, immutable"


def page_routes(world: World, sessions: Sessions) -> list[Route]:
    """Return the routes of the pages and of what they load."""

    async def home(request: Request) -> Response:
        request.scope["template"] = "/"
        cursor = request.query_params.get("cursor")
        return HTMLResponse(render.home(await pages.home(world, _person(request), cursor)))

    async def action(request: Request) -> Response:
        request.scope["template"] = "/actions/{action_id}"
        document, events, link = await pages.action(world, _person(request), request.path_params["action_id"])
        return HTMLResponse(render.action(document, events, link))

    async def receipt(request: Request) -> Response:
        request.scope["template"] = "/receipts/{receipt_id}"
        view = await pages.receipt(world, _person(request), request.path_params["receipt_id"])
        if view is None:
            page = render.problem(
                202, "The receipt is not signed yet.", "Signatures follow their outcomes in batches.", "Load it again."
            )
            return HTMLResponse(page, 202, {"Retry-After": "1"})
        return HTMLResponse(render.receipt(view))

    async def login_form(request: Request) -> Response:
        request.scope["template"] = "/login"
        return HTMLResponse(render.sign_in())

    async def login(request: Request) -> Response:
        request.scope["template"] = "/login"
        _require_own_form(request)
        try:
            session_id = await sessions.open(world, await _key(request))
        except (Unauthenticated, Forbidden) as error:
            return HTMLResponse(render.sign_in(f"{error.what} {error.fix}"), error.status)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, session_id, max_age=LIFE_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return answer

    async def static(request: Request) -> Response:
        request.scope["template"] = "/static/{name}"
        content, media, tag = statics.static_file(request.path_params["name"])
        headers = {"ETag": tag, "Cache-Control": FOREVER}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media, headers=headers)

    return [
        Route("/", home),
        Route("/actions/{action_id}", action),
        Route("/receipts/{receipt_id}", receipt),
        Route("/login", login_form, methods=["GET"]),
        Route("/login", login, methods=["POST"]),
        Route("/static/{name}", static),
    ]


def _person(request: Request) -> Caller:
    caller = caller_in(request)
    require_person(caller)
    return caller


def _require_own_form(request: Request) -> None:
    """Refuse a form that another site sends: it could sign somebody in as someone else.

    Raises:
        Forbidden: the browser says so (Fetch Metadata, `Sec-Fetch-Site`), or the origin is another one.
    """
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    is_own = origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"
    if site not in ("same-origin", "none") or (site == "none" and not is_own):
        raise Forbidden(
            what="This form did not come from this installation.",
            why="The browser says that another site sent it.",
            fix="Open /login here, and sign in there.",
            code="login.other_site",
        )


async def _key(request: Request) -> str:
    """Return the key that was typed.

    Raises:
        SignoffError: the form is no form, or too large.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise WrongContentType("This is no form.", "Signing in takes the page's own form.", "Open /login.")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > FORM_MAX:
            raise TooLarge("The form is too large.", f"It has more than {FORM_MAX} bytes.", "Send the key alone.")
    return _one_key(data)


def _one_key(data: bytes) -> str:
    refused: SignoffError = Malformed(
        what="The form cannot be read.", why="It takes one field `key`.", fix="Use the form at /login.", path="key"
    )
    try:
        fields = parse_qs(data.decode("ascii"), strict_parsing=True, max_num_fields=4)
    except ValueError:
        raise refused from None
    if set(fields) != {"key"} or len(fields["key"]) != 1:
        raise refused
    return fields["key"][0].strip()
