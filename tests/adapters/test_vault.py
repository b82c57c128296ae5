# SPDX-License-Identifier: Apache-2.0
"""Payloads open in their place, unaltered, as long as their key lives; and in no other case."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.adapters.keyfiles import KeyFiles
from signoff.adapters.vault import AesGcmDataKey, AesGcmVault
from signoff.core.errors import Corrupt
from signoff.ports.vault import DataKey, Vault

SECRET = bytes(range(32))
KEY = AesGcmDataKey("key_x", SECRET)


@pytest.fixture
def keys(tmp_path: Path) -> KeyFiles:
    return KeyFiles.create_or_open(tmp_path / "keys", "signoff.acme.test")


@given(plain=st.binary(max_size=400), place=st.binary(max_size=40))
def test_what_is_sealed_opens_in_its_place(plain: bytes, place: bytes) -> None:
    sealed = KEY.seal(plain, place)
    assert KEY.open(sealed, place) == plain
    assert len(sealed) == len(plain) + 28
    assert KEY.seal(plain, place) != sealed


@given(plain=st.binary(max_size=40), place=st.binary(max_size=10), data=st.data())
def test_what_is_bent_by_one_bit_or_cut_does_not_open(plain: bytes, place: bytes, data: st.DataObject) -> None:
    sealed = KEY.seal(plain, place)
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    bent = bytearray(sealed)
    bent[at // 8] ^= 1 << at % 8
    for wrong in (bytes(bent), sealed[: at // 8], sealed + b"\0"):
        with pytest.raises(Corrupt):
            KEY.open(wrong, place)


@given(plain=st.binary(max_size=40), place=st.binary(max_size=10), other=st.binary(max_size=10))
def test_what_was_moved_elsewhere_does_not_open(plain: bytes, place: bytes, other: bytes) -> None:
    if place != other:
        with pytest.raises(Corrupt):
            KEY.open(KEY.seal(plain, place), other)


def test_what_another_key_sealed_does_not_open_and_its_text_is_not_told() -> None:
    other = AesGcmDataKey("key_y", bytes(32))
    with pytest.raises(Corrupt) as caught:
        KEY.open(other.seal(b"salary 4200", b"p"), b"p")
    assert "4200" not in str(caught.value)


def test_equal_contents_have_equal_tags_under_one_key_only() -> None:
    other = AesGcmDataKey("key_y", bytes(32))
    assert KEY.tag(b"iban") == KEY.tag(b"iban") == AesGcmDataKey("key_z", SECRET).tag(b"iban")
    assert len({KEY.tag(b"iban"), KEY.tag(b"ibam"), KEY.tag(b""), other.tag(b"iban")}) == 4
    assert len(KEY.tag(b"iban")) == 32
    int(KEY.tag(b"iban"), 16)


def test_tags_stay_the_same_for_ever() -> None:
    """They are stored and looked up; a change would lose every duplicate made before."""
    assert KEY.tag(b"iban") == "592c42337cc8fa236922bd03f344cc92"


def test_a_minted_key_can_be_used_after_a_restart(keys: KeyFiles) -> None:
    vault: Vault = AesGcmVault(keys)
    wrapped = vault.mint("key_1")
    assert (wrapped.key_id, wrapped.master_id) == ("key_1", keys.active("payload").key_id)
    sealed = vault.unwrap(wrapped).seal(b"plain", b"p")
    later: DataKey = AesGcmVault(KeyFiles.open(keys.directory, keys.name)).unwrap(wrapped)
    assert later.open(sealed, b"p") == b"plain"


def test_each_minted_key_is_another(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys)
    first, second = vault.mint("key_1"), vault.mint("key_1")
    assert first.sealed != second.sealed
    with pytest.raises(Corrupt):
        vault.unwrap(second).open(vault.unwrap(first).seal(b"x", b""), b"")


@pytest.mark.parametrize("remembered", [True, False])
def test_an_altered_wrapped_key_is_noticed_even_while_the_true_one_is_remembered(
    keys: KeyFiles, remembered: bool
) -> None:
    vault = AesGcmVault(keys)
    wrapped, other = vault.mint("key_1"), vault.mint("key_2")
    if remembered:
        vault.unwrap(wrapped)
    else:
        vault = AesGcmVault(keys)
    for wrong in (
        *(replace(wrapped, sealed=bent(wrapped.sealed, at)) for at in range(len(wrapped.sealed))),
        replace(wrapped, sealed=wrapped.sealed[:-1]),
        replace(wrapped, sealed=b""),
        replace(wrapped, sealed=other.sealed),
        replace(wrapped, key_id="key_2"),
        replace(wrapped, master_id="signoff.acme.test/payload+00000000"),
    ):
        with pytest.raises(Corrupt) as caught:
            vault.unwrap(wrong)
        assert wrong.key_id in caught.value.what


def bent(sealed: bytes, at: int) -> bytes:
    return sealed[:at] + bytes([sealed[at] ^ 0x80]) + sealed[at + 1 :]


def test_a_key_of_another_installation_is_refused_with_its_masters_name(keys: KeyFiles, tmp_path: Path) -> None:
    foreign = KeyFiles.create_or_open(tmp_path / "other", "other.test")
    with pytest.raises(Corrupt, match="is not in the key directory"):
        AesGcmVault(keys).unwrap(AesGcmVault(foreign).mint("key_1"))


def test_after_a_rotation_new_keys_have_the_new_master_and_old_ones_still_open(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys)
    old = vault.mint("key_1")
    master = keys.rotate("payload")
    assert vault.mint("key_2").master_id == master.key_id != old.master_id
    assert AesGcmVault(keys).unwrap(old).seal(b"", b"")


def test_a_forgotten_key_is_not_remembered_again_by_a_late_reader(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys)
    wrapped = vault.mint("key_1")
    before = vault.unwrap(wrapped)
    assert vault.unwrap(wrapped) is before
    vault.forget("key_1")
    late = vault.unwrap(wrapped)
    assert late is not before
    assert vault.unwrap(wrapped) is not late
    vault.forget("key_never_seen")


def test_only_so_many_keys_are_remembered_the_latest_used(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys, remembered_max=2)
    a, b = vault.mint("a"), vault.mint("b")
    kept, dropped = vault.unwrap(a), vault.unwrap(b)
    vault.unwrap(a)
    vault.mint("c")
    assert vault.unwrap(a) is kept
    assert vault.unwrap(b) is not dropped


def test_only_so_many_forgotten_keys_are_known_the_latest(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys, remembered_max=2)
    wrapped = vault.mint("a")
    for key_id in "abc":
        vault.forget(key_id)
    assert vault.unwrap(wrapped) is vault.unwrap(wrapped)


def test_many_threads_share_one_vault(keys: KeyFiles) -> None:
    vault = AesGcmVault(keys, remembered_max=4)
    wrapped = [vault.mint(f"key_{n}") for n in range(8)]
    sealed = [vault.unwrap(each).seal(each.key_id.encode(), b"p") for each in wrapped]
    wrong: list[BaseException] = []

    def work(start: int) -> None:
        try:
            for n in range(200):
                at = (start + n) % 8
                key = vault.unwrap(wrapped[at])
                assert key.open(sealed[at], b"p") == wrapped[at].key_id.encode()
                assert key.open(key.seal(b"more", b"q"), b"q") == b"more"
        except (AssertionError, Corrupt) as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
