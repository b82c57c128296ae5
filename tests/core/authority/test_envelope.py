# SPDX-License-Identifier: Apache-2.0
"""An envelope loads as it was brought, or says everything that keeps it from loading."""

from pathlib import Path
from typing import Any

import pytest

from signoff.core.authority.contract import ToolContract, load_contract
from signoff.core.authority.envelope import (
    NOT_ENFORCED,
    Budgets,
    Envelope,
    Loops,
    Mode,
    inert_controls,
    load_envelope,
)
from signoff.core.authority.page import Finding, Severity, digest

PAGES = Path(__file__).parent / "pages"
SHORT = (PAGES / "short.yaml").read_bytes()
LONG = (PAGES / "long.yaml").read_bytes()
HEAD = "version: 1\nworkflow: w\n"
ROLES = "permissions: {allowed_tools: [erp.get_entry], approval_roles: [FinanceAdmin]}\n"


def contracts() -> dict[str, ToolContract]:
    contract, _ = load_contract((PAGES / "contract.yaml").read_bytes(), "contract.yaml")
    assert contract is not None
    return dict(contract.tools)


def loaded(text: str | bytes, **more: Any) -> Envelope:
    envelope, findings = load_envelope(text, "page.yaml", **more)
    assert envelope is not None, [str(finding) for finding in findings]
    return envelope


def found(text: str | bytes, **more: Any) -> list[Finding]:
    return load_envelope(text, "page.yaml", **more)[1]


def codes(text: str | bytes, severity: Severity = Severity.ERROR, **more: Any) -> list[str]:
    return [finding.code for finding in found(text, **more) if finding.severity is severity]


def test_the_page_that_users_bring_loads_unchanged_with_safe_defaults() -> None:
    envelope, findings = load_envelope(SHORT, "agent-execution-policy.yaml")
    assert [(f.severity, f.code, f.line) for f in findings] == [(Severity.WARNING, "envelope.tools_unchecked", 14)]
    assert envelope is not None
    assert envelope.version == "2026-03-01" and envelope.workflow == "invoice_reconcile"
    assert envelope.models == {"router": "small-fast", "reasoning": "frontier", "fallback": "safe-medium"}
    assert envelope.budgets == Budgets(tokens_max=18_000, calls_max=8, cap_usd_micros=1_250_000)
    assert envelope.allowed_tools == {"erp.lookup_vendor", "erp.match_po", "erp.create_journal_entry"}
    assert (
        envelope.writes_ask and envelope.approval_roles == ("FinanceAdmin",) and envelope.expires_us == 86_400 * 10**6
    )
    assert envelope.redact_pii and envelope.store_transcripts_days == 30
    assert envelope.injection_threshold_ppm == 700_000
    assert envelope.citations_for == ("policy", "contract", "pricing")
    assert envelope.mode is Mode.ASSIST and envelope.loops == Loops(3, 3, 40, 900)
    assert envelope.environments == ("production",) and envelope.owners == {} and envelope.format == 1
    assert envelope.digest == digest(SHORT) and envelope.text.encode() == SHORT


def test_every_key_that_is_kept_is_read() -> None:
    envelope = loaded(LONG, contracts=contracts())
    assert found(LONG, contracts=contracts()) == []
    assert envelope.purpose == "match supplier invoices to purchase orders and post them"
    assert envelope.environments == ("sandbox", "production")
    assert envelope.owners["compliance"] == "legal@acme.test" and len(envelope.owners) == 5
    assert envelope.mode is Mode.AUTONOMOUS and envelope.writes_ask is False
    assert envelope.loops == Loops(2, 4, 50, 600)
    assert envelope.redact_pii is False and envelope.store_transcripts_days == 90


