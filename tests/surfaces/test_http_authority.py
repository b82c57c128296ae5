# SPDX-License-Identifier: Apache-2.0
"""People, agents, keys, tokens, halts, envelopes and tools over HTTP."""

from typing import Any

import pytest

from tests.surfaces.office import LOOK_UP, TIERED, WORKFLOW, Office, envelope


def test_a_person_is_added_with_a_key_that_works_until_it_is_revoked(office: Office) -> None:
    made = office.call("POST", "/v1/people", {"name": "Nora", "email": "nora@acme.test", "roles": ["FinanceAdmin"]})
    assert made.status_code == 201
    proof = {"Authorization": f"Bearer {made.json()['api_key']}"}
    assert office.call("GET", "/v1/me", who=None, headers=proof).json()["name"] == "Nora"
    second = office.call("POST", "/v1/keys", who=None, headers=proof).json()
    assert second["holder"] == made.json()["person_id"]
    listed = office.call("GET", "/v1/keys", who=None, headers=proof).json()["items"]
    assert len(listed) == 2 and "api_key" not in listed[0]
    first = next(one["key_id"] for one in listed if one["key_id"] != second["key_id"])
    assert office.call("DELETE", f"/v1/keys/{first}", who=None, headers=proof).json()["is_active"] is False
    assert office.call("GET", "/v1/me", who=None, headers=proof).status_code == 401
    assert any(one["name"] == "Nora" for one in office.ok("GET", "/v1/people", who="audra")["items"])


def test_a_person_who_is_switched_off_is_nobody_at_once(office: Office) -> None:
    made = office.ok("POST", "/v1/people", {"name": "Gus", "roles": []})
    proof = {"Authorization": f"Bearer {made['api_key']}"}
    changed = office.ok("PATCH", f"/v1/people/{made['person_id']}", {"is_active": False, "roles": ["operator"]})
    assert (changed["is_active"], changed["roles"], changed["name"]) == (False, ["operator"], "Gus")
    assert office.call("GET", "/v1/me", who=None, headers=proof).status_code == 401


def test_an_agent_gets_a_token_by_its_own_key_and_its_owner_may_mint_one_too(office: Office) -> None:
    own = office.call(
        "POST", "/v1/tokens", who=None, headers={"Authorization": f"Bearer {office.keys['clerk']}"}
    ).json()
    assert (own["agent_id"], own["token_type"], own["expires_in_s"]) == (office.ids["clerk"], "Bearer", 300)
    owners = office.ok("POST", "/v1/tokens", {"agent_id": office.ids["clerk"], "life_s": 7}, who="zoe")
    assert owners["expires_in_s"] == 7
    me = office.call("GET", "/v1/me", who=None, headers={"Authorization": f"Bearer {owners['token']}"}).json()
    assert (me["kind"], me["name"], me["roles"]) == ("agent", "clerk", [])


def test_an_agent_that_is_switched_off_gets_no_token(office: Office) -> None:
    made = office.ok("POST", "/v1/agents", {"name": "napper"})
    assert office.ok("PATCH", f"/v1/agents/{made['agent_id']}", {"is_active": False})["is_active"] is False
    refused = office.call("POST", "/v1/tokens", who=None, headers={"Authorization": f"Bearer {made['api_key']}"})
    assert refused.status_code == 401


def test_a_halt_stops_what_waits_and_lifting_it_brings_nothing_back(office: Office) -> None:
    waiting = office.waiting(office.begin())
    body = {"scope": f"agent:{office.ids['clerk']}", "reason": "It behaves oddly."}
    halted = office.call("POST", "/v1/halts", body, who="otto", headers={"Idempotency-Key": "halt-1"})
    try:
        assert (halted.status_code, halted.json()["reason"], halted.json()["in_flight"]) == (201, body["reason"], [])
        again = office.call("POST", "/v1/halts", body, who="otto", headers={"Idempotency-Key": "halt-1"})
        assert again.json()["halt_id"] == halted.json()["halt_id"]
        assert office.until(waiting, "stopped")["reason"] == "halted"
        in_force = office.ok("GET", "/v1/halts?in_force=true", who="zoe")["items"]
        assert halted.json()["halt_id"] in {one["halt_id"] for one in in_force}
        run_id = waiting["run_id"]
        denied = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=5", LOOK_UP, who="clerk")
        assert denied["state"] == "denied"
    finally:
        lifted = office.ok("POST", f"/v1/halts/{halted.json()['halt_id']}/lift", who="otto")
    assert lifted["is_lifted"] and lifted["lifted_by"] == office.ids["otto"]
    assert office.ok("GET", f"/v1/actions/{waiting['action_id']}")["state"] == "stopped"
    assert halted.json()["halt_id"] in {one["halt_id"] for one in office.ok("GET", "/v1/halts?in_force=false")["items"]}


