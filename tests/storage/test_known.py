# SPDX-License-Identifier: Apache-2.0
"""What the writer knows by heart is what a reader finds, whatever was written, undone or changed by somebody else."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.adapters.clock import SystemClock
from signoff.adapters.sql.known import LINES_MAX, WEIGHED_EVERY, Known
from signoff.adapters.sql.storage import SqliteStorage
from signoff.adapters.sql.tally import Line, RunTally
from signoff.core.action.lifecycle import CONCLUDED, Action, State
from signoff.core.principal import Agent
from signoff.core.run import Tally
from signoff.ports.storage import Transaction
from tests.storage.engines import MARKS

T = "default"


def an_action(number: int = 1, state: State = State.PROPOSED) -> Action:
    return Action(T, f"act_{number}", 1, "", "run_1", state, "t", "write", "B", "c", "agt_1", "k", 1, "tag", "a", "a")


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SqliteStorage]:
    opened = SqliteStorage(tmp_path / "signoff.db", SystemClock(), MARKS, is_durable=False)
    yield opened
    await opened.close()


def _tally(tx: Transaction) -> Tally:
    return tx.actions.tally("run_1", "tag", "")


async def test_a_body_that_fails_leaves_nothing_known(storage: SqliteStorage) -> None:
    await storage.transact(T, lambda tx: tx.insert(an_action()))
    await storage.transact(T, _tally)

    def fails(tx: Transaction) -> None:
        tx.update(an_action(), replace(an_action(), state=State.DENIED, seq=2), ("state", "seq"))
        tx.insert(an_action(2))
        raise LookupError

    with pytest.raises(LookupError):
        await storage.transact(T, fails)
    assert await storage.transact(T, lambda tx: tx.actions.get("act_1")) == an_action()
    assert await storage.transact(T, lambda tx: tx.actions.get("act_2")) is None
    assert await storage.transact(T, _tally) == await storage.view(T, _tally) == Tally(1, 0, 0, 1, 0, 0, 0, 1)


async def test_what_another_connection_writes_is_seen_by_the_next_body(storage: SqliteStorage, tmp_path: Path) -> None:
    agent = Agent(T, "agt_1", 1, "", "bench", "prs_1", 1)
    await storage.transact(T, lambda tx: tx.insert(agent))
    assert await storage.transact(T, lambda tx: tx.authority.agent("agt_1")) == agent
    other = sqlite3.connect(tmp_path / "signoff.db")
    other.execute("UPDATE agents SET epoch = 9")
    other.commit()
    other.close()
    assert await storage.transact(T, lambda tx: tx.authority.agent("agt_1")) == replace(agent, epoch=9)


async def test_a_row_reads_as_it_was_written_from_memory_and_from_disk(storage: SqliteStorage) -> None:
    await storage.transact(T, lambda tx: tx.insert(an_action()))
    await storage.transact(
        T, lambda tx: tx.update(an_action(), replace(an_action(), state=State.DENIED, seq=2), ("state", "seq"))
    )
    known = await storage.transact(T, lambda tx: tx.actions.get("act_1"))
    assert known is not None and known.state is State.DENIED
    assert known == await storage.view(T, lambda tx: tx.actions.get("act_1"))


async def test_an_absence_that_was_known_ends_with_the_row(storage: SqliteStorage) -> None:
    assert await storage.transact(T, lambda tx: (tx.actions.get("act_1"), tx.authority.agent("agt_1"))) == (None, None)
    agent = Agent(T, "agt_1", 1, "", "bench", "prs_1", 1)
    await storage.transact(T, lambda tx: tx.insert(an_action()))
    await storage.transact(T, lambda tx: tx.insert(agent))
    found = await storage.transact(T, lambda tx: (tx.actions.get("act_1"), tx.authority.agent("agt_1")))
    assert found == (an_action(), agent)


LINES = st.builds(
    Line,
    action_id=st.sampled_from(["act_1", "act_2", "act_3", "act_4"]),
    by=st.just(""),
    tag=st.just(""),
    is_own_write=st.just(True),
    fence=st.integers(0, 2),
    state=st.sampled_from(State),
    reason=st.sampled_from([None, "halted", "cap"]),
    waited_us=st.integers(0, 50),
    waiting_since=st.none() | st.integers(0, 100),
    spent_usd_micros=st.integers(0, 9),
)
FIXED: dict[str, dict[str, Any]] = {  # whose it is and for which call never changes
    "act_1": {"by": "agt_1", "tag": "a"},
    "act_2": {"by": "agt_1", "tag": "b"},
    "act_3": {"by": "prs_1", "tag": "a", "is_own_write": False},
    "act_4": {"by": "agt_1", "tag": "a"},
}


@given(st.lists(LINES), st.sampled_from(["", *FIXED]), st.sampled_from(["a", "b", "c"]))
def test_a_tally_kept_up_to_date_is_the_one_added_up_anew(lines: list[Line], besides: str, tag: str) -> None:
    lines = [line._replace(**FIXED[line.action_id]) for line in lines]
    kept, last = RunTally(()), {line.action_id: line for line in lines}
    for line in lines:
        kept.put(line)
    found, now = kept.tally(tag, besides, 200), 200
    rest = [line for line in last.values() if line.action_id != besides]
    own = [line for line in rest if line.by.startswith("agt_")]
    spans = [
        range(line.waiting_since, now if waits else line.waiting_since + line.waited_us)
        for line in own
        if line.waiting_since is not None
        for waits in [line.state in (State.PENDING_APPROVAL, State.HELD)]
    ]
    assert found == Tally(
        steps=len(own),
        sent=sum(line.fence > 0 for line in own),
        denied=sum(line.state is State.DENIED and line.reason != "halted" for line in own),
        identical=sum(line.tag == tag for line in own),
        waited_us=len({moment for span in spans for moment in span}),
        waiting=sum(
            line.waiting_since is not None and line.state in (State.PENDING_APPROVAL, State.HELD) for line in own
        ),
        spent_usd_micros=sum(line.spent_usd_micros for line in rest),
        unconcluded=sum(line.state not in CONCLUDED for line in rest),
    )
    writes = [line.action_id for line in last.values() if line.tag == tag and line.is_own_write]
    assert kept.newest_write(tag) == max(writes, default=None)


def test_tallies_are_forgotten_once_they_hold_too_many_lines_and_the_last_is_kept_however_long() -> None:
    known = Known()

    def hold(run: str, count: int) -> None:
        lines = [
            Line(f"act_{run}_{n}", "agt_1", "tag", True, 0, State.PROPOSED, None, 0, None, 0) for n in range(count)
        ]
        known.put(RunTally, T, run, RunTally(lines))

    known.as_of(1)
    hold("run_1", 10)
    hold("run_2", LINES_MAX - 5)
    known.put(Agent, T, "agt_1", "an agent")
    for _ in range(WEIGHED_EVERY):
        known.as_of(1)
    assert known.peek(RunTally, T, "run_1") is None, "the first known goes first"
    assert known.peek(RunTally, T, "run_2") is not None
    hold("run_3", LINES_MAX * 2)
    for _ in range(WEIGHED_EVERY):
        known.as_of(1)
    assert known.peek(RunTally, T, "run_2") is None
    assert len(known.peek(RunTally, T, "run_3")) == LINES_MAX * 2, (
        "a run that is longer alone is not read at each batch"
    )
    assert known.peek(Agent, T, "agt_1") == "an agent"
