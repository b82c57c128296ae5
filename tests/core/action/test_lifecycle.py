# SPDX-License-Identifier: Apache-2.0
"""The table of states is the contract's, final states are never left, and every state can be reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.core.action.lifecycle import (
    AWAITING_PEOPLE,
    CONCLUDED,
    FINAL,
    IN_FLIGHT,
    MOVES,
    NOT_SENT,
    State,
    check_move,
    edges,
)
from signoff.core.errors import Conflict

# Word for word the table of the contract, section 3.
TABLE = """
proposed: denied suggested held pending_approval dispatching cancelled stopped
held: dispatching pending_approval cancelled voided stopped
pending_approval: approved rejected expired voided cancelled stopped
approved: dispatching held expired voided stopped cancelled
dispatching: succeeded failed in_doubt
in_doubt: succeeded failed dispatching needs_person
needs_person: succeeded failed
succeeded: reversing
reversing: reversed reversal_failed
reversal_failed: reversing
"""


def test_the_table_is_the_contracts() -> None:
    told = {}
    for line in TABLE.strip().splitlines():
        before, afters = line.split(":")
        told[State(before)] = frozenset(map(State, afters.split()))
    assert told == MOVES


def test_final_states_are_those_of_the_contract_and_never_left() -> None:
    names = "denied suggested cancelled rejected expired voided stopped failed reversed"
    assert set(map(str, FINAL)) == set(names.split())
    assert not FINAL & MOVES.keys()
    assert {State.SUCCEEDED, State.REVERSAL_FAILED} == CONCLUDED - FINAL


def test_every_state_can_be_reached_from_a_proposal() -> None:
    reached, new = set(), {State.PROPOSED}
    while new:
        reached |= new
        new = {after for before in new for after in MOVES.get(before, ())} - reached
    assert reached == set(State)


def test_from_every_state_an_end_can_be_reached() -> None:
    ends = set(CONCLUDED)
    while more := {before for before, afters in MOVES.items() if afters & ends} - ends:
        ends |= more
    assert ends == set(State)


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_move_is_legal_exactly_where_the_table_has_it(before: State, after: State) -> None:
    if after in MOVES.get(before, ()):
        check_move(before, after)
        assert (before, after) in edges()
    else:
        with pytest.raises(Conflict) as refused:
            check_move(before, after)
        assert refused.value.code == "action.illegal_move"
        assert (before, after) not in edges()


def test_nothing_that_was_sent_can_become_unsent() -> None:
    sent = set(State) - NOT_SENT - {State.DENIED, State.SUGGESTED, State.CANCELLED, State.REJECTED, State.EXPIRED}
    sent -= {State.VOIDED, State.STOPPED}
    assert all(MOVES.get(state, frozenset()) <= sent for state in sent)
    assert sent >= IN_FLIGHT
    assert AWAITING_PEOPLE <= NOT_SENT


def test_what_is_in_flight_ends_only_by_an_outcome() -> None:
    outcomes = {State.SUCCEEDED, State.FAILED}
    assert {after for state in IN_FLIGHT for after in MOVES[state]} <= outcomes | IN_FLIGHT
