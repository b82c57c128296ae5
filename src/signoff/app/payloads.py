# SPDX-License-Identifier: Apache-2.0
"""Payloads: whatever an agent, a person or a target said, sealed beside the log with a salted commitment in it."""

import json
from collections import OrderedDict
from typing import Any

from signoff.core import ids
from signoff.core.errors import NotFound
from signoff.ledger.canonical import canonical
from signoff.ledger.commitment import commit
from signoff.ports.clock import Chance, Clock
from signoff.ports.storage import SealedPayload, Transaction
from signoff.ports.vault import DataKey, Vault, WrappedKey

SALT = 32
REMEMBERED = 4096  # as many as runs (`world.py`): who is forgotten costs one row and its unwrapping, some 50 us


class Seal:
    """Seals and opens the payloads of one run, person or halt."""

    __slots__ = ("_chance", "_key", "key_id", "tenant")

    def __init__(self, tenant: str, key_id: str, key: DataKey, chance: Chance) -> None:
        self.tenant, self.key_id = tenant, key_id
        self._key, self._chance = key, chance

    def seal(self, owner: str, name: str, value: Any) -> SealedPayload:
        """Return `value` sealed for its place, with the commitment that goes into the log."""
        salt, plain = self._chance.bytes(SALT), canonical(value)
        sealed = self._key.seal(salt + plain, _place(self.tenant, owner, name))
        return SealedPayload(owner, name, self.key_id, sealed, commit(salt, plain))

    def tag(self, value: Any) -> str:
        """Return a keyed digest by which equal values are found."""
        return self._key.tag(canonical(value))


class Keyring:
    """The payload keys this node has unwrapped; the database holds them wrapped."""

    def __init__(self, vault: Vault, chance: Chance, clock: Clock) -> None:
        self._vault, self._chance, self._clock = vault, chance, clock
        self._seals: OrderedDict[tuple[str, str], Seal] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered now."""
        return len(self._seals)

    def fresh(self) -> "Keyring":
        """Return a keyring that remembers nothing: it opens by the keys as they are stored now."""
        return Keyring(self._vault, self._chance, self._clock)

    def mint(self, tenant: str) -> tuple[WrappedKey, Seal]:
        """Return a new key, to be stored in the transaction that first uses it, and its seal."""
        wrapped = self._vault.mint(ids.mint("key", self._clock.now(), self._chance.bytes(10)))
        return wrapped, self._remember(tenant, wrapped)

    def mint_named(self, key_id: str) -> WrappedKey:
        """Return a new key under a name of its own, wrapped."""
        return self._vault.mint(key_id)

    def seal(self, tx: Transaction, key_id: str) -> Seal:
        """Return the seal of a stored key.

        Raises:
            NotFound: the key was destroyed: what it sealed is erased.
            Corrupt: it was altered.
        """
        if known := self._seals.get((tx.tenant, key_id)):
            return known
        wrapped = tx.payloads.key(key_id)
        if wrapped is None:
            raise gone("This content")
        return self._remember(tx.tenant, wrapped)

    def forget(self, tenant: str, key_id: str) -> None:
        """Drop a key that was destroyed; call it once that is committed."""
        self._seals.pop((tenant, key_id), None)
        self._vault.forget(key_id)

    def open(self, tx: Transaction, owner: str, name: str) -> Any:
        """Return a stored payload's value, None if there is none by that name."""
        opened = self.opening(tx, owner, name)
        return None if opened is None else opened[1]

    def opening(self, tx: Transaction, owner: str, name: str) -> tuple[bytes, Any] | None:
        """Return salt and value of a stored payload: what opens its commitment."""
        found = tx.payloads.get(owner, name)
        if found is None:
            return None
        key_id, sealed = found
        plain = self.seal(tx, key_id)._key.open(sealed, _place(tx.tenant, owner, name))
        return plain[:SALT], json.loads(plain[SALT:])

    def commitment(self, tx: Transaction, owner: str, name: str, key_id: str, sealed: bytes) -> str | None:
        """Return the commitment of stored bytes, computed anew; None where its key was destroyed.

        Raises:
            Corrupt: the bytes were altered.
        """
        try:
            plain = self.seal(tx, key_id)._key.open(sealed, _place(tx.tenant, owner, name))
        except NotFound:
            return None
        return commit(plain[:SALT], plain[SALT:])

    def _remember(self, tenant: str, wrapped: WrappedKey) -> Seal:
        seal = Seal(tenant, wrapped.key_id, self._vault.unwrap(wrapped), self._chance)
        self._seals[tenant, wrapped.key_id] = seal
        if len(self._seals) > REMEMBERED:
            self._seals.popitem(last=False)
        return seal


def gone(what: str, by: str = "") -> NotFound:
    """Return the error for content that was erased.

    Args:
        by: `subject`, `retention`, or '' where that is not known.
    """
    whys = {
        "subject": "Whom it was about was erased, and with it the key it was sealed under.",
        "retention": "Its run reached the age at which its page has it erased, and its key was destroyed.",
    }
    return NotFound(
        what=f"{what} can no longer be read.",
        why=whys.get(by, "Its key was destroyed, which is how content is erased."),
        fix="Nothing brings it back; the log still proves that it was there.",
        code="payload.erased",
    )


def _place(tenant: str, owner: str, name: str) -> bytes:
    return f"{tenant}/{owner}/{name}".encode()
