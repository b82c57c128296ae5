# SPDX-License-Identifier: Apache-2.0
"""The command line without a server: pages are checked, receipts are judged, and no traceback reaches a user."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from signoff.core.errors import Forbidden
from signoff.surfaces.cli import credentials
from signoff.surfaces.cli.doctor import NOT_KEPT, measured
from tests.core.authority.test_page_mutations import PAGES, bend, cut
from tests.ledger.sample import KEYS
from tests.surfaces.terminal import ENVELOPE, process, run

SHORT = PAGES / "short.yaml"


def test_every_command_has_a_line_of_help() -> None:
    """Also those of groups; a command nobody explained is a command nobody finds."""
    said = run("--help")
    assert said.code == 0
    for name in ("demo", "init", "check", "serve", "inbox", "approve", "undo", "halt", "verify", "doctor", "ledger"):
        assert f" {name} " in said.out
    for group in ("runs", "people", "agents", "keys", "envelopes", "tools", "ledger"):
        assert run(group, "--help").code == 0


def test_help_and_misuse_import_nothing_heavy() -> None:
    """What keeps `signoff --help` quick: what a command needs is imported when it runs."""
    code = (
        "import sys; from signoff.__main__ import main; main(['--help']); main(['nonsense'])\n"
        "heavy = {'sqlalchemy', 'fastapi', 'mcp', 'httpx2', 'rich', 'cel_expr_python', 'asyncio'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [["nonsense"], ["check"], ["approve"], ["verify", "x"], ["serve", "--port", "x"]])
def test_misuse_is_exit_2_and_says_how_to_get_help(line: list[str]) -> None:
    said = run(*line)
    assert said.code == 2
    assert "Try 'signoff" in said.err
    assert said.out == ""


def test_init_writes_a_project_that_checks_and_never_overwrites(tmp_path: Path) -> None:
    said = run("init", tmp_path / "new", "--json")
    assert said.code == 0
    written = [Path(one) for one in said.json["written"]]
    assert {one.name for one in written} == {"envelope.yaml", "contract.yaml", "README.md"}
    assert run("check", tmp_path / "new" / "envelope.yaml", tmp_path / "new" / "contract.yaml").code == 0
    (tmp_path / "new" / "envelope.yaml").write_text("mine")
    (tmp_path / "new" / "README.md").unlink()
    assert run("init", tmp_path / "new").code == 1
    assert (tmp_path / "new" / "envelope.yaml").read_text() == "mine"
    assert not (tmp_path / "new" / "README.md").exists()


def test_the_short_envelope_checks_alone_and_its_inert_controls_are_loud() -> None:
    said = run("check", SHORT)
    assert said.code == 0
    for control in NOT_KEPT:
        assert f"INERT: {control}" in said.out


def test_check_prints_every_finding_with_its_place_a_caret_and_how_to_mend_it(tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text(
        ENVELOPE.replace("max_tool_calls", "max_tool_cals").replace("hard_cost_cap_usd: 1.25", "hard_cost_cap_usd: x")
    )
    said = run("check", page)
    assert said.code == 1
    assert f"{page}:7:3: error: There is no key 'max_tool_cals' in `budgets`." in said.out
    assert "      max_tool_cals: 40\n      ^\n" in said.out
    assert "fix  Did you mean `max_tool_calls`?" in said.out
    assert f"{page}:8:22: error:" in said.out
    found = run("check", page, "--json").json
    assert found["ok"] is False
    assert found["errors"] == 2
    assert [one["line"] for one in found["files"][0]["findings"] if one["severity"] == "error"] == [7, 8]


def test_envelopes_and_contracts_are_told_apart_and_checked_together(tmp_path: Path) -> None:
    contract = PAGES / "contract.yaml"
    said = run("check", contract, PAGES / "long.yaml", "--json")
    assert [one["kind"] for one in said.json["files"]] == ["contract", "envelope"]
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text(ENVELOPE)
    said = run("check", unknown, "--contracts", contract)
    assert said.code == 1
    assert "No contract describes the tool 'erp.lookup_vendor'" in said.out
    assert "contract.yaml" not in said.out  # given to be known, not to be checked


def test_a_tool_that_two_contracts_describe_is_found_when_both_are_given(tmp_path: Path) -> None:
    """Also where one is only given to be known; the same file twice is one contract."""
    for name, tool in (("erp", "erp.pay"), ("till", "erp.pay"), ("crm", "crm.find")):
        (tmp_path / f"{name}.yaml").write_text(
            f'format: 1\nserver: {{mcp: {{command: ["{name}"]}}}}\ntools:\n  {tool}: {{effect: read}}\n'
        )
    erp, till, crm = (tmp_path / f"{name}.yaml" for name in ("erp", "till", "crm"))
    for given in ((erp, till), (till, "--contracts", erp)):
        said = run("check", *given)
        assert said.code == 1
        assert "`erp.pay` is described in" in said.out and "contract.tool_twice" in said.out
    assert run("check", erp, crm).code == 0
    (tmp_path / "copy.yaml").write_bytes(erp.read_bytes())
    assert run("check", erp, tmp_path / "copy.yaml").code == 0


def test_an_unreadable_page_is_exit_2(tmp_path: Path) -> None:
    assert run("check", tmp_path / "none.yaml").code == 2
    said = run("check", tmp_path)
    assert (said.code, "a directory" in said.err) == (2, True)


def test_a_page_that_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    """A pipe without a writer would be waited for, and a device never ends."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, kind in ((tmp_path / "pipe.yaml", "a pipe"), (Path("/dev/zero"), "a device")):
        said = run("check", path)
        assert said.code == 2
        assert f"It is {kind} and no regular file." in said.err
    (tmp_path / "link.yaml").symlink_to(tmp_path / "page.yaml")
    (tmp_path / "page.yaml").write_text(ENVELOPE)
    assert run("check", tmp_path / "link.yaml").code == 0
    assert run("check", tmp_path / "page.yaml", "--contracts", tmp_path / "pipe.yaml").code == 2


