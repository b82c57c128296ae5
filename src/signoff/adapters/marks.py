# SPDX-License-Identifier: Apache-2.0
"""Mark entries with HMAC-SHA-256 (RFC 2104) under a key that is derived from the log key and lies in no database."""

import hmac
from collections.abc import Sequence
from typing import Final, Literal, Protocol

BYTES: Final = 16  # RFC 2104, section 5: half of the output is enough
_INFO: Final = b"signoff entry mark v1"


class LogKey(Protocol):
    """A log key with its secret."""

    @property
    def secret(self) -> bytes:
        """32 bytes."""


class LogKeys(Protocol):
    """The log keys of an installation."""

    def active(self, purpose: Literal["log"], /) -> LogKey: ...
    def keys(self, purpose: Literal["log"], /) -> Sequence[LogKey]: ...


class HmacMarks:
    """The port Marks. Entries of a retired key count until they are in the tree, which takes a second."""

    def __init__(self, keys: LogKeys) -> None:
        self._keys = keys
        self._derived: dict[bytes, bytes] = {}

    def mark(self, tenant: str, entry: bytes) -> bytes:
        """Return 16 bytes."""
        return self._under(self._keys.active("log"), tenant, entry)

    def is_marked(self, tenant: str, entry: bytes, mark: bytes | None) -> bool:
        """Tell whether any log key of the installation made this mark."""
        if mark is None:
            return False
        return any(hmac.compare_digest(self._under(key, tenant, entry), mark) for key in self._keys.keys("log"))

    def _under(self, key: LogKey, tenant: str, entry: bytes) -> bytes:
        derived = self._derived.get(key.secret)
        if derived is None:
            derived = self._derived[key.secret] = hmac.digest(key.secret, _INFO, "sha256")
        # A tenant's name holds no NUL, so that no two pairs give the same bytes.
        return hmac.digest(derived, tenant.encode() + b"\0" + entry, "sha256")[:BYTES]
