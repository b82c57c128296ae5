# SPDX-License-Identifier: Apache-2.0
"""The command line against a real server: who looks, approves exactly what was shown, proves it, and takes it back."""

import json
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signoff.surfaces.cli.doctor import NOT_KEPT
from signoff_sdk import Client
from tests.surfaces.terminal import ENVELOPE, ERP, Said, Server, environment, on_terminal, process, run, serving

pytestmark = pytest.mark.xdist_group("cli_server")  # one server for all of them
HOSTILE = "[bold red]paid[/] \u202e\x1b[2J"
NOTE = {"vendor_id": "V-1001", "note": "Called."}


@dataclass(frozen=True, slots=True)
class Firm:
    """A served installation with an approver and an agent; one signed in is the first admin."""

    server: Server
    folder: Path
    approver: str
    agent: Client

    def run(self, *arguments: str | Path, key: str | None = None, stdin: str = "") -> Said:
        return self.server.run(*arguments, key=key, stdin=stdin)

    def as_approver(self, *arguments: str | Path, stdin: str = "") -> Said:
        return self.run(*arguments, key=self.approver, stdin=stdin)

    def wait(self, run: Any, note: str) -> str:
        """Propose a write that waits for people; returns the action's id."""
        args = {**NOTE, "note": note}
        action = run.propose("erp.update_vendor_note", args, rationale=HOSTILE, again=True, wait=0)
        until = time.monotonic() + 20
        while action.state == "proposed" and time.monotonic() < until:
            action = self.agent.action(action.action_id, wait=0)
        assert action.state == "pending_approval", action.document
        return str(action.action_id)

    def begin(self) -> Any:
        return self.agent.begin("invoice_reconcile", f"Note the call. {HOSTILE}")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    folder = tmp_path_factory.mktemp("firm")
    with serving(folder) as server:
        assert server.run("login", "--url", server.url, "--key-file", server.data / "admin.key").code == 0
        added = server.run("people", "add", "Fin Ann", "--role", "FinanceAdmin", "--json")
        key_file = folder / "agent.key"
        assert server.run("agents", "add", "clerk", "--key-file", key_file).code == 0
        with Client(server.url, key_file.read_text().strip()) as agent:
            yield Firm(server, folder, added.json["api_key"], agent)


def test_serve_announces_where_it_listens_where_the_key_is_and_what_is_inert(firm: Firm) -> None:
    said = firm.server.announced
    assert said["admin_key"] == str(firm.server.data / "admin.key")
    assert {one["control"] for one in said["inert"]} == set(NOT_KEPT)
    log = (firm.folder / "log").read_text()
    assert all(line.startswith("{") for line in log.splitlines())  # JSON lines, off a terminal
    assert firm.approver not in log


def test_one_signs_in_with_a_file_that_nobody_else_can_read(firm: Firm) -> None:
    assert firm.run("whoami", "--json").json["name"] == "First admin"
    kept = firm.server.home / "signoff" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    said = firm.run("whoami", key="sgk_" + "0" * 32 + "_" + "0" * 64)
    assert said.code == 2
    assert "not accepted" in said.err
    assert firm.run("login", "--url", firm.server.url, "--key-file", "-", stdin="nonsense").code == 2
    assert firm.run("login", "--url", firm.server.url).code == 2  # no terminal to ask on
    assert firm.run("whoami", "--json").json["name"] == "First admin"  # a failed attempt takes nothing away


