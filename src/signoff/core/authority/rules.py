# SPDX-License-Identifier: Apache-2.0
"""The rules of a page: CEL conditions over arguments, facts, run, principal and action, and what follows from a match.

Every match counts: duties add up, deny ends it, and an allow lifts what asks by default if its tier is open.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from signoff.core.authority.decision import Duty
from signoff.core.authority.rule import Expression


class Then(StrEnum):
    """What follows from a match."""

    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a page."""

    rule_id: str
    tool: str
    when: Expression
    then: Then
    tier: str | None = None  # of an allow: the slice that a named person opens
    duty: Duty | None = None  # of an approve
    facts: frozenset[str] = frozenset()  # the facts that the condition names


def facts_about(rules: Iterable[Rule], tool: str) -> frozenset[str]:
    """Return the names of the facts that rules about a tool use: these alone are fetched for a call of it."""
    return frozenset(name for rule in rules if rule.tool == tool for name in rule.facts)