def test_three_hundred_broken_pages_never_crash_check_and_each_finding_has_a_line(tmp_path: Path) -> None:
    """In one process over all of them; a traceback, or a file passed over, fails."""
    import random

    from ruamel.yaml import YAML

    chance, paths = random.Random(7), []
    for number in range(300):
        source = (PAGES / ("short.yaml", "long.yaml", "contract.yaml")[number % 3]).read_bytes()
        tree = YAML(typ="safe", pure=True).load(source.decode())
        broken = cut(chance, source) if number % 2 else bend(chance, tree).encode("utf-8", "surrogatepass")
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_bytes(broken)
    said = process("check", *paths, "--json")
    assert said.code == 1, said.err
    assert "Traceback" not in said.err
    files = said.json["files"]
    assert len(files) == 300
    for file in files:
        for finding in file["findings"]:
            assert finding["line"] >= 1 and finding["what"] and finding["why"] and finding["fix"]
    text = run("check", *paths)
    assert text.code == 1
    assert "\x1b" not in text.out and "\x00" not in text.out  # nothing in a page moves the cursor


def test_a_receipt_is_judged_offline_by_its_exit_code(tmp_path: Path) -> None:
    """0 included and true; 1 after any change; 2 where a key or the time is missing (contract, section 5)."""
    from signoff.ledger.checkpoint import verifier_key
    from tests.ledger import sample

    keys = tmp_path / "keys"
    keys.write_text("".join(verifier_key(key.name, key.public) + "\n" for key in KEYS))
    receipt = tmp_path / "receipt.json"
    whole = sample.included()
    receipt.write_bytes(whole)
    said = process("verify", receipt, "--key", keys)
    assert said.code == 0, said
    assert said.out.startswith("INCLUDED")
    at = whole.index(b'"payload"') + 40
    receipt.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    said = run("verify", receipt, "--key", keys, "--json")
    assert (said.code, said.json["outcome"]) == (1, "false")
    receipt.write_bytes(whole)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_text("no checkpoint")
    assert run("verify", receipt, "--key", keys, "--checkpoint", checkpoint).code == 2
    receipt.write_bytes(sample.promised())  # of 2026-01-01, and long due: a promise that was not kept
    assert run("verify", receipt, "--key", keys).code == 1
    keys.write_text("no key\n")
    assert run("verify", receipt, "--key", keys).code == 2
    assert run("verify", receipt, "--key", tmp_path / "none").code == 2


