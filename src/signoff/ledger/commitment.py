# SPDX-License-Identifier: Apache-2.0
"""Salted commitments: an entry or receipt binds a payload without telling it.

SHA-256 over a random 32-byte salt and the payload's canonical bytes. Who holds both can open it; once the salt is
destroyed, not even a payload of few possible values can be guessed from what remains.
"""

from hashlib import sha256
from hmac import compare_digest
from typing import Final

from signoff.ledger.errors import Refused

SALT_BYTES: Final = 32


def commit(salt: bytes, plain: bytes) -> str:
    """Return `sha256:<64 hex digits>` of SHA-256(salt + plain).

    Args:
        salt: 32 random bytes, used for this payload alone. The fixed length keeps salt and payload apart.
        plain: the canonical bytes of the payload (`canonical.canonical`).

    Raises:
        Refused: the salt is not 32 bytes long.
    """
    if len(salt) != SALT_BYTES:
        raise Refused(
            what=f"A salt of {len(salt)} bytes was given.",
            why="It has exactly 32 bytes, so that salt and payload cannot be shifted into one another.",
            fix="Use the 32-byte salt that was kept with the payload.",
        )
    return "sha256:" + sha256(salt + plain).hexdigest()


def opens(commitment: str, salt: bytes, plain: bytes) -> bool:
    """Tell whether salt and canonical bytes are what was committed to; takes the same time wherever they differ."""
    if len(salt) != SALT_BYTES:
        return False
    return compare_digest(commitment.encode("utf-8", "surrogatepass"), commit(salt, plain).encode("ascii"))
