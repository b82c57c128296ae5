# SPDX-License-Identifier: Apache-2.0
"""A run is one attempt at one task; what an envelope says "per task" holds per run."""

from dataclasses import dataclass
from enum import StrEnum

from signoff.core.errors import Conflict


class RunState(StrEnum):
    """Open and paused may change places; the others are closed and never left."""

    OPEN = "open"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    EXPIRED = "expired"


CLOSED = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.STOPPED, RunState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stands; it stays on the envelope version with which it began."""

    tenant: str
    run_id: str
    seq: int
    head: str
    state: RunState
    workflow: str
    envelope: str  # digest
    environment: str
    agent_id: str
    principal_id: str
    started_by: str
    started_at: int
    payload_key: str  # id of the key under which its payloads are sealed
    task: str  # commitment
    request_key: str | None = None
    request_tag: str | None = None
    ended_at: int | None = None
    summary: str | None = None
    turned_by: str | None = None  # who paused or resumed it last, when, and why (commitment)
    turned_at: int | None = None
    turned: str | None = None
    used_us: int | None = None  # the time it had used when it was paused last
    paused_us: int = 0  # how long it stood still for that, waits for people apart
    delegation_id: str | None = None  # under which it was begun, and what a person granted for that
    delegation_root: str | None = None
    erased_at: int | None = None  # when its payloads, and those of its actions, reached their age
    erased_payloads: int = 0


def require_unerased(run: Run) -> None:
    """Refuse to keep more in a run whose payloads were erased.

    Raises:
        Conflict: they were, and so the run is closed.
    """
    if run.erased_at is not None:
        raise Conflict(
            what="The run is closed.",
            why=f"It is {run.state}, and what was kept of it is erased.",
            fix="Begin a new run.",
            code="run.closed",
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run has done so far, summed over its actions."""

    steps: int = 0
    sent: int = 0
    denied: int = 0
    identical: int = 0
    waited_us: int = 0
    waiting: int = 0
    spent_usd_micros: int = 0  # settled and reserved
    unconcluded: int = 0
