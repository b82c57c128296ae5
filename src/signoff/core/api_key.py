# SPDX-License-Identifier: Apache-2.0
"""The text of an API key: `sgk_<32 hex digits>_<64 hex digits>`, the id of its row and 256 bits of chance.

The database holds a digest of the text only. The id stands in the text, so that the row is found by it and the secret
is compared in constant time.
"""

import re
from hashlib import sha256

from signoff.core.errors import Unauthenticated

_TEXT = re.compile(r"sgk_([0-9a-f]{32})_[0-9a-f]{64}")


def write_key(key_id: str, chance: bytes) -> tuple[str, str]:
    """Return the text of a key, to be shown once, and the digest to be kept; `chance` is 32 unpredictable bytes."""
    text = f"sgk_{key_id.removeprefix('key_')}_{chance.hex()}"
    return text, _digest(text)


def read_key(text: str) -> tuple[str, str]:
    """Return the key id and digest of a key's text.

    Raises:
        Unauthenticated: it has not the shape of one; the message repeats nothing of it.
    """
    if match := _TEXT.fullmatch(text):
        return f"key_{match[1]}", _digest(text)
    raise Unauthenticated(
        what="This is no API key.",
        why="A key begins with sgk_ and has 32 and 64 hexadecimal digits.",
        fix="Copy the whole key as it was shown when it was issued.",
        code="unauthenticated.key",
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
