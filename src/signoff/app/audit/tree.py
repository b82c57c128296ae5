# SPDX-License-Identifier: Apache-2.0
"""The tree over the log: each stored node, and the root at each signed checkpoint, stored or kept outside.

It is built from the stored leaves alone, each of which the pass over the streams (`streams.py`) compares with its
entry. So no entry is read twice, and memory does not grow with the log.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from signoff.app.audit.findings import Findings
from signoff.app.audit.streams import Progress
from signoff.core.errors import Corrupt
from signoff.ledger import checkpoint as notes
from signoff.ledger.checkpoint import Checkpoint, VerifierKey
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import EMPTY_ROOT, HASH_BYTES, Frontier
from signoff.ports.storage import Transaction

_BATCH: Final = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """What the pass over the tree saw."""

    size: int
    root: bytes
    checkpoints: int
    proved: int


def check_tree(
    tx: Transaction,
    origin: str,
    keys: Sequence[VerifierKey],
    kept: Sequence[Checkpoint],
    found: Findings,
    tell: Progress,
) -> Tree:
    """Check the tree: each stored node, and the root at each checkpoint, stored or kept outside.

    Args:
        kept: checkpoints from outside, truly signed and of this origin.
    """
    try:
        total = tx.stored.count("nodes")
    except Corrupt as error:
        found.add("nodes", error.what, error.why, error.fix)
        return Tree(0, EMPTY_ROOT, 0, 0)
    growing = _Growing(tx, found, tell, total)
    checkpoints = proved = 0
    last_stored: int | None = None
    own = ((note.size, 0, note) for note in _stored_checkpoints(tx, origin, keys, found))
    others = ((note.size, 1, note) for note in sorted(kept, key=lambda one: one.size))
    for size, is_kept, note in heapq.merge(own, others, key=lambda one: one[:2]):
        growing.grow(size)
        if is_kept:
            _compare_kept(growing, note, last_stored, found)
            continue
        last_stored = size
        if growing.is_broken:
            continue
        if growing.size < size:
            found.add(
                "checkpoints",
                f"The log ends at {growing.size}, and a checkpoint of size {size} is signed.",
                f"The entries from {growing.size} on were cut off or lost.",
                index=growing.size,
            )
        elif growing.root() != note.root:
            found.add(
                "checkpoints",
                f"The checkpoint of size {size} signs another tree.",
                f"An entry between {proved} and {size - 1}, or the tree over them, is not the one that was signed.",
                column="note",
            )
        else:
            checkpoints, proved = checkpoints + 1, size
    growing.grow(None)
    growing.end()
    if growing.size > (last_stored or 0):
        found.add(
            "checkpoints",
            f"The entries from {last_stored or 0} to {growing.size - 1} are in the tree, and no checkpoint signs them.",
            "Tree and checkpoint are written together: a checkpoint was removed, or entries were forged.",
            index=last_stored or 0,
        )
    return Tree(growing.size, growing.root(), checkpoints, proved)


def _stored_checkpoints(
    tx: Transaction, origin: str, keys: Sequence[VerifierKey], found: Findings
) -> Iterator[Checkpoint]:
    """Yield the stored checkpoints that are truly signed, by size."""
    try:
        for _, said_origin, size, text in tx.stored.rows("checkpoints"):
            try:
                note = notes.verify(text, keys)
            except Refused as refused:
                what = f"The checkpoint of size {size} is not what was signed."
                found.add("checkpoints", what, f"{refused.what} {refused.why}", column="note")
                continue
            for column, said, row in (("origin", note.origin, said_origin), ("size", note.size, size)):
                if said != row:
                    what = f"The checkpoint of size {size} stands under another name."
                    found.add("checkpoints", what, f"Its note says {said}, its row {row}.", column=column)
            if note.origin != origin:
                what = f"A checkpoint is of {note.origin}."
                found.add("checkpoints", what, f"This is the log {origin}.", column="origin")
            elif note.size == size:
                yield note
    except Corrupt as error:
        found.add("checkpoints", error.what, error.why, error.fix)


def _compare_kept(growing: "_Growing", note: Checkpoint, last_stored: int | None, found: Findings) -> None:
    if growing.is_broken:
        return
    if growing.size < note.size:
        found.add(
            "entries",
            f"The log ends at {growing.size}, and a checkpoint of size {note.size} was kept outside.",
            "The log was truncated, or this database is an old backup.",
            "Look for the newer database. If there is none, `signoff ledger recover --accept-loss` opens a new epoch.",
            index=growing.size,
        )
    elif growing.root() != note.root:
        found.add(
            "entries",
            f"The log is not the one of which a checkpoint of size {note.size} was kept outside.",
            "Both are truly signed, and their roots differ: the log has shown two histories.",
            "Keep this database and the checkpoint; together they prove it.",
        )
    elif last_stored != note.size and note.size:
        found.add(
            "checkpoints",
            f"The checkpoint of size {note.size} was kept outside, and is not in the database.",
            "A checkpoint is shown only once its row is written: the row was removed.",
            column="size",
        )


class _Growing:
    """The tree as it grows from its stored leaves, each complete node compared with the stored one."""

    def __init__(self, tx: Transaction, found: Findings, tell: Progress, total: int) -> None:
        self._tx, self._found, self._tell, self._total = tx, found, tell, total
        self._frontier = Frontier()
        self._levels: dict[int, Iterator[tuple[int, int, bytes]]] = {}
        self._broken_levels: set[int] = set()
        self._nodes = 0
        self.is_broken = False  # a leaf is missing, so that nothing more can be built

    @property
    def size(self) -> int:
        return self._frontier.size

    def root(self) -> bytes:
        return self._frontier.root() if self.size else EMPTY_ROOT

    def grow(self, size: int | None) -> None:
        """Take in leaves up to `size`, or all there are."""
        while not self.is_broken and (size is None or self.size < size):
            before = self.size
            rows = self._take(0, _BATCH if size is None else min(_BATCH, size - before))
            if not rows:
                return
            wrong = next(
                (
                    at
                    for at, (_, position, leaf) in enumerate(rows, before)
                    if position != at or len(leaf) != HASH_BYTES
                ),
                None,
            )
            if wrong is not None:
                rows = rows[: wrong - before]
                self._refuse_node(0, wrong, "The leaf that belongs there is missing, or is none.")
                self.is_broken = True
            nodes = self._frontier.extend([leaf for _, _, leaf in rows])
            at, level, after = len(rows), 1, self.size
            while at < len(nodes):
                new = (after >> level) - (before >> level)
                self._compare(level, nodes[at : at + new])
                at, level = at + new, level + 1
            self._nodes += len(nodes)
            self._tell("tree", self._nodes, self._total)

    def end(self) -> None:
        """Find nodes that are stored and belong to no tree of this size."""
        if self.is_broken:
            return
        try:
            levels = self._tx.stored.node_levels() or ()
        except Corrupt as error:
            self._found.add("nodes", error.what, error.why, error.fix)
            return
        for level in sorted({*self._levels, *levels} - self._broken_levels):
            if extra := self._take(level, 1):
                self._refuse_node(level, extra[0][1], "The tree is complete without it.")

    def _compare(self, level: int, nodes: list[tuple[int, int, bytes]]) -> None:
        if level in self._broken_levels:
            return
        stored = self._take(level, len(nodes))
        if stored == nodes:
            return
        wrong = next((at for at, node in enumerate(nodes) if at >= len(stored) or stored[at] != node), 0)
        self._refuse_node(level, nodes[wrong][1], "It is missing, or not the hash of the two below it.")

    def _take(self, level: int, count: int) -> list[tuple[int, int, bytes]]:
        cursor = self._levels.get(level)
        if cursor is None:
            cursor = self._levels[level] = self._tx.stored.nodes(level)
        try:
            return list(islice(cursor, count))
        except Corrupt as error:
            self._found.add("nodes", error.what, error.why, error.fix)
            return []

    def _refuse_node(self, level: int, position: int, why: str) -> None:
        self._broken_levels.add(level)
        what = f"Node {position} of level {level} of the tree is not what was written."
        self._found.add("nodes", what, why, index=position << level if 0 <= level < 64 else None)


def name_missing(tx: Transaction, found: Findings) -> None:
    """Name the first leaf of which there is no entry; for when leaves and entries are not as many."""
    try:
        at = tx.stored.leaf_without_entry()
    except Corrupt as error:
        found.add("entries", error.what, error.why, error.fix)
        return
    what = "Entries and leaves of the tree are not as many." if at is None else f"Entry {at} is missing."
    found.add("entries", what, "The tree holds its hash, and no entry has its index.", index=at, column="idx")