def test_an_envelope_is_published_once_a_version_and_says_what_of_it_is_inert(office: Office) -> None:
    text = envelope("2", "other", "safety: {block_on_prompt_injection_score_gte: 0.7}\n")
    first = office.ok("PUT", "/v1/envelopes/other", {"text": text}, who="arthur")
    assert (first["version"], [one["control"] for one in first["inert"]]) == ("2", ["injection score"])
    assert office.ok("PUT", "/v1/envelopes/other", {"text": text}, who="arthur")["digest"] == first["digest"]
    changed = office.call("PUT", "/v1/envelopes/other", {"text": text + "\n"}, who="arthur")
    assert (changed.status_code, changed.json()["code"]) == (409, "publication.version_taken")
    assert "other" in {one["name"] for one in office.ok("GET", "/v1/envelopes")["items"]}
    assert office.ok("POST", "/v1/envelopes/other/withdraw", {"version": "2"}, who="arthur")["is_withdrawn"]
    versions = office.ok("GET", "/v1/envelopes/other/versions")["items"]
    assert [(one["version"], one["is_withdrawn"]) for one in versions] == [("2", True)]
    begun = office.call("POST", "/v1/runs", {"workflow": "other", "task": "x"}, who="clerk")
    assert begun.status_code == 404


def test_a_page_is_checked_without_being_published_and_every_finding_has_its_line(office: Office) -> None:
    good = office.ok("POST", f"/v1/envelopes/{WORKFLOW}/check", {"text": envelope("9")}, who="zoe")
    assert good["is_loadable"] and good["digest"].startswith("sha256:")
    bad = office.ok("POST", f"/v1/envelopes/{WORKFLOW}/check", {"text": "version: 1\nodd: 2\n"}, who="zoe")
    assert not bad["is_loadable"] and bad["digest"] is None
    assert {2} <= {one["line"] for one in bad["findings"]}
    assert office.call("GET", "/v1/envelopes/none/versions").status_code == 404


def test_every_tool_is_shown_with_its_pin_and_what_its_server_offers_now(office: Office) -> None:
    tools = {one["tool"]: one for one in office.ok("GET", "/v1/tools", who="zoe")["items"]}
    write = tools["erp.create_journal_entry"]
    assert (write["system"], write["effect"], write["class"], write["state"]) == ("erp", "write", "C", "pinned")
    assert write["pin"] == write["live_digest"]


def test_a_subject_is_shown_and_erased_by_an_admin_alone(office: Office) -> None:
    """Nobody names a subject in a path or a query, where it would be logged."""
    body = {"subject": "vendor/V-0000"}
    unknown = office.call("POST", "/v1/subjects/show", body, who="admin")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "subject.unknown")
    assert "V-0000" not in unknown.text
    assert office.call("POST", "/v1/subjects/erase", body | {"reason": "x"}, who="admin").status_code == 404