def test_an_approver_sees_the_artifact_and_approves_exactly_that(firm: Firm) -> None:
    """Then the receipt verifies offline, and no longer after a change of one byte."""
    action = firm.wait(firm.begin(), "first")
    inbox = firm.as_approver("inbox")
    assert action in inbox.out
    shown = inbox.out[inbox.out.index("What it changes") :]
    assert '"first"' in shown
    assert '"[bold red]paid[/] ⟨U+202E⟩\\u001b[2J"' in shown  # a claim, and nothing but text
    assert "\x1b" not in inbox.out and "\u202e" not in inbox.out
    assert "nothing here was checked" in shown and "If it is undone" in shown
    assert firm.as_approver("approve", action).code == 2  # nobody to ask, no --yes
    assert firm.as_approver("approve", action, "--yes", "--digest", "sha256:0").code == 1
    assert firm.run("approve", action, "--yes").code == 1  # an admin holds no role that is owed
    said = firm.as_approver("approve", action[-10:], "--yes", "--json")
    assert (said.code, said.json["state"]) == (0, "succeeded")
    assert firm.as_approver("approve", action, "--yes").code == 1  # it is decided

    keys, receipt = firm.folder / "keys", firm.folder / "receipt.json"
    assert firm.run("ledger", "key", "-o", keys).code == 0
    for _ in range(50):
        receipt.unlink(missing_ok=True)
        if firm.run("receipt", action, "-o", receipt).code == 0 and run("verify", receipt, "--key", keys).code == 0:
            break
        time.sleep(0.1)
    assert process("verify", receipt, "--key", keys).code == 0
    whole = receipt.read_bytes()
    bent = firm.folder / "bent.json"
    bent.write_bytes(whole.replace(b"erp", b"erq") if b"erp" in whole else whole[:-9] + b"0" + whole[-8:])
    assert run("verify", bent, "--key", keys).code == 1
    verified = firm.run("ledger", "verify", "--key", keys, "--against", receipt, "--json")
    assert verified.code == 0
    assert verified.json["sound"] is True


def test_on_a_terminal_a_person_is_asked_and_silence_is_a_no(firm: Firm) -> None:
    action = firm.wait(firm.begin(), "asked")
    env = {**firm.server.env, "SIGNOFF_KEY": firm.approver, "SIGNOFF_URL": firm.server.url}
    said = on_terminal("approve", action, answers="\n", env=env)
    assert said.code == 1
    assert "Nothing was decided" in said.out
    assert "\x1b[2J" not in said.out and "\u202e" not in said.out
    said = on_terminal("approve", action, answers="y\n", env=env)
    assert said.code == 0, said.out
    assert "succeeded" in said.out


def test_an_edit_is_a_new_revision_and_a_stale_digest_approves_nothing(firm: Firm) -> None:
    action = firm.wait(firm.begin(), "wrong")
    seen = firm.as_approver("show", action, "--json").json
    file = firm.folder / "args.json"
    file.write_text('{"vendor_id": "V-1001", "note": "right"}')
    assert firm.as_approver("edit", action, "--args", file).code == 2
    said = firm.as_approver("edit", action, "--args", file, "--yes", "--json")
    assert (said.code, said.json["revision"]) == (0, 2)
    (kept,) = [one for one in firm.as_approver("corrections", "--json").json if one["action_id"] == action]
    assert (kept["proposed"]["note"] != "right", kept["edits"][-1]["args"]["note"]) == (True, "right")
    stale = firm.as_approver("approve", action, "--yes", "--digest", seen["digest"])
    assert stale.code == 1
    assert "something else waits now" in stale.err
    assert firm.as_approver("edit", action, "--args", file, "--yes").code == 1  # the same again
    assert firm.as_approver("reject", action, "--reason", "Not now.").code == 0
    assert firm.run("show", action, "--json").json["state"] == "rejected"
    file.write_text("[1]")
    assert firm.as_approver("edit", action, "--args", file, "--yes").code == 2


def test_a_run_is_read_undone_and_closed(firm: Firm) -> None:
    run = firm.begin()
    action = firm.wait(run, "to be undone")
    assert firm.as_approver("approve", action, "--yes").code == 0
    shown = firm.run("runs", "show", run.run_id)
    assert "Note the call. [bold red]paid[/] ⟨U+202E⟩⟨U+001B⟩[2J" in shown.out
    assert run.run_id in firm.run("runs").out
    assert "action.succeeded" in firm.run("runs", "timeline", run.run_id).out
    assert firm.run("runs", "complete", run.run_id, "--summary", "x").code == 0
    undone = firm.as_approver("undo", action, "--json")
    assert (undone.code, undone.json.get("state")) == (0, "pending_approval"), undone.err
    assert firm.as_approver("approve", undone.json["action_id"], "--yes").code == 0
    assert firm.run("show", action, "--json").json["state"] == "reversed"
    firm.as_approver("undo", action)  # however it is answered, nothing is taken back twice
    assert firm.run("show", action, "--json").json["reversed_by"] == undone.json["action_id"]
    assert firm.run("undo").code == 2
    assert firm.as_approver("undo", "--run", run.run_id, "--json").json == {"reversals": [], "left": []}


