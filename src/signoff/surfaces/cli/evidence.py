# SPDX-License-Identifier: Apache-2.0
"""A log as it was handed out, epoch by epoch, from a server or from an export; and the judgement on it."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from signoff.surfaces.cli import render
from signoff.surfaces.cli.shell import Shell

if TYPE_CHECKING:
    from signoff.ledger.checkpoint import Checkpoint, VerifierKey
    from signoff.ledger.fold import Report

BYTES_MAX = 8 * 1024 * 1024


@dataclass(slots=True)
class Handed:
    """One epoch: its entries in order, and its last checkpoint."""

    entries: Iterable[tuple[int | None, bytes]]
    note: str
    origin: str
    total: int


@dataclass(slots=True)
class Evidence:
    """What is to be verified: epochs, oldest first, and the keys by which notes count."""

    parts: list[Handed]
    keys: "tuple[VerifierKey, ...]"


def judge(evidence: Evidence, kept: Sequence[bytes]) -> "tuple[list[Report], list[tuple[str, str]]]":
    """Return a report on each epoch, and what is lacking of the checkpoints and receipts that were kept elsewhere."""
    from signoff.ledger.bundle import read, read_statement
    from signoff.ledger.checkpoint import parse, verify
    from signoff.ledger.dsse import open_envelope
    from signoff.ledger.epochs import Part, verify_epochs
    from signoff.ledger.errors import Refused
    from signoff.ledger.merkle import leaf_hash
    from signoff.ledger.verify import Outcome, verify_receipt

    notes = {part.origin: [part.note] for part in evidence.parts}
    promised, wrong = {}, []

    def add(text: str) -> None:
        note = parse(text)
        if lost := _lost(evidence, note):
            verify(text, evidence.keys)
            wrong.append(lost)
        else:  # a note of another log goes to the last one, which then says so
            notes.get(note.origin, notes[evidence.parts[-1].origin]).append(text)

    for data in kept:
        if not data.startswith(b"{"):
            add(data.decode("utf-8", "replace"))
            continue
        verdict = verify_receipt(data, evidence.keys)
        if verdict.outcome is Outcome.FALSE:
            raise Refused(verdict.what, verdict.why, verdict.fix)
        parts = read(data)
        predicate = read_statement(open_envelope(parts.envelope, evidence.keys).payload)["predicate"]
        promised[predicate["leaf"]] = predicate["receipt_id"]
        if parts.checkpoint is not None:
            add(parts.checkpoint)

    def seen(part: Handed) -> Iterator[tuple[int | None, bytes]]:
        for index, entry in render.progress_over(iter(part.entries), part.total, "verifying", sys.stderr):
            if promised:
                promised.pop(leaf_hash(entry).hex(), None)
            yield index, entry

    reports = verify_epochs(
        (Part(seen(part), notes[part.origin], part.origin) for part in evidence.parts), evidence.keys
    )
    if reports[-1].is_sound:
        why = "Its leaf is not here."
        wrong += [(f"The entry that receipt {one} promises is not in the log.", why) for one in promised.values()]
    return reports, wrong


def _lost(evidence: Evidence, note: "Checkpoint") -> tuple[str, str] | None:
    """Return what a recovery has lost of what a kept checkpoint signs, and why; None if it lost nothing of it."""
    for part, after in zip(evidence.parts, evidence.parts[1:], strict=False):
        if part.origin == note.origin and note.size > part.total:
            what = f"The entries from {part.total} to {note.size - 1} of {note.origin} are lost."
            return what, f"That log was given up at {part.total} for a backup; {after.origin} goes on from there."
    return None


def from_server(shell: Shell, given: "tuple[VerifierKey, ...] | None") -> Evidence:
    """Return what the server hands out: every epoch that its database holds."""
    from signoff.ledger.checkpoint import parse

    client = shell.client()
    keys = given or keys_of(key_text(shell).encode())
    newest = client.get("/v1/ledger/checkpoint")
    parts = []
    for epoch in newest["epochs"]:
        number = epoch["epoch"]
        is_newest = number == newest["epoch"]
        if not is_newest and not epoch["size"]:
            note = None  # the database was lost whole: no tree came before
        else:
            note = newest["note"] if is_newest else client.get("/v1/ledger/checkpoint", epoch=number)["note"]
        if note is not None:
            size = parse(note).size
            parts.append(Handed(_entries(shell, number, size), note, epoch["origin"], size))
    return Evidence(parts, keys)


def _entries(shell: Shell, number: int, size: int) -> Iterator[tuple[int | None, bytes]]:
    for item in shell.client().items("/v1/ledger/entries", epoch=number):
        if item["index"] >= size:  # written since the checkpoint
            return
        yield item["index"], item["entry"].encode()


def from_export(directory: Path, given: "tuple[VerifierKey, ...] | None") -> Evidence:
    """Return what `signoff ledger export` wrote."""
    from signoff.ledger.checkpoint import parse

    keys = given or keys_of(read_file(directory / "keys"))
    earlier = sorted(directory.glob("epoch-*"), key=lambda path: (len(path.name), path.name))
    parts = []
    for part in (*earlier, directory):
        note = read_file(part / "checkpoint").decode("utf-8", "replace")
        said = parse(note)
        parts.append(Handed(_lines(part / "entries.jsonl"), note, said.origin, said.size))
    return Evidence(parts, keys)


def _lines(path: Path) -> Iterator[tuple[int | None, bytes]]:
    with path.open("rb") as file:
        for index, line in enumerate(file):
            yield index, line.removesuffix(b"\n")


def key_text(shell: Shell) -> str:
    """Return the verifier keys that the server hands out."""
    return shell.client().raw("/v1/ledger/keys").decode()


def keys_of(text: bytes) -> "tuple[VerifierKey, ...]":
    """Return the keys of a key file."""
    from signoff.ledger.checkpoint import parse_keys

    return parse_keys(text.decode("utf-8", "replace"))


def read_file(path: Path) -> bytes:
    """Return a file's bytes; one longer than any evidence is cut, and then refused for what it is."""
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)