def test_a_tier_is_opened_for_what_was_seen_and_closed_by_an_operator(office: Office) -> None:
    office.ok("PUT", "/v1/envelopes/tiered", {"text": TIERED}, who="arthur")
    path = "/v1/envelopes/tiered/clearances"
    found = office.ok("GET", path, who="zoe")
    [tier] = found["tiers"]
    assert (tier["name"], tier["state"], [one["id"] for one in tier["rules"]]) == ("notes", "closed", ["r"])
    body = {"kind": "tier", "name": "notes", "digest": tier["digest"], "reason": "Forty went well."}
    given = office.call("POST", path, body, who="arthur")
    assert (given.status_code, given.json()["by"], given.json()["lifts"]) == (201, office.ids["arthur"], [])
    assert office.ok("POST", path, body, who="admin")["clearance_id"] == given.json()["clearance_id"]
    other = office.call("POST", path, body | {"digest": "sha256:" + "0" * 64}, who="arthur")
    assert (other.status_code, other.json()["code"]) == (409, "clearance.digest_mismatch")
    assert office.ok("GET", path)["tiers"][0]["state"] == "open"
    listed = next(one for one in office.ok("GET", "/v1/envelopes")["items"] if one["name"] == "tiered")
    assert listed["tiers"] == [{"name": "notes", "state": "open"}]
    closing = f"{path}/{given.json()['clearance_id']}/withdraw"
    assert office.call("POST", closing, {"reason": "x"}, who="zoe").status_code == 403
    closed = office.ok("POST", closing, {"reason": "An audit asks."}, who="otto")
    assert (closed["is_withdrawn"], closed["withdrawn_by"], closed["reason"]) == (
        True, office.ids["otto"], "Forty went well.",
    )  # fmt: skip
    assert office.ok("GET", path)["tiers"][0]["state"] == "closed"


