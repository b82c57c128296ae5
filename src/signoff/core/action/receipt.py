# SPDX-License-Identifier: Apache-2.0
"""The statement of a receipt: an in-toto statement over one outcome, a pure function of what is recorded.

It is built in the transaction of the outcome and signed after the commit; `signoff ledger verify` builds it again
from the recorded rows and compares the bytes.
"""

from collections.abc import Sequence
from typing import Any

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action
from signoff.core.run import Run
from signoff.ledger.canonical import canonical

DUE_S = 60


def statement(action: Action, run: Run, votes: Sequence[Vote], log: str) -> bytes:
    """Return the canonical bytes that are signed; `action.head` is the leaf of the outcome's entry.

    Args:
        action: as it stood right after its outcome was recorded.
        votes: every approving vote for its digest, in order of time.
        log: origin of the log that the entry goes to.
    """
    commitments = {
        "args_proposed": action.args_proposed,
        "args_approved": action.args_approved,
        "args_effective": action.args_effective,
        "preview": action.preview,
        "outcome": action.outcome,
        "image": action.image,
    }
    predicate: dict[str, Any] = {
        "receipt_id": action.receipt_id,
        "log": log,
        "leaf": action.head,
        "due_s": DUE_S,
        "at": action.ended_at,
        "tenant": action.tenant,
        "action": action.action_id,
        "run": action.run_id,
        "workflow": run.workflow,
        "envelope": run.envelope,
        "environment": run.environment,
        "agent": run.agent_id,
        "principal": run.principal_id,
        "proposed_by": action.by,
        "tool": action.tool,
        "tool_contract": action.contract,
        "revision": action.revision,
        "digest": action.digest,
        "state": str(action.state),
        "attempts": action.fence,
        "key": action.key,
        "checks": action.checks.split(" ") if action.checks else [],
        "voters": [
            {
                "person": vote.person_id,
                "role": vote.role,
                "at": vote.at,
                "digest": vote.digest,
                "assurance": vote.assurance,
            }
            for vote in votes
        ],
        "self_approved": any(vote.person_id in (run.principal_id, run.started_by, action.by) for vote in votes),
        "cost_usd_micros": action.settled_usd_micros,
        "reverses": action.reverses,
        "executed_by": "signoff",
        "commitments": {name: value for name, value in commitments.items() if value},
    }
    subject = {
        "name": action.action_id,
        "digest": {"sha256": (action.digest or action.args_effective).removeprefix("sha256:")},
    }
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [subject],
            "predicateType": "https://signoff.dev/receipt/v1",
            "predicate": predicate,
        }
    )
