# SPDX-License-Identifier: Apache-2.0
"""The tree is that of the RFC; each proof verifies, and each bent one fails."""

from functools import cache
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from signoff.ledger.errors import Refused
from signoff.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

MOST = 130
LEAVES = [leaf_hash(bytes([number])) for number in range(MOST)]


# --- the definitions of RFC 6962, section 2.1, word by word ----------------------------------------------------------


@cache
def mth(begin: int, end: int) -> bytes:
    if begin == end:
        return sha256(b"").digest()
    if end - begin == 1:
        return LEAVES[begin]
    k = largest_power_below(end - begin)
    return sha256(b"\x01" + mth(begin, begin + k) + mth(begin + k, end)).digest()


def path(m: int, begin: int, end: int) -> list[bytes]:
    if end - begin == 1:
        return []
    k = largest_power_below(end - begin)
    if m < k:
        return [*path(m, begin, begin + k), mth(begin + k, end)]
    return [*path(m - k, begin + k, end), mth(begin, begin + k)]


def subproof(m: int, begin: int, end: int, known: bool) -> list[bytes]:
    n = end - begin
    if m == n:
        return [] if known else [mth(begin, end)]
    k = largest_power_below(n)
    if m <= k:
        return [*subproof(m, begin, begin + k, known), mth(begin + k, end)]
    return [*subproof(m - k, begin + k, end, False), mth(begin, begin + k)]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


# --- ours against them -----------------------------------------------------------------------------------------------

NODES = {(level, index): one for level, index, one in Frontier().extend(LEAVES)}


def node(level: int, index: int) -> bytes:
    return NODES[level, index]


def test_the_empty_tree_and_the_first_leaf_have_the_known_hashes() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(LEAVES[0], LEAVES[1]) == mth(0, 2)


@pytest.mark.parametrize("size", range(MOST + 1))
def test_the_root_is_that_of_the_recursive_definition(size: int) -> None:
    tree = Frontier()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    assert tree.root() == mth(0, size)


@given(st.lists(st.integers(0, 40), max_size=8))
def test_it_does_not_matter_in_which_portions_leaves_are_added(portions: list[int]) -> None:
    assume(sum(portions) <= MOST)
    tree, single, size = Frontier(), Frontier(), 0
    kept: dict[tuple[int, int], bytes] = {}
    for portion in portions:
        batch = LEAVES[size : size + portion]
        fresh = tree.extend(batch)
        assert sorted(fresh) == sorted(one for leaf in batch for one in single.append(leaf))
        assert not kept.keys() & {(level, index) for level, index, _ in fresh}  # a complete node is made once
        kept |= {(level, index): one for level, index, one in fresh}
        size += portion
        tree = Frontier(tree.size, tree.hashes)  # stored and taken up again
        assert tree.root() == mth(0, size)
    assert kept == {
        (level, index): mth(index << level, index + 1 << level) for level in range(8) for index in range(size >> level)
    }


@given(st.lists(st.integers(0, 40), max_size=4))
def test_absorbing_leaves_gives_the_same_tree(portions: list[int]) -> None:
    assume(sum(portions) <= MOST)
    tree, size = Frontier(), 0
    for portion in portions:
        tree.absorb(LEAVES[size : size + portion])
        size += portion
    assert (tree.size, tree.root()) == (size, mth(0, size))


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (3, 1), (4, 2), (-1, 0)])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, count: int) -> None:
    with pytest.raises(Refused):
        Frontier(size, LEAVES[:count])


def test_a_frontier_of_other_than_hashes_is_refused() -> None:
    with pytest.raises(Refused):
        Frontier(1, [b"short"])


@pytest.mark.parametrize("size", range(1, 70))
def test_each_inclusion_proof_is_that_of_the_rfc_and_verifies(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(index, size, node)
        assert proof == path(index, 0, size)
        assert verify_inclusion(LEAVES[index], index, size, proof, mth(0, size))


@pytest.mark.parametrize("second", range(70))
def test_each_consistency_proof_is_that_of_the_rfc_and_verifies(second: int) -> None:
    for first in range(second + 1):
        proof = consistency_proof(first, second, node)
        assert proof == (subproof(first, 0, second, True) if first else [])
        assert verify_consistency(first, second, mth(0, first), mth(0, second), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (5, 3), (-1, 3)])
