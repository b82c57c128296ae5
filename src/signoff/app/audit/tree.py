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
from signoff.app.audit.kept import RECOVER
from signoff.app.audit.streams import Progress
from signoff.core.errors import Corrupt
from signoff.ledger import checkpoint as notes
from signoff.ledger.checkpoint import Checkpoint, VerifierKey
from signoff.ledger.epochs import Epoch, Epochs, Opening
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import HASH_BYTES, Frontier
from signoff.ports.storage import Transaction

_BATCH: Final = 4096


@dataclass(frozen=True, slots=True)
class Tree:
    """What the pass over the tree of one epoch saw."""

    origin: str
    size: int
    root: bytes
    checkpoints: int
    proved: int


def check_tree(
    tx: Transaction,
    epochs: Epochs,
    keys: Sequence[VerifierKey],
    kept: Sequence[Checkpoint],
    found: Findings,
    tell: Progress,
) -> list[Tree]:
    """Check the tree of each epoch: each stored node, and the root at each checkpoint, stored or kept outside.

    Args:
        kept: checkpoints from outside, truly signed and of these epochs.
    """
    growing = _Growing(tx, found, tell)
    trees = []
    for epoch in epochs.all:
        after = epochs.following(epoch)
        growing.begin(after.opening.had_size if after and after.opening else None)
        mine = [note for note in kept if note.origin == epoch.origin]
        trees.append(_check_epoch(tx, epochs, epoch, keys, mine, growing, found))
        if after is not None and after.opening is not None and not growing.is_broken:
            _compare_opening(trees[-1], after.opening, after.first, found)
    growing.end()
    return trees


def _check_epoch(
    tx: Transaction,
    epochs: Epochs,
    epoch: Epoch,
    keys: Sequence[VerifierKey],
    kept: Sequence[Checkpoint],
    growing: "_Growing",
    found: Findings,
) -> Tree:
    checkpoints = proved = 0
    last_stored: int | None = None
    own = ((note.size, 0, note) for note in _stored_checkpoints(tx, epochs, epoch, keys, found))
    others = ((note.size, 1, note) for note in sorted(kept, key=lambda one: one.size))
    for size, is_kept, note in heapq.merge(own, others, key=lambda one: one[:2]):
        growing.grow(size)
        if is_kept:
            _compare_kept(growing, note, last_stored, epochs.following(epoch), found)
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
    if growing.size > (last_stored or 0):
        found.add(
            "checkpoints",
            f"The entries from {last_stored or 0} to {growing.size - 1} are in the tree, and no checkpoint signs them.",
            "Tree and checkpoint are written together: a checkpoint was removed, or entries were forged.",
            index=last_stored or 0,
        )
    return Tree(epoch.origin, growing.size, growing.root(), checkpoints, proved)


def _compare_opening(tree: Tree, opening: Opening, index: int, found: Findings) -> None:
    if (tree.size, tree.root.hex()) != (opening.had_size, opening.had_root):
        found.add(
            "entries",
            f"Epoch {opening.epoch} follows another tree than that of {tree.origin}.",
            f"Its first entry names one of {opening.had_size} entries; here are {tree.size}, or another root.",
            index=index,
        )


def _stored_checkpoints(
    tx: Transaction, epochs: Epochs, epoch: Epoch, keys: Sequence[VerifierKey], found: Findings
) -> Iterator[Checkpoint]:
    """Yield an epoch's stored checkpoints that are truly signed, by size; those of no epoch go with the first."""
    origin, is_first = epoch.origin, epoch is epochs.all[0]
    try:
        for _, said_origin, size, text in tx.stored.rows("checkpoints"):
            if said_origin != origin and not (is_first and epochs.of(said_origin) is None):
                continue
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


