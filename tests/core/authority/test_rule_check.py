# SPDX-License-Identifier: Apache-2.0
"""What the long page only seems to say is found: with line, column, why, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from signoff.core.authority.contract import ToolContract, ToolDescription, load_contract
from signoff.core.authority.envelope import READABLE, Envelope, load_envelope
from signoff.core.authority.page import Finding, Severity
from signoff.core.authority.rule_check import always
from signoff.core.authority.trust_check import selected

PAGES = Path(__file__).parent / "pages"
EXAMPLE = (PAGES / "example.yaml").read_text(encoding="utf-8")
SHORT = (PAGES / "short.yaml").read_text(encoding="utf-8")
CONTRACT = """\
format: 1
server: {python: m}
tools:
  erp.vendor: {effect: read, output: {trust: trusted}}
  erp.mixed: {effect: read, output: {trust: {known: trusted, note: untrusted}}}
  erp.silent: {effect: read, output: {trust: trusted}}
  erp.mail: {effect: read}
  erp.pay:
    effect: write
    risk: B
    reversibility: manual
    reversal_note: Treasury calls the bank.
    idempotency: {argument: key, keeps: 30d}
    precondition: {argument: expected, value: preview.version}
    preview: {tool: erp.vendor, args: {vendor_id: args.vendor_id}}
  erp.log: {effect: write, risk: B}
  erp.oust: {effect: write, risk: D, reversibility: manual, reversal_note: HR decides anew.}
"""
HEAD = """\
version: 1
workflow: w
mode: autonomous
permissions:
  allowed_tools: [erp.vendor, erp.pay, erp.oust]
  approval_roles: [FinanceAdmin, Board]
