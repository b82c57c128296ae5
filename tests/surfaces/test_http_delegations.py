# SPDX-License-Identifier: Apache-2.0
"""Delegations and roles over HTTP and from a terminal: granted, passed on, counted, revoked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.office import LOOK_UP, ROLE, WORKFLOW, Office, opened
from tests.surfaces.terminal import Said, run

TOOLS = ["erp.lookup_vendor", "erp.update_vendor_note"]
ROLES = f"""\
version: "1"
roles:
  {ROLE}:
    - tools: [erp.*]
      environments: [production]
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office of its own: what is published here is asked of everyone."""
    with opened(tmp_path_factory.mktemp("delegating")) as found:
        yield found


def wanted(office: Office, **changed: Any) -> dict[str, Any]:
    known = {
        "agent_id": office.ids["clerk"], "tools": TOOLS, "environments": ["production"], "purpose": "Keep notes.",
        "lasts_s": 3600,
    }  # fmt: skip
    return {name: value for name, value in {**known, **changed}.items() if value is not None}


def granted(office: Office, who: str = "ann", **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = office.ok("POST", "/v1/delegations", wanted(office, **changed), who=who)
    return found


def test_a_delegation_is_granted_once_a_key_and_told_with_what_was_done_under_it(office: Office) -> None:
    body = wanted(office, condition="args.vendor_id == 'V-1001'", uses_max=2, usd_micros_max=1_000_000)
    body["tools"] = ["erp.update_vendor_note"]
    first = office.call("POST", "/v1/delegations", body, who="ann", headers={"Idempotency-Key": "d-1"})
    assert first.status_code == 201, first.text
    made = first.json()
    assert (made["grantor_id"], made["by"], made["state"]) == (office.ids["ann"], office.ids["ann"], "active")
    assert (made["purpose"], made["condition"], made["used"]) == (body["purpose"], body["condition"], 0)
    again = office.call("POST", "/v1/delegations", body, who="ann", headers={"Idempotency-Key": "d-1"})
    assert again.json()["delegation_id"] == made["delegation_id"]
    other = office.call(
        "POST", "/v1/delegations", body | {"uses_max": 3}, who="ann", headers={"Idempotency-Key": "d-1"}
    )
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.key_reused")
    run_id = office.begin(delegation=made["delegation_id"])
    shown = office.ok("GET", f"/v1/runs/{run_id}")
    assert (shown["principal_id"], shown["delegation_id"]) == (office.ids["ann"], made["delegation_id"])
    office.waiting(run_id)
    assert office.ok("GET", f"/v1/delegations/{made['delegation_id']}", who="clerk")["used"] == 1
    denied = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=5", LOOK_UP, who="clerk")
    assert (denied["state"], denied["reason"]) == ("denied", "delegation_narrower")


def test_an_agent_passes_a_part_on_and_sees_no_other_delegation(office: Office) -> None:
    whole = granted(office)
    part = granted(
        office, "clerk", agent_id=office.ids["rival"], tools=TOOLS[:1], lasts_s=None, parent=whole["delegation_id"]
    )
    assert (part["parent"], part["grantor_id"], part["not_after"]) == (
        whole["delegation_id"], office.ids["ann"], whole["not_after"],
    )  # fmt: skip
    run_id = office.ok(
        "POST", "/v1/runs", {"workflow": WORKFLOW, "task": "x", "delegation": part["delegation_id"]}, who="rival"
    )["run_id"]
    done = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=20", LOOK_UP, who="rival")
    assert done["state"] == "succeeded"
    wider = office.call(
        "POST",
        "/v1/delegations",
        wanted(office, agent_id=office.ids["rival"], tools=["erp.*"], lasts_s=None, parent=whole["delegation_id"]),
        who="clerk",
    )
    assert (wider.status_code, wider.json()["code"]) == (403, "delegation.wider")
    seen = {one["delegation_id"] for one in office.ok("GET", "/v1/delegations", who="rival")["items"]}
    assert part["delegation_id"] in seen and whole["delegation_id"] not in seen
    assert office.call("GET", f"/v1/delegations/{whole['delegation_id']}", who="rival").status_code == 404
    page = office.ok("GET", "/v1/delegations?limit=1")
    assert len(page["items"]) == 1 and page["next_cursor"]
    gone = office.ok("DELETE", f"/v1/delegations/{whole['delegation_id']}", who="ann")
    assert (gone["state"], gone["revoked"]["by"]) == ("revoked", office.ids["ann"])
    assert office.ok("GET", f"/v1/delegations/{part['delegation_id']}", who="rival")["state"] == "revoked"
    denied = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=5", {**LOOK_UP, "again": True}, who="rival")
    assert denied["reason"] == "delegation_revoked"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"lasts_s": None}, 422, "delegation.malformed"),
        ({"not_after": "2999-01-01T00:00:00Z"}, 422, "delegation.malformed"),
        ({"lasts_s": None, "not_after": "tomorrow"}, 422, "malformed"),
        ({"lasts_s": None, "not_after": "2020-01-01T00:00:00Z"}, 422, "delegation.malformed"),
        ({"tools": ["a b"]}, 422, "delegation.malformed"),
        ({"condition": "args."}, 422, "delegation.malformed"),
        ({"agent_id": "agt_" + "0" * 32}, 404, "agent.unknown"),
        ({"parent": "dlg_" + "0" * 32}, 403, "delegation.forbidden"),
        ({"surprise": 1}, 422, "malformed"),
    ],
)
def test_what_cannot_be_delegated_is_refused(office: Office, changed: dict[str, Any], status: int, code: str) -> None:
    refused = office.call("POST", "/v1/delegations", wanted(office, **changed), who="ann")
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text


def terminal(office: Office, folder: Path, who: str, *arguments: str | Path) -> Said:
    env = {"HOME": str(folder), "SIGNOFF_URL": office.url, "SIGNOFF_KEY": office.keys[who]}
    return run(*arguments, env=env)


def test_a_person_delegates_and_revokes_from_a_terminal(office: Office, tmp_path: Path) -> None:
    made = terminal(
        office, tmp_path, "bob", "delegations", "grant", "clerk", "--tool", "erp.*", "--environment", "production",
        "--purpose", "month end", "--for", "2h", "--uses", "5", "--usd", "1.50", "--when", "args.vendor_id != ''",
        "--json",
    )  # fmt: skip
    assert made.code == 0, made
    delegation_id = made.json["delegation_id"]
    assert (made.json["uses_max"], made.json["usd_micros_max"]) == (5, 1_500_000)
    listed = terminal(office, tmp_path, "admin", "delegations", "list")
    assert delegation_id in listed.out and "0 of 1.5" in listed.out
    shown = terminal(office, tmp_path, "bob", "delegations", "show", delegation_id)
    assert shown.code == 0 and "month end" in shown.out
    assert terminal(office, tmp_path, "zoe", "delegations", "revoke", delegation_id, "--yes").code == 0  # its owner
    assert terminal(office, tmp_path, "ann", "delegations", "revoke", delegation_id, "--yes").code != 0
    again = terminal(office, tmp_path, "bob", "delegations", "show", delegation_id, "--json")
    assert again.json["state"] == "revoked"
    wrong = terminal(
        office, tmp_path, "bob", "delegations", "grant", "clerk", "--tool", "x", "--environment", "production",
        "--purpose", "x", "--for", "soon",
    )  # fmt: skip
    assert wrong.code == 2


def test_once_roles_are_published_they_are_asked(office: Office, tmp_path: Path) -> None:
    run_id = office.begin()
    assert office.ok("GET", "/v1/roles")["text"] is None
    assert terminal(office, tmp_path, "admin", "roles", "show").code == 1
    page = tmp_path / "roles.yaml"
    page.write_text(ROLES.replace("erp.*", "erp.*, crm.*"))
    published = terminal(office, tmp_path, "admin", "roles", "publish", page)
    assert published.code == 0 and "roles.unknown_tool" not in published.out
    assert terminal(office, tmp_path, "ann", "roles", "publish", page).code != 0
    shown = office.ok("GET", "/v1/roles", who="zoe")
    assert (shown["version"], shown["roles"], len(shown["versions"])) == ("1", [ROLE], 1)
    assert ROLE in terminal(office, tmp_path, "zoe", "roles", "show").out
    changed = office.call("PUT", "/v1/roles", {"text": ROLES})
    assert (changed.status_code, changed.json()["code"]) == (409, "publication.version_taken")
    denied = office.ok("POST", f"/v1/runs/{run_id}/actions?wait=5", LOOK_UP, who="clerk")
    assert denied["reason"] == "not_permitted"  # the agent's owner has no role
    mine = granted(office)
    ours = office.begin(delegation=mine["delegation_id"])
    assert office.ok("POST", f"/v1/runs/{ours}/actions?wait=20", LOOK_UP, who="clerk")["state"] == "succeeded"
    refused = office.call("POST", "/v1/delegations", wanted(office), who="zoe")
    assert (refused.status_code, refused.json()["code"]) == (403, "delegation.wider")
    assert terminal(office, tmp_path, "admin", "check", page, "--json").json["files"][0]["kind"] == "roles"
    page.write_text(ROLES.replace("erp.*", "erp*"))
    assert "roles.tools" in terminal(office, tmp_path, "admin", "check", page).out
    assert terminal(office, tmp_path, "admin", "roles", "publish", page).code == 2
    assert office.call("GET", "/v1/roles", who="clerk").status_code == 403
