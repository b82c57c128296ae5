# SPDX-License-Identifier: Apache-2.0
"""The recipe of `docs/reference/verify.md` works as it is printed, without our software."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.ledger.canonical import canonical, to_base64
from signoff.ledger.checkpoint import parse_keys

from . import sample

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "ledger"
PAGE = (ROOT / "docs" / "reference" / "verify.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(SCRIPT,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TOOLS, STATEMENT, CHECKPOINT = SHELL


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A directory as the page assumes it."""
    for name, golden in (
        ("receipt.json", "receipt-opened.json"),
        ("keys.txt", "keys.txt"),
        ("checkpoint.txt", "checkpoint-7.txt"),
    ):
        shutil.copy(GOLDEN / golden, tmp_path / name)
    (tmp_path / "inclusion.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


def holds(desk: Path, block: str) -> bool:
    """Run a block of the page after its tools; the verdict is openssl's."""
    done = subprocess.run(["sh", "-eu", "-c", TOOLS + block], cwd=desk, capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0 and "Verified Successfully" in done.stdout


def is_included(desk: Path) -> bool:
    command = [sys.executable, "-I", "inclusion.py", "receipt.json", "checkpoint.txt"]
    return subprocess.run(command, cwd=desk, capture_output=True, timeout=30).returncode == 0


@pytest.mark.parametrize("form", ["promised", "included", "opened"])
def test_openssl_verifies_the_statement_of_each_form_of_receipt(desk: Path, form: str) -> None:
    shutil.copy(GOLDEN / f"receipt-{form}.json", desk / "receipt.json")
    assert holds(desk, STATEMENT)
    assert json.loads((desk / "statement.json").read_text(encoding="utf-8")) == sample.statement()


def test_openssl_refuses_a_statement_that_was_changed(desk: Path) -> None:
    value = json.loads((desk / "receipt.json").read_bytes())
    value["envelope"]["payload"] = to_base64(canonical(sample.statement(tool="erp.schedule_payment")))
    (desk / "receipt.json").write_bytes(canonical(value))
    assert not holds(desk, STATEMENT)


def test_openssl_verifies_a_checkpoint_and_refuses_a_changed_one(desk: Path) -> None:
    assert holds(desk, CHECKPOINT)
    text = (desk / "checkpoint.txt").read_text(encoding="utf-8")
    (desk / "checkpoint.txt").write_text(text.replace("\n7\n", "\n8\n"), encoding="utf-8")
    assert not holds(desk, CHECKPOINT)


def test_the_script_of_the_page_proves_inclusion_and_nothing_else(desk: Path) -> None:
    assert is_included(desk)
    good = (desk / "receipt.json").read_bytes()
    for place, new in (("index", 3), ("size", 6), ("hashes", []), ("hashes", [to_base64(bytes(32))] * 3)):
        value = json.loads(good)
        value["proof"][place] = new
        (desk / "receipt.json").write_bytes(canonical(value))
        assert not is_included(desk)
    (desk / "receipt.json").write_bytes(good)
    (desk / "checkpoint.txt").write_text(sample.checkpoint(7, bytes(32)), encoding="utf-8")
    assert not is_included(desk)


def test_the_keys_printed_on_the_page_are_keys() -> None:
    (printed,) = re.findall(r"^```\n(acme\.test/log.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    keys = parse_keys(printed)
    assert [(key.name, key.public) for key in keys] == [(key.name, key.public) for key in sample.KEYS]
    assert keys[0].last_size == 81250