def test_an_unexpected_error_says_how_to_report_it_and_shows_its_traceback_only_on_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(_: bytes) -> None:
        raise ZeroDivisionError("a secret of the code")

    monkeypatch.setattr("signoff.surfaces.cli.check.kind_of", stumble)
    said = run("check", SHORT)
    assert said.code == 2
    assert "defect of ours" in said.err and "--debug" in said.err
    assert "Traceback" not in said.err and "a secret" not in said.err
    assert "Traceback" in run("check", SHORT, "--debug").err


def test_with_json_a_failure_is_one_json_object_too() -> None:
    env = {"SIGNOFF_URL": "http://127.0.0.1:9", "SIGNOFF_KEY": "", "XDG_CONFIG_HOME": "/nonexistent"}
    said = run("whoami", "--json", env=env)
    assert said.code == 2
    assert set(said.json["error"]) == {"code", "what", "why", "fix"}
    assert "serve" in said.json["error"]["fix"]


def test_keys_are_kept_for_their_owner_only_and_never_sent_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SIGNOFF_KEY", raising=False)
    monkeypatch.delenv("SIGNOFF_URL", raising=False)
    path = credentials.keep("http://a.test/", "sgk_1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (credentials.find().url, credentials.find().key) == ("http://a.test", "sgk_1")
    assert credentials.find("http://b.test").key is None
    path.chmod(0o644)
    said = run("whoami")
    assert said.code == 2
    assert "0644" in said.err and "sgk_1" not in said.err
    path.chmod(0o600)
    path.write_text('{"keys": "sgk_1"')
    assert "sgk_1" not in run("whoami").err
    monkeypatch.setenv("SIGNOFF_KEY", "sgk_env")
    path.unlink()
    assert credentials.find("http://b.test").key == "sgk_env"


def test_reading_a_directory_without_an_installation_makes_nothing(tmp_path: Path) -> None:
    for line in (["ledger", "verify"], ["doctor"], ["show", "act_" + "0" * 32]):
        said = run(*line, "--data", tmp_path)
        assert said.code == 2
        assert "There is no installation" in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("late", "jump", "silent", "more", "wrong"),
    [
        ("0.0", "1.9", "0.0", "", []),
        ("2.0", "-0.5", "0.0", "", ["late finds"]),
        ("0.0", "3.0", "0.0", "", ["clock"]),
        ("1.0", "-9e3", "0.0", "", ["clock", "late finds"]),
        ("0.0", "0.0", "2.0", "", ["approvals"]),
        ("0.0", "0.0", "0.0", 'signoff_circuit_open{tool="erp.pay"} 1.0\n', ["circuits"]),
        ("0.0", "0.0", "0.0", "signoff_writes_without_receipt 3.0\n", ["writes without a receipt"]),
    ],
)
def test_doctor_reads_alarms_off_the_metrics_of_a_server(
    late: str, jump: str, silent: str, more: str, wrong: list[str]
) -> None:
    text = f'# HELP x y\nx{{a="b c"}} 1.0\nsignoff_actions_found_late {late}\nsignoff_clock_jump_seconds {jump}\n'
    text += f"signoff_approvals_escalated {silent}\nsignoff_writes_without_receipt 0.0\n"
    text += f"signoff_sweeps_unanswered 0.0\n{more}"
    lines = measured(lambda path: text.encode())
    assert [one.name for one in lines if one.state == "wrong"] == wrong
    assert all(one.fix for one in lines if one.state == "wrong")


def test_doctor_says_so_where_it_cannot_tell() -> None:
    def refused(path: str) -> bytes:
        raise Forbidden("No.", "You are no auditor.", "Ask an admin.")

    assert [one.state for one in (*measured(refused), *measured(lambda path: b"x 1\n"))] == ["unknown", "unknown"]


def test_json_goes_to_standard_output_alone() -> None:
    said = process("check", SHORT, "--json")
    json.loads(said.out)
    assert said.err == ""
