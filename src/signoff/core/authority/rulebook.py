# SPDX-License-Identifier: Apache-2.0
"""The rules of a page by tool, compiled so that a decision costs what the rules about its own tool cost, and once.

All conditions about a tool are one program that yields a list. An error in one spoils the list: then each runs alone,
so that the one is known by its id. What a page says of a thousand other tools is not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.authority.rule import TEXT_MAX, CannotCompile, CannotEvaluate, Expression, compile_expression
from signoff.core.authority.rules import Rule

PAGES_MAX = 256
_BOOKS: dict[int, tuple[tuple[Rule, ...], dict[str, "RuleBook"]]] = {}


@dataclass(frozen=True, slots=True)
class RuleBook:
    """The rules about one tool, in the order of the page; `together` yields the truth of all, where that compiles."""

    rules: tuple[Rule, ...] = ()
    together: Expression | None = None

    def matches(self, names: Mapping[str, Any]) -> list[bool | CannotEvaluate]:
        """Return of each rule whether it matches, or why that cannot be told."""
        if self.together is not None:
            try:
                found = self.together.value(names)
            except CannotEvaluate:
                pass  # one of them has no value: which one is told below
            else:
                if all(value is True or value is False for value in found):
                    return list(found)
        return [_holds(rule, names) for rule in self.rules]


NONE = RuleBook()


def rules_about(rules: tuple[Rule, ...], tool: str) -> RuleBook:
    """Return the book of a tool; books are made once a page, and remembered by the identity of its rules."""
    if not rules:
        return NONE
    known = _BOOKS.get(id(rules))
    if known is None or known[0] is not rules:
        by_tool: dict[str, list[Rule]] = {}
        for rule in rules:
            by_tool.setdefault(rule.tool, []).append(rule)
        known = rules, {name: RuleBook(tuple(about), _together(about)) for name, about in by_tool.items()}
        if len(_BOOKS) >= PAGES_MAX:
            _BOOKS.clear()
        _BOOKS[id(rules)] = known
    return known[1].get(tool, NONE)


def _together(rules: list[Rule]) -> Expression | None:
    first = rules[0].when
    # A condition may end in a comment, which its own line keeps to itself.
    text = "[" + ", ".join(f"({rule.when.text}\n)" for rule in rules) + "]"
    if len(rules) < 2 or len(text) > TEXT_MAX or any(rule.when.names != first.names for rule in rules):
        return None
    try:
        return compile_expression(text, first.names)
    except CannotCompile:
        return None  # each compiles alone, so that nothing is lost but time


def _holds(rule: Rule, names: Mapping[str, Any]) -> bool | CannotEvaluate:
    try:
        return rule.when.holds(names)
    except CannotEvaluate as error:
        return error