def page_with(path: str, value: str) -> str:
    """Return a page that loads but for `path`, which is written last."""
    group, _, key = path.rpartition(".")
    base = {"version": "version: 1\n", "workflow": "workflow: w\n"}
    if group != "permissions":
        base["permissions"] = ROLES
    base.pop(path, None)
    text = "".join(base.values())
    if not group:
        return f"{text}{key}: {value}\n"
    roles = "  approval_roles: [FinanceAdmin]\n" if group == "permissions" and key != "approval_roles" else ""
    return f"{text}{group}:\n{roles}  {key}: {value}\n"


@pytest.mark.parametrize("key", [*NOT_ENFORCED])
def test_a_control_that_this_version_does_not_keep_never_passes_in_silence(key: str) -> None:
    group, _, name = key.rpartition(".")
    text = HEAD + (ROLES + f"{name}: []\n" if not group else "permissions:\n  approval_roles: [A]\n  rules: []\n")
    envelope, findings = load_envelope(text, "page.yaml")
    assert envelope is None
    [finding] = [f for f in findings if f.code == "envelope.not_enforced"]
    assert finding.severity is Severity.ERROR and finding.line == text.count("\n")
    assert f"`{key}`" in finding.what and finding.fix


def test_unknown_keys_are_errors_that_name_the_nearest_known_one() -> None:
    findings = found(HEAD + ROLES + "bugdets: {}\nbudgets: {max_tool_cals: 3}\n")
    errors = [f for f in findings if f.severity is Severity.ERROR]
    assert [(f.line, f.column, f.code) for f in errors] == [(4, 1, "page.unknown_key"), (5, 11, "page.unknown_key")]
    assert "budgets" in errors[0].fix and "max_tool_calls" in errors[1].fix


def test_everything_wrong_is_told_at_once_in_the_order_of_the_page() -> None:
    findings = found("version: 1\nworkflow: 7\nmode: fast\nbudgets: {max_tool_calls: -1}\nrollout: {}\nversion: 2\n")
    errors = [f for f in findings if f.severity is Severity.ERROR]
    assert [(f.line, f.code) for f in errors] == [
        (1, "envelope.nobody_approves"),
        (2, "page.type"),
        (3, "page.type"),
        (4, "page.range"),
        (5, "envelope.not_enforced"),
        (6, "page.duplicate_key"),
    ]


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "7\n", "null\n"])
def test_a_page_that_is_no_map_does_not_load(text: str) -> None:
    assert load_envelope(text, "page.yaml")[0] is None and codes(text)


def test_an_unknown_tool_is_an_error_once_the_tools_are_known() -> None:
    text = HEAD + "permissions: {approval_roles: [A], allowed_tools: [erp.get_entry, erp.creat_entry]}\n"
    [finding] = found(text, contracts=contracts())
    assert (finding.code, finding.line, finding.column) == ("envelope.unknown_tool", 3, 67)
    assert "erp.create_entry" in finding.fix
    assert codes(text, contracts={}) == ["envelope.unknown_tool"] * 2


def test_a_write_that_neither_asks_nor_can_be_taken_back_is_an_error() -> None:
    contract, _ = load_contract(
        "format: 1\nserver: {python: m}\ntools:\n  erp.log: {effect: write, risk: A}\n", "contract.yaml"
    )
    assert contract is not None
    free = HEAD + "mode: autonomous\npermissions: {allowed_tools: [erp.log], write_actions_require_approval: false}\n"
    assert codes(free, contracts=contract.tools) == ["envelope.no_way_back"]
    asking = free.replace(", write_actions_require_approval: false", ", approval_roles: [A]")
    assert codes(asking, contracts=contract.tools) == []


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        ("permissions: {allowed_tools: [erp.get_entry]}", ["envelope.nobody_approves"]),
        ("permissions: {approval_roles: []}", ["envelope.nobody_approves"]),
        ("mode: watch\npermissions: {write_actions_require_approval: false}", ["envelope.nobody_approves"]),
        ("mode: assist\npermissions: {write_actions_require_approval: false}", ["envelope.nobody_approves"]),
        ("mode: autonomous\npermissions: {write_actions_require_approval: false}", ["envelope.nobody_approves"]),
        ("mode: suggest\npermissions: {allowed_tools: [erp.get_entry]}", []),
    ],
)
def test_an_approval_that_nobody_can_give_is_an_error(lines: str, errors: list[str]) -> None:
    assert codes(f"{HEAD}{lines}\n") == errors


