# SPDX-License-Identifier: Apache-2.0
"""Errors for misuse and accidents: what happened, why, and how to mend it.

A refusal is no error: policy and people say "no" with a value that carries reasons. Every class has a `code`,
documented under that heading in `docs/errors.md`, and a hint of an HTTP status that knows no HTTP server.

    SignoffError
    ├── Misuse               the caller can mend it (4xx)
    │   ├── Malformed        the bytes or values break a bound or a schema
    │   ├── Unauthenticated  no, or no valid, proof of who acts
    │   ├── Forbidden        known, but without the permission
    │   ├── NotFound         no such thing in this tenant
    │   └── Conflict         clashes with what is recorded
    └── Accident             ours or the world's (5xx)
        ├── Unavailable      try again later; nothing was lost
        └── Corrupt          stored bytes are not what was written
"""

from collections.abc import Mapping
from typing import ClassVar


class SignoffError(Exception):
    """Base of all errors a user may see; `what`, `why` and `fix` never hold secrets or payloads."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, what: str, why: str, fix: str, *, code: str | None = None, **detail: object) -> None:
        super().__init__(f"{what} {why} {fix}")
        self.what, self.why, self.fix = what, why, fix
        self.detail: Mapping[str, object] = detail
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance may name a finer code than its class


class Misuse(SignoffError):
    """The caller can mend this."""

    code, status = "misuse", 400


class Malformed(Misuse):
    """Bytes or values break a bound or a schema; `path` in `detail` says where."""

    code, status = "malformed", 422


class Unauthenticated(Misuse):
    """There is no valid proof of who acts."""

    code, status = "unauthenticated", 401


class Forbidden(Misuse):
    """Who acts is known, and may not."""

    code, status = "forbidden", 403


class NotFound(Misuse):
    """No such thing in this tenant; another tenant's ids are answered the same."""

    code, status = "not_found", 404


class Conflict(Misuse):
    """The request clashes with what is recorded; the message names the field."""

    code, status = "conflict", 409


class Accident(SignoffError):
    """Ours or the world's fault."""

    code, status = "accident", 500


class Unavailable(Accident):
    """Try again later; nothing was lost. `retry_after_s` in `detail` says when."""

    code, status = "unavailable", 503


class Corrupt(Accident):
    """Stored bytes are not what was written: stop, and run `signoff ledger verify`."""

    code, status = "corrupt", 500
