# SPDX-License-Identifier: Apache-2.0
"""An agent never holds a permission, whatever it claims; a person holds what their roles say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.errors import Forbidden
from signoff.core.principal import PERMISSIONS, Caller, require, require_person

roles = st.lists(st.sampled_from([*sorted(PERMISSIONS), "Clerk", "Admin"])).map(tuple)


@given(roles, st.sampled_from(sorted(PERMISSIONS)))
def test_an_agent_holds_no_permission_even_if_it_says_so(held: tuple[str, ...], permission: str) -> None:
    agent = Caller("t", "agt_1", held)
    assert not agent.may(permission)
    with pytest.raises(Forbidden):
        require(agent, *PERMISSIONS)
    with pytest.raises(Forbidden) as refused:
        require_person(agent)
    assert refused.value.code == "forbidden.agent"


@given(roles, st.sampled_from(sorted(PERMISSIONS)))
def test_a_person_holds_their_permissions_and_an_admin_all(held: tuple[str, ...], permission: str) -> None:
    person = Caller("t", "prs_1", held)
    require_person(person)
    assert person.may(permission) == (permission in held or "admin" in held)
    if person.may(permission):
        require(person, permission)
    else:
        with pytest.raises(Forbidden) as refused:
            require(person, permission)
        assert permission in refused.value.why


def test_nobody_is_let_through_where_nothing_is_named() -> None:
    with pytest.raises(Forbidden):
        require(Caller("t", "prs_1", ("admin",)))
