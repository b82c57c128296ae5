# SPDX-License-Identifier: Apache-2.0
"""A proposal: one tool call an agent asks for, bounded at the door.

Numbers are integers within ±(2^53-1) or finite decimals; text has no lone surrogates; a value has at most 256 KiB and
32 levels (contract, section 7). What an agent says of its own call (rationale, confidence, citations) is a claim.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.errors import Malformed
from signoff.core.money import INT_MAX

BYTES_MAX = 256 * 1024
DEPTH_MAX = 32


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is asked, as it came through the door."""

    run_id: str
    tool: str
    args: Mapping[str, Any]
    claims: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    idempotency_key: str | None = None


def read_json(data: bytes) -> Any:
    """Return the value of a bounded JSON text, refusing what two readers could read differently.

    Raises:
        Malformed: too large or deep, not UTF-8, not JSON, a duplicate key, a number out of range, NaN or infinity,
            a lone surrogate. `path` says where, as far as it is known.
    """
    if len(data) > BYTES_MAX:
        raise _refused("the body is larger than 256 KiB", "Send less at once.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"the body is not UTF-8 (byte {error.start})", "Encode it as UTF-8.") from None
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise _refused(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", "Send one JSON value."
        ) from None
    except RecursionError:
        raise _refused("the body is nested too deeply", f"Use at most {DEPTH_MAX} levels.") from None
    check_value(value)
    return value


def check_value(value: Any, path: str = "$", depth: int = 0) -> None:
    """Refuse a value that breaks a bound.

    Raises:
        Malformed: `path` in its detail says where.
    """
    if depth > DEPTH_MAX:
        raise _refused(f"{path[:80]} is nested deeper than {DEPTH_MAX} levels", "Flatten the value.", path)
    kind = type(value)
    if kind is str:
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise _refused(f"{path} holds a lone surrogate", "Send well-formed Unicode.", path)
    elif kind is dict:
        for key, item in value.items():
            check_value(key, path, depth)
            check_value(item, f"{path}.{key[:40]}", depth + 1)
    elif kind is list:
        for index, item in enumerate(value):
            check_value(item, f"{path}[{index}]", depth + 1)
    elif kind is int:
        if not -INT_MAX <= value <= INT_MAX:
            raise _refused(f"{path} is an integer outside ±(2^53-1)", "Send large integers as strings.", path)
    elif kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            raise _refused(f"{path} is not a finite number", "Send a finite number.", path)
    elif value is not None and kind is not bool:
        raise _refused(f"{path} is no JSON value", "Send JSON.", path)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _refused(f"the key {twice[:40]!r} stands twice in one object", "Send each key once.")
    return found


def _integer(text: str) -> int:
    if len(text) > 17:
        raise _refused("an integer is outside ±(2^53-1)", "Send large integers as strings.")
    return int(text)


def _constant(text: str) -> float:
    raise _refused(f"{text} is no JSON number", "Send a finite number, or null.")


def _refused(why: str, fix: str, path: str = "$") -> Malformed:
    return Malformed(
        what="The request was refused at the door.", why=f"Its content breaks a bound: {why}.", fix=fix, path=path
    )
