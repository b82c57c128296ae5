# SPDX-License-Identifier: Apache-2.0
"""The page's rules about a tool: every match counts, duties add up, deny ends it, an allow lifts what asks by default.

`tests/core/authority/test_rules.py` states as properties that another rule of any kind but allow never makes a decision
less strict, and that an allow never turns a denial into anything else.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Check, Duty, Outcome, deny, passed
from signoff.core.authority.envelope import Mode
from signoff.core.authority.names import spoken
from signoff.core.authority.rule import CannotEvaluate
from signoff.core.authority.rulebook import rules_about
from signoff.core.authority.rules import Rule, Then


def rules(b: Bearing, args: Mapping[str, Any]) -> Check:
    """The page's rules about the tool: a match denies, asks, or allows under a tier that a person has opened."""
    book = rules_about(b.envelope.rules, b.tool)
    if not book.rules:
        return passed("rules")
    seen = b.live.with_absent(args) if b.live is not None else args
    names = spoken(seen, b.facts, b.run, b.principal, b.tool, b.claims, b.now)
    denied: list[str] = []
    asked: list[Rule] = []
    allowed: list[Rule] = []
    unevaluable: list[str] = []
    for rule, matches in zip(book.rules, book.matches(names), strict=True):
        if missing := rule.facts - b.facts.keys():
            if not b.is_gathered:
                continue  # it is asked again with its facts before anything follows from this decision
            why = b.fact_problem or f"Nothing was fetched for {', '.join(sorted(missing))}."
            return deny("rules", "fact_unavailable", f"Rule {rule.rule_id} needs a fact that could not be had. {why}")
        if isinstance(matches, CannotEvaluate):
            if rule.then is not Then.ALLOW:
                unevaluable.append(f"Rule {rule.rule_id} cannot be evaluated: {matches.why}")
            continue
        if not matches:
            continue
        match rule.then:
            case Then.DENY:
                denied.append(rule.rule_id)
            case Then.APPROVE:
                asked.append(rule)
            case Then.ALLOW:
                allowed.append(rule)
    if denied:
        return deny("rules", "rule_denied", f"The page denies this by {_named(denied)}.")
    if unevaluable:
        return deny("rules", "rule_unevaluable", " ".join(unevaluable))
    return _said(b, asked, allowed)


def _said(b: Bearing, asked: list[Rule], allowed: list[Rule]) -> Check:
    """Return what the matches that do not deny add up to."""
    is_open = b.envelope.mode is Mode.AUTONOMOUS and b.reversal is None
    lifting = [rule for rule in allowed if is_open and rule.tier in b.open_tiers]
    told = [_asks(rule) for rule in asked]
    told += [_allows(b, rule) for rule in allowed]
    detail = " ".join(told)
    if asked:
        duties = tuple(dict.fromkeys(_duty(b, rule) for rule in asked))
        return Check("rules", Outcome.ASK, "rule_asks", detail, duties, lifts=bool(lifting))
    if lifting:
        return Check("rules", Outcome.PASS, "rule_allows", detail, lifts=True)
    if allowed:
        return Check("rules", Outcome.PASS, "rule_would_allow", detail)
    return passed("rules")


def _asks(rule: Rule) -> str:
    return f"Rule {rule.rule_id} asks for an approval."


def _allows(b: Bearing, rule: Rule) -> str:
    """Say of an allow what it lifts, or what it would and why it does not: the evidence by which a tier is opened."""
    if b.reversal is not None:
        return f"Rule {rule.rule_id} matches, and lifts nothing: a reversal owes what the original would."
    if rule.tier not in b.open_tiers:
        return f"Rule {rule.rule_id} would allow this, if its tier {rule.tier} were open."
    if b.envelope.mode is not Mode.AUTONOMOUS:
        return f"Rule {rule.rule_id} of the open tier {rule.tier} would allow this, if the mode were autonomous."
    return f"Rule {rule.rule_id} of the open tier {rule.tier} allows this."


def _duty(b: Bearing, rule: Rule) -> Duty:
    """Return what a rule asks; one that names nobody asks whom the page names."""
    if rule.duty is None:
        return Duty(b.envelope.approval_roles, 1, True, b.envelope.expires_us, "rule_asks")
    return rule.duty if rule.duty.reason else replace(rule.duty, reason="rule_asks")


def _named(ids: list[str]) -> str:
    return f"rule {ids[0]}" if len(ids) == 1 else f"rules {', '.join(ids)}"
