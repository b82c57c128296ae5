# SPDX-License-Identifier: Apache-2.0
"""The walk of the main job: the command in a process of its own, over real servers and real files."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from signoff.app.action.sweep import sweep_now
from signoff.app.epochs import look_at_log
from signoff.app.world import TENANT
from signoff.core.principal import Caller
from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.verify import Outcome, verify_receipt
from signoff.settings import Settings
from signoff.surfaces.cli.offline import installation_of
from signoff.wiring import owned
from signoff_sample.erp.audit import audit
from signoff_sample.erp.store import open_store
from signoff_sample.erp.tools import TOOLS, write
from signoff_sample.invoices import SAMPLES, write_to


def demo(*arguments: str, status: int = 0) -> dict[str, Any]:
    """Run the walk of `signoff demo --headless --json` and return the object it prints last."""
    command = [sys.executable, "-m", "signoff", "demo", "--headless", "--json", "--scene", "walk", *arguments]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=170)
    assert ran.returncode == status, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    data = tmp_path_factory.mktemp("demo") / "data"
    return demo("--data", str(data)), data


def test_every_write_asks_and_five_invoices_end_with_a_reason(told: tuple[dict[str, Any], Path]) -> None:
    counts, _ = told
    assert counts["runs"] == 5
    assert [one["state"] for one in counts["documents"]].count("rejected") == 1
    assert all(one["reason"] for one in counts["documents"])
    assert counts["approvals"] == {"asked": 6, "approved": 5, "rejected": 1, "pending": 0}
    assert counts["posted"] == 4
    assert counts["undone"] == 1


def test_nothing_is_written_twice_unrecorded_or_for_an_attacker(told: tuple[dict[str, Any], Path]) -> None:
    counts, data = told
    assert (counts["double_writes"], counts["unrecorded_writes"], counts["attacker_effects"]) == (0, 0, 0)
    books = audit(data / "erp.db")
    assert len(books["writes"]) == 5  # four entries and a reversal
    assert counts["receipts"] == {"issued": 5, "verified": 5}
    assert counts["ledger"]["verified"] is True
    assert 0 < counts["spend"]["settled_usd_micros"] <= 5 * counts["spend"]["cap_usd_micros"]


def test_a_receipt_verifies_offline_and_fails_after_any_change_of_one_byte(told: tuple[dict[str, Any], Path]) -> None:
    _, data = told
    folder = data / "demo" / "receipts"
    keys = parse_keys((data / "demo" / "signoff.keys").read_text())
    receipts = sorted(folder.iterdir())
    assert len(receipts) == 5
    for path in receipts:
        assert verify_receipt(path.read_bytes(), keys).outcome is Outcome.INCLUDED
    bent = bytearray(receipts[0].read_bytes())
    for place in range(0, len(bent), 7):
        bent[place] ^= 0x01
        assert verify_receipt(bytes(bent), keys).outcome is not Outcome.INCLUDED, place
        bent[place] ^= 0x01


def test_what_is_no_invoice_is_reported_and_skipped_and_what_asks_stays_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    write_to(folder)
    for name in SAMPLES[1:]:
        (folder / name).unlink()
    (folder / "poem.txt").write_text("Shall I compare thee")
    (folder / "empty.xml").write_bytes(b"")
    counts = demo("--invoices", str(folder), "--approver", "none", "--data", str(tmp_path / "data"))
    states = {one["file"]: one["state"] for one in counts["documents"]}
    assert states == {SAMPLES[0]: "pending_approval", "poem.txt": "skipped", "empty.xml": "skipped"}
    assert counts["approvals"]["pending"] == 1
    assert counts["posted"] == 0
    assert counts["actions"]["pending_approval"] == 1


def test_a_folder_that_is_not_there_is_said_in_plain_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "signoff", "demo", "--headless", "--invoices", str(tmp_path / "none")]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert ran.returncode != 0
    assert "There is no folder" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_a_sweep_finds_nothing_but_what_was_written_past_signoff(
    told: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, data = told
    monkeypatch.setenv("SIGNOFF_SAMPLE_ERP_DB", str(data / "erp.db"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    me = Caller(TENANT, "psn_auditor", ("auditor",))
    async with owned(Settings(data=data, installation=installation_of(data))) as world:
        await look_at_log(world, TENANT)
        clean = await sweep_now(world, me)
        store = open_store(data / "erp.db")
        write(store, TOOLS["erp.add_note"], {"vendor_id": "V-1001", "line": "by hand", "idempotency_key": "mine"})
        store.close()
        after = await sweep_now(world, me)
    assert {one.problem for one in clean} == {""}
    assert (sum(one.listed for one in clean), [one.found for one in clean if one.found]) == (5, [])
    assert [(one.tool, one.key, one.why) for swept in after for one in swept.found] == [
        ("erp.add_note", "mine", "unknown")
    ]