"""
FACT = "facts:\n  v: {tool: erp.vendor, args: {vendor_id: args.vendor_id}}\n"


def tools() -> dict[str, ToolContract]:
    contract, findings = load_contract(CONTRACT, "contract.yaml")
    assert contract is not None, [str(one) for one in findings]
    return dict(contract.tools)


def _object(**types: str) -> dict[str, Any]:
    properties = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "properties": properties, "required": list(types), "additionalProperties": False}


DESCRIPTIONS = {
    "erp.vendor": ToolDescription(
        "erp.vendor", "", _object(vendor_id="string"), _object(known="boolean", orders="integer", name="string")
    ),
    "erp.mixed": ToolDescription("erp.mixed", "", _object(), _object(known="boolean", note="string")),
    "erp.silent": ToolDescription("erp.silent", "", _object()),
    "erp.oust": ToolDescription("erp.oust", "", _object(person="string")),
    "erp.pay": ToolDescription(
        "erp.pay",
        "",
        _object(vendor_id="string", amount="integer", rate="number", key="string", expected="integer"),
    ),
}


def load(text: str, **more: Any) -> tuple[Envelope | None, list[Finding]]:
    return load_envelope(HEAD + text, "page.yaml", tools(), kept=READABLE, **more)


def found(text: str, severity: Severity = Severity.ERROR, **more: Any) -> list[tuple[str, int]]:
    return [(one.code, one.line - 6) for one in load(text, **more)[1] if one.severity is severity]


def rule(when: str, then: str = "deny", name: str = "r", tool: str = "erp.pay") -> str:
    return f'    - {{id: {name}, tool: {tool}, when: "{when}", then: {then}}}\n'


# --- without a contract --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "yields"),
    [
        ("false", False),
        ("1 > 2", False),
        ("false && args.amount > 1", False),
        ("args.amount > 1 && false", False),
        ("true", True),
        ("args.amount > 1 || true", True),
        ("args.amount > 1", None),
        ("facts.v.known", None),
        ("args.amount > args.amount", None),
        ("1 + 1", None),
        ("((", None),
    ],
)
def test_what_a_condition_always_yields_is_told_only_where_it_is_sure(text: str, yields: bool | None) -> None:
    assert always(text) is yields


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (rule("false"), 2),
        (rule("args.a > 1 && 1 == 2", "approve"), 2),
        (rule("args.a > 1", "deny", "d") + rule("args.a   > 1", "approve", "a"), 3),
        (rule("args.a > 1", "'allow', tier: t", "a") + rule("args.a > 1", "deny", "d"), 2),
        (rule("args.a > 1", "'allow', tier: t", "a") + rule("args.a > 1", "approve", "d"), 2),
        (rule("true", "deny", "d") + rule("args.a > 1", "approve", "a"), 3),
    ],
)
def test_a_rule_that_never_matches_or_counts_for_nothing_is_an_error(rules: str, line: int) -> None:
    assert found(f"  rules:\n{rules}") == [("envelope.unreachable_rule", line)]


@pytest.mark.parametrize(
    "rules",
    [
        rule("args.a > 1", "deny", "d") + rule("args.a > 1", "approve", "a", "erp.oust"),
        rule("args.a == 'x  y'", "deny", "d") + rule("args.a == 'x y'", "approve", "a"),
        rule("args.a > 1", "approve", "d") + rule("args.a > 1", "'approve', approve: {count: 2}", "a"),
    ],
)
def test_rules_that_only_look_alike_are_left_alone(rules: str) -> None:
    assert found(f"  rules:\n{rules}") == []


def test_two_rules_that_say_the_same_are_a_warning_and_two_of_one_id_an_error() -> None:
    twice = rule("args.a > 1", "approve", "a") + rule("args.a > 1", "approve", "b")
    assert ("envelope.same_rule", 3) in found(f"  rules:\n{twice}", Severity.WARNING)
    assert found("  rules:\n" + rule("args.a > 1") + rule("args.a > 2")) == [("envelope.twice", 3)]
    limit = "  - {id: day, tool: erp.pay, sum: 1, window: 1h, max: 1, then: deny}\n"
    assert found(f"limits:\n{limit}{limit}") == [("envelope.twice", 3)]


@pytest.mark.parametrize(
    ("when", "warns"),
    [
        ("action.confidence >= 0.98", True),
        ("size(action.citations) > 0 && action.rationale != ''", True),
        ("action.confidence >= 0.98 && args.amount < 10", False),
        ("args.confidence >= 0.98", False),
        ("action.tool == 'erp.pay' && action.confidence > 0.5", False),
        ("true", False),
    ],
)
def test_an_allow_on_claims_alone_is_a_warning(when: str, warns: bool) -> None:
    codes = [code for code, _ in found(f"  rules:\n{rule(when, 'allow, tier: t')}", Severity.WARNING)]
    assert ("envelope.claims_alone" in codes) is warns


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("  rules:\n" + rule("true", tool="erp.log"), 2),
        ("limits: [{id: l, tool: erp.log, sum: 1, window: 1h, max: 1, then: deny}]\n", 1),
        ("holds: [{tool: erp.log, window: 1h}]\n", 1),
        ("provenance: {erp.log: {text: [user]}}\n", 1),
        ("done: {requires: [erp.pay, erp.log]}\n", 1),
    ],
)
def test_what_is_said_about_a_tool_that_is_not_listed_is_an_error(text: str, line: int) -> None:
    assert found(text) == [("envelope.not_listed", line)]


def test_a_tool_that_is_listed_twice_hides_none_that_is_not_listed() -> None:
    text = HEAD.replace("erp.oust]", "erp.oust, erp.pay]") + "  rules:\n" + rule("true", tool="erp.log")
    _, findings = load_envelope(text, "page.yaml", tools(), kept=READABLE)
    assert [one.code for one in findings if one.severity is Severity.ERROR] == ["envelope.not_listed"]


def test_a_fact_that_no_rule_names_is_a_warning() -> None:
    assert ("envelope.fact_unused", 2) in found(FACT, Severity.WARNING)
    assert "envelope.fact_unused" not in [
        code for code, _ in found("  rules:\n" + rule("facts.v.known") + FACT, Severity.WARNING)
    ]


# --- with contracts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "when", "code"),
    [
        ("erp.pay", "facts.v.known", "envelope.fact_tool"),
        ("erp.mail", "facts.v.known", "envelope.fact_untrusted"),
        ("erp.vendr", "facts.v.known", "envelope.unknown_tool"),
        ("erp.mixed", "facts.v.note == ''", "envelope.fact_untrusted"),
        ("erp.mixed", "facts.v == {}", "envelope.fact_untrusted"),
        ("erp.mixed", "facts.v['known']", "envelope.fact_untrusted"),
        ("erp.mixed", "facts.v.known", None),
        ("erp.mixed", "has(facts.v.known) && args.x == 'facts.v.note'", None),
        ("erp.vendor", "facts.v == {}", None),
    ],
)
def test_a_fact_is_a_trusted_read(tool: str, when: str, code: str | None) -> None:
    text = f"  rules:\n{rule(when)}facts:\n  v: {{tool: {tool}}}\n"
    assert found(text) == ([(code, 4)] if code else [])


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("facts.v.a && facts . v . b", {"a", "b"}),
        ("facts.v2.a", set()),
        ("'facts.v.a' == \"facts.v.b\" // facts.v.c", set()),
        ("r'\\' == facts.v.a", {"a"}),
        ("facts.v.size() > 1", None),
        ("facts.v", None),
        ("facts.v['a']", None),
    ],
)
def test_the_fields_of_a_fact_that_a_condition_selects_are_told(text: str, fields: set[str] | None) -> None:
    assert selected(text, "v") == fields


@pytest.mark.parametrize("text", ["limits: [{id: l, tool: erp.vendor, sum: 1, window: 1h, max: 1, then: deny}]\n",
                                  "holds: [{tool: erp.vendor, window: 1h}]\n"])  # fmt: skip
def test_a_bound_on_a_read_is_an_error(text: str) -> None:
    assert found(text) == [("envelope.no_meaning", 1)]


@pytest.mark.parametrize(
    ("source", "errors", "warnings"),
    [
        ("tool:erp.vendor.iban", [], []),
        ("tool:erp.pay.iban", ["envelope.source_untrusted"], []),
        ("tool:erp.mail.iban", ["envelope.source_untrusted"], []),
        ("tool:erp.mixed.note", ["envelope.source_untrusted"], []),
        ("tool:erp.nowhere.iban", ["envelope.unknown_tool"], []),
        ("tool:erp.mixed.known", [], ["envelope.source_unreachable"]),
    ],
)
def test_a_source_is_a_trusted_field_of_a_read_that_runs_may_call(
    source: str, errors: list[str], warnings: list[str]
) -> None:
    text = f"provenance: {{erp.pay: {{iban: [user, {source}]}}}}\n"
    assert found(text) == [(code, 1) for code in errors]
    assert found(text, Severity.WARNING) == [(code, 1) for code in warnings]


def test_names_that_run_into_one_another_are_kept_apart() -> None:
    """An argument may be called as the rest of another tool's name."""
    text = "provenance: {erp.pay: {oust: [user]}, erp.oust: {from: [user], pay.x: {from: [user]}}}\n"
    envelope, findings = load(text)
    assert envelope is not None and set(envelope.provenance["erp.oust"].arguments) == {"from", "pay.x"}, findings


