# SPDX-License-Identifier: Apache-2.0
"""Keep the installation's keys as files that only their owner can read.

A key directory holds, for each purpose (log, receipt, token, payload), files `<purpose>-<number>.json`, numbered
from 0001 in the order in which they were made, and one `active.json`:

    {"algorithm": "Ed25519", "format": 1, "id": "acme.test/log+1f2e3d4c", "purpose": "log", "secret": "<base64>"}
    {"active": {"log": "acme.test/log+1f2e3d4c", ...}, "format": 1, "name": "acme.test"}

A secret is an Ed25519 seed (RFC 8032, section 5.1.5) or, for payloads, an AES-256 key. A key's id is computed from
the key, so an altered file is noticed when it is read. Key files are written once and never changed; which key is
active is in `active.json`, replaced as a whole. A key that is no longer active stays for verification and for
opening what it once sealed.

The directory has mode 0700 and its files 0600. Anything more open, or owned by somebody else, is refused:
a key that others could read or replace proves nothing.
"""

import base64
import binascii
import hmac
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signoff.core.errors import Conflict, Corrupt, Misuse, NotFound, Unavailable
from signoff.ledger.checkpoint import VerifierKey, verifier_key

KeyPurpose = Literal["log", "receipt", "token", "payload"]
PURPOSES: Final[tuple[KeyPurpose, ...]] = get_args(KeyPurpose)

