# SPDX-License-Identifier: Apache-2.0
"""The sample's command line, its documents, its envelope and its contract."""

import hashlib
import json
from pathlib import Path

import pytest

from signoff.core.authority.contract import load_contract
from signoff.core.authority.description import ToolDescription, schema_digest
from signoff.core.authority.envelope import load_envelope
from signoff_sample.__main__ import main
from signoff_sample.agents.reading import read_wish
from signoff_sample.erp.audit import audit
from signoff_sample.erp.tools import TOOLS
from signoff_sample.invoices import SAMPLES, sample, write_to
from signoff_sample.invoices.injected import INJECTIONS

CONTRACT = Path(__file__).parents[2] / "src" / "signoff_sample" / "erp" / "contract.yaml"


def test_the_envelope_is_the_published_short_form_to_the_byte() -> None:
    digest = hashlib.sha256(sample("agent-execution-policy.yaml")).hexdigest()
    assert digest == "aa1067d289ce61ffb6b03d31122386df8155b8765da606746aaf5a209b41da14"


def test_the_contract_covers_every_tool_and_loads_without_a_finding() -> None:
    described = {
        tool.name: ToolDescription(tool.name, tool.description, tool.input_schema, tool.output_schema)
        for tool in TOOLS.values()
    }
    contract, findings = load_contract(CONTRACT.read_bytes(), "contract.yaml", described)
    assert findings == []
    assert contract is not None
    assert set(contract.tools) == set(TOOLS)
    for name, tool in TOOLS.items():
        assert (contract.tools[name].effect == "write") == tool.writes, name


def test_the_documents_are_written_once_and_never_over_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "folder"
    assert main(["invoices", "--to", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(SAMPLES)
    assert main(["invoices", "--to", str(folder)]) == 0
    (folder / SAMPLES[0]).write_text("mine")
    (folder / SAMPLES[1]).unlink()
    assert main(["invoices", "--to", str(folder)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (folder / SAMPLES[0]).read_text() == "mine"
    assert not (folder / SAMPLES[1]).exists()
    with pytest.raises(FileExistsError):
        write_to(folder)


def test_faults_are_set_listed_and_cleared_from_the_command_line(
    db: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ["set", "erp.create_journal_entry", "slow", "--times", "2", "--delay", "1.5"]
    assert main(["erp-fault", "--db", str(db), *one]) == 0
    assert capsys.readouterr().out == "erp.create_journal_entry: slow, 2 times, delay 1.5 s\n"
    monkeypatch.setenv("SIGNOFF_SAMPLE_ERP_DB", str(db))
    assert main(["erp-fault", "list"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["times_left"], row["delay_s"], row["fired"]) == ("slow", 2, 1.5, 0)
    assert main(["erp-fault", "clear"]) == 0
    assert main(["erp-fault", "set", "erp.find_entry", "lookup_ok"]) == 0
    assert main(["erp-fault", "set", "erp.find_entry", "fire"]) == 2
    assert "Use one of" in capsys.readouterr().err


def test_the_audit_prints_one_json_object(db: Path, store: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erp-audit", "--db", str(db), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == audit(db)
    assert main(["erp-audit", "--db", str(db)]) == 0
    assert "double_writes" in capsys.readouterr().out


def test_misuse_is_told_in_a_sentence_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIGNOFF_SAMPLE_ERP_DB", raising=False)
    other = tmp_path / "other.db"
    other.write_text("this is a text " * 100)
    for arguments, word in (
        (["erp"], "--db FILE"),
        (["erp-audit", "--db", str(tmp_path / "none.db")], "no file"),
        (["erp-audit", "--db", str(other)], "database"),
        (["erp", "--db", str(other)], "database"),
        (["erp-fault", "--db", str(tmp_path / "none.db"), "list"], "none.db"),
    ):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert word in err and "Traceback" not in err
    assert not (tmp_path / "none.db").exists()


def test_the_contract_pins_every_tool_as_it_is_now() -> None:
    """A changed schema or description needs a new pin, looked at by a person, in the same change."""
    contract, _ = load_contract(CONTRACT.read_bytes(), "contract.yaml")
    assert contract is not None
    for name, tool in TOOLS.items():
        described = ToolDescription(tool.name, tool.description, tool.input_schema, tool.output_schema)
        assert contract.tools[name].schema_digest == schema_digest(described), name


def test_the_long_page_loads_against_the_contract_without_a_finding_and_is_one_page() -> None:
    described = {
        tool.name: ToolDescription(tool.name, tool.description, tool.input_schema, tool.output_schema)
        for tool in TOOLS.values()
    }
    contract, _ = load_contract(CONTRACT.read_bytes(), "contract.yaml", described)
    assert contract is not None
    envelope, findings = load_envelope(
        sample("long-execution-policy.yaml"),
        "long-execution-policy.yaml",
        contract.tools,
        descriptions=described,
        one_page=True,
    )
    assert findings == []
    assert envelope is not None
    assert {rule.tier for rule in envelope.rules if rule.tier} == {"routine"}
    assert all(rule.then_deny for rule in envelope.provenance.values())


def test_what_a_text_asks_for_is_seen_however_it_is_hidden() -> None:
    for injection in INJECTIONS:
        shown, told = read_wish(injection.text), read_wish(injection.told)
        assert set(told.ibans) <= set(shown.ibans), injection.kind
        assert set(told.vendors) <= set(shown.vendors), injection.kind
        asked = (*shown.ibans, *shown.vendors, *shown.phrases, *map(str, shown.amounts))
        assert asked, injection.kind
    assert read_wish("Delivered as agreed. Net thirty days.").ibans == ()
