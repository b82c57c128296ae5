# SPDX-License-Identifier: Apache-2.0
"""Seal payloads with AES-256-GCM under data keys that a master key wraps.

What is stored is `nonce (12 bytes) + ciphertext + tag (16 bytes)`. The nonce is random. With random nonces of 96
bits one key is good for 2^32 messages (NIST SP 800-38D, section 8.3): the chance that any two share a nonce is then
below 2^-32. A data key serves one run or one data subject, and the master key seals one data key for each, so both
stay many orders of magnitude below; and no counter has to survive a crash or a restored backup, which is where
counted nonces repeat.

A wrapped key is bound to its own id and its master's, a sealed payload to its place in the database: moved
elsewhere, neither opens. Python cannot wipe memory; a key that was forgotten is unreachable, and gone with the process.
"""

import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from signoff.core.errors import Corrupt
from signoff.ports.vault import WrappedKey

_NONCE, _TAG, _KEY = 12, 16, 32
_TAG_INFO: Final = b"signoff/vault/tag/v1"
_WRAP_INFO: Final = b"signoff/vault/wrap/v1"


class MasterKey(Protocol):
    """An AES-256 key with its id."""

    @property
    def key_id(self) -> str:
        """Return the id that wrapped keys name."""

    @property
    def secret(self) -> bytes:
        """Return the 32 bytes."""


class MasterKeys(Protocol):
    """Where master keys are kept; asked whenever one is needed, so that a rotation holds at once."""

    def active(self, purpose: Literal["payload"], /) -> MasterKey:
        """Return the key that wraps from now on."""

    def keys(self, purpose: Literal["payload"], /) -> Sequence[MasterKey]:
        """Return all keys, retired ones included: they still unwrap."""


class AesGcmDataKey:
    """The port DataKey: one unwrapped key. Safe to use from several threads.

    Thousands of them are remembered. A cipher takes 2.4 kB and is made in less than a microsecond, so none is kept.
    """

    __slots__ = ("_secret", "_tag_key", "key_id")

    def __init__(self, key_id: str, secret: bytes) -> None:
        self.key_id, self._secret = key_id, secret
        self._tag_key: bytes | None = None

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt and authenticate `plain`; it opens only with the same `bound_to` (its place in the database)."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._secret).encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Return the plain bytes.

        Raises:
            Corrupt: the bytes were altered, or belong to another place or key.
        """
        try:
            return AESGCM(self._secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            raise Corrupt(
                what=f"A payload under key {self.key_id} cannot be opened.",
                why="Its bytes were altered, or it was sealed for another place in the database or with another key.",
                fix="Run `signoff ledger verify`, and restore the payload from a backup if it is named there.",
            ) from None

    def tag(self, plain: bytes) -> str:
        """Return 32 hexadecimal digits by which equal contents under this key are found without telling them.

        HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5), with a subkey of its own (HKDF, RFC 5869, section 2.3:
        a data key is uniformly random, so it needs no extraction).
        """
        key = self._tag_key
        if key is None:  # two threads may both come here; they derive the same
            key = self._tag_key = HKDFExpand(SHA256(), _KEY, _TAG_INFO).derive(self._secret)
        return hmac.digest(key, plain, "sha256").hex()[:32]


class AesGcmVault:
    """The port Vault: mints and unwraps data keys, and remembers recent ones. Safe to use from several threads.

    Args:
        remembered_max: how many unwrapped keys are kept in memory, the least recently used leaving first.
    """

    def __init__(self, masters: MasterKeys, *, remembered_max: int = 4096) -> None:
        self._masters = masters
        self._remembered_max = remembered_max
        self._ciphers: dict[str, AESGCM] = {}
        self._recent: OrderedDict[str, tuple[WrappedKey, AesGcmDataKey]] = OrderedDict()
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def mint(self, key_id: str) -> WrappedKey:
        """Return a new random data key, wrapped by the active master key."""
        master = self._masters.active("payload")
        secret, nonce = os.urandom(_KEY), os.urandom(_NONCE)
        sealed = nonce + self._cipher(master).encrypt(nonce, secret, _bound(master.key_id, key_id))
        wrapped = WrappedKey(key_id, master.key_id, sealed)
        self._remember(wrapped, AesGcmDataKey(key_id, secret))  # its first payload comes next
        return wrapped

    def unwrap(self, wrapped: WrappedKey) -> AesGcmDataKey:
        """Return the usable key; recent ones are remembered, for these very bytes only.

        Raises:
            Corrupt: it was altered, or wrapped by a master key that is not here.
        """
        with self._lock:
            found = self._recent.get(wrapped.key_id)
            if found is not None and found[0] == wrapped:
                self._recent.move_to_end(wrapped.key_id)
                return found[1]
        master = next((key for key in self._masters.keys("payload") if key.key_id == wrapped.master_id), None)
        if master is None:
            raise Corrupt(
                what=f"Payload key {wrapped.key_id} cannot be unwrapped.",
                why=f"It was wrapped by master key {wrapped.master_id}, which is not in the key directory.",
                fix="Restore the key directory that belongs to this database; `signoff doctor` names both.",
            )
        try:
            secret = self._cipher(master).decrypt(
                wrapped.sealed[:_NONCE], wrapped.sealed[_NONCE:], _bound(master.key_id, wrapped.key_id)
            )
        except (InvalidTag, ValueError):
            secret = b""
        if len(secret) != _KEY:
            raise Corrupt(
                what=f"Payload key {wrapped.key_id} cannot be unwrapped.",
                why="Its stored bytes were altered, or belong to another key.",
                fix="Run `signoff ledger verify`, and restore the row from a backup made before the change.",
            )
        key = AesGcmDataKey(wrapped.key_id, secret)
        self._remember(wrapped, key)
        return key

    def forget(self, key_id: str) -> None:
        """Drop an unwrapped key; call it once the erasure of its row is committed.

        A reader that took the row just before may still unwrap it, but it is not remembered again.
        """
        with self._lock:
            self._recent.pop(key_id, None)
            self._forgotten[key_id] = None
            if len(self._forgotten) > self._remembered_max:
                self._forgotten.popitem(last=False)

    def _remember(self, wrapped: WrappedKey, key: AesGcmDataKey) -> None:
        with self._lock:
            if wrapped.key_id in self._forgotten:
                return
            self._recent[wrapped.key_id] = wrapped, key
            self._recent.move_to_end(wrapped.key_id)
            if len(self._recent) > self._remembered_max:
                self._recent.popitem(last=False)

    def _cipher(self, master: MasterKey) -> AESGCM:
        cipher = self._ciphers.get(master.key_id)
        if cipher is None:
            cipher = self._ciphers[master.key_id] = AESGCM(master.secret)
        return cipher


def _bound(master_id: str, key_id: str) -> bytes:
    # Ids hold no NUL, so no two pairs give the same bytes.
    return b"\0".join((_WRAP_INFO, master_id.encode(), key_id.encode()))
