# SPDX-License-Identifier: Apache-2.0
"""Roles and delegations only narrow: whatever is taken from them never turns a no into a yes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.authority.bearing import Bearing, Reversal
from signoff.core.authority.check.delegation import delegation
from signoff.core.authority.check.permission import permission
from signoff.core.authority.decision import STRICTNESS, Outcome
from signoff.core.authority.delegation import Delegated, Delegation, Held, compile_condition
from signoff.core.authority.permission import NAMES, Permission, Roles
from signoff.core.authority.rule import compile_expression
from signoff.core.principal import Person
from tests.core.authority.test_policy import ARGS, bearing, bearings, said

WHENS = (None, *(compile_expression(one, NAMES) for one in ("true", "false", "args.amount < 2", "args.text == 'x'")))
CONDITIONS = (None, *(compile_condition(one) for one in ("true", "args.amount < 2", "args.text == 'x'")))
WORDS = st.sampled_from(("*", "book.*", "book.note", "book.create", "crm.*"))
PLACES = st.lists(st.sampled_from(("production", "sandbox")), min_size=1, max_size=2, unique=True).map(tuple)
LINES = st.lists(
    st.builds(
        Permission, st.lists(WORDS, min_size=1, max_size=2).map(tuple), PLACES, st.sampled_from(WHENS),
        st.none() | st.sampled_from((0, 10**6)),
    ),
    max_size=3,
).map(tuple)  # fmt: skip
GRANTOR = Person("t", "prs_owner", 1, "h", ("Clerk",), "sha256:p", "key_1")


def page(lines: tuple[Permission, ...]) -> Roles:
    return Roles("roles.yaml", "", "sha256:r", "1", {"Clerk": lines})


def held(
    tools: tuple[str, ...] = ("*",),
    environments: tuple[str, ...] = ("production",),
    ends: int = 20,
    condition: Any = None,
    uses: int | None = None,
    used: int = 0,
    begins: int = 0,
) -> Held:
    one = Delegation(
        "t", "dlg_1", 1, "h", "agt_1", "prs_owner", "prs_owner", "dlg_1", tools, environments, begins, ends, 0, "c",
        "key_1", uses_max=uses,
    )  # fmt: skip
    return Held(one, condition, used=used)


HELD = st.builds(
    held, st.lists(WORDS, min_size=1, max_size=2).map(tuple), PLACES, st.sampled_from((20, 20, 10)),
    st.sampled_from(CONDITIONS), st.none() | st.just(1), st.integers(0, 1),
)  # fmt: skip


def under(b: Bearing, *chain: Held, grantor: Person | None = GRANTOR, **changed: Any) -> Bearing:
    run = replace(b.run, delegation_id="dlg_1", delegation_root="dlg_1")
    return replace(b, run=run, delegated=Delegated(chain, grantor), **changed)


def is_no_milder(narrower: Bearing, wider: Bearing) -> bool:
    return STRICTNESS[said(narrower).verdict] >= STRICTNESS[said(wider).verdict]


@given(bearings, LINES, LINES)
def test_a_roles_page_only_takes_and_so_does_each_line_that_goes(
    b: Bearing, kept: tuple[Permission, ...], more: tuple[Permission, ...]
) -> None:
    wide, narrow = replace(b, roles=page(kept + more)), replace(b, roles=page(kept))
    assert is_no_milder(wide, b)
    assert is_no_milder(narrow, wide)


NARROWINGS: dict[str, Callable[[Held], Held]] = {
    "revoked": lambda one: replace(one, delegation=replace(one.delegation, is_revoked=True)),
    "over": lambda one: replace(one, delegation=replace(one.delegation, not_after=10)),
    "later": lambda one: replace(one, delegation=replace(one.delegation, not_before=11)),
    "one tool": lambda one: replace(one, delegation=replace(one.delegation, tools=one.delegation.tools[:1])),
    "elsewhere": lambda one: replace(one, delegation=replace(one.delegation, environments=("sandbox",))),
    "capped": lambda one: replace(one, delegation=replace(one.delegation, uses_max=0)),
    "poor": lambda one: replace(one, delegation=replace(one.delegation, usd_micros_max=0)),
    "used": lambda one: replace(one, used=one.used + 1),
    "unreadable": lambda one: replace(one, is_readable=False),
}


@pytest.mark.parametrize("how", NARROWINGS)
@given(b=bearings, chain=st.lists(HELD, min_size=1, max_size=3), nth=st.integers(0, 2))
def test_narrowing_any_delegation_never_turns_a_no_into_a_yes(
    how: str, b: Bearing, chain: list[Held], nth: int
) -> None:
    nth %= len(chain)
    narrower = [*chain[:nth], NARROWINGS[how](chain[nth]), *chain[nth + 1 :]]
    assert is_no_milder(under(b, *narrower), under(b, *chain))


@given(bearings, st.lists(HELD, min_size=1, max_size=3), HELD, LINES)
def test_a_delegation_its_parts_and_its_grantors_roles_only_take(
    b: Bearing, chain: list[Held], more: Held, lines: tuple[Permission, ...]
) -> None:
    delegated = under(b, *chain)
    assert is_no_milder(delegated, b)
    assert is_no_milder(under(b, more, *chain), delegated)
    assert is_no_milder(under(b, *chain, roles=page(lines)), delegated)
    assert is_no_milder(under(b, *chain, grantor=None), delegated)


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        (bearing(), ""),
        (bearing(is_delegation_required=True), "delegation_required"),
        (under(bearing(), held()), ""),
        (under(bearing(), held(), is_delegation_required=True), ""),
        (under(bearing()), "delegation_revoked"),
        (replace(under(bearing(), held()), delegated=None), "delegation_revoked"),
        (under(bearing(), NARROWINGS["revoked"](held())), "delegation_revoked"),
        (under(bearing(), held(), NARROWINGS["revoked"](held())), "delegation_revoked"),
        (under(bearing(), held(ends=10)), "delegation_expired"),
        (under(bearing(), held(begins=11)), "delegation_expired"),
        (under(bearing(), held(("book.create",))), "delegation_narrower"),
        (under(bearing(), held(environments=("sandbox",))), "delegation_narrower"),
        (under(bearing(), held(condition=compile_condition("args.text == 'y'"))), "delegation_narrower"),
        (under(bearing(), NARROWINGS["unreadable"](held())), "delegation_narrower"),
        (under(bearing(), held(uses=1, used=1)), "delegation_used_up"),
        (under(bearing("book.find"), held(uses=1, used=1)), ""),
        (under(bearing(), held(), grantor=None), "grantor_lost"),
        (under(bearing(), held(), grantor=replace(GRANTOR, is_active=False)), "grantor_lost"),
        (under(bearing(), held(), roles=page(())), "grantor_lost"),
        (under(bearing(), held(("book.create",)), reversal=Reversal(("Clerk",), by_person=False)), ""),
        (under(bearing(), held(), roles=page(()), reversal=Reversal(("Clerk",), by_person=False)), ""),
        (under(bearing(), held(ends=10), reversal=Reversal(("Clerk",), by_person=False)), "delegation_expired"),
    ],
)
def test_the_first_thing_that_is_wrong_with_a_delegation_is_told(b: Bearing, expected: str) -> None:
    found = delegation(b, ARGS[b.tool])
    assert found.reason == expected
    assert (found.outcome is Outcome.DENY) == bool(expected)


def test_no_role_no_permission_once_there_is_a_page() -> None:
    line = Permission(("book.note",), ("production",))
    assert permission(bearing(), ARGS["book.note"]).outcome is Outcome.PASS
    assert permission(bearing(roles=page((line,))), ARGS["book.note"]).outcome is Outcome.PASS
    nobody = replace(GRANTOR, roles=("admin",))
    for b in (bearing(roles=page(())), bearing(roles=page((line,)), principal=nobody)):
        assert permission(b, ARGS["book.note"]).reason == "not_permitted"
    assert permission(bearing("book.create", roles=page((line,))), ARGS["book.create"]).reason == "not_permitted"
