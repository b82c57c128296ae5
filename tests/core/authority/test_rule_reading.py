# SPDX-License-Identifier: Apache-2.0
"""Facts, rules and limits are read whole, or what is wrong is named at its place."""

from typing import Any

import pytest

from signoff.core.authority.decision import Duty
from signoff.core.authority.envelope import READABLE, Envelope, inert_controls, load_envelope
from signoff.core.authority.names import spoken
from signoff.core.authority.page import Finding
from signoff.core.authority.rules import Then
from signoff.core.principal import Person
from signoff.core.run import Run, RunState

HEAD = """\
version: 1
workflow: w
mode: autonomous
facts:
  vendor: {tool: erp.lookup_vendor, args: {vendor_id: args.vendor_id}, max_age: 60s}
  vendor2: {tool: erp.lookup_vendor}
limits:
  - {id: day, tool: erp.pay, sum: args.amount, per: args.to + '/' + args.currency, window: 24h, max: 500, then: approve}
  - {id: count, tool: erp.pay, sum: 1, window: 1h, max: 3, then: deny}
permissions:
  allowed_tools: [erp.lookup_vendor, erp.pay]
  approval_roles: [FinanceAdmin]
  rules:
"""
ROUTINE = "{id: routine, tool: erp.pay, when: facts.vendor.known && args.amount <= 10, then: allow, tier: routine}"


def read(*rules: str, **more: Any) -> tuple[Envelope | None, list[Finding]]:
    text = HEAD + "".join(f"    - {rule}\n" for rule in rules)
    return load_envelope(text, "page.yaml", kept=READABLE, **more)


def loaded(*rules: str) -> Envelope:
    envelope, findings = read(*rules)
    assert envelope is not None, [str(one) for one in findings]
    return envelope


def codes(*rules: str) -> list[str]:
    envelope, findings = read(*rules)
    assert envelope is None
    return [one.code for one in findings if one.severity == "error"]


def names(**action: Any) -> dict[str, Any]:
    run = Run("t", "run_1", 1, "", RunState.OPEN, "w", "d", "production", "agt_1", "per_1", "per_1", 0, "k", "c")
    person = Person("t", "per_1", 1, "", ("Buyer",), "c", "k")
    return spoken({"amount": 5}, {"vendor": {"known": True}}, run, person, "erp.pay", action, 3_600_000_000)


def test_facts_limits_and_rules_load_into_their_values() -> None:
    envelope = loaded(ROUTINE, "{id: new, tool: erp.pay, when: '!facts.vendor.known', then: approve}")
    assert set(envelope.facts) == {"vendor", "vendor2"} and envelope.facts["vendor"].max_age_us == 60_000_000
    day, count = envelope.limits
    assert (day.limit_id, day.window_us, day.most, day.then) == ("day", 86_400_000_000, 500, Then.APPROVE)
    assert day.duty == Duty(("FinanceAdmin",), 1, True, 86_400_000_000, "limit_exceeded")
    assert count.per is None and count.duty is None and count.amount.value({"args": {}}) == 1
    routine, new = envelope.rules
    assert (routine.then, routine.tier, routine.duty) == (Then.ALLOW, "routine", None)
    assert new.duty == Duty(("FinanceAdmin",), 1, True, 86_400_000_000, "rule_asks")


def test_a_condition_is_evaluated_with_the_names_of_the_contract() -> None:
    routine, *_ = loaded(ROUTINE).rules
    assert routine.when.holds(names()) is True
    for text in (
        "action.confidence == null && action.tool == 'erp.pay'",
        "run.now == '1970-01-01T01:00:00.000000Z' && timestamp(run.now).getHours() == 1",
        "'Buyer' in principal.roles && principal.id == run.started_by && run.workflow == 'w'",
        "run.environment == 'production' && action.agent == 'agt_1' && run.id == 'run_1' && run.started < run.now",
        "has(facts.vendor.known)",
    ):
        [rule] = loaded(f'{{id: r, tool: erp.pay, when: "{text}", then: deny}}').rules
        assert rule.when.holds(names()) is True, text
    [rule] = loaded("{id: r, tool: erp.pay, when: action.confidence >= 0.98, then: deny}").rules
    assert rule.when.holds(names(confidence=1)) and not rule.when.holds(names(confidence=0.5))


