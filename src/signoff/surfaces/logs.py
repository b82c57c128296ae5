# SPDX-License-Identifier: Apache-2.0
"""Logs as JSON lines, one object a line, without secrets or payloads.

An exception is told by its type and where it was raised. Its message is left out unless it is one of ours, whose
words never hold payloads (`core/errors.py`): what a library raised may repeat the value it stumbled over.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

from signoff.core.errors import SignoffError
from signoff.core.redaction import mask

_FRAMES_MAX = 30
MESSAGE_MAX = 16384
_QUIET: Final = ("uvicorn", "mcp", "httpx2", "httpcore2", "asyncio", "anyio")


class JsonLines(logging.Formatter):
    """One JSON object a record: `at`, `level`, `logger`, `message`, then the `fields` given as extra."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= {str(name): masked(value) if isinstance(value, str) else value for name, value in fields.items()}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = told(record.exc_info[1])
        return orjson.dumps(line, default=lambda value: type(value).__name__).decode()


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write every log of this process as JSON lines to `stream`, standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def masked(text: str) -> str:
    """Return the text with whatever looks like personal data, a key or a token replaced, wherever it came from."""
    return mask(text[:MESSAGE_MAX])


def told(error: BaseException) -> dict[str, Any]:
    """Return what may be said of an exception: its type, where it was raised, and what caused it."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
    said: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, SignoffError):
        said |= {"code": error.code, "message": masked(str(error))}
    cause = error.__cause__ or error.__context__
    if cause is not None and cause is not error:
        said["cause"] = f"{type(cause).__module__}.{type(cause).__qualname__}"
    return said
