# SPDX-License-Identifier: Apache-2.0
"""Actions, runs and people as small as they may be, for tests of the pure core."""

from typing import Any

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action, State
from signoff.core.principal import Person
from signoff.core.run import Run, RunState


def an_action(**changed: Any) -> Action:
    given: dict[str, Any] = {
        "tenant": "t", "action_id": "act_1", "seq": 1, "head": "00", "run_id": "run_1",
        "state": State.PENDING_APPROVAL, "tool": "book.create", "effect": "write", "risk": "B", "contract": "sha256:c",
        "by": "agt_1", "key": "k", "proposed_at": 1, "content_tag": "tag", "args_proposed": "sha256:a",
        "args_effective": "sha256:a", "digest": "sha256:d", "expires_at": 100,
    }  # fmt: skip
    return Action(**given | changed)


def a_run(**changed: Any) -> Run:
    given: dict[str, Any] = {
        "tenant": "t", "run_id": "run_1", "seq": 1, "head": "00", "state": RunState.OPEN, "workflow": "books",
        "envelope": "sha256:e", "environment": "production", "agent_id": "agt_1", "principal_id": "prs_owner",
        "started_by": "agt_1", "started_at": 0, "payload_key": "key_1", "task": "sha256:t",
    }  # fmt: skip
    return Run(**given | changed)


def a_person(person_id: str, *roles: str, is_active: bool = True) -> Person:
    return Person("t", person_id, 1, "00", tuple(sorted(roles)), "sha256:p", "key_1", is_active)


def a_vote(person_id: str, role: str, **changed: Any) -> Vote:
    given: dict[str, Any] = {
        "tenant": "t", "action_id": "act_1", "person_id": person_id, "digest": "sha256:d", "decision": "approve",
        "role": role, "at": 5,
    }  # fmt: skip
    return Vote(**given | changed)