def test_ids_may_be_shortened_as_long_as_they_are_unique(firm: Firm) -> None:
    run = firm.begin()
    action, other = firm.wait(run, "short"), firm.wait(run, "other")
    assert firm.run("show", action[-9:], "--json").json["action_id"] == action
    assert firm.run("show", action[:34], "--json").json["action_id"] == action
    said = firm.run("show", "act_0")
    assert said.code == 2
    assert "not unique" in said.err
    assert firm.run("show", "act_ffffffff").code == 2
    assert firm.run("show", "../people").code == 2
    assert firm.run("cancel", action).code == 0
    assert firm.run("cancel", other[-12:]).code == 0


def test_what_waits_is_put_off_by_a_time_or_a_span(firm: Firm) -> None:
    action = firm.wait(firm.begin(), "put off")
    assert firm.as_approver("defer", action, "--for", "2h", "--reason", "On Monday.").code == 0
    assert action not in firm.as_approver("inbox", "--list").out
    shown = firm.run("show", action, "--json").json
    assert shown["approval"]["deferred"]["until"] > shown["approval"]["deferred"]["at"]
    for wrong in ((), ("--for", "soon"), ("--for", "2h", "--until", "2099-01-01T00:00:00Z"), ("--until", "tomorrow")):
        assert firm.as_approver("defer", action, *wrong).code == 2
    assert firm.run("cancel", action).code == 0


def test_a_halt_stops_what_waits_and_lifting_brings_nothing_back(firm: Firm) -> None:
    run = firm.begin()
    action = firm.wait(run, "halted")
    said = firm.run("halt", "workflow:invoice_reconcile", "--reason", "drill", "--json")
    assert (said.code, said.json["stopped"] >= 1) == (0, True)
    assert "in force" in firm.run("halts").out
    assert firm.run("show", action, "--json").json["state"] == "stopped"
    assert firm.run("lift", said.json["halt_id"]).code == 0
    assert firm.run("show", action, "--json").json["state"] == "stopped"
    assert firm.run("halt", "everything", "--reason", "x").code == 2
    assert firm.as_approver("halt", "tenant", "--reason", "x").code == 1
    assert firm.run("pause", run.run_id, "--reason", "a drill").code == 0
    assert "a drill" in firm.run("runs", "show", run.run_id).out
    assert firm.run("resume", run.run_id, "--json").json["state"] == "open"


def test_budgets_show_where_each_cap_beyond_the_task_stands(firm: Firm) -> None:
    page = firm.folder / "capped.yaml"
    rows = [
        "version: 1",
        "workflow: capped",
        "permissions: {allowed_tools: [erp.get_entry], approval_roles: [FinanceAdmin]}",
    ]
    page.write_text(
        "\n".join([*rows, "spend: [{per: workflow, window: 1d, usd: 1.5}, {per: tenant, window: 7d, usd: 9}]"])
    )
    assert firm.run("envelopes", "publish", page).code == 0
    said = firm.run("budgets").out
    assert "workflow capped" in said and "1.50" in said and "tenant" in said
    told = firm.run("budgets", "--json").json
    assert [one["scope"] for one in told if one["workflow"] == "capped"] == ["workflow", "tenant"]
    assert firm.run("envelopes", "withdraw", "capped", "1", "--yes").code == 0


def test_lists_show_names_beside_ids_and_json_tells_what_the_server_told(firm: Firm) -> None:
    """A person reads names; a script reads ids. Whoever may not know people's names sees ids."""
    run = firm.begin()
    action = firm.wait(run, "named")
    (agent,) = firm.run("agents", "--json").json
    told = f"clerk ({agent['agent_id']})"
    owner = f"First admin ({agent['owner_id']})"
    for words in (("runs",), ("runs", "show", run.run_id), ("inbox", "--list")):
        assert told in firm.run(*words).out, words
    assert owner in firm.run("agents").out and owner in firm.run("runs", "show", run.run_id).out
    assert owner in firm.run("keys").out
    as_approver = firm.as_approver("agents").out
    assert agent["owner_id"] in as_approver and "First admin" not in as_approver
    (shown,) = [one for one in firm.run("runs", "--json").json if one["run_id"] == run.run_id]
    assert shown["agent_id"] == agent["agent_id"] and "clerk" not in json.dumps(shown)
    halted = firm.run("halt", "agent:clerk", "--reason", "named", "--json").json
    said = firm.run("halts").out
    assert f"agent:{told}" in said and owner in said
    assert firm.run("lift", halted["halt_id"]).code == 0
    assert firm.run("show", action, "--json").json["state"] == "stopped"


