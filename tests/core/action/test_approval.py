# SPDX-License-Identifier: Apache-2.0
"""An approval binds bytes, and what is owed is met by as many different people as are owed, none of them the asker."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action.approval import (
    counts_for,
    digest,
    duties_of,
    duties_text,
    is_met,
    may_edit,
    may_vote,
    standing,
)
from signoff.core.action.lifecycle import State
from signoff.core.authority.decision import Duty
from signoff.core.errors import Conflict, Forbidden
from tests.core.action.nouns import a_person, a_run, a_vote, an_action

ROLES = ("Clerk", "Cashier", "Chief")
roles = st.lists(st.sampled_from(ROLES), unique=True, max_size=3).map(tuple)
some_roles = st.lists(st.sampled_from(ROLES), unique=True, min_size=1, max_size=3).map(tuple)
duties = st.lists(
    st.builds(Duty, some_roles, st.integers(1, 3), st.booleans(), st.just(1), st.just("x")), min_size=1, max_size=3
)
people = st.dictionaries(
    st.sampled_from(["prs_1", "prs_2", "prs_3", "prs_4", "prs_owner", "prs_asker"]), roles, max_size=6
).map(lambda given: {name: a_person(name, *held) for name, held in given.items()})


# --- the digest -------------------------------------------------------------------------------------------------------

BOUND_OF_ACTION: dict[str, Any] = {
    "tenant": "u", "action_id": "act_2", "revision": 2, "run_id": "run_2", "tool": "other", "contract": "sha256:x",
    "args_effective": "sha256:x", "preview": "sha256:x", "reverses": "act_0",
}  # fmt: skip
BOUND_OF_RUN: dict[str, Any] = {
    "workflow": "x", "envelope": "x", "environment": "x", "agent_id": "agt_2", "principal_id": "prs_2",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BOUND_OF_ACTION))
def test_the_digest_binds_each_of_these(name: str) -> None:
    other = replace(an_action(), **{name: BOUND_OF_ACTION[name]})
    assert digest(other, a_run()) != digest(an_action(), a_run())


@pytest.mark.parametrize("name", sorted(BOUND_OF_RUN))
def test_the_digest_binds_the_run(name: str) -> None:
    assert digest(an_action(), replace(a_run(), **{name: BOUND_OF_RUN[name]})) != digest(an_action(), a_run())


def test_the_digest_leaves_out_what_changes_while_people_look() -> None:
    later = replace(an_action(), seq=9, head="ff", state=State.APPROVED, waited_us=5, fence=1, expires_at=7)
    assert digest(later, a_run(seq=4, state="paused")) == digest(an_action(), a_run())


@given(duties)
def test_duties_come_back_as_they_were_kept(owed: list[Duty]) -> None:
    assert list(duties_of(an_action(owed=duties_text(owed)))) == owed


# --- who may vote -----------------------------------------------------------------------------------------------------

CLERKS = (Duty(("Clerk",), 1, True, 1, "write_asks"),)


def refusal(code: str, kind: type[Exception], **given: Any) -> None:
    action, shown = given.pop("action", an_action()), given.pop("shown", "sha256:d")
    person, now = given.pop("person", a_person("prs_1", "Clerk")), given.pop("now", 50)
    with pytest.raises(kind) as refused:
        may_vote(action, a_run(), given.pop("owed", CLERKS), person, given.pop("votes", ()), shown, now)
    assert refused.value.code == code  # type: ignore[attr-defined]


def test_a_holder_of_the_role_may_vote_on_what_they_saw() -> None:
    assert may_vote(an_action(), a_run(), CLERKS, a_person("prs_1", "Chief", "Clerk"), (), "sha256:d", 99) == "Clerk"


def test_a_vote_is_refused_for_each_of_these_reasons() -> None:
    for state in set(State) - {State.PENDING_APPROVAL}:
        refusal("approval.not_pending", Conflict, action=an_action(state=state))
    refusal("approval.expired", Conflict, now=100)
    refusal("approval.digest_mismatch", Conflict, shown="sha256:e")
    refusal("approval.digest_mismatch", Conflict, shown="")
    refusal("approval.role_missing", Forbidden, person=a_person("prs_1", "Cashier", "admin"))
    refusal("approval.already_voted", Conflict, votes=(a_vote("prs_1", "Clerk"),))
    refusal("approval.own_request", Forbidden, person=a_person("prs_owner", "Clerk"))
    refusal("approval.own_request", Forbidden, action=an_action(by="prs_1"))


def test_a_vote_on_an_earlier_revision_does_not_stand_in_the_way() -> None:
    earlier = (a_vote("prs_1", "Clerk", digest="sha256:old"),)
    assert may_vote(an_action(), a_run(), CLERKS, a_person("prs_1", "Clerk"), earlier, "sha256:d", 50) == "Clerk"


def test_the_asker_of_a_reversal_may_vote_and_the_runs_principal_may_not() -> None:
    owed = (Duty(("Clerk",), 1, False, 1, "undo"),)
    reversal = an_action(reverses="act_0", by="prs_1")
    assert may_vote(reversal, a_run(), owed, a_person("prs_1", "Clerk"), (), "sha256:d", 50) == "Clerk"
    refusal("approval.own_request", Forbidden, action=reversal, owed=owed, person=a_person("prs_owner", "Clerk"))


@given(people, duties)
def test_whoever_may_edit_holds_a_role_that_is_owed(known: dict[str, Any], owed: list[Duty]) -> None:
    for person in known.values():
        holds = {role for duty in owed for role in duty.roles} & set(person.roles)
        if holds:
            assert may_edit(an_action(), owed, person, "sha256:d", 0) in holds
        else:
            with pytest.raises(Forbidden):
                may_edit(an_action(), owed, person, "sha256:d", 0)


# --- what counts ------------------------------------------------------------------------------------------------------


def test_a_vote_stands_only_under_its_digest_role_and_an_active_voter() -> None:
    action = an_action()
    known = {"prs_1": a_person("prs_1", "Clerk"), "prs_2": a_person("prs_2", "Clerk", is_active=False)}
    good = a_vote("prs_1", "Clerk")
    bad = [
        a_vote("prs_1", "Clerk", digest="sha256:e"),
        a_vote("prs_1", "Cashier"),
        a_vote("prs_1", "Clerk", decision="reject"),
        a_vote("prs_2", "Clerk"),
        a_vote("prs_3", "Clerk"),
    ]
    assert standing([*bad, good], action, known) == [good]


@given(people, duties)
def test_what_is_owed_is_met_by_enough_different_people_apart_from_the_asker(
    known: dict[str, Any], owed: list[Duty]
) -> None:
    action, run = an_action(by="prs_asker"), a_run()
    votes = [a_vote(name, person.roles[0]) for name, person in known.items() if person.roles]
    met = is_met(action, run, owed, votes, known)
    expected = True
    for duty in owed:
        holders = {name for name, person in known.items() if set(person.roles) & set(duty.roles)}
        if duty.distinct_from_requester:
            holders -= {"prs_owner", "prs_asker", "agt_1"}
        expected = expected and len(holders) >= duty.count
    assert met == expected


@given(people, duties)
def test_more_votes_never_unmeet_and_twice_the_same_person_is_one(known: dict[str, Any], owed: list[Duty]) -> None:
    action, run = an_action(), a_run()
    votes = [a_vote(name, person.roles[0]) for name, person in known.items() if person.roles]
    for most in range(len(votes)):
        if is_met(action, run, owed, votes[:most], known):
            assert is_met(action, run, owed, votes, known)
    assert is_met(action, run, owed, votes + votes, known) == is_met(action, run, owed, votes, known)


@given(people, duties)
def test_nobody_at_all_meets_nothing(known: dict[str, Any], owed: list[Duty]) -> None:
    assert not is_met(an_action(), a_run(), owed, [], known)


@given(people, duties)
def test_taking_a_role_away_never_meets_more(known: dict[str, Any], owed: list[Duty]) -> None:
    action, run = an_action(), a_run()
    for name, person in known.items():
        for duty in owed:
            lost = replace(person, roles=person.roles[1:])
            assert counts_for(duty, lost, action, run) <= counts_for(duty, person, action, run), name