@pytest.mark.parametrize(
    ("when", "used"),
    [
        ("facts.vendor.known", {"vendor"}),
        ("facts.vendor2.known && args.amount > 1", {"vendor2"}),
        ("facts.vendor.known || facts . vendor2 . known", {"vendor", "vendor2"}),
        ("args.note == 'facts.vendor.known'", set()),
        ("has(facts.vendor.known)", {"vendor"}),
    ],
)
def test_a_rule_knows_which_facts_it_names_and_needs_no_other(when: str, used: set[str]) -> None:
    [rule] = loaded(f'{{id: r, tool: erp.pay, when: "{when}", then: deny}}').rules
    assert rule.facts == used


@pytest.mark.parametrize(
    ("when", "column", "fix"),
    [
        ("facts.vendro.known", 1, "facts.vendor"),
        ("args.a > 1 && action.confidnce > 0.9", 15, "action.confidence"),
        ("run.nwo == ''", 1, "run.now"),
        ("facts['vendor'].known", 1, "facts.vendor"),
    ],
)
def test_a_misspelt_name_is_found_without_any_schema_at_its_column(when: str, column: int, fix: str) -> None:
    text = f'{{id: r, tool: erp.pay, when: "{when}", then: deny}}'
    _, findings = read(text)
    [found] = [one for one in findings if one.code == "page.expression"]
    assert found.line == HEAD.count("\n") + 1 and found.column == 6 + text.index(when) + column, str(found)
    assert fix in found.fix


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("{id: r, tool: erp.pay, when: true, then: allow}", "envelope.no_tier"),
        ("{id: r, tool: erp.pay, when: true, then: deny, tier: t}", "envelope.no_meaning"),
        ("{id: r, tool: erp.pay, when: true, then: allow, tier: t, approve: {count: 2}}", "envelope.no_meaning"),
        ("{id: r, tool: erp.pay, when: true, then: approve, approve: {roles: []}}", "envelope.nobody_approves"),
        ("{id: r, tool: erp.pay, when: true, then: approve, approve: {count: 0}}", "page.range"),
        ("{id: r, tool: erp.pay, when: true, then: ask}", "page.type"),
        ("{id: r, tool: erp.pay, when: 1 + 1, then: deny}", "page.expression"),
        ("{id: r, tool: erp.pay, then: deny}", "page.missing_key"),
        (
            "{id: r, tool: erp.pay, when: true, then: approve, approve: {count: 2, distinct_from_requester: false}}",
            "envelope.self_approval",
        ),
    ],
)
def test_a_rule_that_says_less_than_it_seems_to_is_refused(rule: str, code: str) -> None:
    assert code in codes(rule)


def test_an_approval_says_who_how_many_how_apart_how_sure_and_how_long() -> None:
    approve = "{roles: [A, B], count: 2, step_up: true, expires: 4h}"
    [read_] = loaded(f"{{id: r, tool: erp.pay, when: true, then: approve, approve: {approve}}}").rules
    assert read_.duty == Duty(("A", "B"), 2, True, 4 * 3_600_000_000, "rule_asks", step_up=True)


def test_a_page_that_asks_for_step_up_is_told_that_nothing_can_show_it() -> None:
    text = HEAD + "    - {id: r, tool: erp.pay, when: true, then: approve, approve: {step_up: true}}\n"
    envelope, findings = load_envelope(text, "page.yaml")
    assert envelope is not None and "envelope.step_up" in [one.code for one in findings]
    assert [(one.control, one.line) for one in inert_controls(envelope)] == [("step-up", text.count("\n"))]