def _compare_kept(
    growing: "_Growing", note: Checkpoint, last_stored: int | None, after: Epoch | None, found: Findings
) -> None:
    if growing.is_broken:
        return
    if growing.size < note.size and after is not None and after.opening is not None:
        found.add("entries", *_lost(growing.size, note, after.opening), index=after.first)
    elif growing.size < note.size:
        found.add(
            "entries",
            f"The log ends at {growing.size}, and a checkpoint of size {note.size} was kept outside.",
            "The log was truncated, or this database is an old backup.",
            f"Look for the newer database. If there is none, {RECOVER}",
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


def _lost(size: int, note: Checkpoint, opening: Opening) -> tuple[str, str, str]:
    """Return what a recovery has lost of what was kept outside, why, and what to do."""
    what = f"The entries from {size} to {note.size - 1} of {note.origin} are lost."
    known = f"{opening.known_origin} at {opening.known_size}"
    why = f"A backup of {size} entries took the newest database's place. Epoch {opening.epoch} was opened, and its "
    if (note.origin, note.size, note.root.hex()) == (opening.known_origin, opening.known_size, opening.known_root):
        why += "first entry names this very checkpoint."
    elif note.origin == opening.known_origin and note.size == opening.known_size:
        why += "first entry names a checkpoint of this size with another root: the log has shown two histories."
    else:
        why += f"first entry names, as the last one known, the checkpoint of {known}."
    return what, why, "What they told is nowhere here: ask the targets what was done, and keep what you have of them."


class _Growing:
    """The trees as they grow from their stored leaves, each complete node compared with the stored one."""

    def __init__(self, tx: Transaction, found: Findings, tell: Progress) -> None:
        self._tx, self._found, self._tell = tx, found, tell
        self._frontier = Frontier()
        self._limit: int | None = None
        self._sizes: list[int] = []  # of the trees before this one
        self._cursors: dict[int, Iterator[tuple[bytes]]] = {}
        self._broken: set[int] = set()
        self._levels = self._count()
        self._total = sum(self._levels.values())
        self._done = 0

    def begin(self, limit: int | None) -> None:
        """Begin the next tree, which ends at `limit`; None takes all that is left."""
        if self._limit is not None:
            self._sizes.append(self.size)
        self._frontier, self._limit = Frontier(), limit

    @property
    def size(self) -> int:
        return self._frontier.size

    @property
    def is_broken(self) -> bool:
        """Whether a leaf is missing, so that nothing can be built."""
        return 0 in self._broken

    def root(self) -> bytes:
        return self._frontier.root()

    def grow(self, size: int | None) -> None:
        """Take in leaves up to `size`, or all there are."""
        if self._limit is not None:
            size = self._limit if size is None else min(size, self._limit)
        while not self.is_broken and (size is None or self.size < size):
            before = self.size
            leaves = self._take(0, _BATCH if size is None else min(_BATCH, size - before))
            if not leaves:
                return
            if set(map(len, leaves)) != {HASH_BYTES}:
                at = next(at for at, leaf in enumerate(leaves) if len(leaf) != HASH_BYTES)
                self._refuse(0, self._shift(0) + before + at, "It is no hash.")
                return
            nodes = [node for _, _, node in self._frontier.extend(leaves)]
            at, level, after = len(leaves), 1, self.size
            while at < len(nodes):
                new = (after >> level) - (before >> level)
                self._compare(level, before >> level, nodes[at : at + new])
                at, level = at + new, level + 1
            self._done += len(nodes)
            self._tell("tree", self._done, self._total)

    def end(self) -> None:
        """Find nodes that are stored and belong to no tree of this size."""
        for level, count in self._levels.items():
            wanted = sum(size >> level for size in (*self._sizes, self.size)) if 0 <= level < 64 else 0
            if count > wanted and not self.is_broken:
                self._refuse(level, wanted, "The tree is complete without it.")

    def _count(self) -> dict[int, int]:
        """Return how many nodes each level has; positions that leave a gap break their level."""
        counts = {}
        try:
            for level, count, first, last in self._tx.stored.node_levels():
                counts[level] = count
                if first != 0 or last != count - 1:
                    why = f"The level has {count} nodes, at positions from {first} to {last}."
                    self._refuse(level, first if first else count, why)
        except Corrupt as error:
            self._found.add("nodes", error.what, error.why, error.fix)
            self._broken.add(0)
        return counts

    def _compare(self, level: int, first: int, nodes: list[bytes]) -> None:
        if level in self._broken:
            return
        stored = self._take(level, len(nodes))
        if stored == nodes:
            return
        wrong = next((at for at, node in enumerate(nodes) if at >= len(stored) or stored[at] != node), 0)
        self._refuse(level, self._shift(level) + first + wrong, "It is missing, or not the hash of the two below it.")

    def _shift(self, level: int) -> int:
        return sum(size >> level for size in self._sizes)

    def _take(self, level: int, count: int) -> list[bytes]:
        cursor = self._cursors.get(level)
        if cursor is None:
            cursor = self._cursors[level] = self._tx.stored.nodes(level)
        try:
            return [one for (one,) in islice(cursor, count)]
        except Corrupt as error:
            self._found.add("nodes", error.what, error.why, error.fix)
            self._broken.add(level)
            return []

    def _refuse(self, level: int, position: int, why: str) -> None:
        self._broken.add(level)
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