_FORMAT = 1
_FILE = re.compile(r"(log|receipt|token|payload)-(\d{4,})\.json")
_UNFINISHED = re.compile(r"\.(?:(?:log|receipt|token|payload)-\d{4,}|active)\.json\.[0-9a-f]{16}\.new")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,95}")
_FILE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key of the directory; its secret is 32 bytes and stays out of every representation.

    `public` is the raw public key of 32 bytes; a payload key has none.
    """

    key_id: str
    purpose: KeyPurpose
    number: int
    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Ring:
    """What the directory holds, replaced as a whole, so that readers need no lock."""

    keys: Mapping[KeyPurpose, tuple[StoredKey, ...]]
    active: Mapping[KeyPurpose, StoredKey]


class KeyFiles:
    """The open key directory of one installation; one process owns it."""

    def __init__(self, directory: Path, name: str, ring: _Ring) -> None:
        self.directory, self.name = directory, name
        self._ring = ring
        self._changing = threading.Lock()

    @classmethod
    def create_or_open(cls, directory: Path, name: str) -> "KeyFiles":
        """Open the key directory, making what is missing of a first creation.

        A creation that crashed is completed. Once `active.json` stands, nothing is made up for what is lost:
        a new payload key in the place of a lost one would hide that payloads can no longer be read.

        Args:
            name: the installation's name, such as `signoff.local`; keys are named `<name>/<purpose>`.

        Raises:
            Misuse: others can read the directory or a file, or own it; or the name is none (C2SP signed-note: no
                spaces and no plus).
            Conflict: the directory belongs to an installation of another name.
            Corrupt: a file is not what was written, or is lost.
        """
        _check_name(name)
        with _told(directory, "make"):
            if not directory.exists():
                directory.parent.mkdir(parents=True, exist_ok=True)
                directory.mkdir(mode=0o700)
                directory.chmod(0o700)  # whatever the umask was
                _sync_directory(directory.parent)
        _check_private(directory, os.lstat(directory), is_directory=True)
        if not _is_complete(directory):
            found = _read_keys(directory, name)
            for purpose in PURPOSES:
                if len(found[purpose]) > 1:
                    raise Corrupt(
                        what=f"Key directory {directory} does not say which {purpose} key is active.",
                        why=f"It has {len(found[purpose])} of them and no `active.json`.",
                        fix="Restore `active.json`, and all other files, from the backup of this directory.",
                    )
                if not found[purpose]:
                    found[purpose] = (_write_key(directory, _generate(name, purpose, 1)),)
            _write_active(directory, name, {purpose: found[purpose][0] for purpose in PURPOSES})
        return cls.open(directory, name)

    @classmethod
    def open(cls, directory: Path, name: str) -> "KeyFiles":
        """Open a complete key directory; raises as `create_or_open` does.

        Raises:
            NotFound: there is none.
        """
        _check_name(name)
        if not _is_complete(directory):
            raise NotFound(
                what=f"There is no key directory at {directory}.",
                why="It, or its `active.json`, does not exist.",
                fix="Run `signoff init`, or give the data directory that was initialised.",
            )
        _check_private(directory, os.lstat(directory), is_directory=True)
        _clear_unfinished(directory)
        document = _read(directory / "active.json")
        if document.get("name") != name:
            raise Conflict(
                what=f"Key directory {directory} belongs to {document.get('name')!r}, not to {name!r}.",
                why="A key's name is part of its id, and signatures already made carry it.",
                fix="Set the installation's name back, or begin with a new data directory.",
                field="name",
            )
        keys = _read_keys(directory, name)
        chosen = document.get("active")
        active = {}
        for purpose in PURPOSES:
            key_id = chosen.get(purpose) if isinstance(chosen, dict) else None
            if (key := _find(keys[purpose], key_id)) is None:
                raise Corrupt(
                    what=f"The active {purpose} key is not in {directory}.",
                    why="`active.json` names none, or one whose file is lost.",
                    fix="Restore the key directory from its backup; a lost key is never made anew.",
                )
            active[purpose] = key
        return cls(directory, name, _Ring(keys, active))

    def active(self, purpose: KeyPurpose) -> StoredKey:
        """Return the key that signs or seals from now on."""
        return self._ring.active[purpose]

    def keys(self, purpose: KeyPurpose) -> tuple[StoredKey, ...]:
        """Return all keys of a purpose, oldest first, retired ones and one that waits for `activate` included."""
        return self._ring.keys[purpose]

    def prepare(self, purpose: KeyPurpose) -> StoredKey:
        """Make the next key of a purpose without using it yet.

        So its adding can be recorded under the key before, and `activate` follows once that is published.
        """
        with self._changing:
            ring = self._ring
            taken = {key.key_id for key in ring.keys[purpose]}
            number = ring.keys[purpose][-1].number + 1
            key = _generate(self.name, purpose, number)
            while key.key_id in taken:  # 32 bits are few enough to look
                key = _generate(self.name, purpose, number)
            _write_key(self.directory, key)
            self._ring = replace(ring, keys={**ring.keys, purpose: (*ring.keys[purpose], key)})
            return key

    def activate(self, key_id: str) -> StoredKey:
        """Make one key of the directory the active one of its purpose, durably; the one before is retired.

        Raises:
            NotFound: the directory has no such key.
        """
        with self._changing:
            ring = self._ring
            key = _find(tuple(key for purpose in PURPOSES for key in ring.keys[purpose]), key_id)
            if key is None:
                raise NotFound(
                    what=f"There is no key {key_id[:160]!r} in {self.directory}.",
                    why="Only a key that was prepared here can become active.",
                    fix="Copy the id as it was answered when the key was prepared.",
                )
            active = {**ring.active, key.purpose: key}
            _write_active(self.directory, self.name, active)
            self._ring = replace(ring, active=active)
            return key

    def rotate(self, purpose: KeyPurpose) -> StoredKey:
        """Make a new key and use it from now on; the one before stays for verification."""
        return self.activate(self.prepare(purpose).key_id)

    def verifier_keys(self, sizes: Mapping[str, tuple[int, int | None]] | None = None) -> str:
        """Return the C2SP verifier keys of all log and receipt keys, one a line: the KEY file of `signoff verify`.

        A line is `<name>+<hash>+<base64(0x01, public key)>` (C2SP signed-note, "Verifier keys").

        Args:
            sizes: first and last log size at which a key counts, by key id; None as last: it still does. A key
                that is not named counts at all sizes.
        """
        lines = []
        for key in (*self.keys("log"), *self.keys("receipt")):
            words = [verifier_key(f"{self.name}/{key.purpose}", key.public)]
            words += [str(size) for size in (sizes or {}).get(key.key_id, ()) if size is not None]
            lines.append(" ".join(words) + "\n")
        return "".join(lines)


def _generate(name: str, purpose: KeyPurpose, number: int) -> StoredKey:
    return _key(name, purpose, number, secrets.token_bytes(32))


def _key(name: str, purpose: KeyPurpose, number: int, secret: bytes) -> StoredKey:
    named = f"{name}/{purpose}"
    if purpose == "payload":
        # The same shape as for a public key, from a keyed digest: 32 bits of it tell nothing of a key of 256.
        check = hmac.digest(secret, b"signoff/payload/id/v1\n" + named.encode(), "sha256").hex()[:8]
        return StoredKey(f"{named}+{check}", purpose, number, b"", secret)
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    return StoredKey(VerifierKey(named, public).id, purpose, number, public, secret)


def _find(keys: tuple[StoredKey, ...], key_id: object) -> StoredKey | None:
    return next((key for key in keys if key.key_id == key_id), None)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Misuse(
            what=f"{name[:96]!r} cannot name this installation's keys.",
            why="A name is 1 to 96 letters, digits, dots, hyphens, underscores and slashes, a letter or digit first.",
            fix="Use a name in the manner of a host's, such as `signoff.acme.test`.",
            code="keys.name",
        )


# --- files ---------------------------------------------------------------------------------------------------------


@contextmanager
def _told(path: Path, verb: str) -> Iterator[None]:
    """Turn an error of the operating system into one that says how to mend it."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            what=f"Cannot {verb} {path}.",
            why=f"The system says: {error.strerror or type(error).__name__}.",
            fix="Check the disk, and that this user owns the data directory and no other process uses it.",
        ) from error


