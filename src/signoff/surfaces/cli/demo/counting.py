# SPDX-License-Identifier: Apache-2.0
"""Count what happened: in Signoff over its public API, and in the ERP by code that knows nothing of Signoff."""

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.verify import Outcome, verify_receipt
from signoff.surfaces.cli.demo.stage import Stage
from signoff_sample.erp.audit import audit

RECEIPTS_WITHIN_S = 10.0


@dataclass(slots=True)
class Story:
    """What became of one document."""

    file: str
    state: str = "skipped"
    reason: str = ""
    run_id: str = ""
    action_id: str = ""
    agent: str = "honest"
    votes: int = 0  # that its entry took
    attempts: int = 0  # calls made because a text asked for them


@dataclass(slots=True)
class Counts:
    """What the demo prints last."""

    documents: list[Story]
    actions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    approvals: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    settled: int = 0
    cap: int = 0
    issued: int = 0
    verified: int = 0
    undone: int = 0
    entries: int = 0
    is_ledger_verified: bool = False
    ledger_findings: list[Mapping[str, Any]] = field(default_factory=list)
    books: Mapping[str, Any] = field(default_factory=dict)
    keys_receipted: set[str] = field(default_factory=set)

    @property
    def posted(self) -> int:
        """Entries the ERP holds because of this demo, taken back or not."""
        return sum(write["kind"] == "entry" for write in self.books.get("writes", ()))

    @property
    def unrecorded(self) -> int:
        """Writes in the ERP's own database whose key stands in no verified receipt."""
        return sum(write["idempotency_key"] not in self.keys_receipted for write in self.books.get("writes", ()))

    @property
    def is_well(self) -> bool:
        """Tell whether everything that must be zero is zero, and every proof held."""
        harm = self.books["double_writes"] + self.books["attacker_effects"] + self.unrecorded
        return harm == 0 and self.issued == self.verified and self.is_ledger_verified

    def as_json(self) -> dict[str, Any]:
        """Return the object of `signoff demo --json`."""
        asked = ("asked", "approved", "rejected", "pending")
        return {
            "runs": self.runs,
            "actions": dict(sorted(self.actions.items())),
            "reasons": dict(sorted(self.reasons.items())),
            "documents": [{"file": one.file, "state": one.state, "reason": one.reason} for one in self.documents],
            "posted": self.posted,
            "approvals": {name: self.approvals[name] for name in asked},
            "double_writes": self.books["double_writes"],
            "unrecorded_writes": self.unrecorded,
            "attacker_effects": self.books["attacker_effects"],
            "receipts": {"issued": self.issued, "verified": self.verified},
            "undone": self.undone,
            "spend": {"settled_usd_micros": self.settled, "cap_usd_micros": self.cap},
            "ledger": {"entries": self.entries, "verified": self.is_ledger_verified},
        }


def count(set_: Stage, documents: list[Story]) -> Counts:
    """Return the counts of everything on this data, once every receipt has its proof, which takes about a second."""
    counts = Counts(documents)
    receipts: list[str] = []
    for run in _pages(set_, "/v1/runs"):
        counts.runs += 1
        document = set_.call("GET", f"/v1/runs/{run['run_id']}")
        counts.settled += document["budgets"]["settled_usd_micros"]
        counts.cap = document["budgets"]["cap_usd_micros"]
        for brief in document["actions"]:
            action = set_.call("GET", f"/v1/actions/{brief['action_id']}")
            _count_action(counts, action)
            receipts += [action["receipt_id"]] if action["receipt_id"] else []
    _count_receipts(counts, set_, receipts)
    verified = set_.call("POST", "/v1/ledger/verify", {})
    counts.entries, counts.is_ledger_verified = verified["entries"], verified["verified"]
    counts.ledger_findings = verified["findings"]
    counts.books = audit(set_.books)
    return counts


def _count_action(counts: Counts, action: Mapping[str, Any]) -> None:
    counts.actions[action["state"]] += 1
    if action["reason"]:
        counts.reasons[action["reason"]] += 1
    counts.undone += action["state"] == "reversed"
    if approval := action["approval"]:
        counts.approvals["asked"] += 1
        decisions = {vote["decision"] for vote in approval["votes"] if vote["counts"]}
        if action["state"] == "pending_approval":
            counts.approvals["pending"] += 1
        elif "reject" in decisions:
            counts.approvals["rejected"] += 1
        elif "approve" in decisions:
            counts.approvals["approved"] += 1


def _count_receipts(counts: Counts, set_: Stage, receipts: list[str]) -> None:
    """Fetch every receipt and verify it as its holder would, with nothing but the file and the public keys."""
    folder = set_.data / "demo"
    (folder / "receipts").mkdir(exist_ok=True)
    key_file = set_.fetch("/v1/ledger/keys")
    (folder / "signoff.keys").write_bytes(key_file)
    keys = parse_keys(key_file.decode())
    until = time.monotonic() + RECEIPTS_WITHIN_S
    for receipt_id in receipts:
        counts.issued += 1
        while True:
            data = set_.fetch(f"/v1/receipts/{receipt_id}")
            (folder / "receipts" / f"{receipt_id}.json").write_bytes(data)
            if verify_receipt(data, keys).outcome is Outcome.INCLUDED:
                counts.verified += 1
                counts.keys_receipted.add(key_of(data))
                break
            if time.monotonic() >= until:
                break
            time.sleep(0.2)


def key_of(bundle: bytes) -> str:
    """Return the idempotency key that a receipt's statement names."""
    payload = json.loads(bundle)["envelope"]["payload"]
    key: str = json.loads(base64.b64decode(payload))["predicate"]["key"]
    return key


def _pages(set_: Stage, path: str) -> Iterator[Mapping[str, Any]]:
    cursor = ""
    while True:
        page = set_.call("GET", f"{path}?limit=200{f'&cursor={cursor}' if cursor else ''}")
        yield from page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return
