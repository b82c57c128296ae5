# SPDX-License-Identifier: Apache-2.0
"""A receipt can be read, copied and proved by anyone; its figures are exact."""

import html
import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from signoff.ledger.canonical import canonical
from signoff.ledger.checkpoint import verifier_key
from signoff.ledger.dsse import PAYLOAD_TYPE, envelope, pae
from signoff.surfaces.web import figures, hostile, render
from tests.surfaces.reader import Reader
from tests.surfaces.sheets import (
    DIGEST,
    PAGES,
    receipt_view,
)


@pytest.mark.parametrize(
    ("micros", "said"),
    [(1_284_331_200, "1,284.3312"), (2000, "0.002"), (0, "0.00"), (-1_500_000, "-1.50"), (1, "0.000001")],
)
def test_money_is_exact(micros: int, said: str) -> None:
    assert figures.usd(micros) == said


@given(st.integers(-(2**53), 2**53))
def test_a_grouped_number_copies_as_the_number(number: int) -> None:
    assert "".join(Reader(str(hostile.shown(number))).words) == str(number)


def test_a_digest_is_shown_whole_and_copies_whole() -> None:
    assert "".join(Reader(str(figures.digest(DIGEST))).words) == DIGEST
    assert figures.short(DIGEST) == "0123456789ab"


def test_times_are_utc_and_what_is_no_time_is_not_made_one() -> None:
    assert ">20 Nov 2026, 22:41:02 UTC<" in figures.when("2026-11-20T23:41:02+01:00")
    assert "<time" not in figures.when("2026-11-20T22:41:02") and "<time" not in figures.when("soon")
    assert figures.elapsed("2026-11-20T22:41:02Z", "2026-11-20T22:44:50Z") == "3 min 48 s"
    assert figures.elapsed("2026-11-20T22:44:50Z", "2026-11-20T22:41:02Z") == ""


def test_a_receipt_names_its_place_in_the_log_and_how_to_check_it() -> None:
    said = Reader(render.receipt(receipt_view(receipt_id="rcp_1"))).text
    assert "2 in a log of 3" in said and "signoff verify rcp_1.json --key KEY" in said and "openssl pkeyutl" in said
    assert "must stand there by" in Reader(PAGES["promised"]).text


def test_the_recipe_on_a_receipt_verifies_the_signature_and_refuses_a_bent_one(tmp_path: Path) -> None:
    recipe = re.search('aria-label="Shell recipe"><code>(.*?)</code>', render.receipt(receipt_view()), re.DOTALL)
    assert recipe
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    lines = [verifier_key("acme/receipt", one.public_key().public_bytes_raw()) for one in (other, key)]
    (tmp_path / "KEY").write_text("# keys\n" + "".join(f"{line} 0\n" for line in lines))
    payload = canonical({"predicate": {"tool": "erp.create_journal_entry", "note": "é"}})
    keyid = lines[1].rsplit("+", lines[1].count("+") - 1)[0]
    sealed = envelope(payload, keyid, key.sign(pae(PAYLOAD_TYPE, payload)))
    bent = sealed | {"payload": envelope(payload[:-1] + b" ", keyid, b"")["payload"]}
    for dsse, is_true in ((sealed, True), (bent, False)):
        (tmp_path / "receipt.json").write_bytes(canonical({"v": 1, "type": "signoff.receipt", "envelope": dsse}))
        ran = subprocess.run(
            ["sh", "-e", "-c", html.unescape(recipe[1])], cwd=tmp_path, capture_output=True, check=False
        )
        assert (ran.returncode == 0) is is_true, ran.stderr
        assert (b"Verified Successfully" in ran.stdout) is is_true