NO_DIGEST = "sha256:" + "0" * 64
CLEARANCE = {"kind": "tier", "name": "x", "digest": NO_DIGEST, "reason": "x"}
BAD: list[tuple[str, str, Any, str, int, str]] = [
    ("GET", "/v1/envelopes/x/clearances", None, "zoe", 404, "workflow.unknown"),
    ("GET", f"/v1/envelopes/{WORKFLOW}/clearances", None, "clerk", 403, "forbidden.agent"),
    ("POST", f"/v1/envelopes/{WORKFLOW}/clearances", CLEARANCE, "arthur", 404, "clearance.unknown"),
    ("POST", f"/v1/envelopes/{WORKFLOW}/clearances", CLEARANCE, "otto", 403, "clearance.forbidden"),
    ("POST", f"/v1/envelopes/{WORKFLOW}/clearances", CLEARANCE, "clerk", 403, "forbidden.agent"),
    (
        "POST",
        f"/v1/envelopes/{WORKFLOW}/clearances",
        CLEARANCE | {"kind": "class_d"},
        "admin",
        403,
        "clearance.forbidden",
    ),
    ("POST", f"/v1/envelopes/{WORKFLOW}/clearances", CLEARANCE | {"kind": "all"}, "arthur", 422, "malformed"),
    ("POST", f"/v1/envelopes/{WORKFLOW}/clearances/clr_1/withdraw", {"reason": "x"}, "otto", 404, "clearance.unknown"),
    ("GET", "/v1/people", None, "zoe", 403, "forbidden"),
    ("POST", "/v1/subjects/show", {"subject": "x"}, "otto", 403, "forbidden"),
    ("POST", "/v1/subjects/erase", {"subject": "x", "reason": "y"}, "audra", 403, "forbidden"),
    ("POST", "/v1/subjects/erase", {"subject": "x"}, "admin", 422, "malformed"),
    ("GET", "/v1/people?cursor=x", None, "admin", 422, "cursor.unknown"),
    ("POST", "/v1/people", {"name": "x", "roles": ["not a role"]}, "admin", 422, "malformed"),
    ("POST", "/v1/people", {"name": "x", "roles": []}, "otto", 403, "forbidden"),
    ("PATCH", "/v1/people/prs_1", {"roles": []}, "admin", 404, "person.unknown"),
    ("PATCH", "/v1/people/prs_1", {"roles": "admin"}, "admin", 422, "malformed"),
    ("GET", "/v1/agents", None, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/agents", {"name": "clerk"}, "admin", 409, "agent.name_taken"),
    ("POST", "/v1/agents", {"name": "x", "owner_id": "prs_1"}, "admin", 404, "person.unknown"),
    ("POST", "/v1/agents", {"name": "a b"}, "admin", 422, "malformed"),
    ("PATCH", "/v1/agents/agt_1", {"is_active": True}, "admin", 404, "agent.unknown"),
    ("PATCH", "/v1/agents/agt_1", {"is_active": True}, "zoe", 403, "forbidden"),
    ("GET", "/v1/keys?holder=prs_1", None, "zoe", 403, "forbidden"),
    ("POST", "/v1/keys", {"holder": "prs_1"}, "admin", 404, "person.unknown"),
    ("POST", "/v1/keys", {"holder": "prs_1"}, "zoe", 403, "forbidden"),
    ("DELETE", "/v1/keys/key_1", None, "admin", 404, "key.unknown"),
    ("POST", "/v1/tokens", {"agent_id": "agt_1"}, "zoe", 404, "agent.unknown"),
    ("POST", "/v1/tokens", {"life_s": 301}, "zoe", 422, "malformed"),
    ("POST", "/v1/halts", {"scope": "everything", "reason": "x"}, "otto", 422, "malformed"),
    ("POST", "/v1/halts", {"scope": "tool:x"}, "otto", 422, "malformed"),
    ("POST", "/v1/halts", {"scope": "tool:x", "reason": "x"}, "zoe", 403, "forbidden"),
    ("GET", "/v1/halts", None, "clerk", 403, "forbidden.agent"),
    ("GET", "/v1/halts?in_force=maybe", None, "zoe", 422, "malformed"),
    ("POST", "/v1/halts/hlt_1/lift", None, "otto", 404, "halt.unknown"),
    ("POST", "/v1/halts/hlt_1/lift", None, "zoe", 403, "forbidden"),
    ("PUT", "/v1/envelopes/x", {"text": "version: 1"}, "arthur", 422, "page.refused"),
    ("PUT", "/v1/envelopes/x", {"text": envelope("3")}, "arthur", 422, "envelope.other_workflow"),
    ("PUT", f"/v1/envelopes/{WORKFLOW}", {"text": envelope("3")}, "otto", 403, "forbidden"),
    ("GET", "/v1/envelopes", None, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/envelopes/x/check", {"text": ""}, "zoe", 422, "malformed"),
    ("POST", "/v1/envelopes/x/check", {"text": "x"}, "clerk", 403, "forbidden.agent"),
    ("POST", "/v1/envelopes/x/withdraw", {"version": "1"}, "arthur", 404, "publication.unknown"),
    ("POST", "/v1/envelopes/x/withdraw", {"version": "1"}, "zoe", 403, "forbidden"),
    ("GET", "/v1/tools", None, "clerk", 403, "forbidden.agent"),
    ("PUT", "/v1/tools/erp", {"text": "format: 1"}, "arthur", 422, "page.refused"),
    ("PUT", "/v1/tools/erp", {"text": "format: 1"}, "ann", 403, "forbidden"),
]


@pytest.mark.parametrize(("method", "path", "body", "who", "status", "code"), BAD)
def test_what_may_not_be_done_is_refused_with_its_code(
    office: Office, method: str, path: str, body: Any, who: str, status: int, code: str
) -> None:
    answer = office.call(method, path, body, who=who)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_refused_page_lists_all_its_findings(office: Office) -> None:
    answer = office.call("PUT", "/v1/envelopes/x", {"text": "version: 1\nodd: 2\n"}, who="arthur")
    assert len(answer.json()["findings"]) >= 2


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/people", {"name": "x"}), ("/v1/agents", {"name": "x"}), ("/v1/keys", {})]
)
def test_a_call_that_makes_something_new_each_time_takes_no_idempotency_key(
    office: Office, path: str, body: Any
) -> None:
    refused = office.call("POST", path, body, headers={"Idempotency-Key": "k"})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency.not_taken")


def test_the_last_admin_cannot_take_the_role_away_from_themselves(office: Office) -> None:
    refused = office.call("PATCH", f"/v1/people/{office.ids['admin']}", {"roles": []})
    assert (refused.status_code, refused.json()["code"]) == (409, "person.last_admin")
