# SPDX-License-Identifier: Apache-2.0
"""What the routes share: who calls, JSON out, and the cursors of lists."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Send

from signoff.app.action.lists import Page
from signoff.core.errors import Malformed, SignoffError
from signoff.core.ids import checked
from signoff.core.principal import Caller

LIMIT: Final = 50
LIMIT_MAX: Final = 200


class Asked(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(LIMIT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")


Paged = Annotated[Asked, Query()]


def caller_in(request: Request) -> Caller:
    """Return who was let in; the door has asked."""
    caller: Caller = request.scope["caller"]
    return caller


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def send_json(send: Send, value: Any, status: int = 200) -> None:
    """Send what `json_reply` would, without a response around it."""
    body = orjson.dumps(value)
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def page_reply(page: Page) -> Response:
    return json_reply({"items": page.items, "next_cursor": cursor_of(page.after)})


def cursor_of(key: str | None) -> str | None:
    """Return the opaque cursor of a key."""
    return None if key is None else base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()


def key_of(cursor: str | None, prefix: str) -> str | None:
    """Return the id in a cursor.

    Raises:
        Malformed: it was not answered by this list.
    """
    if cursor is None:
        return None
    try:
        return checked(_opened(cursor), prefix)
    except SignoffError:
        raise bad_cursor() from None


def text_of(cursor: str | None) -> str | None:
    """Return the text in a cursor; its list knows what it means.

    Raises:
        Malformed: it was not answered by any list.
    """
    return None if cursor is None else _opened(cursor)


def index_of(cursor: str) -> int:
    """Return the index in a cursor of ledger entries.

    Raises:
        Malformed: it was not answered by this list.
    """
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 15):
        raise bad_cursor()
    return int(cursor)


def bad_cursor() -> Malformed:
    return Malformed(
        what="This cursor leads nowhere.",
        why="It is not one that this list has answered.",
        fix="Begin without a cursor, and pass on `next_cursor` as it is.",
        code="cursor.unknown",
        path="query.cursor",
    )


def _opened(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeError, ValueError):
        raise bad_cursor() from None
