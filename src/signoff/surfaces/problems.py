# SPDX-License-Identifier: Apache-2.0
"""Errors as users meet them: problem documents of HTTP (RFC 9457) and lines of text, made in this one place.

Every surface shows what, why and fix; the cause goes to the log. What nobody foresaw is told by an incident id that
stands in the log too, never by a traceback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from signoff.core.errors import Malformed, Misuse, NotFound, SignoffError, Unauthenticated, Unavailable
from signoff.ledger.errors import Refused

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "https://signoff.dev/errors#"  # and the code: the heading in docs/errors.md
RETRY_AFTER_S: Final = 2
PROBLEMS_MAX: Final = 20
_TITLES: Final = {
    400: "Misuse",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "No such method here",
    409: "Conflict",
    413: "Too large",
    415: "Wrong content type",
    422: "Malformed",
    500: "Something went wrong",
    503: "Unavailable",
}
_OWN: Final = frozenset({"type", "title", "status", "detail", "code", "what", "why", "fix", "request_id", "incident"})


class TooLarge(Misuse):
    """The body is larger than the door lets in."""

    code, status = "too_large", 413


class WrongContentType(Misuse):
    """The body is not of a type this call reads."""

    code, status = "content_type", 415


class NoSuchMethod(Misuse):
    """The path is known, the method is not; `allow` in `detail` names those that are."""

    code, status = "method_not_allowed", 405


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document, with the status and headers that go with it."""

    status: int
    members: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the three sentences for a terminal."""
        return f"{self.members['what']}\n{self.members['why']}\n{self.members['fix']}"


def problem_of(error: BaseException, request_id: str = "") -> Problem:
    """Return the problem document of an error; what is none of ours becomes a 500 that names `request_id` only."""
    if isinstance(error, Refused):
        error = Malformed(error.what, error.why, error.fix, code=error.code, path=error.path or "$")
    if not isinstance(error, SignoffError):
        return _unforeseen(request_id)
    status = error.status
    members: dict[str, Any] = {
        "type": TYPES + error.code,
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": f"{error.what} {error.why} {error.fix}",
        "code": error.code,
        "what": error.what,
        "why": error.why,
        "fix": error.fix,
    }
    members |= {name: _plain(value) for name, value in error.detail.items() if name not in _OWN}
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="signoff"'
    if isinstance(error, Unavailable):
        members.setdefault("retry_after_s", RETRY_AFTER_S)
        headers["Retry-After"] = str(members["retry_after_s"])
    if isinstance(error, NoSuchMethod):
        headers["Allow"] = str(error.detail.get("allow", ""))
    if request_id:
        members["request_id"] = request_id
    if status >= 500 and not isinstance(error, Unavailable):
        members["incident"] = request_id
    return Problem(status, members, headers)


def malformed_by(errors: Sequence[Mapping[str, Any]]) -> Malformed:
    """Return what a body or query that fits no schema is told: every path that is wrong, and no value of it.

    Args:
        errors: as pydantic tells them. A body's paths begin at `$`, a parameter's with where it stands.
    """
    problems = [_wrong(one) for one in errors[:PROBLEMS_MAX]]
    first = problems[0]
    return Malformed(
        what="The request is not what this call takes.",
        why=f"{first['path']}: {first['why']}.",
        fix="Send the members that /openapi.json names for this call, and no others.",
        path=first["path"],
        problems=problems,
    )


def no_such_path() -> NotFound:
    """Return the error for a path that leads nowhere."""
    return NotFound(
        what="There is nothing here.",
        why="No call of this installation has this path.",
        fix="Look the call up in /openapi.json.",
        code="path.unknown",
    )


def _wrong(one: Mapping[str, Any]) -> dict[str, str]:
    steps = list(one["loc"])
    path = str(steps.pop(0)) if steps and steps[0] in ("query", "path", "header") else "$"
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{str(step)[:64]}"
    match one["type"]:
        case "extra_forbidden":
            return {"path": path, "why": "no such member is known"}
        case "missing":
            return {"path": path, "why": "it is missing"}
        case _:
            return {"path": path, "why": str(one["msg"])[:200].rstrip(".")}


def _plain(value: object) -> object:
    if isinstance(value, str | int | bool | float) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return str(value)


def _unforeseen(request_id: str) -> Problem:
    what = "Something went wrong here that nobody foresaw."
    why = f"It is recorded in this installation's log under the incident {request_id or 'of this moment'}."
    fix = "Send the same request again with the same idempotency key; tell the operator the incident if it stays."
    members = {
        "type": TYPES + "internal",
        "title": _TITLES[500],
        "status": 500,
        "detail": f"{what} {why} {fix}",
        "code": "internal",
        "what": what,
        "why": why,
        "fix": fix,
        "incident": request_id,
        "request_id": request_id,
    }
    return Problem(500, members)
