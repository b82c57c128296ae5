# SPDX-License-Identifier: Apache-2.0
"""One value, one spelling: canonical JSON (RFC 8785), the bytes that are hashed and signed.

Values of exact types str, int, bool, None, dict and list (and `StrEnum`) with ASCII keys take a fast road: for these a
sorting JSON writer gives the bytes of RFC 8785, since code-point order and UTF-16 order agree on ASCII (section
3.2.3), integers have one spelling, and both escape alike (section 3.2.2.2). All else, floats first, takes the
reference road.
`tests/ledger/test_canonical.py` states the equality as a property.
"""

import base64
import binascii
import math
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from types import NoneType
from typing import Any, Final, NoReturn

import orjson
import rfc8785

from signoff.ledger.errors import Refused

NUMBER_MAX: Final = 2**53 - 1
"""Numbers lie within plus and minus this (RFC 7493, section 2.2); larger ones travel as strings."""

DEPTH_MAX: Final = 64
"""Nesting allowed here: what a caller may send (32) and room for what wraps it."""

SORTED: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
"""What `orjson.dumps` needs to write canonical bytes of plain values; integers past 53 bits are an error there."""

LEAVES: Final = frozenset({str, int, bool, NoneType})


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value; `1.0` is `1`.

    Raises:
        Refused: a number is not finite or lies beyond `NUMBER_MAX`, a string holds a lone surrogate, a key is no
            string, nesting passes `DEPTH_MAX`, or a type has no JSON form. `path` says where.
    """
    if _is_plain(value, 1):
        try:
            return orjson.dumps(value, option=SORTED)
        except orjson.JSONEncodeError:
            pass  # the reference road says where, or can (keys of a subclass of str)
    _check(value, "", 1)
    return bytes(rfc8785.dumps(value))


def parse(data: bytes, what: str) -> Any:
    """Return the value whose canonical bytes are exactly `data`.

    Writing the value again and comparing refuses duplicate keys, white space, other spellings of a number or an
    escape, and members out of order, all at once.

    Args:
        what: names the bytes in a message, such as `The receipt`.

    Raises:
        Refused: they are not canonical JSON.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refused(
            what=f"{what} is no JSON.",
            why=f"Reading stops at byte {error.pos}.",
            fix="Fetch it again and keep it byte for byte, without an editor.",
        ) from None
    if canonical(value) != data:
        raise Refused(
            what=f"{what} is not in canonical form (RFC 8785).",
            why="Written again it gives other bytes: spacing, order, a repeated key, or a value's spelling.",
            fix="Fetch it again and keep it byte for byte, without an editor.",
        )
    return value


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in lowercase hexadecimal."""
    return sha256(data).hexdigest()


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: Any, what: str, length: int | None = None) -> bytes:
    """Return the bytes of `text` in the one spelling of standard base64 with padding.

    Stray characters and set bits behind the last byte (RFC 4648, section 3.5) are refused: they would let two
    texts stand for the same bytes.

    Raises:
        Refused: it is spelt otherwise, or the bytes are not `length` long.
    """
    if isinstance(text, str) and text.isascii():
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = None
        if data is not None and to_base64(data) == text and length in (None, len(data)):
            return data
    raise Refused(
        what=f"{what} is no standard base64" + (f" of {length} bytes." if length is not None else "."),
        why="One byte string has one spelling here: padded, nothing between, no spare bits set (RFC 4648, section 4).",
        fix="Fetch it again and keep it byte for byte.",
    )


@lru_cache(maxsize=1024)
def is_leaf(kind: type) -> bool:
    """Tell whether the fast road takes values of this type: exact scalars, and a `StrEnum` that is its text."""
    if issubclass(kind, StrEnum):
        return all(type(member.value) is str and str.__eq__(member, member.value) for member in kind)
    return kind in LEAVES


def _is_plain(value: Any, depth: int) -> bool:
    """Tell whether the fast road gives the bytes of RFC 8785; False only means: look closer."""
    kind = type(value)
    if kind is dict:
        try:
            if not "".join(value).isascii():
                return False
        except TypeError:
            return False
        value = value.values()
    elif kind is not list:
        return kind in LEAVES
    if LEAVES.issuperset(map(type, value)):
        return depth <= DEPTH_MAX
    if depth >= DEPTH_MAX:
        return False
    for item in value:  # a loop: `all` over a generator would cost a third more
        kind = type(item)
        if kind in LEAVES or (kind is list and LEAVES.issuperset(map(type, item))):  # a row of texts costs no call
            continue
        if not is_leaf(kind) and not _is_plain(item, depth + 1):  # type: ignore[arg-type]
            return False
    return True


def _check(value: Any, path: str, depth: int) -> None:
    """Refuse, with its path, the first thing that has no canonical form."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            _refuse(
                path, "A string holds half of a surrogate pair, which no UTF-8 can spell.", "Send whole characters."
            )
    elif isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            _refuse(path, "A number is not finite, and JSON has no word for it.", "Send null or a string.")
        if not -NUMBER_MAX <= value <= NUMBER_MAX:
            _refuse(path, "A number lies beyond ±(2^53-1), where readers round it differently.", "Send it as a string.")
    elif isinstance(value, dict | list | tuple):
        if depth > DEPTH_MAX:
            _refuse(path, f"Values are nested deeper than {DEPTH_MAX} levels.", "Flatten the value.")
        if isinstance(value, dict):
            for key, item in value.items():
                if not isinstance(key, str):
                    _refuse(path, "A key is no string.", "JSON objects have string keys only.")
                _check(key, path, depth)
                _check(item, f"{path}.{key[:48]}" if path else key[:48], depth + 1)
        else:
            for position, item in enumerate(value):
                _check(item, f"{path}[{position}]", depth + 1)
    else:
        _refuse(
            path, f"A value of type {type(value).__name__} has no JSON form.", "Convert it to text or a number first."
        )


def _refuse(path: str, why: str, fix: str) -> NoReturn:
    raise Refused(what=f"The value at {path or 'the top'} has no canonical form.", why=why, fix=fix, path=path)
