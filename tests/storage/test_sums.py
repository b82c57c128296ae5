# SPDX-License-Identifier: Apache-2.0
"""Whatever has happened, a window and a period hold what adding everything up by hand gives, for writer and reader."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signoff.adapters.sql.storage import SqliteStorage
from signoff.core.action.lifecycle import MAY_BE_DONE, Action, State
from signoff.core.authority.limit import Counted
from signoff.core.authority.spend import began, whose
from signoff.core.run import Run
from signoff.ports.storage import Transaction
from tests.storage import nouns
from tests.storage.engines import MARKS
from tests.world import SetClock

RUNS = [
    nouns.run("t", f"run_{n}", principal_id=f"prs_{n % 2}", agent_id=f"agt_{n % 3}", workflow=f"w{n // 2}")
    for n in range(4)
]
REASONS = [None, "not_sent", "proved_absent", "answer_lost", *sorted(MAY_BE_DONE)]
ends = st.tuples(st.sampled_from(State), st.sampled_from(REASONS))
amounts = st.sampled_from([0, 1, 2, 999_999, 2**53 - 1]) | st.integers(0, 2**53 - 1)
impacts = st.dictionaries(st.sampled_from("xyz"), amounts, max_size=3)
money = st.integers(0, 2**40)
events = st.one_of(
    st.tuples(st.just("new"), st.integers(0, 3), st.integers(0, 50), st.sampled_from(["write", "read", "egress"]),
              impacts, ends, money),
    st.tuples(st.just("edit"), st.integers(0, 20), st.integers(0, 50), impacts),
    st.tuples(st.just("move"), st.integers(0, 20), ends, money, money),
)  # fmt: skip


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, SqliteStorage]]:
    with asyncio.Runner() as runner:
        storage = SqliteStorage(tmp_path_factory.mktemp("sums") / "signoff.db", SetClock(), MARKS, is_durable=False)
        yield runner, storage
        runner.run(storage.close())


class History:
    """What a database was told, kept in plain lists beside it."""

    def __init__(self, tenant: str) -> None:
        self.runs = [replace(run, tenant=tenant) for run in RUNS]
        self.actions: list[Action] = []
        self.counted: dict[str, list[Counted]] = {}

    def tell(self, tx: Transaction, event: tuple[Any, ...]) -> None:
        kind, *rest = event
        if kind == "new":
            run, at, effect, counts, (state, reason), reserved = rest
            action = nouns.action(
                tx.tenant, f"act_{len(self.actions):02d}", run_id=self.runs[run].run_id, state=state, reason=reason,
                effect=effect, proposed_at=at, reserved_usd_micros=reserved,
            )  # fmt: skip
            tx.insert(action)
            self.actions.append(action)
            self._count(tx, action, at, counts)
        elif not self.actions:
            return
        elif kind == "edit":
            nth, at, counts = rest
            self._count(tx, self.actions[nth % len(self.actions)], at, counts)
        else:
            nth, (state, reason), settled, reserved = rest
            was = self.actions[nth % len(self.actions)]
            row = replace(
                was, seq=was.seq + 1, state=state, reason=reason, settled_usd_micros=settled,
                reserved_usd_micros=reserved,
            )  # fmt: skip
            tx.update(was, row, ("seq", "state", "reason", "settled_usd_micros", "reserved_usd_micros"))
            self.actions[nth % len(self.actions)] = row

    def _count(self, tx: Transaction, action: Action, at: int, counts: dict[str, int]) -> None:
        rows = [Counted(tx.tenant, action.action_id, key, 0, at, amount) for key, amount in sorted(counts.items())]
        tx.sums.count(action.action_id, rows)
        self.counted[action.action_id] = rows

    def window(self, key: str, since: int, until: int, besides: str) -> int:
        """Add up a window by hand."""
        stands = {action.action_id for action in self.actions if action.may_have_effect}
        return sum(
            one.amount
            for rows in self.counted.values()
            for one in rows
            if one.key == key and since < one.at <= until and one.action_id in stands and one.action_id != besides
        )

    def period(self, window: int, since: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Add up a period by hand."""
        sums: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        by_id: dict[str, Run] = {run.run_id: run for run in self.runs}
        for action in self.actions:
            if began(action.proposed_at, window) == since:
                for key in whose(by_id[action.run_id]):
                    had = sums[key]
                    sums[key] = had[0] + action.settled_usd_micros, had[1] + action.reserved_usd_micros
        return {key: amounts for key, amounts in sums.items() if amounts != (0, 0)}


