# SPDX-License-Identifier: Apache-2.0
"""Rows for tests of the storage: as small as they may be, and marked with whose they are."""

from typing import Any

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.clearance import Clearance, Cleared
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt, Scope
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run, RunState
from signoff.core.subject import Subject
from signoff.ports.storage import LogHead, Receipt, SealedPayload, Transaction
from signoff.ports.vault import WrappedKey


def run(tenant: str = "a", run_id: str = "run_1", **changed: Any) -> Run:
    given: dict[str, Any] = {
        "tenant": tenant, "run_id": run_id, "seq": 1, "head": "h", "state": RunState.OPEN, "workflow": f"{tenant}!",
        "envelope": f"{tenant}!", "environment": f"{tenant}!", "agent_id": "agt_1", "principal_id": "prs_1",
        "started_by": "agt_1", "started_at": 1, "payload_key": "key_1", "task": f"{tenant}!",
    }  # fmt: skip
    return Run(**given | changed)


def action(tenant: str = "a", action_id: str = "act_1", **changed: Any) -> Action:
    given: dict[str, Any] = {
        "tenant": tenant, "action_id": action_id, "seq": 1, "head": f"{tenant}!", "run_id": "run_1",
        "state": State.PENDING_APPROVAL, "tool": f"{tenant}!", "effect": "write", "risk": "C", "contract": f"{tenant}!",
        "by": "agt_1", "key": f"{tenant}!", "proposed_at": 1, "content_tag": "tag", "args_proposed": f"{tenant}!",
        "args_effective": f"{tenant}!",
    }  # fmt: skip
    return Action(**given | changed)


def vote(tenant: str = "a", person_id: str = "prs_1", **changed: Any) -> Vote:
    given: dict[str, Any] = {
        "tenant": tenant, "action_id": "act_1", "person_id": person_id, "digest": "d", "decision": "approve",
        "role": f"{tenant}!", "at": 1,
    }  # fmt: skip
    return Vote(**given | changed)


def fill(tx: Transaction) -> None:
    """Write one row into every table, under the same ids in every tenant and with marked content."""
    mine = f"{tx.tenant}!"
    tx.insert(run(tx.tenant, request_key="req", delegation_id="dlg_1", delegation_root="dlg_1"))
    tx.insert(
        action(
            tx.tenant,
            request_key="req",
            approval_id="apr_1",
            resource="res",
            expires_at=5,
            waiting_since=1,
            reserved_usd_micros=len(tx.tenant) * 7 if tx.tenant == "a" else 11,
        )
    )
    tx.insert(
        action(
            tx.tenant,
            "act_2",
            state=State.IN_DOUBT,
            resource="res",
            subject="sub_1",
            look_at=5,
            fence=1,
            reason="found_late",
        )
    )
    tx.actions.add_vote(vote(tx.tenant))
    tx.sums.count("act_1", [Counted(tx.tenant, "act_1", "impact", 0, 5, 7 if tx.tenant == "a" else 8)])
    tx.insert(Person(tx.tenant, "prs_1", 1, mine, (mine,), mine, "key_1"))
    tx.insert(Agent(tx.tenant, "agt_1", 1, mine, "name", "prs_1"))
    tx.insert(ApiKey(tx.tenant, "key_1", 1, mine, "prs_1", mine))
    tx.insert(Halt(tx.tenant, "hlt_1", 1, mine, Scope.TENANT, "", False, "prs_1", 1, mine, "key_1", request_key="req"))
    tx.insert(
        Delegation(
            tx.tenant, "dlg_1", 1, mine, "agt_1", "prs_1", "prs_1", "dlg_1", (mine,), (mine,), 1, 9, 1, mine, "key_1",
            is_revoked=True, request_key="req",
        )
    )  # fmt: skip
    tx.insert(
        Clearance(tx.tenant, "clr_1", 1, mine, Cleared.TIER, "books", "routine", "digest", "prs_1", 1, mine, "key_1")
    )
    tx.insert(Publication(tx.tenant, "env_1", 1, mine, "envelope", "name", "1", "digest", "prs_1", 1, mine))
    tx.insert(
        Publication(tx.tenant, "env_0", 2, mine, "envelope", "name", "0", f"sha256:{mine}", "prs_1", 1, mine, True)
    )
    tx.insert(Subject(tx.tenant, "sub_1", 1, mine, "tag", "key_1", 1))
    tx.insert(Subject(tx.tenant, "sub_0", 1, mine, "tag", "key_1", 1, erased_at=1))
    tx.ledger.append("stream", 1, 7 if tx.tenant == "a" else 8, mine.encode())
    tx.ledger.append("stream", 2, 7 if tx.tenant == "a" else 8, mine.encode())
    tx.ledger.append("stream", 3, 7 if tx.tenant == "a" else 8, mine.encode())
    tx.ledger.integrate([("stream", 1, 0), ("stream", 2, 1)])
    tx.ledger.add_nodes([(0, 0, mine.encode()), (0, 1, mine.encode()), (0, 5, mine.encode())])
    tx.ledger.publish(LogHead("origin", 1, mine))
    tx.receipts.add(Receipt(tx.tenant, "rcp_1", "act_1", 1, mine))
    tx.payloads.add(SealedPayload("owner", "name", "key_1", mine.encode(), mine))
    tx.payloads.add(SealedPayload("act_2", "name", "key_1", mine.encode(), mine))
    tx.payloads.add_key(WrappedKey("key_1", mine, mine.encode()))
    sent = action(
        tx.tenant, "act_3", state=State.DISPATCHING, effect="write", fence=1, claimed_at=5, claimed_by=f"nod_{mine}"
    )
    tx.insert(sent)
    tx.insert(action(tx.tenant, "act_99", run_id="run_9", escalated_at=3))
    tx.insert(action(tx.tenant, "act_98", run_id="run_9", state=State.HELD, hold_us=1, hold_end="hold", hold_until=4))
    tx.leases.renew("act_3", 1, 5)
