# SPDX-License-Identifier: Apache-2.0
"""Several trees in one store: each is read out as if it were alone, and an opening counts at its place only."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.entry import encode, leaf_hash
from signoff.ledger.epochs import STREAM, TYPE, Epoch, Opening, Part, read_epochs, verify_epochs
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import EMPTY_ROOT, Frontier, inclusion_proof, verify_inclusion

NAME = "play.test/default"


def opening(epoch: int, had_size: int, seq: int = 1, prev: str = "", **changed: object) -> bytes:
    """Return the entry that opens an epoch."""
    said = Opening(epoch, had_size, "00" * 32, f"{NAME}/1", had_size + 3, "11" * 32, 0).members() | changed
    return encode(
        {"v": 1, "type": TYPE, "tenant": "default", "stream": STREAM, "seq": seq, "prev": prev, "at": 1, "set": said}
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_trees_behind_one_another_are_each_proved_as_if_alone(sizes: list[int]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    epochs: list[tuple[Epoch, bytes, list[bytes]]] = []
    for number, size in enumerate(sizes, 1):
        epoch, tree = Epoch(number, f"{NAME}/{number}", tuple(sizes[: number - 1])), Frontier()
        leaves = [sha256(b"%d/%d" % (number, at)).digest() for at in range(size)]
        for level, at, node in tree.extend(leaves):
            assert (level, at + epoch.shift(level)) not in stored
            stored[level, at + epoch.shift(level)] = node
        epochs.append((epoch, tree.root(), leaves))
    for level in {level for level, _ in stored}:  # no gap on any level, which an audit counts on
        positions = sorted(at for one, at in stored if one == level)
        assert positions == list(range(len(positions)))
    for epoch, root, leaves in epochs:
        for index, leaf in enumerate(leaves):
            assert stored[0, epoch.first + index] == leaf
            proof = inclusion_proof(index, len(leaves), epoch.reader(stored))
            assert verify_inclusion(leaf, index, len(leaves), proof, root)


def test_an_entry_is_of_the_epoch_in_which_it_was_written_not_of_the_tree_that_took_it() -> None:
    held = read_epochs(NAME, [(5, opening(2, 5, carried=2)), (9, opening(4, 4, 2, leaf_hash(opening(2, 5)).hex()))])
    assert [one.number for one in held.all] == [1, 2, 4]
    assert [held.at(index).number for index in (0, 4, 5, 8, 9, 100)] == [1, 1, 2, 2, 4, 4]
    assert [held.written_under(index).number for index in (4, 5, 6, 7, 8, 9, None)] == [1, 2, 1, 1, 2, 4, 4]
    assert held.current.origin == f"{NAME}/4"


@pytest.mark.parametrize(
    ("index", "data"),
    [
        (None, opening(2, 5)),  # in no tree: nobody has signed it
        (4, opening(2, 5)),
        (6, opening(2, 5)),
        (5, opening(1, 5)),
        (5, opening(2, 5, known_size=True)),
        (5, opening(2, 5, carried=-1)),
        (5, opening(2, 5, more=1)),
        (5, opening(2, 5).replace(b"log.recovered", b"log.recovereD")),
    ],
)
def test_what_opens_no_epoch_is_refused(index: int | None, data: bytes) -> None:
    with pytest.raises(Refused):
        read_epochs(NAME, [(index, data)])


def test_an_epoch_that_does_not_name_the_tree_before_it_does_not_follow() -> None:
    first = encode({"v": 1, "type": "t", "tenant": "default", "stream": "s", "seq": 1, "prev": "", "at": 1, "set": {}})
    root = leaf_hash(first).hex()

    def judged(data: bytes) -> list[bool]:
        parts = [Part([(0, first)], [], f"{NAME}/1"), Part([(0, data)], [], f"{NAME}/2")]
        return [report.is_sound for report in verify_epochs(parts, ())]

    assert judged(opening(2, 1, had_root=root)) == [True, True]
    assert judged(opening(2, 1, had_root="00" * 32)) == [True, False]
    assert judged(opening(2, 0, had_root=root)) == [True, False]
    assert judged(opening(3, 1, had_root=root)) == [True, False]
    assert judged(first.replace(b'"s"', b'"x"')) == [True, False]
    alone = verify_epochs([Part([(0, opening(2, 1, had_root=root))], [], f"{NAME}/2")], ())
    assert [report.is_sound for report in alone] == [False]  # the tree that it names was not handed out
    whole = verify_epochs([Part([(0, opening(2, 0, had_root=EMPTY_ROOT.hex()))], [], f"{NAME}/2")], ())
    assert [report.is_sound for report in whole] == [True]  # the database before it was lost whole
