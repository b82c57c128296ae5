# SPDX-License-Identifier: Apache-2.0
"""Errors of calls to Signoff: what happened, why, and how to mend it, as the server said it (RFC 9457).

A refusal is no error: a proposal that was denied, rejected or stopped is an `Action` with a `refusal`.
"""

import json
from collections.abc import Mapping
from typing import Any


class SignoffError(Exception):
    """A call that Signoff did not take; `code` names the reason for programs, `status` is HTTP's.

    Attributes:
        detail: further members of the problem, such as `path` or `field`.
        is_repeat: an earlier attempt of this same call got no answer, and may be what this one clashed with.

    Example:
        >>> try:
        ...     client.begin("no_such_workflow", "...")
        ... except SignoffError as error:
        ...     print(error.code, "-", error.fix)
    """

    def __init__(
        self,
        what: str,
        why: str,
        fix: str,
        code: str,
        status: int = 0,
        detail: Mapping[str, Any] | None = None,
        *,
        is_repeat: bool = False,
    ) -> None:
        super().__init__(" ".join(part for part in (what, why, fix) if part))
        self.what, self.why, self.fix, self.code, self.status = what, why, fix, code, status
        self.detail: Mapping[str, Any] = detail or {}
        self.is_repeat = is_repeat


class Unreachable(SignoffError):
    """No usable answer came for as long as the client is patient; the call may have been taken all the same.

    Making the same call with the same idempotency key later collects the answer, and does nothing twice.
    """


_SAID = frozenset({"type", "title", "status", "detail", "what", "why", "fix", "code"})


def from_problem(status: int, body: bytes, *, is_repeat: bool = False) -> SignoffError:
    """Return the error for an answer outside 2xx: the problem in its body, or the bare status where there is none."""
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):  # also bytes that are no UTF-8
        problem = None
    if not isinstance(problem, dict):
        return SignoffError(
            what=f"The server answered {status}.",
            why="Its answer is no problem document, so it may not come from Signoff at all.",
            fix="Check the URL, and any proxy between.",
            code=f"http.{status}",
            status=status,
            is_repeat=is_repeat,
        )

    def text(*names: str) -> str:
        return next((value for name in names if isinstance(value := problem.get(name), str) and value), "")

    return SignoffError(
        what=text("what", "title") or f"The server answered {status}.",
        why=text("why", "detail"),
        fix=text("fix"),
        code=text("code") or text("type").rpartition("#")[2].rpartition("/")[2] or f"http.{status}",
        status=status,
        detail={name: value for name, value in problem.items() if name not in _SAID},
        is_repeat=is_repeat,
    )