def _check_private(path: Path, found: os.stat_result, *, is_directory: bool) -> None:
    kind, mode = ("directory", "700") if is_directory else ("file", "600")
    if not (stat.S_ISDIR if is_directory else stat.S_ISREG)(found.st_mode):
        why, fix = f"It is no plain {kind}; links are not followed.", f"Put the {kind} itself there."
    elif found.st_uid != os.geteuid():
        why = f"It is owned by user {found.st_uid}, and this process runs as user {os.geteuid()}."
        fix = f"Run as its owner, or `chown {os.geteuid()}` it after making sure who could have read or changed it."
    elif found.st_mode & 0o077:
        why = f"Its mode is {stat.S_IMODE(found.st_mode):04o}: group or others can reach the keys."
        fix = f"`chmod {mode}` it, and rotate the keys if anyone could have read them."
    else:
        return
    raise Misuse(what=f"Key {kind} {path} is not used.", why=why, fix=fix, code="keys.exposed")


def _is_complete(directory: Path) -> bool:
    with _told(directory, "read"):
        return (directory / "active.json").exists()


def _read(path: Path) -> dict[str, Any]:
    with _told(path, "read"):
        if path.is_symlink():  # named apart, for O_NOFOLLOW says only "too many levels"
            _check_private(path, os.lstat(path), is_directory=False)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_private(path, os.fstat(handle), is_directory=False)
            text = os.read(handle, _FILE_BYTES_MAX)
        finally:
            os.close(handle)
    try:
        document = json.loads(text)
    except ValueError:  # no `from`: the cause would carry the text, and with it the secret
        document = None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise _altered(path, f"It is no JSON object of format {_FORMAT}.")
    return document


def _read_keys(directory: Path, name: str) -> dict[KeyPurpose, tuple[StoredKey, ...]]:
    with _told(directory, "read"):
        paths = list(directory.iterdir())
    found: dict[KeyPurpose, list[StoredKey]] = {purpose: [] for purpose in PURPOSES}
    for path in paths:
        if match := _FILE.fullmatch(path.name):
            purpose = cast(KeyPurpose, match[1])
            found[purpose].append(_read_key(path, name, purpose, int(match[2])))
    return {purpose: tuple(sorted(keys, key=lambda key: key.number)) for purpose, keys in found.items()}


def _read_key(path: Path, name: str, purpose: KeyPurpose, number: int) -> StoredKey:
    document = _read(path)
    try:
        secret = base64.b64decode(document["secret"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        secret = b""
    if len(secret) != 32:
        raise _altered(path, "Its secret is not 32 bytes in base64.")
    key = _key(name, purpose, number, secret)
    if document != _document(key):
        raise _altered(path, f"Its members are not those of a {purpose} key of {name!r} with this secret.")
    return key


def _altered(path: Path, why: str) -> Corrupt:
    return Corrupt(
        what=f"Key file {path} is not what was written.",
        why=why,
        fix="Restore the key directory from its backup.",
    )


def _document(key: StoredKey) -> dict[str, Any]:
    return {
        "algorithm": "AES-256" if key.purpose == "payload" else "Ed25519",
        "format": _FORMAT,
        "id": key.key_id,
        "purpose": key.purpose,
        "secret": base64.b64encode(key.secret).decode(),
    }


def _write_key(directory: Path, key: StoredKey) -> StoredKey:
    """Write a key under its number, whole or not at all, and never over another."""
    path = directory / f"{key.purpose}-{key.number:04}.json"
    with _told(path, "write"):
        unfinished = _write_unfinished(path, _document(key))
        try:
            os.link(unfinished, path)  # fails if the name is taken; a rename would replace a key
        finally:
            unfinished.unlink()
        _sync_directory(directory)
    return key


def _write_active(directory: Path, name: str, active: Mapping[KeyPurpose, StoredKey]) -> None:
    path = directory / "active.json"
    document = {"active": {purpose: active[purpose].key_id for purpose in PURPOSES}, "format": _FORMAT, "name": name}
    with _told(path, "write"):
        _write_unfinished(path, document).replace(path)
        _sync_directory(directory)


def _write_unfinished(path: Path, document: Mapping[str, Any]) -> Path:
    unfinished = path.parent / f".{path.name}.{secrets.token_hex(8)}.new"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)  # whatever the umask was
        file.write(json.dumps(document, sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(handle)
    return unfinished


def _clear_unfinished(directory: Path) -> None:
    """Remove what a crash left between writing a file and naming it; nothing was ever signed with it."""
    with _told(directory, "read"):
        for path in directory.iterdir():
            if _UNFINISHED.fullmatch(path.name):
                path.unlink()


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
