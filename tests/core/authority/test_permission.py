# SPDX-License-Identifier: Apache-2.0
"""What a person's roles permit: by tool, environment, condition and cap; no role, no permission."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.names import spoken
from signoff.core.authority.permission import Permission, Roles, out_of_reach, unpermitted
from signoff.core.authority.role_reading import load_roles
from signoff.core.principal import Person
from signoff.core.run import Run, RunState

PAGE = """\
format: 1
version: 2026-03-01
roles:
  Clerk:
    - tools: [erp.get_invoice, crm.*]
      environments: [sandbox, production]
    - tools: [erp.pay]
      environments: [production]
      when: args.amount <= 100 && run.environment == 'production' && 'Clerk' in principal.roles
      usd_per_call: 0.05
  Head:
    - {tools: ["*"], environments: [production]}
"""


def load(text: str = PAGE) -> Roles:
    roles, findings = load_roles(text, "roles.yaml")
    assert roles is not None, findings
    return roles


def person(*roles: str, is_active: bool = True) -> Person:
    return Person("t", "prs_1", 1, "h", roles, "c", "key_1", is_active)


def why(
    *held: str, tool: str = "erp.pay", environment: str = "production", amount: Any = 50, cost: int = 50_000,
    roles: Roles | None = None, is_active: bool = True,
) -> str:  # fmt: skip
    one = person(*held, is_active=is_active)
    run = Run("t", "run_1", 1, "h", RunState.OPEN, "w", "e", environment, "agt_1", "prs_1", "agt_1", 0, "key_1", "c")
    names = spoken({"amount": amount}, {}, run, one, tool, {}, 0)
    return unpermitted(roles or load(), one, tool, environment, names, cost)


def test_a_role_permits_its_lines_and_nothing_else() -> None:
    assert why("Clerk") == ""
    assert why("Clerk", tool="crm.note", environment="sandbox") == ""
    assert why("Head", tool="anything", amount=999, cost=10**9) == ""
    assert "No role of prs_1 permits erp.pay in sandbox" in why("Clerk", environment="sandbox")
    assert "No role" in why("Clerk", tool="erp.erase")
    assert "No role" in why()
    assert "No role" in why("Unknown", "admin")


def test_conditions_and_caps_narrow_a_line_and_the_reason_says_which() -> None:
    assert "does not hold" in why("Clerk", amount=101)
    assert "cannot be evaluated" in why("Clerk", amount="many")
    assert "may cost USD 0.05" in why("Clerk", cost=50_001)
    assert why("Clerk", "Head", amount=101) == ""


def test_a_person_who_was_switched_off_is_permitted_nothing() -> None:
    assert "no longer active" in why("Head", is_active=False)
    assert unpermitted(load(), None, "erp.pay", "production", {}, 0) != ""


def test_what_can_be_delegated_at_all_is_what_some_line_is_about() -> None:
    roles = load()
    assert out_of_reach(roles, person("Clerk"), ["erp.pay", "crm.*"], ["production"]) == ""
    assert out_of_reach(roles, person("Clerk"), ["erp.pay"], ["production", "sandbox"]) == "erp.pay in sandbox"
    assert out_of_reach(roles, person("Clerk"), ["erp.*"], ["production"]) == "erp.* in production"
    assert out_of_reach(roles, person("Head"), ["*"], ["production"]) == ""
    assert out_of_reach(roles, person(), ["crm.note"], ["sandbox"]) != ""


LINES = st.builds(
    Permission,
    st.lists(st.sampled_from(("*", "erp.*", "erp.pay", "crm.note")), min_size=1, max_size=2).map(tuple),
    st.lists(st.sampled_from(("sandbox", "production")), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from((None, *(line.when for line in load().permits["Clerk"]))),
    st.none() | st.integers(0, 3),
)


@given(st.lists(LINES, max_size=4), st.lists(LINES, max_size=4), st.integers(99, 102), st.integers(0, 4))
def test_taking_lines_away_never_permits_what_was_not_permitted(
    kept: list[Permission], more: list[Permission], amount: int, cost: int
) -> None:
    def of(*lines: Permission) -> Roles:
        return Roles("f", "t", "d", "1", {"Clerk": lines})

    for environment in ("sandbox", "production"):
        asked: dict[str, Any] = {"environment": environment, "amount": amount, "cost": cost}
        if why("Clerk", roles=of(*kept), **asked) == "":
            assert why("Clerk", roles=of(*kept, *more), **asked) == ""


@pytest.mark.parametrize(
    ("changed", "line", "code"),
    [
        (("crm.*]", "crm*]"), 5, "roles.tools"),
        (("tools: [erp.pay]", "tools: []"), 7, "page.type"),
        (("      environments: [production]\n", ""), 7, "page.missing_key"),
        (("args.amount <=", "arg.amount <="), 9, "page.expression"),
        (("args.amount <= 100 &&", "facts.x.y &&"), 9, "page.expression"),
        (("when: args.amount <= 100 &&", "when: action.confidence > 0.9 &&"), 9, "page.expression"),
        (("usd_per_call: 0.05", "usd_per_call: much"), 10, "page.money"),
        (("usd_per_call", "usd_per_action"), 10, "page.unknown_key"),
        (("format: 1", "format: 2"), 1, "page.format"),
        (("  Clerk:", "  The Clerk:"), 4, "page.name"),
    ],
)
def test_what_is_wrong_with_a_page_is_found_with_its_line(changed: tuple[str, str], line: int, code: str) -> None:
    assert changed[0] in PAGE
    roles, findings = load_roles(PAGE.replace(*changed, 1), "roles.yaml")
    assert roles is None
    assert (line, code) in [(finding.line, finding.code) for finding in findings]


def test_a_word_that_means_no_known_tool_is_a_warning() -> None:
    roles, findings = load_roles(PAGE, "roles.yaml", ["erp.pay", "crm.note"])
    assert roles is not None
    assert [(finding.line, finding.code) for finding in findings] == [(5, "roles.unknown_tool")]
    assert roles.version == "2026-03-01"