def test_people_agents_and_keys_are_managed_and_secrets_shown_once(firm: Firm) -> None:
    key = firm.folder / "ben.key"
    said = firm.run("people", "add", "Ben", "--role", "FinanceAdmin", "--email", "ben@acme.test", "-o", key, "--json")
    assert said.code == 0
    assert "api_key" not in said.json
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ben = said.json["person_id"]
    assert firm.run("people", "add", "Ben", "-o", key).code == 1  # nothing is overwritten, nobody is added
    assert len([one for one in firm.run("people", "--json").json if one["name"] == "Ben"]) == 1
    assert firm.run("people", "roles", ben, "auditor", "--json").json["roles"] == ["auditor"]
    secret = key.read_text().strip()
    assert firm.run("whoami", key=secret).code == 0
    assert firm.run("people", "disable", ben).code == 0
    assert firm.run("whoami", key=secret).code == 2
    assert firm.run("people", "enable", ben).code == 0
    issued = firm.run("keys", "issue", "--holder", ben, "--json").json
    assert firm.run("keys", "revoke", issued["key_id"]).code == 0
    assert firm.run("whoami", key=issued["api_key"]).code == 2
    assert firm.run("agents", "disable", "clerk").code == 0
    assert firm.run("token", "clerk").code == 2
    assert firm.run("agents", "enable", "clerk").code == 0
    token = firm.run("token", "clerk")
    assert token.out.count(".") == 2 and token.out.endswith("\n")
    assert firm.run("agents", "revoke-tokens", "clerk").code == 0
    gone = firm.folder / "never.key"
    assert firm.as_approver("agents", "add", "other", "-o", gone).code == 1
    assert not gone.exists()


