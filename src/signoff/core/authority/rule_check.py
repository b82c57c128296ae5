# SPDX-License-Identifier: Apache-2.0
"""What the long page's rules, facts, limits and holds must agree on, so that none only seems to keep something.

A rule that can never match, or that another makes idle, is an error: its author believes that it keeps something. What
is told here is told for sure; a rule that is idle for a deeper reason is not found.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from signoff.core.authority.hold import Hold
from signoff.core.authority.limit import Limit
from signoff.core.authority.names import CLAIMS_ONLY
from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule import CannotCompile, CannotEvaluate, Names, compile_expression, compiles
from signoff.core.authority.rules import Rule, Then
from signoff.core.authority.terms import Envelope

_ANYTHING: Final = Names(("args", "facts", "run", "principal", "action"))


@dataclass(frozen=True, slots=True)
class Places:
    """What was read off the page by the path at which it stands, such as `permissions.rules[2]`."""

    rules: Mapping[str, Rule]
    limits: Mapping[str, Limit]
    holds: Mapping[str, Hold]


def check_rules(reader: Reader, envelope: Envelope, places: Places) -> None:
    """Find what can be told without any contract: doubles, tools that are not listed, idle rules and facts."""
    _check_ids(reader, places)
    _check_listed(reader, envelope, places)
    _check_facts_used(reader, envelope)
    conditions = _by_condition(places.rules)
    for path, rule in places.rules.items():
        _check_reach(reader, path, rule, conditions)
        _check_claims(reader, path, rule)


def _check_ids(reader: Reader, places: Places) -> None:
    """Find two rules or two limits of one id: what is recorded about one would be read as the other's."""
    ids = [(path, rule.rule_id, "rules") for path, rule in places.rules.items()]
    ids += [(path, limit.limit_id, "limits") for path, limit in places.limits.items()]
    seen: dict[tuple[str, str], Node] = {}
    for path, name, kind in ids:
        node = reader.nodes[f"{path}.id"]
        if (kind, name) in seen:
            reader.error(
                node,
                "envelope.twice",
                f"Two {kind} are called {quoted(name)}.",
                f"The first stands on line {seen[kind, name].line}; a reason that names one would name both.",
                "Give each an id of its own.",
            )
        seen.setdefault((kind, name), node)


def _check_listed(reader: Reader, envelope: Envelope, places: Places) -> None:
    """Find tools that the page speaks of and does not list: they are denied, whatever is said about them."""
    allowed = reader.nodes.get("permissions.allowed_tools")
    if allowed is not None and (
        allowed.kind != "list" or any(item.text not in envelope.allowed_tools for item in allowed.items)
    ):
        return  # what is wrong there is found there
    spoken = [(reader.nodes[f"{path}.tool"], rule.tool) for path, rule in places.rules.items()]
    spoken += [(reader.nodes[f"{path}.tool"], limit.tool) for path, limit in places.limits.items()]
    spoken += [(reader.nodes[f"{path}.tool"], hold.tool) for path, hold in places.holds.items()]
    spoken += [(reader.nodes[f"provenance {tool}"], tool) for tool in envelope.provenance]
    if envelope.done is not None and (required := reader.nodes.get("done.requires")) is not None:
        spoken += [(item, item.text) for item in required.items if item.text in envelope.done.requires]
    for node, tool in spoken:
        if tool in envelope.allowed_tools:
            continue
        near = get_close_matches(tool, envelope.allowed_tools, 1)
        reader.error(
            node,
            "envelope.not_listed",
            f"{quoted(tool)} is not among `permissions.allowed_tools`.",
            "Every call of it is denied, so that nothing else on the page reaches it.",
            f"Did you mean `{near[0]}`?" if near else "List it, or remove what is said about it.",
        )


def _check_facts_used(reader: Reader, envelope: Envelope) -> None:
    used = {name for rule in envelope.rules for name in rule.facts}
    texts = " ".join(node.text for path, node in reader.nodes.items() if path.endswith(".when"))
    for name in envelope.facts:
        if name not in used and f"facts.{name}" not in texts:  # a rule that does not compile may mean it
            reader.warn(
                reader.nodes[f"facts.{name}"],
                "envelope.fact_unused",
                f"No rule names `facts.{name}`.",
                "It is never fetched.",
                "Remove it, or write the rule that it is for.",
            )


def _by_condition(rules: Mapping[str, Rule]) -> dict[tuple[str, str], list[tuple[str, Rule]]]:
    """Return the rules by tool and condition; white space counts only where a text might hold it."""
    found: dict[tuple[str, str], list[tuple[str, Rule]]] = {}
    for path, rule in rules.items():
        found.setdefault((rule.tool, _condition(rule.when.text)), []).append((path, rule))
    return found


def _condition(text: str) -> str:
    if always(text):
        return "true"
    return text.strip() if re.search("['\"/]", text) else " ".join(text.split())


def always(text: str) -> bool | None:
    """Return what a condition yields whatever it is asked about; None if that depends, or cannot be told."""
    try:
        return compile_expression(text, _ANYTHING).holds({})
    except (CannotCompile, CannotEvaluate):
        return None


def _check_reach(
    reader: Reader, path: str, rule: Rule, conditions: Mapping[tuple[str, str], list[tuple[str, Rule]]]
) -> None:
    """Find a rule that never matches, and one whose match another rule makes idle."""
    at = reader.nodes[f"{path}.when"]
    if always(rule.when.text) is False:
        reader.error(
            at,
            "envelope.unreachable_rule",
            f"Rule {quoted(rule.rule_id)} can never match.",
            "Its condition is false whatever is proposed.",
            "Correct the condition, or remove the rule.",
        )
        return
    condition = _condition(rule.when.text)
    alike = [one for key in {condition, "true"} for one in conditions.get((rule.tool, key), ()) if one[0] != path]
    # An allow says nothing against a deny, nor against an approval that a rule asks: that one stays owed.
    over = {Then.ALLOW: (Then.DENY, Then.APPROVE), Then.APPROVE: (Then.DENY,), Then.DENY: ()}[rule.then]
    for _, other in alike:
        if other.then in over:
            verb = "denies" if other.then is Then.DENY else "asks"
            reader.error(
                at,
                "envelope.unreachable_rule",
                f"Rule {quoted(rule.rule_id)} has no effect.",
                f"Rule {quoted(other.rule_id)} {verb} in every case that it matches, and that counts more.",
                "Narrow one of the two, or remove one.",
            )
            return
    for earlier, other in conditions[rule.tool, condition]:
        if earlier == path:
            return
        if (other.then, other.tier, other.duty) == (rule.then, rule.tier, rule.duty):
            reader.warn(
                at,
                "envelope.same_rule",
                f"Rule {quoted(rule.rule_id)} says what rule {quoted(other.rule_id)} says.",
                "Condition and consequence are the same.",
                "Remove one.",
            )
            return


def _check_claims(reader: Reader, path: str, rule: Rule) -> None:
    """Warn of an allow that looks at nothing but what the agent says of itself (contract, section 1, "CEL")."""
    if rule.then is not Then.ALLOW or not compiles(rule.when.text, CLAIMS_ONLY) or compiles(rule.when.text, Names()):
        return
    reader.warn(
        reader.nodes[f"{path}.when"],
        "envelope.claims_alone",
        f"Rule {quoted(rule.rule_id)} allows on the agent's word alone.",
        "`confidence`, `rationale` and `citations` are claims: an agent that was talked over makes them too.",
        "Add a condition on `args` or `facts`.",
    )
