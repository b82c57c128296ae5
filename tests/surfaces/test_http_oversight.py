# SPDX-License-Identifier: Apache-2.0
"""Accounts, batches, sweeps and the runbook over HTTP and from a terminal, with the sample ERP behind them."""

from pathlib import Path

from tests.surfaces.office import ROLE, WORKFLOW, Office
from tests.surfaces.terminal import Said, process

VENDORS = ("V-1001", "V-1002")  # what one writes does not move what the other shows


def cli(office: Office, folder: Path, *arguments: str, who: str = "ann") -> Said:
    """Run a command as somebody of the office, against its server."""
    home = {"XDG_CONFIG_HOME": str(folder), "SIGNOFF_URL": office.url, "SIGNOFF_KEY": office.keys[who]}
    return process(*arguments, env=home)


def test_people_are_told_why_and_an_agent_its_verdict_and_reasons(office: Office) -> None:
    waiting = office.waiting(office.begin())
    path = f"/v1/actions/{waiting['action_id']}/explain"
    told = office.ok("GET", path, who="zoe")
    assert told["verdict"] == "ask" and any(f"It owes 1 of {ROLE}" in one for one in told["why"])
    assert any("when a person says no" in one for one in told["next"])
    assert set(office.ok("GET", path, who="clerk")) == {"action_id", "verdict", "reasons"}
    assert office.call("GET", path, who="rival").status_code == 404
    assert office.call("GET", "/v1/actions/act_0/explain").status_code == 404


def test_a_batch_is_decided_by_digest_and_what_differs_is_refused(office: Office) -> None:
    run = office.begin()
    waiting = [office.waiting(run, vendor_id=vendor) for vendor in VENDORS]
    items = [{"approval_id": one["approval"]["approval_id"], "digest": one["digest"]} for one in waiting]
    body = {"items": items, "decision": "approve", "reason": "Both match."}
    assert office.call("POST", "/v1/approvals/batch", body, who="clerk").status_code == 403
    assert office.call("POST", "/v1/approvals/batch", body | {"items": []}, who="ann").status_code == 422
    assert office.call("POST", "/v1/approvals/batch", body | {"decision": "edit"}, who="ann").status_code == 422
    rejected = body | {"decision": "reject", "reason": " "}
    assert office.call("POST", "/v1/approvals/batch", rejected, who="ann").status_code == 422
    told = office.ok("POST", "/v1/approvals/batch", body, who="ann")
    assert [one["is_counted"] for one in told["items"]] == [True, True]
    for one in waiting:
        assert office.until(one, "succeeded")["approval"]["votes"][0]["digest"] == one["digest"]


def test_the_runbook_and_a_sweep_are_for_people_and_find_a_real_erp_in_order(office: Office) -> None:
    done = office.approve(office.waiting(office.begin()))
    assert done["state"] == "succeeded"
    found = office.ok("POST", "/v1/sweeps", {}, who="otto")
    assert found["found"] == 0 and {one["problem"] for one in found["items"]} == {None}
    assert sum(one["listed"] for one in found["items"]) >= 1
    assert office.ok("GET", "/v1/sweeps", who="audra")["items"]
    for who in ("zoe", "clerk"):
        assert office.call("POST", "/v1/sweeps", {}, who=who).status_code == 403
    assert office.call("POST", "/v1/sweeps", {"since": "yesterday"}, who="otto").status_code == 422
    book = office.ok("GET", "/v1/runbook?system=erp", who="zoe")
    lines = {one["tool"]: one for one in book["items"]}
    assert lines["erp.update_vendor_note"]["workflows"] and "restores = result.change_id" in book["markdown"]
    assert WORKFLOW in lines["erp.create_journal_entry"]["workflows"]
    assert office.call("GET", "/v1/runbook", who="clerk").status_code == 403
    assert office.call("GET", "/v1/runbook?system=none", who="zoe").status_code == 404
    assert "signoff_writes_without_receipt 0.0" in office.call("GET", "/metrics", who="otto").text


def test_a_terminal_shows_each_asks_once_and_decides_on_several(office: Office, tmp_path: Path) -> None:
    run = office.begin()
    ids = [office.waiting(run, vendor_id=vendor)["action_id"] for vendor in VENDORS]
    assert "Next:" in cli(office, tmp_path, "explain", ids[0]).out
    assert cli(office, tmp_path, "approve", *ids).code == 2  # nobody to ask, and no --yes
    said = cli(office, tmp_path, "approve", *ids, "--yes")
    assert said.code == 0 and all(one in said.out for one in ids)
    assert {office.until({"action_id": one}, "succeeded")["state"] for one in ids} == {"succeeded"}
    assert "# How each write is taken back" in cli(office, tmp_path, "tools", "runbook").out
    swept = cli(office, tmp_path, "sweep", "--json", who="otto")
    assert (swept.code, swept.json["found"]) == (0, 0)
