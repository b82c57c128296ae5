# SPDX-License-Identifier: Apache-2.0
"""Each row of the table of checks is true: its example makes that check fire, with the reason that the row names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from docs.checks import EXAMPLES, does, name_of, reads
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.citation import Cited
from signoff.core.authority.contract import Risk
from signoff.core.authority.decision import Outcome
from signoff.core.authority.envelope import Budgets, Mode
from signoff.core.authority.halt import Scope
from signoff.core.authority.limit import Impact, Limit
from signoff.core.authority.names import names_of
from signoff.core.authority.permission import Roles
from signoff.core.authority.policy import PROPOSAL
from signoff.core.authority.provenance import Provenance, Traced
from signoff.core.authority.rule import Names, compile_expression
from signoff.core.authority.rules import Rule, Then
from signoff.core.authority.spend import Scope as Whose
from signoff.core.authority.spend import SpendCap, Spent
from signoff.core.run import RunState, Tally
from tests.core.authority.test_policy import ARGS, HALT, bearing

CHECKS = {name_of(check): check for check in PROPOSAL}
NOTE = bearing("book.note")
AMOUNT = compile_expression("args.amount", Names(roots=("args",)))
DAY = 86_400_000_000


def page(b: Bearing = NOTE, **changed: Any) -> Bearing:
    return replace(b, envelope=replace(b.envelope, **changed))


def counted(**sums: int) -> Bearing:
    return replace(NOTE, tally=Tally(**sums))


FIRING: dict[str, Callable[[], tuple[Bearing, dict[str, Any]]]] = {
    "agent": lambda: (replace(NOTE, agent=replace(NOTE.agent, is_active=False)), {}),  # type: ignore[type-var]
    "halt": lambda: (replace(NOTE, halts=(replace(HALT, scope=Scope.TOOL, target="book.note"),)), {}),
    "run": lambda: (replace(NOTE, run=replace(NOTE.run, state=RunState.COMPLETED)), {}),
    "version": lambda: (replace(NOTE, is_withdrawn=True), {}),
    "tool": lambda: (page(allowed_tools=frozenset()), {}),
    "registered": lambda: (replace(NOTE, contract=None), {}),
    "contract": lambda: (replace(NOTE, is_contract_as_decided=False), {}),
    "pin": lambda: (replace(NOTE, live_digest="sha256:other"), {}),
    "key": lambda: (bearing("book.create"), {"key": "mine"}),
    "args": lambda: (NOTE, {"text": None}),
    "resource": lambda: (replace(NOTE, is_resource_known=False), {}),
    "circuit": lambda: (replace(NOTE, open_circuit="Five sends failed."), {}),
    "delegation": lambda: (replace(NOTE, is_delegation_required=True), {}),
    "permission": lambda: (replace(NOTE, roles=Roles("roles.yaml", "", "sha256:r", "1", {})), {}),
    "calls": lambda: (page(counted(sent=8), budgets=Budgets(calls_max=8)), {}),
    "steps": lambda: (counted(steps=40), {}),
    "denials": lambda: (counted(denied=3), {}),
    "identical": lambda: (counted(identical=3), {}),
    "time": lambda: (replace(NOTE, now=900_000_000), {}),
    "spend": lambda: (page(counted(spent_usd_micros=10), budgets=Budgets(cap_usd_micros=10)), {}),
    "spend_caps": lambda: (replace(NOTE, spent=(Spent(SpendCap(Whose.AGENT, DAY, 10), 10, DAY),)), {}),
    "tokens": lambda: (page(budgets=Budgets(tokens_max=1)), {}),
    "limits": lambda: (
        replace(NOTE, impacts=(Impact(Limit("day", "book.note", AMOUNT, None, DAY, 25, Then.DENY), 9, 18),)), {}
    ),
    "class": lambda: (replace(NOTE, contract=replace(NOTE.contract, risk=Risk.C)), {}),  # type: ignore[type-var]
    "writes": lambda: (page(writes_ask=True), {}),
    "mode": lambda: (page(mode=Mode.WATCH), {}),
    "rules": lambda: (
        page(rules=(Rule("high", "book.note", compile_expression("args.text == 'x'", names_of(())), Then.DENY),)), {}
    ),
    "provenance": lambda: (
        replace(page(provenance={"book.note": Provenance("book.note", {})}), traced=Traced({}, ("iban",), "Nowhere.")),
        {},
    ),
    "citations": lambda: (replace(page(citations_for=("policy",)), cited=Cited(("policy",), ("policy",))), {}),
    "injection": lambda: (page(injection_threshold_ppm=700_000), {}),
}  # fmt: skip


def test_every_check_has_its_row_and_each_row_its_check() -> None:
    assert list(CHECKS) == [name for name in CHECKS if name in EXAMPLES]
    assert CHECKS.keys() == EXAMPLES.keys() == FIRING.keys()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_the_example_of_a_check_makes_it_fire(name: str) -> None:
    b, args = FIRING[name]()
    said = CHECKS[name](b, {**ARGS[b.tool], **args} if args.get("text", "") is not None else {})
    assert said.check == name
    assert said.reason == EXAMPLES[name][1]
    assert said.outcome is not Outcome.PASS


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_a_row_says_a_check_reads_and_can_do_is_something(name: str) -> None:
    assert reads(CHECKS[name])
    assert {"deny", "ask", "ask, until a tier lifts it", "ask, as inert"} & set(does(CHECKS[name]))
