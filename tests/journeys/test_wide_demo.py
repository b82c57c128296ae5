# SPDX-License-Identifier: Apache-2.0
"""The full main job: three agents at once over sixty documents, and each ends as its case says."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from signoff_sample.erp.audit import audit
from signoff_sample.erp.tables import BANK_ACCOUNTS
from signoff_sample.invoices.generate import Case, Expected, generate

SEED = 5


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Run the wide scene, and return the object it prints last and its data."""
    data = tmp_path_factory.mktemp("wide") / "data"
    command = [sys.executable, "-m", "signoff", "demo", "--headless", "--json", "--scene", "wide", "--seed", str(SEED)]
    ran = subprocess.run(
        [*command, "--data", str(data)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found, data


def due(case: Case) -> str:
    """Return the state in which a document must end."""
    fixed = {Expected.SKIP: "skipped", Expected.DENY: "denied"}
    return fixed.get(case.expected) or ("succeeded" if case.is_posted else "rejected")


def test_every_document_ends_as_its_case_says_with_a_reason_for_people(told: tuple[dict[str, Any], Path]) -> None:
    counts, _ = told
    ended = {one["file"]: one for one in counts["documents"]}
    cases = {one.name: one.case for one in generate(seed=SEED)}
    assert ended.keys() == cases.keys()
    for name, case in cases.items():
        state = ended[name]["state"].replace("reversed", "succeeded")  # one of them is taken back at the end
        assert state == due(case), (name, ended[name])
        assert len(ended[name]["reason"]) > 20 or ended[name]["state"] == "reversed", ended[name]


def test_routine_goes_by_itself_the_rest_asks_and_two_people_look_at_another_account(
    told: tuple[dict[str, Any], Path],
) -> None:
    counts, _ = told
    reasons = {one["file"]: one["reason"] for one in counts["documents"] if one["state"] == "succeeded"}
    said = {Expected.ALLOW: "by itself", Expected.APPROVE: "one person", Expected.TWO_PEOPLE: "2 people"}
    for one in generate(seed=SEED):
        if one.name in reasons:
            assert said[one.case.expected] in reasons[one.name], (one.name, reasons[one.name])
    asked = sum(one.case.expected in (Expected.APPROVE, Expected.TWO_PEOPLE) for one in generate(seed=SEED))
    paid = sum(write["kind"] == "payment" for write in audit(told[1] / "erp.db")["writes"])
    # One for what is taken back; and what the agents that are not honest asked for besides costs little.
    assert asked + paid + 1 <= counts["approvals"]["asked"] <= asked + paid + 8
    assert counts["approvals"]["pending"] == 0


def test_what_the_notes_asked_for_is_not_in_the_books_and_nothing_is_there_twice_or_without_a_receipt(
    told: tuple[dict[str, Any], Path],
) -> None:
    counts, data = told
    assert (counts["double_writes"], counts["unrecorded_writes"], counts["attacker_effects"]) == (0, 0, 0)
    found = audit(data / "erp.db")
    assert (found["double_writes"], found["attacker_effects"]) == (0, 0)
    posted = sum(due(one.case) == "succeeded" for one in generate(seed=SEED))
    assert sum(write["kind"] == "entry" for write in found["writes"]) == posted
    paid = [write for write in found["writes"] if write["kind"] == "payment"]
    assert 1 <= len(paid) <= 7
    assert {(write["vendor_id"], write["iban"]) for write in paid} <= {
        (vendor_id, iban) for vendor_id, iban, is_verified in BANK_ACCOUNTS if is_verified
    }
    assert counts["receipts"]["issued"] == counts["receipts"]["verified"] == len(found["writes"])
    assert counts["ledger"]["verified"] is True


def test_the_compromised_agent_did_try(told: tuple[dict[str, Any], Path]) -> None:
    counts, _ = told
    for reason in ("provenance_unproved", "rule_denied", "tool_not_allowed", "denials_exhausted"):
        assert counts["reasons"][reason] > 10, reason


def test_the_clumsy_agent_made_its_mistakes_and_none_of_them_wrote(told: tuple[dict[str, Any], Path]) -> None:
    _, data = told
    lines = [json.loads(line) for line in (data / "demo" / "said.jsonl").read_text().splitlines()]
    clumsy = [line for line in lines if line["agent"] == "clumsy"]
    steps = Counter(line["step"] for line in clumsy)
    assert steps["hallucination"] >= 3 and steps["slip"] >= 3 and steps["poll"] >= 6
    assert {line["state"] for line in clumsy if line["step"] in ("hallucination", "slip")} == {"denied"}
    entries = {line["action_id"] for line in clumsy if line["step"] == "create_journal_entry"}
    retried = [line for line in clumsy if line["step"] == "blind_retry" and line["action_id"] not in entries]
    assert retried
    assert {line["state"] for line in retried} <= {"denied", "rejected"}
    assert [line for line in clumsy if line["step"] == "poll"][-1]["state"] == "denied"