def test_pages_are_published_once_and_withdrawn(firm: Firm, tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text(ENVELOPE.replace("invoice_reconcile", "second"))
    said = firm.run("envelopes", "publish", page)
    assert said.code == 0
    assert "INERT: " in said.err
    assert firm.run("envelopes", "publish", page).code == 0  # the same again is the same
    page.write_text(page.read_text() + "# other\n")
    assert firm.run("envelopes", "publish", page).code == 1
    assert "2026-03-01" in firm.run("envelopes", "versions", "second").out
    assert firm.run("envelopes", "withdraw", "second", "2026-03-01").code == 2  # it asks first
    assert firm.run("envelopes", "withdraw", "second", "2026-03-01", "--yes").code == 0
    page.write_text("version: [")
    assert firm.run("envelopes", "publish", page).code == 2
    assert firm.run("tools", "publish", ERP, "--json").json[0]["name"] == "erp"
    pins = {one["state"] for one in firm.run("tools", "--json").json}
    assert pins == {"pinned"}


def test_a_tier_is_looked_at_opened_and_closed(firm: Firm, tmp_path: Path) -> None:
    page = tmp_path / "tiered.yaml"
    rule = "  rules: [{id: r, tool: erp.update_vendor_note, when: 'true', then: allow, tier: notes}]\n"
    page.write_text(
        ENVELOPE.replace("invoice_reconcile", "tiered").replace("permissions:\n", f"permissions:\n{rule}", 1)
    )
    published = firm.run("envelopes", "publish", page)
    assert published.code == 0, published.err
    seen = firm.run("tiers", "list", "tiered")
    assert "Tier notes: closed" in seen.out and "The mode is assist" in seen.out
    asked = firm.run("tiers", "open", "tiered", "notes", "--reason", "Forty went well.", stdin="n\n")
    assert asked.code != 0
    opened = firm.run("tiers", "open", "tiered", "notes", "--reason", "Forty went well.", "--yes")
    assert opened.code == 0 and "is open: clr_" in opened.out
    assert "injection score" in opened.out
    assert any(one["state"] == "on" for one in _tiers(firm))
    assert firm.run("tiers", "open", "tiered", "note", "--reason", "x", "--yes").code == 2
    closed = firm.run("tiers", "close", "tiered", "notes", "--reason", "An audit asks.")
    assert closed.code == 0 and "is closed" in closed.out
    assert "Forty went well." in firm.run("tiers", "list", "tiered").out
    assert any(one["state"] == "off" for one in _tiers(firm))
    assert firm.run("reviews", "list", "tiered").code == 0
    assert firm.run("reviews", "add", "tiered", "erp.update_vendor_note", "--reason", "x", "--yes").code == 2
    assert "was not reviewed" in firm.run("reviews", "withdraw", "tiered", "erp.x", "--reason", "x").out
    assert firm.run("envelopes", "withdraw", "tiered", "2026-03-01", "--yes").code == 0


def _tiers(firm: Firm) -> list[dict[str, Any]]:
    return [one for one in firm.run("doctor", "--json").json["lines"] if one["name"] == "tier notes of tiered"]


def test_a_first_contract_is_written_from_what_a_server_says(tmp_path: Path) -> None:
    file = tmp_path / "erp.yaml"
    env = environment({"SIGNOFF_SAMPLE_ERP_DB": str(tmp_path / "erp.db")})
    line = ["tools", "discover", "--command", "signoff-sample erp", "--env", "SIGNOFF_SAMPLE_ERP_DB", "--system", "erp"]
    said = run(*line, "-o", file, "--json", env=env)
    assert said.code == 0, said.err
    assert "erp.create_journal_entry" in said.json["tools"]
    assert run("check", file).code == 0
    assert file.read_text().count("effect: write ") == len(said.json["tools"])
    assert run(*line, "-o", file, env=env).code == 1
    assert run("tools", "discover", "--command", "no-such-program", "--system", "x").code == 2
    assert run("tools", "discover", "--system", "x").code == 2


def test_the_ledger_is_verified_over_http_from_an_export_and_in_the_directory(firm: Firm, tmp_path: Path) -> None:
    """Where the server's machine is at hand, every row of state too; what was altered is named."""
    said = firm.run("ledger", "verify", "--json")
    assert said.code == 0, said.json["findings"]
    assert said.json["scope"] == "log, and state as the server says"
    assert said.json["rows"]["actions"] >= 1
    export = tmp_path / "export"
    assert firm.run("ledger", "export", "-o", export).code == 0
    assert run("ledger", "verify", "--export", export).code == 0
    entries = (export / "entries.jsonl").read_bytes()
    (export / "entries.jsonl").write_bytes(entries.replace(b'"seq":1', b'"seq":2', 1))
    said = run("ledger", "verify", "--export", export, "--json")
    assert (said.code, said.json["findings"][0]["index"]) == (1, 0)
    said = run("ledger", "verify", "--data", firm.server.data, "--json")
    assert (said.code, said.json["scope"]) == (0, "log and state"), said.json["findings"]
    assert said.json["rows"]["actions"] >= 1

    import sqlite3

    copy = tmp_path / "copy"
    with sqlite3.connect(firm.server.data / "signoff.db") as source:
        copy.mkdir(mode=0o700)
        with sqlite3.connect(copy / "signoff.db") as target:
            source.backup(target)
            target.execute("UPDATE actions SET settled_usd_micros = settled_usd_micros + 1 WHERE state = 'rejected'")
        target.close()
    source.close()
    shutil.copytree(firm.server.data / "keys", copy / "keys")
    shutil.copytree(firm.server.data / "mirror", copy / "mirror")
    said = run("ledger", "verify", "--data", copy)
    assert said.code == 1
    assert "settled_usd_micros" in said.out and "NOT SOUND" in said.out


def test_doctor_tells_what_is_on_off_inert_and_wrong(firm: Firm) -> None:
    env = environment({"SIGNOFF_SAMPLE_ERP_DB": str(firm.folder / "erp.db")})
    for line in (firm.run("doctor", "--json"), run("doctor", "--data", firm.server.data, "--json", env=env)):
        assert line.code == 0, [one for one in line.json["lines"] if one["state"] == "wrong"]
        states = {one["name"]: one["state"] for one in line.json["lines"]}
        assert (states["system erp"], states["clock"]) == ("ok", "ok")
        assert "late finds" not in states
        assert all(states[name] == "inert" for name in NOT_KEPT)
    key = next((firm.server.data / "keys").glob("log-*.json"))
    key.chmod(0o644)
    try:
        said = run("doctor", "--data", firm.server.data)
    finally:
        key.chmod(0o600)
    assert said.code == 1
    assert "0644" in said.out and "chmod 600" in said.out
    assert firm.run("doctor", key="sgk_" + "0" * 32 + "_" + "0" * 64).code == 1


def test_one_action_can_be_read_offline(firm: Firm) -> None:
    action = firm.wait(firm.begin(), "offline")
    said = run("show", action, "--data", firm.server.data, "--json")
    assert (said.code, said.json["args"]["effective"]["note"]) == (0, "offline")
    assert firm.run("cancel", action, "--reason", "done with it").code == 0


def test_a_served_directory_is_refused_to_a_second_server_which_says_how_to_reach_the_first(firm: Firm) -> None:
    said = process("serve", "--data", firm.server.data, "--port", "0")
    assert said.code == 1
    assert "in use" in said.err and "HTTP" in said.err


def test_a_server_told_to_stop_ends_cleanly_and_begins_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.run("login", "--url", server.url, "--key-file", server.data / "admin.key").code == 0
        agent_key = tmp_path / "agent.key"
        assert server.run("agents", "add", "clerk", "--key-file", agent_key).code == 0
        with Client(server.url, agent_key.read_text().strip()) as agent:
            for nth in range(5):
                agent.begin("invoice_reconcile", f"Task {nth}.")
        server.child.send_signal(signal.SIGTERM)
        assert server.child.wait(20) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
    told = run("ledger", "verify", "--data", server.data, "--json")
    assert (told.code, told.json["pending"]) == (0, 0)  # what was done last has its place in the log
    mirrored = (next((server.data / "mirror").glob("*.checkpoints"))).read_text().splitlines()[-1]
    assert json.loads(mirrored)["size"] == told.json["entries"]
    (server.data / "admin.key").unlink()
    said = process("serve", "--data", server.data, "--port", "0", "--envelope", tmp_path / "envelope.yaml")
    assert said.code == 1
    assert "signoff envelopes publish" in said.err


def test_logging_out_forgets_the_key(firm: Firm, tmp_path: Path) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path), "SIGNOFF_URL": "", "SIGNOFF_KEY": ""}
    assert run("login", "--url", firm.server.url, "--key-file", "-", env=env, stdin=firm.approver).code == 0
    assert run("whoami", env=env).code == 0
    assert run("logout", env=env).code == 0
    assert run("logout", "--url", firm.server.url, env=env).code == 1
    assert run("whoami", "--url", firm.server.url, env=env).code == 2


