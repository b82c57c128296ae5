# SPDX-License-Identifier: Apache-2.0
"""What a receipt must say, written from the entries alone: part of the checker, which imports only the ledger."""

from typing import Any

from benchmarks.faults.books import Books, Row
from signoff.ledger.canonical import canonical

COMMITMENTS = ("args_proposed", "args_approved", "args_effective", "preview", "outcome", "image")


def statement(b: Books, row: Row) -> bytes:
    """Return the bytes that the signature of a receipt's row must be of."""
    step = b.steps[row["action_id"]][row["seq"] - 1]
    action, run = step.state, b.fold.states[step.state["run_id"]]
    digest = action.get("digest")
    votes = sorted(
        (
            vote
            for vote in b.fold.rows.get(row["action_id"], {}).get("votes", [])
            if vote["digest"] == digest and vote["decision"] == "approve"
        ),
        key=lambda vote: (vote["at"], vote["person_id"]),
    )
    requesters = {run["principal_id"], run["started_by"], action["by"]}
    predicate: dict[str, Any] = {
        "receipt_id": row["receipt_id"],
        "log": row["log"],
        "leaf": b.heads[row["action_id"], row["seq"]],
        "due_s": 60,
        "at": step.at,
        "tenant": row["tenant"],
        "action": row["action_id"],
        "run": action["run_id"],
        "workflow": run["workflow"],
        "envelope": run["envelope"],
        "environment": run["environment"],
        "agent": run["agent_id"],
        "principal": run["principal_id"],
        "proposed_by": action["by"],
        "tool": action["tool"],
        "tool_contract": action["contract"],
        "revision": action["revision"],
        "digest": digest,
        "state": action["state"],
        "attempts": action["fence"],
        "key": action["key"],
        "checks": action["checks"].split(),
        "voters": [
            {name.removesuffix("_id"): vote.get(name) for name in ("person_id", "role", "at", "digest", "assurance")}
            for vote in votes
        ],
        "self_approved": any(vote["person_id"] in requesters for vote in votes),
        "cost_usd_micros": action["settled_usd_micros"],
        "reverses": action.get("reverses"),
        "executed_by": "signoff",
        "commitments": {name: action[name] for name in COMMITMENTS if action.get(name)},
    }
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                {
                    "name": row["action_id"],
                    "digest": {"sha256": (digest or action["args_effective"]).removeprefix("sha256:")},
                }
            ],
            "predicateType": "https://signoff.dev/receipt/v1",
            "predicate": predicate,
        }
    )
