# SPDX-License-Identifier: Apache-2.0
"""Rules add care, and only an allow under an open tier takes away what asks by default."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.bearing import Bearing, Reversal
from signoff.core.authority.check.rules import rules
from signoff.core.authority.decision import STRICTNESS, Decision, Duty, Outcome, Verdict, is_stricter
from signoff.core.authority.envelope import DAY_US, Envelope, Mode
from signoff.core.authority.names import names_of
from signoff.core.authority.policy import decide
from signoff.core.authority.rule import compile_expression
from signoff.core.authority.rules import Rule, Then
from tests.core.authority.test_policy import ARGS, TOOLS, bearing

NAMES = names_of(("shelf",))
TWO = Duty(("Boss", "Clerk"), 2, True, DAY_US, "")
PAY = {"amount": 7}


def rule(when: str, then: Then = Then.ALLOW, rule_id: str = "r", **given: Any) -> Rule:
    tier = "routine" if then is Then.ALLOW else None
    given = {
        "tool": "book.pay",
        "tier": tier,
        "facts": frozenset({"shelf"}) if "facts." in when else frozenset(),
    } | given
    return Rule(rule_id, given.pop("tool"), compile_expression(when, NAMES), then, **given)


def page(*made: Rule, mode: Mode = Mode.AUTONOMOUS, **given: Any) -> Envelope:
    given = {"approval_roles": ("Clerk",)} | given
    return Envelope("p", "", "sha256:e", "books", "1", allowed_tools=frozenset(TOOLS), mode=mode, rules=made, **given)


def paying(*made: Rule, mode: Mode = Mode.AUTONOMOUS, is_open: bool = True, **changed: Any) -> Bearing:
    tiers = frozenset({"routine"}) if is_open else frozenset()
    changed = {"envelope": page(*made, mode=mode), "open_tiers": tiers} | changed
    return bearing("book.pay", **changed)


def decided(*made: Rule, args: dict[str, Any] | None = None, **given: Any) -> Decision:
    return decide(paying(*made, **given), args or PAY)


ALLOW = rule("args.amount < 10")
NEEDS = rule("facts.shelf.is_open && args.amount < 10")


@pytest.mark.parametrize(
    ("given", "verdict", "reason"),
    [
        ({"made": [ALLOW]}, Verdict.ALLOW, "rule_allows"),
        ({"made": [ALLOW], "is_open": False}, Verdict.ASK, "rule_would_allow"),
        ({"made": [ALLOW], "mode": Mode.ASSIST}, Verdict.ASK, "rule_would_allow"),
        ({"made": [ALLOW], "mode": Mode.WATCH}, Verdict.ASK, "rule_would_allow"),
        ({"made": [ALLOW], "mode": Mode.SUGGEST}, Verdict.SUGGEST, "rule_would_allow"),
        ({"made": [rule("args.amount < 5")]}, Verdict.ASK, ""),
        ({"made": [rule("args.amount < 10", tool="book.note")]}, Verdict.ASK, ""),
        ({"made": [rule("args.amount < 10", tier=None)]}, Verdict.ASK, "rule_would_allow"),
        ({"made": [ALLOW, rule("true", Then.APPROVE)]}, Verdict.ASK, "rule_asks"),
        ({"made": [ALLOW, rule("true", Then.DENY)]}, Verdict.DENY, "rule_denied"),
        ({"made": [rule("true", Then.DENY), ALLOW]}, Verdict.DENY, "rule_denied"),
        ({"made": [rule("args.amount > 10", Then.DENY)]}, Verdict.ASK, ""),
        ({"made": [rule("args.nothing > 10")]}, Verdict.ASK, ""),
        ({"made": [rule("args.nothing > 10", Then.DENY)]}, Verdict.DENY, "rule_unevaluable"),
        ({"made": [ALLOW, rule("args.nothing > 10", Then.APPROVE)]}, Verdict.DENY, "rule_unevaluable"),
        ({"made": [rule("args.amount", Then.APPROVE)]}, Verdict.DENY, "rule_unevaluable"),
        ({"made": [NEEDS], "facts": {"shelf": {"is_open": True}}}, Verdict.ALLOW, "rule_allows"),
        ({"made": [NEEDS], "facts": {"shelf": {"is_open": False}}}, Verdict.ASK, ""),
        ({"made": [NEEDS], "fact_problem": "book.get gave no answer."}, Verdict.DENY, "fact_unavailable"),
        ({"made": [NEEDS]}, Verdict.DENY, "fact_unavailable"),
        ({"made": [NEEDS], "is_gathered": False}, Verdict.ASK, ""),
        ({"made": [NEEDS, rule("true", Then.DENY)], "is_gathered": False}, Verdict.DENY, "rule_denied"),
        ({"made": [rule("action.confidence >= 0.98")]}, Verdict.ASK, ""),
        ({"made": [rule("action.confidence >= 0.98")], "claims": {"confidence": 1}}, Verdict.ALLOW, "rule_allows"),
        ({"made": [rule("action.confidence < 0.5", Then.DENY)]}, Verdict.DENY, "rule_unevaluable"),
        ({"made": [rule("action.confidence == null", Then.DENY)]}, Verdict.DENY, "rule_denied"),
    ],
)  # fmt: skip
def test_every_match_counts(given: dict[str, Any], verdict: Verdict, reason: str) -> None:
    decision = decided(*given.pop("made"), **given)
    said = next(check for check in decision.checks if check.check == "rules")
    assert (decision.verdict, said.reason) == (verdict, reason), decision


@pytest.mark.parametrize(
    ("when", "is_true"),
    [
        ("run.now == '1970-01-01T00:00:00.000010Z' && timestamp(run.now) > timestamp(run.started)", True),
        ("run.environment == 'production' && run.workflow == 'books' && run.id == 'run_1'", True),
        ("'Clerk' in principal.roles && principal.id == 'prs_owner'", True),
        ("action.tool == 'book.pay' && action.agent == 'agt_1' && run.started_by == action.agent", True),
        ("action.rationale == null && action.citations == null", True),
        ("args.amount == 7.0", True),
        ("timestamp(run.now).getDayOfWeek('Europe/Berlin') == 0", False),
    ],
)
def test_a_rule_may_speak_of_run_principal_and_action(when: str, is_true: bool) -> None:
    assert (decided(rule(when)).verdict is Verdict.ALLOW) is is_true


def test_an_absent_optional_argument_is_null() -> None:
    lending = page(rule("args.until == null", tool="book.lend"))
    b = bearing("book.lend", envelope=lending, open_tiers=frozenset({"routine"}))
    assert decide(b, {"shelf": "a"}).verdict is Verdict.ALLOW
    assert decide(b, {"shelf": "a", "until": "May"}).verdict is Verdict.ASK


def test_what_a_rule_asks_stays_owed_beside_what_other_rules_ask() -> None:
    """Duties add up, and an allow lifts only what asks by default."""
    boss = Duty(("Boss",), 1, True, DAY_US // 2, "")
    decision = decided(ALLOW, rule("true", Then.APPROVE, "one", duty=TWO), rule("true", Then.APPROVE, "two", duty=boss))
    assert [(duty.roles, duty.count, duty.reason) for duty in decision.duties] == [
        (("Boss", "Clerk"), 2, "rule_asks"), (("Boss",), 1, "rule_asks"),
    ]  # fmt: skip
    without = decided(rule("true", Then.APPROVE, "one", duty=TWO))
    assert [duty.roles for duty in without.duties] == [("Clerk",), ("Boss", "Clerk")]


def test_the_detail_names_the_rule_and_its_tier() -> None:
    def detail(*made: Rule, **given: Any) -> str:
        return rules(paying(*made, **given), PAY).detail

    assert "r of the open tier routine allows" in detail(ALLOW)
    assert "if its tier routine were open" in detail(ALLOW, is_open=False)
    assert "if the mode were autonomous" in detail(ALLOW, mode=Mode.ASSIST)
    assert "by rules a, b" in detail(rule("true", Then.DENY, "a"), rule("true", Then.DENY, "b"))
    assert "Rule c cannot be evaluated: Here a field that it names is missing." in detail(
        rule("args.x == 1", Then.DENY, "c")
    )


def test_an_inert_control_is_lifted_by_an_allow_and_the_mode_is_not() -> None:
    made = page(ALLOW, injection_threshold_ppm=1)
    assert decide(paying(envelope=made), PAY).verdict is Verdict.ALLOW
    assert decide(paying(envelope=made, is_open=False), PAY).verdict is Verdict.ASK


def test_nothing_is_lifted_for_a_reversal_that_an_agent_asks() -> None:
    decision = decided(ALLOW, reversal=Reversal(("Clerk",), by_person=False))
    assert decision.verdict is Verdict.ASK
    assert next(one for one in decision.checks if one.check == "rules").reason == "rule_would_allow"


def test_a_text_that_is_not_seen_whole_denies_where_a_rule_could_deny() -> None:
    """The engine ends a text at its first NUL, so that a rule could be talked past with one."""
    decision = decided(rule("action.rationale == 'fraud'", Then.DENY), claims={"rationale": "fraud\0"})
    assert decision.denial and decision.denial.reason == "rule_unevaluable"


CONDITIONS = (
    "true", "false", "args.amount < 10", "args.nothing", "facts.shelf.is_open", "action.confidence > 0.5",
    "'Clerk' in principal.roles", "args.amount / 0 == 1", "run.environment == 'production'",
)  # fmt: skip


def some_rules(*kinds: Then) -> st.SearchStrategy[Rule]:
    def made(when: str, then: Then, tool: str, tier: str, duty: Duty | None) -> Rule:
        is_allow, asks = then is Then.ALLOW, then is Then.APPROVE
        return rule(when, then, tool=tool, tier=tier if is_allow else None, duty=duty if asks else None)

    return st.builds(
        made,
        st.sampled_from(CONDITIONS), st.sampled_from(kinds), st.sampled_from(["book.pay", "book.note", "book.get"]),
        st.sampled_from(["routine", "other"]), st.sampled_from([None, TWO, Duty(("Boss",), 1, False, 5, "")]),
    )  # fmt: skip


situations = st.fixed_dictionaries({
    "tool": st.sampled_from(["book.pay", "book.note", "book.get", "book.erase"]),
    "mode": st.sampled_from(list(Mode)),
    "writes_ask": st.booleans(),
    "tiers": st.sets(st.sampled_from(["routine", "other"])),
    "facts": st.sampled_from([{}, {"shelf": {"is_open": True}}, {"shelf": {"is_open": False}}, {"shelf": {}}]),
    "is_gathered": st.booleans(),
    "claims": st.sampled_from([{}, {"confidence": 0.9}]),
    "reversal": st.sampled_from([None, Reversal(("Clerk",), by_person=False), Reversal(("Clerk",))]),
})  # fmt: skip


def under(made: tuple[Rule, ...], given: dict[str, Any]) -> Decision:
    b = bearing(
        given["tool"], envelope=page(*made, mode=given["mode"], writes_ask=given["writes_ask"]),
        open_tiers=frozenset(given["tiers"]), facts=given["facts"], is_gathered=given["is_gathered"],
        claims=given["claims"], reversal=given["reversal"],
    )  # fmt: skip
    return decide(b, ARGS.get(given["tool"]) or {"entry_id": "E"})


@given(
    st.lists(some_rules(*Then), max_size=4), some_rules(Then.APPROVE, Then.DENY), situations, st.integers(0, 4)
)  # fmt: skip
def test_another_rule_that_is_no_allow_never_makes_a_decision_less_strict(
    made: list[Rule], more: Rule, given: dict[str, Any], at: int
) -> None:
    before, after = under(tuple(made), given), under((*made[:at], more, *made[at:]), given)
    assert not is_stricter(before, after.verdict, after.duties), (before, after)


@given(st.lists(some_rules(*Then), max_size=4), some_rules(Then.ALLOW), situations, st.integers(0, 4))
def test_an_allow_never_turns_a_denial_into_anything_else(
    made: list[Rule], more: Rule, given: dict[str, Any], at: int
) -> None:
    before, after = under(tuple(made), given), under((*made[:at], more, *made[at:]), given)
    if before.verdict is Verdict.DENY:
        assert after.verdict is Verdict.DENY
    asked = {duty for check in before.checks if check.outcome is Outcome.ASK for duty in check.duties}
    assert asked <= {duty for check in after.checks for duty in check.duties} or after.verdict is Verdict.DENY
    if given["mode"] is not Mode.AUTONOMOUS:
        assert STRICTNESS[after.verdict] >= STRICTNESS[before.verdict]
