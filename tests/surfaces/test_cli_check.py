# SPDX-License-Identifier: Apache-2.0
"""`signoff check` on the long page: every finding at its place, and fields by the servers' schemas where asked."""

from pathlib import Path

from tests.core.authority.test_page_mutations import PAGES
from tests.surfaces.terminal import environment, run

ERP = Path(__file__).parents[2] / "src" / "signoff_sample" / "erp" / "contract.yaml"
PAGE = """\
version: 1
workflow: invoices
mode: autonomous
facts:
  vendor: {tool: erp.lookup_vendor, args: {vendor_id: args.vendor_id}}
permissions:
  allowed_tools: [erp.lookup_vendor, erp.create_journal_entry]
  approval_roles: [FinanceAdmin]
  rules:
    - {id: known, tool: erp.create_journal_entry, when: facts.vendor.known && args.amount_cents > 0, then: approve}
    - id: large
      tool: erp.create_journal_entry
      when: >-
        facts.vendor.known
        && args.amuont_cents > 5
      then: deny
"""


def test_everything_that_is_wrong_with_a_long_page_is_told_at_once(tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text(
        PAGE.replace("then: approve}", "then: allow}").replace("facts.vendor.known &&", "facts.vendro.known &&")
        + "holds: [{tool: erp.lookup_vendor, window: soon}]\nlimits: [{id: a, tool: erp.nothing}]\n"
    )
    said = run("check", page, ERP, "--json").json
    findings = next(one["findings"] for one in said["files"] if one["kind"] == "envelope")
    errors = [(one["line"], one["code"]) for one in findings if one["severity"] == "error"]
    assert (10, "page.expression") in errors and (10, "envelope.no_tier") in errors
    assert {line for line, _ in errors} >= {10, 17, 18}
    assert all(one["what"] and one["why"] and one["fix"] for one in findings)


def test_a_typo_is_found_by_the_servers_own_schemas_with_its_place(tmp_path: Path) -> None:
    page = tmp_path / "page.yaml"
    page.write_text(PAGE)
    env = environment({"SIGNOFF_SAMPLE_ERP_DB": str(tmp_path / "erp.db")})
    said = run("check", page, ERP, env=env)
    assert said.code == 0 and "envelope.fields_unchecked" in said.out
    said = run("check", page, ERP, "--live", env=env)
    assert said.code == 1
    assert f"{page}:15:12: error:" in said.out and "Did you mean `args.amount_cents`?" in said.out
    assert "        && args.amuont_cents > 5\n" in said.out and "^\n" in said.out
    page.write_text(PAGE.replace("amuont", "amount"))
    said = run("check", page, ERP, "--live", env=env)
    assert said.code == 0 and "fields_unchecked" not in said.out, said.out


def test_a_server_that_cannot_be_asked_is_exit_2_and_not_half_a_check(tmp_path: Path) -> None:
    contract = tmp_path / "erp.yaml"
    contract.write_text('format: 1\nserver: {mcp: {command: ["no-such-program"]}}\ntools:\n  a.b: {effect: read}\n')
    assert run("check", contract, "--live").code == 2


def test_one_page_counts_the_lines_of_a_long_page(tmp_path: Path) -> None:
    assert "envelope.one_page" in run("check", PAGES / "wide.yaml", "--one-page").out
    assert "envelope.one_page" not in run("check", PAGES / "wide.yaml").out
