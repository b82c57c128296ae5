# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of a log: append, prove, verify (RFC 6962, section 2.1; RFC 9162, section 2.1).

Nodes are named by level and index: level 0 holds the leaf hashes, and node (l, i) is the root of leaves
[i * 2^l, (i + 1) * 2^l), complete and therefore never rewritten. A proof is read off such nodes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from signoff.ledger.errors import Refused

EMPTY_ROOT: Final = sha256(b"").digest()
"""Root of the tree without leaves (RFC 9162, section 2.1.1)."""

HASH_BYTES: Final = 32
_LEAF: Final = sha256(b"\x00")
_INNER: Final = sha256(b"\x01")
Node = tuple[int, int, bytes]
NodeReader = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's bytes, here those of an entry (RFC 9162, section 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162, section 2.1.1); its first byte keeps it apart from a leaf."""
    return sha256(b"\x01" + left + right).digest()


def leaf_hashes(written: Iterable[bytes]) -> list[bytes]:
    """Return the leaf hashes of many; copying a hash that has taken in the first byte is cheaper than a new one."""
    begun: Callable[[], Any] = _LEAF.copy
    hashes = []
    for data in written:
        one = begun()
        one.update(data)
        hashes.append(one.digest())
    return hashes


class Frontier:
    """The right edge of a growing tree: all that appending needs, at most one hash a level.

    It can be stored as `size` and `hashes` and made again from them; a node takes log2(size) hashes of memory.
    """

    __slots__ = ("_edge", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Take up a tree where it was left.

        Args:
            hashes: roots of the complete subtrees that make up the tree, from left (largest) to right.

        Raises:
            Refused: their number does not fit the size, or one is not 32 bytes long.
        """
        if size < 0 or len(hashes) != size.bit_count() or any(len(one) != HASH_BYTES for one in hashes):
            raise Refused(
                what=f"A tree of size {size} cannot be taken up from {len(hashes)} hashes.",
                why="There is one hash of 32 bytes for each bit that is set in the size.",
                fix="Read size and hashes from the same stored row, or build the tree anew from its entries.",
            )
        self.size = size
        levels = [level for level in range(size.bit_length()) if size >> level & 1]
        self._edge = dict(zip(reversed(levels), hashes, strict=True))  # level -> root of the subtree waiting for a twin

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees from left (largest) to right (smallest)."""
        return tuple(self._edge[level] for level in sorted(self._edge, reverse=True))

    def append(self, leaf: bytes) -> list[Node]:
        """Add one leaf hash; return the nodes that are complete now, the leaf first."""
        return self.extend([leaf])

    def extend(self, leaves: Iterable[bytes]) -> list[Node]:
        """Add leaf hashes in order; return the nodes that are complete now, level by level."""
        nodes: list[Node] = []
        for level, first, hashes in self._grow(list(leaves)):
            nodes += [(level, index, one) for index, one in enumerate(hashes, first)]
        return nodes

    def absorb(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order, when nobody keeps the nodes."""
        for _ in self._grow(list(leaves)):
            pass

    def root(self) -> bytes:
        """Return the root of the tree as it stands (RFC 9162, section 2.1.1)."""
        hashes = self.hashes
        if not hashes:
            return EMPTY_ROOT
        root = hashes[-1]
        for left in hashes[-2::-1]:
            root = node_hash(left, root)
        return root

    def _grow(self, hashes: list[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        """Yield, for each level that grew, the index of its first new node and all its new nodes."""
        first, level, begun = self.size, 0, _INNER.copy
        self.size += len(hashes)
        while hashes:
            yield level, first, hashes
            if first & 1:  # an older left twin waits on the edge
                hashes = [self._edge.pop(level), *hashes]
                first -= 1
            if len(hashes) & 1:
                self._edge[level] = hashes[-1]
            pairs = iter(hashes)
            hashes = []
            for left, right in zip(pairs, pairs, strict=False):
                one = begun()
                one.update(left + right)
                hashes.append(one.digest())
            first, level = first >> 1, level + 1


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root at `size` (RFC 9162, section 2.1.3.1).

    Args:
        node: gives the hash of a complete node by level and index.

    Raises:
        Refused: there is no such leaf at that size.
    """
    if not 0 <= index < size:
        raise _no_proof(f"leaf {index} in a tree of size {size}", "Leaves are counted from 0 and lie below the size.")
    proof, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_root(middle, end, node))
            end = middle
        else:
            proof.append(_root(begin, middle, node))
            begin = middle
    return proof[::-1]


def consistency_proof(first: int, second: int, node: NodeReader) -> list[bytes]:
    """Return the hashes that show the tree at `first` to be the beginning of that at `second` (section 2.1.4.1).

    Between equal sizes, and from the empty tree, there is nothing to show: the proof is empty.

    Raises:
        Refused: the first size is larger than the second, or negative.
    """
    if not 0 <= first <= second:
        raise _no_proof(f"sizes {first} and {second}", "The first size is the smaller one, and none is negative.")
    if first in (0, second):
        return []
    proof, begin, end = [], 0, second
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            proof.append(_root(middle, end, node))
            end = middle
        else:
            proof.append(_root(begin, middle, node))
            begin = middle
    if begin:  # the verifier knows the whole first tree, but not its right part
        proof.append(_root(begin, end, node))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether `proof` leads from the leaf hash at `index` to `root` (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes((leaf, root, *proof)):
        return False
    inner, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if inner & 1 or inner == last:
            found = node_hash(sibling, found)
            while not inner & 1 and inner:
                inner, last = inner >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        inner, last = inner >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether `proof` shows the first tree to be the beginning of the second (RFC 9162, section 2.1.4.2)."""
    if not 0 <= first <= second or not _are_hashes((first_root, second_root, *proof)):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:  # the RFC leaves this case out: any tree begins with the empty one
        return not proof and first_root == EMPTY_ROOT
    path = list(proof)
    if first & (first - 1) == 0:  # the first tree is itself a node of the second
        path.insert(0, first_root)
    if not path:
        return False
    inner, last = first - 1, second - 1
    while inner & 1:
        inner, last = inner >> 1, last >> 1
    found_first = found_second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if inner & 1 or inner == last:
            found_first = node_hash(sibling, found_first)
            found_second = node_hash(sibling, found_second)
            while not inner & 1 and inner:
                inner, last = inner >> 1, last >> 1
        else:
            found_second = node_hash(found_second, sibling)
        inner, last = inner >> 1, last >> 1
    return last == 0 and found_first == first_root and found_second == second_root


def _split(count: int) -> int:
    """Return the largest power of two below `count` (`k` of RFC 9162, section 2.1.1)."""
    return 1 << (count - 1).bit_length() - 1


def _root(begin: int, end: int, node: NodeReader) -> bytes:
    """Return the root over leaves [begin, end); `begin` is a multiple of a power of two not below their number."""
    parts = []
    for level in range((end - begin).bit_length() - 1, -1, -1):
        if end - begin >> level & 1:
            parts.append(node(level, begin >> level))
            begin += 1 << level
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _are_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


def _no_proof(of: str, why: str) -> Refused:
    return Refused(what=f"There is no proof for {of}.", why=why, fix="Ask for sizes and indexes the log has reached.")
