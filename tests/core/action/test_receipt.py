# SPDX-License-Identifier: Apache-2.0
"""A receipt's statement is a pure function of what is recorded, and tells whose approvals it had."""

import json
from typing import Any

from signoff.core.action.lifecycle import State
from signoff.core.action.receipt import statement
from tests.core.action.nouns import a_run, a_vote, an_action

LOG = "play.test/t/1"


def told(**changed: Any) -> dict[str, Any]:
    action = an_action(
        state=State.SUCCEEDED, receipt_id="rcp_1", ended_at=9, checks="agent writes:ask:write_asks", outcome="sha256:o",
        **changed,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(statement(action, a_run(), [a_vote("prs_1", "Clerk")], LOG))
    return found


def test_the_same_rows_give_the_same_bytes() -> None:
    action = an_action(state=State.SUCCEEDED, receipt_id="rcp_1", ended_at=9)
    assert statement(action, a_run(), [], LOG) == statement(action, a_run(), [], LOG)


def test_it_tells_what_was_bound_who_said_yes_and_where_its_entry_is() -> None:
    predicate = told()["predicate"]
    assert predicate["digest"] == "sha256:d"
    assert predicate["leaf"] == "00"
    assert predicate["log"] == LOG
    assert [voter["person"] for voter in predicate["voters"]] == ["prs_1"]
    assert predicate["self_approved"] is False
    assert predicate["due_s"] == 60
    assert predicate["checks"] == ["agent", "writes:ask:write_asks"]
    assert predicate["commitments"] == {
        "args_proposed": "sha256:a", "args_effective": "sha256:a", "outcome": "sha256:o",
    }  # fmt: skip


def test_it_says_so_where_whoever_asked_approved() -> None:
    assert told(by="prs_1", reverses="act_0")["predicate"]["self_approved"] is True


def test_the_subject_is_the_action_under_the_digest_that_was_approved() -> None:
    [subject] = told()["subject"]
    assert subject == {"name": "act_1", "digest": {"sha256": "d"}}
    [of_allowed] = told(digest=None)["subject"]
    assert of_allowed["digest"] == {"sha256": "a"}