def test_self_approval_is_no_choice_for_class_d() -> None:
    text = rule("true", "'approve', approve: {distinct_from_requester: false}", tool="erp.oust")
    assert found(f"  rules:\n{text}") == [("envelope.self_approval", 2)]
    assert found(f"  rules:\n{text.replace('erp.oust', 'erp.pay')}") == []


def test_an_allow_of_what_runs_anyway_or_always_asks_is_a_warning() -> None:
    for tool in ("erp.vendor", "erp.oust"):
        said = found("  rules:\n" + rule("args.a > 1", "allow, tier: t", tool=tool), Severity.WARNING)
        assert ("envelope.no_effect", 2) in said
    said = found("  rules:\n" + rule("args.a > 1", "allow, tier: t"), Severity.WARNING)
    assert "envelope.no_effect" not in [code for code, _ in said]


def test_a_write_without_a_way_back_may_not_be_allowed_either() -> None:
    page = HEAD.replace("erp.pay", "erp.log") + "  rules:\n" + rule("args.a > 1", "allow, tier: t", tool="erp.log")
    _, findings = load_envelope(page, "page.yaml", tools(), kept=READABLE)
    assert [one.code for one in findings if one.severity is Severity.ERROR] == ["envelope.no_way_back"]
    _, findings = load_envelope(page.replace("autonomous", "assist"), "page.yaml", tools(), kept=READABLE)
    assert [one.code for one in findings if one.severity is Severity.ERROR] == []