def test_a_plan_from_a_file_is_looked_at_step_by_step_and_approved_as_one(firm: Firm, tmp_path: Path) -> None:
    run_ = firm.begin()
    notes = ("Planned first.", "Planned then.")
    steps = tmp_path / "steps.json"
    args = [{"vendor_id": vendor, "note": note} for vendor, note in zip(("V-1003", "V-1004"), notes, strict=True)]
    steps.write_text(json.dumps([{"tool": "erp.update_vendor_note", "args": one} for one in args]))
    token = firm.run("token", "clerk").out.strip()
    said = firm.run("plan", run_.run_id, "--file", steps, "--json", key=token)
    assert said.code == 0, said.err
    plan_id = said.json["plan_id"]
    listed = firm.as_approver("inbox", "--list")
    assert "Plan of 2 steps" in listed.out
    assert sum(one["action_id"] in listed.out for one in said.json["steps"]) == 1
    approved = firm.as_approver("approve", plan_id, "--yes")
    assert approved.code == 0, approved.err
    assert all(note in approved.out for note in notes)
    assert [firm.agent.action(one["action_id"], wait=20).state for one in said.json["steps"]] == ["succeeded"] * 2
    (tmp_path / "none.json").write_text('{"tool": "x"}')
    assert firm.run("plan", run_.run_id, "--file", tmp_path / "none.json", key=token).code == 2