def test_there_is_no_inclusion_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(Refused):
        inclusion_proof(index, size, node)
    assert not verify_inclusion(LEAVES[0], index, size, [], mth(0, 1))


@pytest.mark.parametrize(("first", "second"), [(2, 1), (-1, 1)])
def test_there_is_no_consistency_proof_backwards(first: int, second: int) -> None:
    with pytest.raises(Refused):
        consistency_proof(first, second, node)
    assert not verify_consistency(first, second, EMPTY_ROOT, LEAVES[0], [])


# --- bent proofs -----------------------------------------------------------------------------------------------------


def bent(draw: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """Return the proof with one thing about it changed."""
    ways = (
        ["longer", "front"]
        + (["flip", "drop", "short", "twice"] if proof else [])
        + (["swap"] if len(proof) > 1 else [])
    )
    way, at = draw.draw(st.sampled_from(ways)), draw.draw(st.integers(0, max(len(proof) - 1, 0)))
    bad = list(proof)
    match way:
        case "longer":
            bad.append(draw.draw(st.sampled_from(LEAVES)))
        case "front":
            bad.insert(0, draw.draw(st.sampled_from(LEAVES)))
        case "flip":
            bad[at] = bytes([bad[at][0] ^ 1 << draw.draw(st.integers(0, 7))]) + bad[at][1:]
        case "drop":
            del bad[at]
        case "short":
            bad[at] = bad[at][:-1]
        case "twice":
            bad.insert(at, bad[at])
        case "swap":
            other = draw.draw(st.integers(0, len(proof) - 1).filter(lambda one: one != at))
            bad[at], bad[other] = bad[other], bad[at]
    return bad


@given(st.data(), st.integers(1, MOST))
def test_no_bent_inclusion_proof_verifies(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    bad = bent(data, inclusion_proof(index, size, node))
    assert not verify_inclusion(LEAVES[index], index, size, bad, mth(0, size))


@given(st.integers(1, MOST), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_index_and_root_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, node), mth(0, size)
    other = data.draw(st.integers(0, MOST))
    assert verify_inclusion(LEAVES[index], other, size, proof, root) is (other == index)
    assert verify_inclusion(LEAVES[other % MOST], index, size, proof, root) is (other % MOST == index)
    assert verify_inclusion(LEAVES[index], index, size, proof, mth(0, other)) is (other == size)
    assert not verify_inclusion(LEAVES[index][:-1], index, size, proof, root)


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    assert not verify_inclusion(mth(0, 2), 0, 4, [mth(2, 4)], mth(0, 4))
    assert not verify_inclusion(mth(0, 4), 0, 4, [], mth(0, 4))


def test_a_consistency_proof_does_not_hold_for_a_larger_size() -> None:
    proof = consistency_proof(2, 4, node)
    assert verify_consistency(2, 4, mth(0, 2), mth(0, 4), proof)
    assert not verify_consistency(2, 8, mth(0, 2), mth(0, 4), proof)
    assert not verify_consistency(3, 8, mth(0, 3), mth(0, 4), consistency_proof(3, 4, node))


@given(st.data(), st.integers(1, MOST))
def test_no_bent_consistency_proof_verifies(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(0, second))
    bad = bent(data, consistency_proof(first, second, node))
    assert not verify_consistency(first, second, mth(0, first), mth(0, second), bad)


@given(st.integers(1, MOST), st.data())
def test_a_consistency_proof_holds_for_its_roots_alone(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))  # from the empty tree any other follows
    other = data.draw(st.integers(0, MOST))
    proof = consistency_proof(first, second, node)
    assert verify_consistency(first, second, mth(0, other), mth(0, second), proof) is (other == first)
    assert verify_consistency(first, second, mth(0, first), mth(0, other), proof) is (other == second)


@given(st.data(), st.integers(2, MOST))
def test_a_log_that_changed_an_entry_has_no_way_back_to_its_earlier_root(data: st.DataObject, second: int) -> None:
    first = data.draw(st.integers(1, second - 1))
    changed = data.draw(st.integers(0, first - 1))
    leaves = [*LEAVES[:changed], leaf_hash(b"changed"), *LEAVES[changed + 1 : second]]
    tree = Frontier()
    nodes = {(level, index): one for level, index, one in tree.extend(leaves)}
    proof = consistency_proof(first, second, lambda level, index: nodes[level, index])
    assert not verify_consistency(first, second, mth(0, first), tree.root(), proof)
