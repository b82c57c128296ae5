# SPDX-License-Identifier: Apache-2.0
"""Where a node is killed: both sides of every edge it can reach, of every other kind of commit, and around the send."""

from dataclasses import dataclass

from benchmarks.faults.cases import CASES
from signoff.core.action.lifecycle import State, edges

SIDES = ("before", "after")
BEGINNINGS = (
    State.PROPOSED, State.DENIED, State.SUGGESTED, State.HELD, State.PENDING_APPROVAL, State.DISPATCHING,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """A named failpoint, and the case in which it is reached."""

    name: str
    case: str


def all_edges() -> list[str]:
    """Return every edge of the state table, and the states in which an action can begin."""
    return [f"new->{state}" for state in BEGINNINGS] + [f"{before}->{after}" for before, after in edges()]


def unreachable() -> dict[str, str]:
    """Return each edge that this version cannot reach, with the reason; any other one must have a case."""
    return {}


def edge_points() -> list[Point]:
    """Return both sides of each edge that can be reached.

    Raises:
        LookupError: an edge has neither a case nor a reason.
    """
    by_edge = {edge: name for name, case in CASES.items() for edge in case.edges}
    wanted = [edge for edge in all_edges() if edge not in unreachable()]
    if missing := set(wanted) ^ set(by_edge):
        raise LookupError(f"edges without a case, or cases of edges that are not there: {', '.join(sorted(missing))}")
    return [Point(f"{edge}:{side}", by_edge[edge]) for edge in wanted for side in SIDES]


# Commits that move no action along its table, by what they write: a type of entry, signatures, a checkpoint.
_COMMITS = {
    "run.begun": "read",
    "run.completed": "read",
    "action.edited": "edit",
    "action.released": "hold-release",
    "action.moved": "hold-move",
    "action.looked_up": "look-up-fails",
    "action.proved_absent": "sent-again",
    "action.reversal_proposed": "undo",
    "halt.engaged": "halt",
    "halt.lifted": "halt",
    "publication.withdrawn": "withdraw",
    "receipt.signed": "note",
    "checkpoint.recorded": "post",
}
_CALLS = (  # around the call itself, and around the copy of a checkpoint outside the database
    Point("send:before", "post"),
    Point("send:before", "pay"),
    Point("send:written", "time-out"),
    Point("send:written", "pay"),
    Point("send:answered", "post"),
    Point("send:answered", "undo"),
    Point("mirror:before", "note"),
    Point("mirror:after", "note"),
)


FIRST_START = ("person.added", "checkpoint.recorded", "mirror")


def other_points() -> list[Point]:
    """Return the points between the edges."""
    commits = [Point(f"{name}:{side}", case) for name, case in _COMMITS.items() for side in SIDES]
    return commits + list(_CALLS)
