# SPDX-License-Identifier: Apache-2.0
"""Runs, actions, approvals, undo and receipts over HTTP: what an agent and its people see and may do."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from signoff.core.authority.quota import Quotas
from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.verify import Outcome, verify_receipt
from tests.surfaces.office import ENTRY, LOOK_UP, WORKFLOW, Office, envelope

NOBODY = "act_" + "0" * 32


def test_an_invoice_is_posted_after_a_person_approved_exactly_its_digest_and_taken_back_after_another_did(
    office: Office,
) -> None:
    """The walk: begin, read, propose, inbox, approve, receipt, undo, timeline, budget, complete."""
    run_id = office.begin(labels={"file": "invoice.xml"})
    read = office.call("POST", f"/v1/runs/{run_id}/actions?wait=20", LOOK_UP, who="clerk")
    assert (read.status_code, read.json()["state"]) == (200, "succeeded")
    assert read.json()["result"]["vendor_id"] == "V-1001"

    body = {"tool": "erp.create_journal_entry", "args": ENTRY, "rationale": "It matches PO-7001.", "confidence": 0.9}
    asked = office.call("POST", f"/v1/runs/{run_id}/actions?wait=1", body, who="clerk")
    assert (asked.status_code, asked.json()["state"]) == (202, "pending_approval"), asked.text
    assert "detail" not in asked.json()["decision"]["checks"][0]  # details are for people
    action_id = asked.json()["action_id"]
    shown = office.ok("GET", f"/v1/actions/{action_id}", who="ann")
    assert shown["preview"]["changes"]
    line = next(
        one for one in office.ok("GET", "/v1/approvals?role=FinanceAdmin")["items"] if one["action_id"] == action_id
    )
    assert (line["digest"], line["owed"][0]["roles"]) == (shown["digest"], ["FinanceAdmin"])

    done = office.approve(shown)
    assert done["state"] == "succeeded"
    assert done["result"]["entry_id"]
    keys = parse_keys(office.call("GET", "/v1/ledger/keys").text)
    receipt = office.receipt(action_id)
    assert verify_receipt(receipt, keys).outcome is Outcome.INCLUDED

    reversal = office.call("POST", f"/v1/actions/{action_id}/undo", who="bob").json()
    assert reversal["reverses"] == action_id
    again = office.call("POST", f"/v1/actions/{action_id}/undo", {}, who="bob").json()
    assert again["action_id"] == reversal["action_id"]  # said twice, asked once
    assert office.approve(reversal, who="bob")["state"] == "succeeded"
    assert office.ok("GET", f"/v1/actions/{action_id}")["state"] == "reversed"

    events = office.ok("GET", f"/v1/runs/{run_id}/timeline")["items"]
    assert [one["type"] for one in events if one["stream"] == run_id] == ["run.begun"]
    assert "action.approved" in {one["type"] for one in events if one["stream"] == action_id}
    assert not any("key" in one["set"] for one in events)
    budget = office.ok("GET", f"/v1/budgets?run={run_id}")["items"][0]
    assert (budget["settled_usd_micros"], budget["reserved_usd_micros"]) == (4000, 0)
    ended = office.ok("POST", f"/v1/runs/{run_id}/complete", {"outcome": "completed", "summary": "Done."}, who="clerk")
    assert (ended["state"], ended["summary"], ended["labels"]) == ("completed", "Done.", {"file": "invoice.xml"})
    assert any(one["run_id"] == run_id for one in office.ok("GET", "/v1/runs")["items"])


def test_one_no_is_enough_and_its_reason_is_kept(office: Office) -> None:
    waiting = office.waiting(office.begin())
    body = {"decision": "reject", "digest": waiting["digest"], "reason": "Not this one."}
    office.ok("POST", f"/v1/approvals/{waiting['approval']['approval_id']}", body, who="ann")
    shown = office.ok("GET", f"/v1/actions/{waiting['action_id']}")
    assert (shown["state"], shown["approval"]["votes"][0]["reason"]) == ("rejected", "Not this one.")


def test_an_edit_is_decided_anew_under_a_new_digest(office: Office) -> None:
    waiting = office.waiting(office.begin())
    body: dict[str, Any] = {"decision": "edit", "digest": waiting["digest"], "reason": "Shorter."}
    body["args"] = {"vendor_id": "V-1001", "note": "Edited."}
    edited = office.ok("POST", f"/v1/approvals/{waiting['approval']['approval_id']}", body, who="ann")
    assert (edited["revision"], edited["args"]["effective"]["note"]) == (2, "Edited.")
    assert edited["digest"] != waiting["digest"]
    stale = {"decision": "approve", "digest": waiting["digest"]}
    refused = office.call("POST", f"/v1/approvals/{waiting['action_id']}", stale, who="bob")
    assert (refused.status_code, refused.json()["code"]) == (409, "approval.digest_mismatch")


def test_the_same_word_said_again_is_answered_with_the_action_and_another_one_is_a_conflict(office: Office) -> None:
    waiting = office.waiting(office.begin())
    path, approve = f"/v1/approvals/{waiting['action_id']}", {"decision": "approve", "digest": waiting["digest"]}
    assert office.call("POST", path, approve, who="ann").status_code == 200
    assert office.call("POST", path, approve, who="ann").status_code == 200
    reject = {"decision": "reject", "digest": waiting["digest"], "reason": "No."}
    assert office.call("POST", path, reject, who="bob").status_code == 409
    assert len(office.ok("GET", f"/v1/actions/{waiting['action_id']}")["approval"]["votes"]) == 1


def test_what_was_not_sent_is_withdrawn_and_withdrawing_it_again_changes_nothing(office: Office) -> None:
    waiting = office.waiting(office.begin())
    path = f"/v1/actions/{waiting['action_id']}/cancel"
    assert office.ok("POST", path, {"reason": "Not needed."}, who="clerk")["state"] == "cancelled"
    assert office.ok("POST", path, {"reason": "Not needed."}, who="clerk")["state"] == "cancelled"


def test_an_approval_is_put_off_and_out_of_that_persons_inbox_alone(office: Office) -> None:
    waiting = office.waiting(office.begin())
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    path = f"/v1/approvals/{waiting['approval']['approval_id']}"
    said = {"decision": "defer", "digest": waiting["digest"], "until": until, "reason": "On Monday."}
    assert office.ok("POST", path, said, who="ann")["state"] == "pending_approval"
    for who, is_shown in (("ann", False), ("bob", True)):
        found = office.ok("GET", "/v1/approvals?limit=200", who=who)["items"]
        assert (waiting["action_id"] in [one["action_id"] for one in found]) is is_shown


def test_what_is_on_hold_is_moved_and_then_released(office: Office) -> None:
    page = envelope("1", "windows", "holds: [{tool: erp.update_vendor_note, window: 4h}]\n")
    page = page.replace("write_actions_require_approval: true", "write_actions_require_approval: false")
    office.ok("PUT", "/v1/envelopes/windows", {"text": page + "mode: autonomous\n"}, who="arthur")
    run_id = office.ok("POST", "/v1/runs", {"workflow": "windows", "task": "Note it."}, who="clerk")["run_id"]
    body = {"tool": "erp.update_vendor_note", "args": {"vendor_id": "V-1001", "note": "On hold."}}
    held = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=0", body, who="clerk")
    held = office.until(held, "held", "succeeded", "denied")
    assert (held["state"], held["hold"]["window_s"], held["approval"]) == ("held", 4 * 3600, None), held
    path, word = f"/v1/approvals/{held['hold']['approval_id']}", {"digest": held["digest"]}
    until = (datetime.now(UTC) + timedelta(hours=9)).isoformat()
    assert office.ok("POST", path, word | {"decision": "defer", "until": until}, who="ann")["state"] == "held"
    office.ok("POST", path, word | {"decision": "approve"}, who="ann")
    assert office.until(held, "succeeded", "voided")["state"] == "succeeded"


def test_a_paused_run_takes_no_step_until_it_is_resumed(office: Office) -> None:
    run_id = office.begin()
    assert office.ok("POST", f"/v1/runs/{run_id}/pause", who="otto")["state"] == "paused"
    stopped = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=10", LOOK_UP, who="clerk")
    assert (stopped["state"], stopped["reason"]) == ("denied", "run_paused")
    assert office.ok("POST", f"/v1/runs/{run_id}/resume", {}, who="otto")["state"] == "open"


def test_undoing_a_run_names_what_it_leaves_alone(office: Office) -> None:
    run_id = office.begin()
    waiting = office.waiting(run_id)
    done = office.approve(office.waiting(run_id))
    undone = office.ok("POST", f"/v1/runs/{run_id}/undo", who="bob")
    assert [one["reverses"] for one in undone["reversals"]] == [done["action_id"]]
    assert [one["action_id"] for one in undone["left"]] == [waiting["action_id"]]


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_run_begun_again_under_its_key_is_the_same_run_and_other_content_is_refused(
    office: Office, where: str
) -> None:
    def begin(task: str) -> Any:
        body, headers = {"workflow": WORKFLOW, "task": task}, {}
        if where == "header":
            headers["Idempotency-Key"] = f"k-{where}"
        else:
            body["idempotency_key"] = f"k-{where}"
        return office.call("POST", "/v1/runs", body, who="clerk", headers=headers)

    first = begin("One.")
    assert first.status_code == 201
    assert begin("One.").json()["run_id"] == first.json()["run_id"]
    other = begin("Two.")
    assert (other.status_code, other.json()["code"], other.json()["field"]) == (
        409,
        "idempotency.key_reused",
        "idempotency_key",
    )


def test_an_action_proposed_again_under_its_key_is_the_same_action(office: Office) -> None:
    run_id, headers = office.begin(), {"Idempotency-Key": "look-1"}
    path = f"/v1/runs/{run_id}/actions?wait=10"
    first = office.ok("POST", path, LOOK_UP, who="clerk", headers=headers)
    assert office.ok("POST", path, LOOK_UP, who="clerk", headers=headers)["action_id"] == first["action_id"]
    other = LOOK_UP | {"args": {"name": "Someone else"}}
    assert office.call("POST", path, other, who="clerk", headers=headers).status_code == 409


def test_two_different_idempotency_keys_in_one_call_are_refused(office: Office) -> None:
    body = {"workflow": WORKFLOW, "task": "x", "idempotency_key": "one"}
    refused = office.call("POST", "/v1/runs", body, who="clerk", headers={"Idempotency-Key": "two"})
    assert (refused.status_code, refused.json()["path"]) == (422, "header.Idempotency-Key")


def test_a_proposal_that_waits_no_time_is_answered_at_once_and_collected_later(office: Office) -> None:
    run_id = office.begin()
    asked = office.call("POST", f"/v1/runs/{run_id}/actions", LOOK_UP, who="clerk")
    assert asked.status_code in (200, 202)
    done = office.ok("GET", f"/v1/actions/{asked.json()['action_id']}?wait=20", who="clerk")
    assert done["state"] == "succeeded"


def test_lists_go_on_where_the_page_before_ended(office: Office) -> None:
    run_id = office.begin()
    made = {office.begin() for _ in range(3)} | {run_id}
    seen: list[str] = []
    cursor = ""
    while len(seen) < 4:
        page = office.ok("GET", f"/v1/runs?limit=1{cursor}", who="clerk")
        seen += [one["run_id"] for one in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert set(seen) == made
    assert seen == sorted(seen, reverse=True)


def test_an_agent_sees_its_own_and_nothing_of_another(office: Office) -> None:
    run_id = office.begin()
    waiting = office.waiting(run_id)
    for path in (f"/v1/runs/{run_id}", f"/v1/actions/{waiting['action_id']}"):
        assert office.call("GET", path, who="clerk").status_code == 200
        assert office.call("GET", path, who="rival").status_code == 404
        assert office.call("GET", path, who="zoe").status_code == 200  # reading is for any person of the tenant
    assert office.ok("GET", "/v1/runs", who="rival")["items"] == []
    assert office.ok("GET", "/v1/actions", who="rival")["items"] == []
    assert office.ok("GET", "/v1/budgets", who="rival")["items"] == []
    stuck = office.ok("GET", "/v1/actions?state=pending_approval", who="clerk")["items"]
    assert waiting["action_id"] in {one["action_id"] for one in stuck}


BAD: list[tuple[str, str, Any, str, int, str]] = [
    ("POST", "/v1/runs", {"workflow": "none", "task": "x"}, "clerk", 404, "workflow.unknown"),
    ("POST", "/v1/runs", {"workflow": WORKFLOW, "task": "x"}, "ann", 403, "run.not_an_agent"),
    ("POST", "/v1/runs", {"workflow": WORKFLOW, "task": 1}, "clerk", 422, "malformed"),
    ("POST", "/v1/runs", {"workflow": WORKFLOW, "task": "x", "parent_run": "run_1"}, "clerk", 422, "malformed"),
    ("GET", "/v1/runs?limit=201", None, "admin", 422, "malformed"),
    ("GET", "/v1/runs?cursor=run_1", None, "admin", 422, "cursor.unknown"),
    ("GET", "/v1/runs?order=up", None, "admin", 422, "malformed"),
    ("GET", "/v1/runs/run_1", None, "admin", 404, "run.unknown"),
    ("GET", "/v1/runs/run_1/timeline", None, "admin", 404, "run.unknown"),
    ("GET", "/v1/runs/run_1/timeline", None, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/runs/run_1/complete", {"outcome": "completed"}, "clerk", 404, "run.unknown"),
    ("POST", "/v1/runs/run_1/complete", {"outcome": "maybe"}, "clerk", 422, "malformed"),
    ("POST", "/v1/runs/run_1/pause", None, "otto", 404, "run.unknown"),
    ("POST", "/v1/runs/run_1/pause", None, "zoe", 403, "forbidden"),
    ("POST", "/v1/runs/run_1/resume", {"x": 1}, "otto", 422, "malformed"),
    ("POST", "/v1/runs/run_1/undo", None, "bob", 404, "run.unknown"),
    ("POST", "/v1/runs/run_1/undo", None, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/runs/run_1/actions", LOOK_UP, "clerk", 404, "run.unknown"),
    ("POST", "/v1/runs/run_1/actions", LOOK_UP, "admin", 404, "run.unknown"),
    ("POST", "/v1/runs/run_1/actions", {"tool": "x"}, "clerk", 422, "malformed"),
    ("POST", "/v1/runs/run_1/actions", {"tool": "x", "args": {}, "confidence": 2}, "clerk", 422, "malformed"),
    # Its name stands in the clear, in the log for ever: only what a contract could name gets there.
    ("POST", "/v1/runs/run_1/actions", {"tool": "Pay DE89 3704", "args": {}}, "clerk", 422, "malformed"),
    ("POST", "/v1/runs/run_1/actions", {"tool": "erp.x\n", "args": {}}, "clerk", 422, "malformed"),
    ("POST", "/v1/runs/run_1/actions?wait=61", LOOK_UP, "clerk", 422, "malformed"),
    ("GET", f"/v1/actions/{NOBODY}?wait=nan", None, "admin", 422, "malformed"),
    ("GET", f"/v1/actions/{NOBODY}?" + "wait=1&" * 30, None, "admin", 422, "malformed"),
    ("GET", f"/v1/actions/{NOBODY}?wait=5", None, "admin", 404, "action.unknown"),
    ("GET", "/v1/actions?state=odd", None, "admin", 422, "malformed"),
    ("POST", f"/v1/actions/{NOBODY}/cancel", {}, "admin", 404, "action.unknown"),
    ("POST", f"/v1/actions/{NOBODY}/resolve", {"found": "perhaps"}, "otto", 422, "malformed"),
    ("POST", f"/v1/actions/{NOBODY}/undo", {}, "bob", 404, "action.unknown"),
    ("GET", "/v1/approvals", None, "clerk", 403, "forbidden.agent"),
    ("GET", "/v1/approvals?state=x", None, "ann", 422, "malformed"),
    ("POST", "/v1/approvals/apr_1", {"decision": "approve", "digest": "x"}, "ann", 404, "approval.unknown"),
    ("POST", "/v1/approvals/apr_1", {"decision": "approve", "digest": "x"}, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/approvals/apr_1", {"decision": "reject", "digest": "x"}, "ann", 422, "malformed"),
    ("POST", "/v1/approvals/apr_1", {"decision": "edit", "digest": "x"}, "ann", 422, "malformed"),
    ("GET", "/v1/receipts/rcp_1", None, "admin", 404, "receipt.unknown"),
    ("GET", "/v1/budgets?cursor=!", None, "admin", 422, "cursor.unknown"),
    ("GET", "/v1/budgets?of=caps&cursor=eA", None, "admin", 422, "cursor.unknown"),
    ("GET", "/v1/budgets?of=caps", None, "clerk", 403, "forbidden.agent"),
    ("GET", "/v1/budgets?of=tokens", None, "admin", 422, "malformed"),
]


@pytest.mark.parametrize(("method", "path", "body", "who", "status", "code"), BAD)
def test_a_bad_call_is_told_what_why_and_how_to_mend_it(
    office: Office, method: str, path: str, body: Any, who: str, status: int, code: str
) -> None:
    answer = office.call(method, path, body, who=who)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"].endswith(f"#{code}")
    assert all(problem[name] for name in ("title", "detail", "what", "why", "fix"))
    assert problem["status"] == status


def test_what_cannot_be_decided_now_is_refused_with_its_reason(office: Office) -> None:
    waiting = office.waiting(office.begin())
    path = f"/v1/approvals/{waiting['approval']['approval_id']}"
    defer = {"decision": "defer", "digest": waiting["digest"]}
    for until, code in (
        (None, "malformed"),
        ("tomorrow", "malformed"),
        ("2026-03-01T18:00:00", "malformed"),
        ("2001-01-01T00:00:00Z", "approval.until"),
    ):
        deferred = office.call("POST", path, defer | ({"until": until} if until else {}), who="ann")
        assert (deferred.status_code, deferred.json()["code"]) == (422, code), until
    for who, code in (("otto", "approval.role_missing"), ("zoe", "approval.role_missing")):
        refused = office.call("POST", path, {"decision": "approve", "digest": waiting["digest"]}, who=who)
        assert (refused.status_code, refused.json()["code"]) == (403, code)
    resolve = {"found": "done", "evidence": "page 7", "reason": "looked"}
    settled = office.call("POST", f"/v1/actions/{waiting['action_id']}/resolve", resolve, who="otto")
    assert (settled.status_code, settled.json()["code"]) == (409, "action.not_needing_person")
    unconcluded = office.call("POST", f"/v1/runs/{waiting['run_id']}/complete", {"outcome": "completed"}, who="clerk")
    assert (unconcluded.status_code, unconcluded.json()["code"]) == (409, "run.unconcluded")
    undone = office.call("POST", f"/v1/actions/{waiting['action_id']}/undo", {}, who="bob")
    assert undone.status_code == 409


def test_a_receipt_is_the_same_bytes_each_time_and_false_after_any_change(office: Office) -> None:
    done = office.approve(office.waiting(office.begin()))
    receipt = office.receipt(done["action_id"])
    keys = parse_keys(office.call("GET", "/v1/ledger/keys").text)
    assert verify_receipt(receipt, keys).outcome is Outcome.INCLUDED
    bent = receipt.replace(b'"index":', b'"index":1', 1)
    assert json.loads(bent) and verify_receipt(bent, keys).outcome is Outcome.FALSE
    own = office.call("GET", f"/v1/receipts/{done['receipt_id']}", who="clerk")
    assert own.status_code == 200
    assert "openings" not in own.json()  # an agent gets the proof, people what was approved too
    assert office.call("GET", f"/v1/receipts/{done['receipt_id']}", who="rival").status_code == 404


def test_an_agent_is_told_when_it_has_too_much_standing(office: Office) -> None:
    """A run beyond the bound is a 409 that says how many; a call beyond it is denied, for as long as it lasts."""
    run_id, quotas = office.begin(), office.world.quotas if office.world else None
    assert office.world is not None and quotas is not None
    try:
        office.world.quotas = Quotas(open_runs_max=1, waiting_per_run_max=1)
        refused = office.call("POST", "/v1/runs", {"workflow": WORKFLOW, "task": "One more."}, who="clerk")
        assert (refused.status_code, refused.json()["code"]) == (409, "run.too_many_open")
        assert refused.json()["open_runs_max"] == 1 and "Retry-After" not in refused.headers
        office.waiting(run_id)
        body = {"tool": "erp.update_vendor_note", "args": {"vendor_id": "V-1001", "note": "One too many."}}
        denied = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=20", body, who="clerk")
        assert (denied["state"], denied["reason"]) == ("denied", "too_many_waiting")
        assert denied["decision"]["checks"][-1] == {"check": "waiting", "outcome": "deny", "reason": "too_many_waiting"}
    finally:
        office.world.quotas = quotas
    again = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=1", {**body, "again": True}, who="clerk")
    assert again["state"] == "pending_approval"


def test_every_cap_beyond_the_task_is_shown_with_what_is_left_of_it(office: Office) -> None:
    caps = (
        "{per: user, window: 1d, usd: 20}",
        "{per: workflow, window: 30d, usd: 0.01}",
        "{per: tenant, window: 1d, usd: 0}",
    )
    page = envelope(workflow="capped", more=f"spend: [{', '.join(caps)}]")
    office.ok("PUT", "/v1/envelopes/capped", {"text": page}, who="arthur")
    first = office.ok("GET", "/v1/budgets?of=caps&limit=1", who="zoe")
    rest = office.ok("GET", f"/v1/budgets?of=caps&cursor={first['next_cursor']}", who="zoe")
    lines = [*first["items"], *rest["items"]]
    assert (len(first["items"]), rest["next_cursor"]) == (1, None)
    assert lines == office.ok("GET", "/v1/budgets?of=caps")["items"]
    by_scope = {(one["scope"], one["who"]): one for one in lines if one["workflow"] == "capped"}
    mine = by_scope["workflow", "capped"]
    assert (mine["cap_usd_micros"], mine["left_usd_micros"], mine["period_s"]) == (10_000, 10_000, 30 * 86_400)
    assert mine["period_end"] > mine["period_start"]
    assert by_scope["tenant", None]["left_usd_micros"] == 0
    for one in lines:
        used = one["settled_usd_micros"] + one["reserved_usd_micros"]
        assert one["left_usd_micros"] == max(0, one["cap_usd_micros"] - used)
    office.ok("POST", "/v1/envelopes/capped/withdraw", {"version": "1"}, who="arthur")
    assert not [one for one in office.ok("GET", "/v1/budgets?of=caps")["items"] if one["workflow"] == "capped"]


def test_a_plan_is_proposed_looked_at_and_approved_as_one(office: Office) -> None:
    run_id = office.begin()
    notes = [{"vendor_id": vendor, "note": "Planned."} for vendor in ("V-1003", "V-1004", "V-1005")]
    steps = [{"tool": "erp.update_vendor_note", "args": args, "rationale": "In this order."} for args in notes]
    body = {"steps": steps, "idempotency_key": "plan-1"}
    asked = office.call("POST", f"/v1/runs/{run_id}/plan", body, who="clerk")
    assert asked.status_code == 202, asked.text
    plan = asked.json()
    assert office.ok("POST", f"/v1/runs/{run_id}/plan", body, who="clerk")["plan_id"] == plan["plan_id"]
    assert [one["state"] for one in plan["steps"]] == ["pending_approval"] * 3
    assert {one["digest"] for one in plan["steps"]} == {plan["digest"]}
    lines = [one for one in office.ok("GET", "/v1/approvals")["items"] if one["run_id"] == run_id]
    assert [one["approval_id"] for one in lines] == [plan["plan_id"]]
    assert [one["tool"] for one in lines[0]["plan"]["steps"]] == ["erp.update_vendor_note"] * 3
    word = {"decision": "approve", "digest": plan["digest"], "reason": "All three."}
    office.ok("POST", f"/v1/approvals/{plan['plan_id']}", word, who="ann")
    assert office.call("POST", f"/v1/approvals/{plan['plan_id']}", word, who="ann").is_success  # said again
    ended = [office.until(one, "succeeded", "voided", "failed") for one in plan["steps"]]
    assert [one["state"] for one in ended] == ["succeeded"] * 3
    assert [one["plan"]["step"] for one in ended] == [1, 2, 3]
    page = office.call("GET", f"/actions/{plan['steps'][0]['action_id']}", headers={"Accept": "text/html"})
    assert f"/actions/{plan['steps'][1]['action_id']}" in page.text


def test_a_plan_without_steps_or_of_a_person_is_refused(office: Office) -> None:
    run_id = office.begin()
    body: dict[str, Any]
    for body in ({"steps": []}, {}, {"steps": [{"tool": "erp.update_vendor_note"}]}, {"steps": [{"args": {}}]}):
        assert office.call("POST", f"/v1/runs/{run_id}/plan", body, who="clerk").status_code == 422
    step = {"tool": "erp.update_vendor_note", "args": {}}
    assert office.call("POST", f"/v1/runs/{run_id}/plan", {"steps": [step]}, who="rival").status_code == 404
    assert office.call("POST", f"/v1/runs/{run_id}/plan", {"steps": [step]}, who="ann").status_code in (403, 404)
