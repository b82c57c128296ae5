# SPDX-License-Identifier: Apache-2.0
"""Bytes that others verify never change: what is written today is what was written first.

A golden file changes only with a new version and a decision record; then a file is added here, and the old one stays
and still verifies.
"""

from hashlib import sha256
from pathlib import Path

import pytest

from signoff.ledger.canonical import canonical
from signoff.ledger.checkpoint import parse_keys, verifier_key, verify
from signoff.ledger.dsse import open_envelope
from signoff.ledger.entry import decode
from signoff.ledger.fold import verify_log
from signoff.ledger.verify import verify_receipt

from . import sample
from .sample import KEYS, entries

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger"


def key_file() -> bytes:
    lines = [f"{verifier_key(key.name, key.public)} 0" for key in KEYS]
    return (
        "# Test keys: anyone can make the private half. They sign nothing but tests.\n" + "\n".join(lines) + "\n"
    ).encode()


MADE = {
    **{f"entry-{index}.json": data for index, data in enumerate(entries())},
    "checkpoint-7.txt": sample.checkpoint(7).encode(),
    "keys.txt": key_file(),
    "envelope.json": canonical(sample.signed(sample.statement())),
    "receipt-promised.json": sample.promised(),
    "receipt-included.json": sample.included(),
    "receipt-opened.json": sample.opened(),
}
# Written down apart from the files, so that no tool can renew both at once.
DIGESTS = {
    "entry-0.json": "6ea5f21e2a118da3f16c3a63c06ff22eabb25cf77c0ec86bcfd82fb64878a800",
    "entry-1.json": "32bd9499f3e894cbe86019aaa8521ac55d400bebfa2c99b55e6ac9ea42feafb4",
    "entry-2.json": "7b3066b8f5429ff86839716626bdb8b46391dd8a18904b801f8fc8ef793a86e4",
    "entry-3.json": "7805d1e157c4a1af261b7fce58619e8afe560b79bfe3f437374782b28a9cc6f1",
    "entry-4.json": "d0903ca4dac4c348c8f62bba3eb364c57c93e4d27af21ca663460fd97c068266",
    "entry-5.json": "b871457fc7494b90e5dbf59879b17e7bf0542418de861034814515686f9212ee",
    "entry-6.json": "125694203918ad4d9b17a8b8d658b41410b3a830818cb5e2ff5ed6757bbb587b",
    "checkpoint-7.txt": "11c7a3df36c7fe50eb0d538760488562134eb21929bfc4ca8d88652afc80c9d5",
    "keys.txt": "fd12665af131b6f7fab9b0ad0708eb91683c274148102f5d2cff5c0da8acb348",
    "envelope.json": "8840846bbe03cb56533a3ace0a5c7fe4cb23af06091c7b115e084f25d5728a28",
    "receipt-promised.json": "a03e13864d4c1adf46bf6e61f7e49a16b09f90b4ab9a36d32a907c1de3a8b477",
    "receipt-included.json": "6bccaa7ba806be8172c58161ba7fc99411979ef7a13db88477183fe3fead09fd",
    "receipt-opened.json": "6822c5d8ee4d6b058e8da5cf7297ac12f07c3b731abb540550853761f3ce4392",
}


@pytest.mark.parametrize("name", MADE)
def test_the_bytes_made_today_are_those_of_the_golden_file(name: str) -> None:
    assert MADE[name] == (GOLDEN / name).read_bytes()
    assert sha256(MADE[name]).hexdigest() == DIGESTS[name]


def test_no_golden_file_is_without_its_test() -> None:
    assert {path.name for path in GOLDEN.iterdir()} - {".gitattributes"} == set(MADE) == set(DIGESTS)


def read(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def test_the_golden_files_verify_by_themselves() -> None:
    """From the files alone, as an auditor has them."""
    keys = parse_keys(read("keys.txt").decode())
    stored = [(index, read(f"entry-{index}.json")) for index in range(7)]
    assert [decode(data)["seq"] for _, data in stored] == [1, 1, 2, 3, 4, 1, 2]
    report = verify_log(stored, [read("checkpoint-7.txt")], keys)
    assert (report.is_sound, report.proved) == (True, 7)
    assert report.root == verify(read("checkpoint-7.txt"), keys).root
    assert open_envelope(read("envelope.json"), keys).key.name == sample.RECEIPT_NAME
    codes = {
        name: verify_receipt(read(f"receipt-{name}.json"), keys).exit_code
        for name in ("promised", "included", "opened")
    }
    assert codes == {"promised": 2, "included": 0, "opened": 0}
    assert verify_receipt(read("receipt-included.json"), keys, checkpoint=read("checkpoint-7.txt")).exit_code == 0