@pytest.mark.parametrize(
    "more", ["provenance: {erp.pay: {a: [user]}}\n", "holds: [{tool: erp.pay, window: 1h}]\n",
             "budgets: {max_tokens_per_task: 5}\n"]
)  # fmt: skip
def test_what_may_come_to_ask_needs_somebody_to_ask(more: str) -> None:
    free = HEAD.replace(
        "  approval_roles: [FinanceAdmin, Board]\n", "  write_actions_require_approval: false\n"
    ).replace(", erp.oust", "")
    assert load_envelope(free, "page.yaml", tools(), kept=READABLE)[0] is not None
    _, findings = load_envelope(free + more, "page.yaml", tools(), kept=READABLE)
    assert [one.code for one in findings if one.severity is Severity.ERROR] == ["envelope.nobody_approves"]


# --- with the schemas ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "column", "fix"),
    [
        ("args.amuont > 1", 1, "args.amount"),
        ("facts.v.knwon", 1, "facts.v.known"),
        ("args.amount > 1 && facts.v.known == 'yes'", 34, ""),
        ("args.vendor_id > 5", 16, ""),
        ("args.key != ''", 1, "args.rate"),
        ("has(facts.v.known)", 1, "facts.v.known != null"),
        ("facts.v.orders + args.vendor_id == 1", 16, ""),
        ("args.amount > args['amount']", 15, "args.amount"),
    ],
)
def test_a_typo_is_an_error_at_its_line_and_column_once_the_schemas_are_known(when: str, column: int, fix: str) -> None:
    text = f"  rules:\n{rule(when)}{FACT}"
    assert found(text) == []
    _, findings = load(text, descriptions=DESCRIPTIONS)
    [error] = [one for one in findings if one.severity is Severity.ERROR]
    assert (error.code, error.line) == ("page.expression", 8)
    assert error.column == rule(when).index(when) + column, str(error)
    assert fix in error.fix


@pytest.mark.parametrize(
    "when",
    [
        "facts.v.known && args.amount <= 5 && args.rate < 1.5 && facts.v.orders > 0",
        "facts.v.name == args.vendor_id || action.confidence > 0.5",
        "args.rate != null && principal.id != '' && 'A' in principal.roles",
    ],
)
def test_what_fits_the_schemas_loads_without_a_word(when: str) -> None:
    _, findings = load(f"  rules:\n{rule(when)}{FACT}", descriptions=DESCRIPTIONS)
    assert [one.code for one in findings if one.code != "envelope.fact_unused"] == []