serial = itertools.count()
WINDOWS = [(0, 50), (10, 30), (-1, 0), (20, 21)]
PERIODS = [(20, 0), (20, 20), (7, 14), (50, 50)]


def answers(tx: Transaction) -> list[Any]:
    """Return what a transaction says of every window and period that is asked for."""
    windows = [
        tx.sums.counted(key, *window, besides)
        for key in "xyz"
        for window in WINDOWS
        for besides in ("", "act_00", "act_03")
    ]
    return [*windows, *(dict(tx.sums.spent(window, since)) for window, since in PERIODS)]


@given(st.lists(events, max_size=25), st.integers(0, 25))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_equal_what_adding_up_by_hand_gives(
    opened: tuple[asyncio.Runner, SqliteStorage], told: list[tuple[Any, ...]], asked_after: int
) -> None:
    """Asked once in the middle, so that from there on the writer keeps the sums up to date instead of reading them."""
    runner, storage = opened
    tenant = f"t{next(serial)}"
    history = History(tenant)

    def begin(tx: Transaction) -> None:
        for run in history.runs:
            tx.insert(run)

    runner.run(storage.transact(tenant, begin))
    for nth, event in enumerate(told):
        if nth == asked_after:
            runner.run(storage.transact(tenant, answers))
        runner.run(storage.transact(tenant, lambda tx, event=event: history.tell(tx, event)))  # type: ignore[misc]
    by_hand = [
        history.window(key, *window, besides)
        for key in "xyz"
        for window in WINDOWS
        for besides in ("", "act_00", "act_03")
    ] + [history.period(window, since) for window, since in PERIODS]
    assert runner.run(storage.transact(tenant, answers)) == by_hand
    assert runner.run(storage.view(tenant, answers)) == by_hand


def test_a_sum_that_no_machine_word_holds_is_exact(opened: tuple[asyncio.Runner, SqliteStorage]) -> None:
    runner, storage = opened
    history = History("wide")
    most = 2**53 - 1

    def body(tx: Transaction) -> int:
        tx.insert(history.runs[0])
        for nth in range(1100):
            action = nouns.action("wide", f"act_{nth:04d}", run_id="run_0", state=State.SUCCEEDED)
            tx.insert(action)
            tx.sums.count(action.action_id, [Counted("wide", action.action_id, "x", 0, nth, most)])
        return tx.sums.counted("x", -1, 2000, "")

    assert runner.run(storage.transact("wide", body)) == 1100 * most > 2**63


def test_an_undone_body_leaves_no_sum_behind(opened: tuple[asyncio.Runner, SqliteStorage]) -> None:
    runner, storage = opened
    history = History("undone")

    class Undone(Exception):
        pass

    def begin(tx: Transaction) -> Any:
        tx.insert(history.runs[0])
        tx.insert(nouns.action("undone", "act_00", run_id="run_0", proposed_at=1, reserved_usd_micros=5))
        return tx.sums.spent(10, 0)["tenant", ""]

    def fail(tx: Transaction) -> None:
        tx.insert(nouns.action("undone", "act_01", run_id="run_0", proposed_at=1, reserved_usd_micros=7))
        raise Undone

    assert runner.run(storage.transact("undone", begin)) == (0, 5)
    with pytest.raises(Undone):
        runner.run(storage.transact("undone", fail))
    assert runner.run(storage.transact("undone", lambda tx: tx.sums.spent(10, 0)["tenant", ""])) == (0, 5)