def test_roles_are_not_asked_for_where_no_listed_tool_can_ask() -> None:
    reads = HEAD + "permissions: {allowed_tools: [erp.get_entry]}\n"
    assert codes(reads, contracts=contracts()) == []
    assert codes(reads + "mode: watch\n", contracts=contracts()) == ["envelope.nobody_approves"]
    writes = reads.replace("get_entry", "create_entry") + "mode: autonomous\n"
    free = writes.replace("]}", "], write_actions_require_approval: false}")
    assert codes(free, contracts=contracts()) == ["envelope.nobody_approves"]  # class C asks all the same


def test_a_waiver_without_effect_is_a_warning() -> None:
    text = HEAD + "permissions: {approval_roles: [A], write_actions_require_approval: false}\n"
    assert "envelope.no_effect" in codes(text, Severity.WARNING)
    assert "envelope.no_effect" not in codes(text + "mode: autonomous\n", Severity.WARNING)


def test_a_page_that_allows_nothing_is_a_warning() -> None:
    assert codes(HEAD + "permissions: {approval_roles: [A]}\n", Severity.WARNING) == ["envelope.no_tools"]


@pytest.mark.parametrize("words", ["use judgment", "Use your best judgement", "USE  JUDGMENT"])
def test_words_that_leave_the_decision_to_the_agent_are_a_warning(words: str) -> None:
    [finding] = [f for f in found(f"{HEAD}{ROLES}purpose: pay bills and {words}\n") if f.code == "envelope.judgment"]
    assert (finding.severity, finding.line, finding.column) == (Severity.WARNING, 4, 24)


def test_one_page_warns_past_sixty_lines_and_only_when_asked() -> None:
    short = HEAD + ROLES
    full = short + "# more\n" * (60 - short.count("\n"))
    assert "envelope.one_page" not in codes(full, Severity.WARNING, one_page=True)
    assert "envelope.one_page" in codes(full + "# more\n", Severity.WARNING, one_page=True)
    assert "envelope.one_page" not in codes(full + "# more\n", Severity.WARNING)


@pytest.mark.parametrize(("amount", "micros"), [("0", 0), ("1.25", 1_250_000), ("0.000001", 1), ("0.1000000", 100_000)])
def test_money_is_read_from_its_text_to_the_last_micro_dollar(amount: str, micros: int) -> None:
    assert loaded(page_with("budgets.hard_cost_cap_usd", amount)).budgets.cap_usd_micros == micros


@pytest.mark.parametrize("amount", ["0.0000001", "-1", "1e3", '"1.25"', "1,25", ".5", "99999999", ".nan", "true", ""])
def test_money_that_is_no_plain_amount_is_refused(amount: str) -> None:
    assert load_envelope(page_with("budgets.hard_cost_cap_usd", amount), "page.yaml")[0] is None


def test_a_version_is_text_however_it_looks() -> None:
    for written, read in (("2026-03-01", "2026-03-01"), ("1.10", "1.10"), ('"x y"', "x y"), ("7", "7")):
        assert loaded(page_with("version", written)).version == read
    for bad in ("true", "null", "~", "[1]", '""'):
        assert load_envelope(page_with("version", bad), "page.yaml")[0] is None


def test_controls_that_nobody_keeps_are_named_with_their_line() -> None:
    inert = inert_controls(loaded(SHORT))
    assert [(one.asked_by, one.line) for one in inert] == [
        ("models", 4),
        ("budgets.max_tokens_per_task", 9),
        ("safety.block_on_prompt_injection_score_gte", 24),
    ]
    assert all(one.control and one.consequence for one in inert)
    assert inert_controls(loaded(HEAD + ROLES)) == ()
    kept = inert_controls(loaded(SHORT), active=["models"])
    assert [one.line for one in kept] == [9, 24]