def test_the_place_inside_a_condition_over_several_rows_is_told() -> None:
    for text in (
        "      when: >-\n        facts.v.known\n        && args.amuont > 1\n",
        "      when: facts.v.known\n        && args.amuont > 1\n",
        '      when: "facts.v.known\n        && args.amuont > 1"\n',
        "      when: |\n        facts.v.known\n        && args.amuont > 1\n",
    ):
        page = f"  rules:\n    - id: r\n      tool: erp.pay\n{text}      then: deny\n{FACT}"
        _, findings = load(page, descriptions=DESCRIPTIONS)
        [error] = [one for one in findings if one.severity is Severity.ERROR]
        row = (HEAD + page).split("\n")[error.line - 1]
        assert row[error.column - 1 :].startswith("args.amuont"), (text, str(error))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("facts:\n  v: {tool: erp.silent}\n", "envelope.no_output_schema"),
        ("facts:\n  v: {tool: erp.vendor}\n", "envelope.argument"),
        ("facts:\n  v: {tool: erp.vendor, args: {vendor_id: args.vendor_id}}\n", None),
        ("facts:\n  v: {tool: erp.vendor, args: {vendor_id: args.vendor_id, x: \"'1'\"}}\n", "envelope.argument"),
        ("facts:\n  v: {tool: erp.vendor, args: {vendor_id: args.vendor}}\n", "page.expression"),
    ],
)
def test_a_fact_is_asked_as_its_tool_wants_and_says_what_it_answers(text: str, code: str | None) -> None:
    """Its arguments are over those of each tool whose rules name it."""
    page = f"  rules:\n{rule('facts.v.known')}{text}"
    _, findings = load(page, descriptions=DESCRIPTIONS)
    errors = [(one.code, one.line - 6) for one in findings if one.severity is Severity.ERROR]
    assert errors == ([(code, 4)] if code else [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("limits: [{id: l, tool: erp.pay, sum: args.amuont, window: 1h, max: 1, then: deny}]\n", "page.expression"),
        ("limits: [{id: l, tool: erp.pay, sum: args.vendor_id, window: 1h, max: 1, then: deny}]\n", "page.expression"),
        ("limits: [{id: l, tool: erp.pay, sum: 1, per: args.amount, window: 1h, max: 1, then: deny}]\n",
         "page.expression"),
        ("provenance: {erp.pay: {ibann: [user]}}\n", "envelope.argument"),
        ("provenance: {erp.pay: {amount: [tool:erp.vendor.iban]}}\n", "envelope.argument"),
        ("provenance: {erp.pay: {amount: [tool:erp.vendor.orders]}}\n", None),
        ("limits: [{id: l, tool: erp.pay, sum: args.amount, per: args.vendor_id, window: 1h, max: 1, then: deny}]\n",
         None),
    ],
)  # fmt: skip
def test_limits_and_sources_name_what_the_tools_have(text: str, code: str | None) -> None:
    assert found(text) == []
    assert found(text, descriptions=DESCRIPTIONS) == ([(code, 1)] if code else [])


def test_schemas_that_are_not_at_hand_are_told_once() -> None:
    text = f"  rules:\n{rule('facts.v.known')}{rule('args.x > 1', name='s')}{FACT}"
    assert found(text, Severity.WARNING).count(("envelope.fields_unchecked", 2)) == 1
    assert found(text, Severity.WARNING, descriptions=DESCRIPTIONS) == []


# --- the example ---------------------------------------------------------------------------------------------------


def merged(short: str, example: str) -> str:
    """Return the short page with the long one laid over it, line by line: a key of the long one takes its place."""

    def blocks(text: str, indent: str) -> dict[str, str]:
        found: dict[str, str] = {}
        key = ""
        for line in text.splitlines(keepends=True):
            if line.startswith(indent) and line[len(indent)] not in " #-":
                key = line.strip().partition(":")[0]
            found[key] = found.get(key, "") + line
        return found

    over, under = blocks(example, ""), blocks(short, "")
    first, _, rest = over["permissions"].partition("\n")
    before, _, inner = under["permissions"].partition("\n")
    assert first == before
    over["permissions"] = first + "\n" + "".join((blocks(inner, "  ") | blocks(rest, "  ")).values())
    return "".join((under | over).values())


def test_the_long_example_merged_over_the_short_page_loads_byte_for_byte() -> None:
    text = merged(SHORT, EXAMPLE)
    assert all(line in text.splitlines() for line in EXAMPLE.splitlines() if line)
    contract, _ = load_contract((PAGES / "example_contract.yaml").read_bytes(), "contract.yaml")
    assert contract is not None
    envelope, findings = load_envelope(text, "page.yaml", contract.tools, kept=READABLE)
    assert envelope is not None, [str(one) for one in findings]
    assert sorted(one.code for one in findings) == ["envelope.fields_unchecked", "envelope.step_up"]
    assert [one.rule_id for one in envelope.rules] == ["routine-known-vendor", "new-vendor"]
    assert envelope.rules[1].duty is not None and envelope.rules[1].duty.step_up
    assert envelope.rules[0].facts == {"vendor"} and envelope.facts["vendor"].max_age_us == 60_000_000
    assert [one.limit_id for one in envelope.limits] == ["vendor-day"]
    assert set(envelope.provenance["erp.create_journal_entry"].arguments) == {"vendor_id", "amount_cents"}
    assert set(envelope.holds) == {"erp.schedule_payment"} and len(envelope.spend) == 2
    assert len(envelope.downgrade) == 4 and envelope.done is not None
    assert envelope.writes_ask and envelope.approval_roles == ("FinanceAdmin",) and envelope.version == "2026-03-01"
