# SPDX-License-Identifier: Apache-2.0
"""One line of the ledger: what changed in one stream, bound to the entry before it.

An entry is canonical JSON (RFC 8785) with these members and no others:

    v       1, the version of this format
    type    what happened, as one word of the product
    tenant  whose log this is
    stream  what it happened to: one action, run, budget, halt, key or person
    seq     1 for the first entry of its stream, then without gaps
    prev    leaf hash (lowercase hex) of the entry before in its stream, empty for the first
    at      microseconds since 1970, UTC
    set     members of the stream's state that take a new value
    rows    optional: rows added beside the stream's own, by table

Entries hold no floats, and no text of people or agents: that is payload, and stands here as a commitment. Bytes of
an entry are never rewritten; a new meaning is a new `v` (`tests/golden/ledger/`).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, NotRequired, TypedDict

import orjson

from signoff.ledger.canonical import LEAVES, SORTED, canonical, is_leaf, parse
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import leaf_hash as leaf_hash  # an entry is a leaf; both doors lead to one function

BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 32


class Entry(TypedDict):
    v: int
    type: str
    tenant: str
    stream: str
    seq: int
    prev: str
    at: int
    set: dict[str, Any]
    rows: NotRequired[dict[str, list[dict[str, Any]]]]


_MEMBERS: Final[dict[str, type]] = {
    "at": int,
    "prev": str,
    "seq": int,
    "set": dict,
    "stream": str,
    "tenant": str,
    "type": str,
    "v": int,
}
NAMES: Final = tuple(_MEMBERS)
"""The members that every entry has, in canonical order; `KINDS` are their types."""
KINDS: Final = tuple(_MEMBERS.values())
_MEMBERS_WITH_ROWS: Final = {**_MEMBERS, "rows": dict}
_is_leaf_hash: Final = re.compile("[0-9a-f]{64}").fullmatch


def encode(entry: Mapping[str, Any]) -> bytes:
    """Return the bytes of an entry, which `decode` gives back as the same entry.

    Raises:
        Refused: a member is missing, unknown or of another type, a float occurs, or a bound is passed.
    """
    check(entry)
    data = b"\x80"
    if type(entry) is dict and len(entry) == len(NAMES) and is_flat(entry["set"]):
        # Checked above, and flat: of what RFC 8785 writes differently only keys beyond ASCII are left.
        with suppress(orjson.JSONEncodeError):  # `canonical` says why
            data = orjson.dumps(entry, option=SORTED)
    if not data.isascii():
        data = canonical(entry if type(entry) is dict else dict(entry))
    if len(data) > BYTES_MAX:
        _too_large(len(data))
    return data


def decode(data: bytes) -> Entry:
    """Return the entry whose bytes are exactly `data`.

    Raises:
        Refused: the bytes are not canonical, or not an entry; see `encode`.
    """
    if len(data) > BYTES_MAX:
        _too_large(len(data))
    entry: Entry = parse(data, "The entry")
    check(entry)
    return entry


def is_flat(members: dict[str, Any]) -> bool:
    """Tell at low cost that nothing here is nested or a float; False only means: look closer."""
    return LEAVES.issuperset(map(type, members.values())) or all(map(is_leaf, map(type, members.values())))


def check(entry: Any) -> None:
    """Refuse what is no entry, whatever its spelling; see `encode`."""
    if type(entry) is not dict and not isinstance(entry, Mapping):
        _refuse("It is no object.")
    if len(entry) != len(NAMES) or tuple(map(type, map(entry.get, NAMES))) != KINDS:
        expected = _MEMBERS_WITH_ROWS if "rows" in entry else _MEMBERS
        if entry.keys() != expected.keys():
            odd = sorted(str(name)[:48] for name in entry.keys() ^ expected.keys())
            _refuse(f"Members unknown or missing: {', '.join(odd)}.")
        for name, kind in expected.items():
            if type(entry[name]) is not kind:  # exactly: True is no sequence number
                _refuse(f"`{name}` is not of type {kind.__name__}.")
    if entry["v"] != 1:
        _refuse("`v` is not 1, the only version of this format.")
    if not (entry["type"] and entry["tenant"] and entry["stream"]):
        _refuse("`type`, `tenant` or `stream` is empty.")
    if entry["seq"] < 1 or entry["at"] < 0:
        _refuse("`seq` is below 1 or `at` below 0.")
    if not (_is_leaf_hash(entry["prev"]) if entry["seq"] > 1 else entry["prev"] == ""):
        _refuse("`prev` is empty for `seq` 1, and after it the 64 hex digits of a leaf hash.")
    if not is_flat(entry["set"]):
        _check_nested(entry["set"], 2)
    if "rows" in entry:
        for rows in entry["rows"].values():
            if type(rows) is not list or not all(type(row) is dict for row in rows):
                _refuse("`rows` holds something other than lists of objects by table.")
        _check_nested(entry["rows"], 2)


def _check_nested(value: Any, depth: int) -> None:
    """Refuse floats, and more than `DEPTH_MAX` levels counted from the entry itself."""
    if isinstance(value, float):
        _refuse("It holds a float; entries hold integers, and other numbers as text.")
    if isinstance(value, dict | list | tuple):
        if depth > DEPTH_MAX:
            _refuse(f"It is nested deeper than {DEPTH_MAX} levels.")
        for item in value.values() if isinstance(value, dict) else value:
            _check_nested(item, depth + 1)


def _too_large(size: int) -> NoReturn:
    raise Refused(
        what=f"These {size} bytes are no ledger entry.",
        why=f"An entry has at most {BYTES_MAX} bytes.",
        fix="Keep large values as payloads beside the log, and their commitments in the entry.",
    )


def _refuse(why: str) -> NoReturn:
    raise Refused(
        what="This is no ledger entry.",
        why=why,
        fix="Write entries with `v`, `type`, `tenant`, `stream`, `seq`, `prev`, `at`, `set` and, if any, `rows`.",
    )
