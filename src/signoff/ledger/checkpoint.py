# SPDX-License-Identifier: Apache-2.0
"""Signed checkpoints: how large a log was, and what it held (C2SP tlog-checkpoint, signed-note).

    <origin>                            <installation>/<tenant>/<epoch>
    <size>
    <base64 of the root hash>

    — <key name> <base64 of key hash and signature>

Profile: Ed25519 only, no extension lines, and a checkpoint counts when a log key of its installation signed it: one
named `<installation>/log`, or like the origin itself. So neither a receipt key nor a witness in the same key file can
speak for a log. Signatures by keys that are not given are ignored, as C2SP asks; one by a given key that fails spoils
the note.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from signoff.ledger.canonical import NUMBER_MAX, from_base64, to_base64
from signoff.ledger.errors import Refused

ED25519: Final = b"\x01"
NOTE_BYTES_MAX: Final = 64 * 1024
SIGNATURES_MAX: Final = 32
_SIZE: Final = re.compile("0|[1-9][0-9]{0,15}")
_KEY_HASH: Final = re.compile("[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key, the name it signs under, and the log sizes for which it counts (both ends included)."""

    name: str
    public: bytes
    first_size: int = 0
    last_size: int | None = None

    @property
    def hash(self) -> bytes:
        """Four bytes that tell keys of one name apart (signed-note, Ed25519 signatures)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def id(self) -> str:
        """Name and hash, `name+0123abcd`: what a DSSE envelope calls its keyid."""
        return f"{self.name}+{self.hash.hex()}"

    def counts_at(self, size: int) -> bool:
        """Tell whether the key speaks for a log of this size."""
        return self.first_size <= size and (self.last_size is None or size <= self.last_size)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key signed the message (RFC 8032, section 5.1.7)."""
        try:
            _load(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; the hash is a hint which key to try, not a proof."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says. Nothing of it holds until `verify` has returned it."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[NoteSignature, ...]


def body(origin: str, size: int, root: bytes) -> bytes:
    """Return the bytes that are signed: three lines, the last newline included.

    Raises:
        Refused: the origin could not be told from the lines around it, or size or root are out of range.
    """
    _check_name(origin, "The origin")
    if not 0 <= size <= NUMBER_MAX or len(root) != 32:
        raise Refused(
            what=f"A checkpoint of size {size} with a root of {len(root)} bytes cannot be written.",
            why="A size lies between 0 and 2^53-1, and a root has 32 bytes.",
            fix="Take both from the same tree.",
        )
    return f"{origin}\n{size}\n{to_base64(root)}\n".encode()


def note(body: bytes, name: str, public_key: bytes, signature: bytes) -> str:
    """Return the signed note: body, blank line, one signature line.

    Args:
        name: under which the key signs: `<installation>/log`, or the origin.
        signature: 64 bytes of Ed25519 over `body`, made by whoever holds the private key.

    Raises:
        Refused: the signature does not verify. A note that nobody can verify is never written.
    """
    key = parse_verifier_key(verifier_key(name, public_key))
    if not key.verifies(signature, body):
        raise Refused(
            what=f"The signature under {key.id} does not fit this checkpoint.",
            why="It was made over other bytes, or with another key.",
            fix="Sign exactly the bytes of `body`, with the key whose public half is given.",
        )
    return f"{body.decode()}\n— {name} {to_base64(key.hash + signature)}\n"


def parse(text: str | bytes) -> Checkpoint:
    """Return what a note says, without believing it.

    Raises:
        Refused: it is not a checkpoint in the one spelling this format has.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        raise _no_checkpoint("It is not UTF-8.") from None
    if len(data) > NOTE_BYTES_MAX:
        raise _no_checkpoint(f"It is larger than {NOTE_BYTES_MAX} bytes.")
    lines = decoded.split("\n")
    if len(lines) < 6 or lines[3] != "" or lines[-1] != "":
        raise _no_checkpoint("It is not three lines, a blank line and signature lines, each ended by a newline.")
    origin, size, root = lines[:3]
    _check_name(origin, "The origin")
    if not _SIZE.fullmatch(size) or int(size) > NUMBER_MAX:
        raise _no_checkpoint("Its second line is no decimal size without leading zeros.")
    signatures = lines[4:-1]
    if len(signatures) > SIGNATURES_MAX:
        raise _no_checkpoint(f"It has more than {SIGNATURES_MAX} signatures.")
    return Checkpoint(
        origin, int(size), from_base64(root, "The root hash", 32), tuple(_parse_signature(line) for line in signatures)
    )


def verify(text: str | bytes, keys: Iterable[VerifierKey]) -> Checkpoint:
    """Return the checkpoint, signed by a log key of its installation that counts at its size.

    Raises:
        Refused: it is malformed, a signature under a given key fails, or none of a key of this log is there.
    """
    found = parse(text)
    signers = verified_signers(found, keys)
    names = (found.origin, log_key_name(found.origin))
    if any(key.name in names and key.counts_at(found.size) for key in signers):
        return found
    raise Refused(
        what=f"The checkpoint of {found.origin} at size {found.size} is signed by no given key of this log.",
        why=f"It counts when a key named {names[1]} signed it, at a size within that key's range.",
        fix="Give the key file of this log; its keys and their sizes are published with the log.",
    )


def verified_signers(found: Checkpoint, keys: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Return the given keys that signed, in the order of their lines; lines of other keys are passed over.

    Raises:
        Refused: a line names a given key, and its signature fails.
    """
    given = {(key.name, key.hash): key for key in keys}
    message = body(found.origin, found.size, found.root)
    signers = []
    for line in found.signatures:
        key = given.get((line.name, line.key_hash))
        if key is None:
            continue
        if not key.verifies(line.signature, message):
            raise Refused(
                what=f"The signature of {key.id} under the checkpoint of {found.origin} at size {found.size} is false.",
                why="Its text or its signature was changed after signing.",
                fix="Fetch the checkpoint again; keep this one as evidence if the log itself serves it.",
            )
        signers.append(key)
    return tuple(signers)


def verifier_key(name: str, public: bytes) -> str:
    """Return `name+hash+key`, the text form of a verifier key (C2SP signed-note).

    Raises:
        Refused: the name holds a space, plus or control character, or the key is not 32 bytes long.
    """
    _check_name(name, "The key name")
    if len(public) != 32:
        raise _no_key("An Ed25519 public key has 32 bytes.")
    return f"{VerifierKey(name, public).id}+{to_base64(ED25519 + public)}"


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key of a `name+hash+key` text.

    Raises:
        Refused: it is spelt otherwise, its hash does not fit, or it is no Ed25519 key.
    """
    parts = text.split("+", 2)  # base64 may hold a plus, a name and a hash may not
    if len(parts) != 3 or not _KEY_HASH.fullmatch(parts[1]):
        raise _no_key("It has three parts joined by plus: name, 8 hexadecimal digits, base64.")
    _check_name(parts[0], "The key name")
    raw = from_base64(parts[2], "The key", 33)
    key = VerifierKey(parts[0], raw[1:])
    if raw[:1] != ED25519 or key.hash.hex() != parts[1]:
        raise _no_key("Its first byte is not 0x01 (Ed25519), or its hash does not fit name and key.")
    _load(key.public)
    return key


def parse_keys(text: str) -> tuple[VerifierKey, ...]:
    """Return the keys of a key file: one a line, optionally followed by its first and last log size.

    Without sizes a key counts at all of them; with one it counts from there on. Empty lines and lines that begin
    with `#` are passed over.

    Raises:
        Refused: a line is no key, a key is listed twice, or there is none.
    """
    keys: dict[str, VerifierKey] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        sizes = words[1:]
        if len(sizes) > 2 or not all(_SIZE.fullmatch(size) for size in sizes):
            raise _no_key(f"Line {number}: after the key stand at most two log sizes, first and last.")
        first = int(sizes[0]) if sizes else 0
        last = int(sizes[1]) if len(sizes) == 2 else None
        read = parse_verifier_key(words[0])
        if last is not None and last < first:
            raise _no_key(f"Line {number}: the last log size is below the first.")
        if read.id in keys:
            raise _no_key(f"Line {number}: this key stands here twice; one line says all sizes at which it counts.")
        keys[read.id] = VerifierKey(read.name, read.public, first, last)
    if not keys:
        raise _no_key("The file holds no key.")
    return tuple(keys.values())


def key_by_id(keys: Sequence[VerifierKey], key_id: str) -> VerifierKey | None:
    """Return the given key with this `name+hash`, or None."""
    return next((key for key in keys if key.id == key_id), None)


def log_key_name(origin: str) -> str:
    """Return the name under which an installation signs checkpoints: `<installation>/log`."""
    return origin.rsplit("/", 2)[0] + "/log"


def receipt_key_name(origin: str) -> str:
    """Return the name under which an installation signs receipts about this log: `<installation>/receipt`."""
    return origin.rsplit("/", 2)[0] + "/receipt"


def tenant_of(origin: str) -> str:
    """Return the tenant in `<installation>/<tenant>/<epoch>`; empty if the origin has no such parts."""
    parts = origin.rsplit("/", 2)
    return parts[1] if len(parts) == 3 else ""


@lru_cache(maxsize=256)
def _load(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


def _parse_signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise _no_checkpoint("A signature line is an em dash, a key name and base64, one space between.")
    _check_name(parts[1], "The name in a signature line")
    raw = from_base64(parts[2], "A signature")
    if len(raw) < 5:
        raise _no_checkpoint("A signature line holds four bytes of key hash and no signature.")
    return NoteSignature(parts[1], raw[:4], raw[4:])


def _check_name(name: str, which: str) -> None:
    if not name or "+" in name or not name.isprintable() or any(one.isspace() for one in name):
        raise Refused(
            what=f"{which} is no name that a note can carry.",
            why="It is empty, or holds a space, a plus or a control character (C2SP signed-note, Format).",
            fix="Name logs `<installation>/<tenant>/<epoch>` with letters, digits, points and dashes.",
        )


def _no_checkpoint(why: str) -> Refused:
    return Refused(
        what="This is no checkpoint.",
        why=why,
        fix="Fetch it again and keep it byte for byte; editors and mail change newlines.",
    )


def _no_key(why: str) -> Refused:
    return Refused(
        what="This is no verifier key.",
        why=why,
        fix="Copy the line `name+hash+key` as the log's operator published it.",
    )
