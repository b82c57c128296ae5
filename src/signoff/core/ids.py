# SPDX-License-Identifier: Apache-2.0
"""Opaque identifiers: a type prefix and a UUIDv7 (RFC 9562, section 5.7), minted outside transactions.

Time and chance are arguments, so that a test can say which id comes next. Ids of one process sort by the
millisecond in which they were minted, which keeps inserts at the right edge of an index.
"""

import re

from signoff.core.errors import Malformed

PREFIXES = (
    "act", "run", "apr", "rcp", "hlt", "dlg", "prs", "agt", "key", "pay", "env", "con", "epo", "nod", "clr", "rol",
    "sub",
)  # fmt: skip
_SHAPE = re.compile(rf"(?:{'|'.join(PREFIXES)})_[0-9a-f]{{32}}")
_MASK_A, _MASK_B = (1 << 12) - 1, (1 << 62) - 1


def mint(prefix: str, at_us: int, chance: bytes) -> str:
    """Return `<prefix>_<32 hex digits>`: a UUIDv7 of `at_us` (microseconds since 1970) and 10 bytes of chance."""
    bits = int.from_bytes(chance, "big")
    value = (
        ((at_us // 1000) & ((1 << 48) - 1)) << 80
        | 0x7 << 76
        | (bits >> 62 & _MASK_A) << 64
        | 0b10 << 62
        | bits & _MASK_B
    )
    return f"{prefix}_{value:032x}"


def checked(text: str, prefix: str) -> str:
    """Return `text` if it has the shape of an id with `prefix`.

    Raises:
        Malformed: it has not; the message repeats at most 48 characters of it.
    """
    if text.startswith(prefix + "_") and _SHAPE.fullmatch(text):
        return text
    raise Malformed(
        what=f"{text[:48]!r} is no id of this kind.",
        why=f"Ids of this kind are `{prefix}_` and 32 hexadecimal digits.",
        fix="Copy the id as it was answered; ids are opaque and never put together by hand.",
        path="id",
    )
