# SPDX-License-Identifier: Apache-2.0
"""What `ports/storage.py` promises, on every engine that keeps it."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from signoff.adapters.sql import storage as sql_storage
from signoff.core.action.lifecycle import State
from signoff.core.authority.halt import Halt, Scope
from signoff.core.errors import Conflict, Unavailable
from signoff.core.principal import Agent, Person
from signoff.ports.storage import SealedPayload, Storage, Transaction
from tests.storage.engines import Opened
from tests.storage.nouns import action, fill, run, vote


def added(run_id: str) -> Callable[[Transaction], str]:
    """Return a body that adds a run."""

    def body(tx: Transaction) -> str:
        tx.insert(run(run_id=run_id))
        return run_id

    return body


def counted(run_id: str = "run_1") -> Callable[[Transaction], int]:
    """Return a body that reads a row and writes it one further."""

    def body(tx: Transaction) -> int:
        now = tx.runs.get(run_id)
        assert now is not None
        tx.update(now, replace(now, seq=now.seq + 1), ("seq",))
        return now.seq + 1

    return body


async def ids(storage: Storage) -> list[str]:
    return sorted(one.run_id for one in await storage.view("a", lambda tx: tx.runs.newest(None, 5000)))


async def test_what_was_returned_is_there_for_every_reader(opened: Opened) -> None:
    storage = opened.storage()
    assert await storage.transact("a", added("run_1")) == "run_1"
    assert await ids(storage) == ["run_1"]


async def test_writers_do_not_lose_one_anothers_updates(opened: Opened) -> None:
    storage = opened.storage()
    await storage.transact("a", added("run_1"))
    seen = await asyncio.gather(*(storage.transact("a", counted(), guards=("run_1",)) for _ in range(200)))
    assert sorted(seen) == list(range(2, 202))


async def test_two_processes_see_what_the_other_wrote(opened: Opened) -> None:
    """Whatever a writer remembers of its own, it does not remember against the database."""
    one, other = opened.storage(runs_twice=False), opened.storage(runs_twice=False)
    await one.transact("a", fill)
    for turn in range(6):
        await (one, other)[turn % 2].transact("a", counted())
    for turn in range(4):
        storage, name = (one, other)[turn % 2], f"act_{turn + 5}"
        await storage.transact("a", lambda tx, name=name: tx.insert(action(action_id=name)))  # type: ignore[misc]
        told = [
            (await each.transact("a", lambda tx: tx.actions.tally("run_1", "tag", ""))).steps for each in (one, other)
        ]
        assert told == [turn + 4] * 2


async def test_a_body_that_raises_leaves_nothing_and_its_neighbours_stay(opened: Opened) -> None:
    storage = opened.storage()
    await storage.transact("a", added("run_1"))

    def fails(tx: Transaction) -> None:
        tx.insert(run(run_id="run_bad"))
        counted()(tx)
        raise ValueError("mine alone")

    bodies = [added("run_2"), counted(), fails, counted(), added("run_3"), fails, counted()]
    answers = await asyncio.gather(*(storage.transact("a", body) for body in bodies), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == [
        "str",
        "int",
        "ValueError",
        "int",
        "str",
        "ValueError",
        "int",
    ]
    assert [answer for answer in answers if isinstance(answer, int)] == [2, 3, 4]
    assert await ids(storage) == ["run_1", "run_2", "run_3"]


async def test_a_row_that_is_there_already_is_its_bodys_own_error(opened: Opened) -> None:
    storage = opened.storage()
    answers = await asyncio.gather(
        *(storage.transact("a", added(one)) for one in ("run_1", "run_1", "run_2")), return_exceptions=True
    )
    assert [isinstance(answer, str) for answer in answers] == [True, False, True]
    assert not isinstance(answers[1], Unavailable)
    assert await ids(storage) == ["run_1", "run_2"]


async def test_a_value_that_no_column_takes_is_its_bodys_own_error(opened: Opened) -> None:
    storage = opened.storage()

    def wrong(tx: Transaction) -> None:
        tx.insert(run(workflow={"not": "text"}))

    answers = await asyncio.gather(
        *(storage.transact("a", body) for body in (added("run_1"), wrong, added("run_2"))), return_exceptions=True
    )
    assert not isinstance(answers[1], Unavailable)
    assert isinstance(answers[1], Exception)
    assert await ids(storage) == ["run_1", "run_2"]


async def test_a_full_disk_undoes_the_batch_and_keeps_who_has_room(opened: Opened) -> None:
    storage = opened.storage(runs_twice=False)
    await storage.transact("a", added("run_1"))

    def large(tx: Transaction) -> None:
        tx.insert(run(run_id="run_large"))
        tx.payloads.add(SealedPayload("owner", "name", "key", b"x" * 2_000_000, "c"))

    with opened.full(storage):
        bodies = [counted(), large, counted()]
        answers = await asyncio.gather(*(storage.transact("a", body) for body in bodies), return_exceptions=True)
        assert isinstance(answers[1], Unavailable)
        assert answers[1].code == "storage.unavailable"
        assert answers[1].detail["retry_after_s"] == 2
        assert [answers[0], answers[2]] == [2, 3]
        assert await ids(storage) == ["run_1"]
        with pytest.raises(Unavailable):
            await storage.transact("a", large)
    await storage.transact("a", large)
    assert await storage.transact("a", counted()) == 4
    assert await ids(storage) == ["run_1", "run_large"]


async def test_a_disk_that_is_full_while_the_log_is_tidied_stops_nobody(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tidying between two batches may fail like anything else; the writer goes on."""
    storage = opened.storage(runs_twice=False)
    await storage.transact("a", added("run_1"))

    def fails() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sql_storage, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(storage._writer, "keep_log_small", fails)  # type: ignore[attr-defined]
    for expected in range(2, 12):
        assert await asyncio.wait_for(storage.transact("a", counted()), 5) == expected


async def test_identifiers_are_told_apart_by_case(opened: Opened) -> None:
    storage = opened.storage()

    def body(tx: Transaction) -> list[str | None]:
        for name in ("scribe", "Scribe", "SCRIBE"):
            tx.insert(Agent(tx.tenant, f"agt_{name}", 1, "h", name, "prs_1"))
            tx.insert(run(run_id=f"run_{name}"))
        found = [tx.authority.agent_named(name) for name in ("scribe", "Scribe", "SCRIBE", "sCribe")]
        return [one.agent_id if one else None for one in found]

    assert await storage.transact("a", body) == ["agt_scribe", "agt_Scribe", "agt_SCRIBE", None]
    assert await storage.view("a", lambda tx: tx.runs.get("run_sCRIBE")) is None


@pytest.mark.parametrize("text", ["ß", "İ", "e\u0301", "\x00", "a%", "a_", "'; --", "\U0001f4d6", ""])
async def test_text_comes_back_as_it_came(opened: Opened, text: str) -> None:
    storage = opened.storage()
    await storage.transact("a", lambda tx: tx.insert(run(workflow=text, summary=text)))
    found = await storage.view("a", lambda tx: tx.runs.get("run_1"))
    assert found is not None
    assert (found.workflow, found.summary) == (text, text)


async def test_integers_of_64_bits_come_back(opened: Opened) -> None:
    storage = opened.storage()
    for number in (0, 2**53 - 1, 2**63 - 1, -(2**63)):
        await storage.transact("a", lambda tx, n=number: tx.insert(run(run_id=f"run_{n}", started_at=n)))  # type: ignore[misc]
        found = await storage.view("a", lambda tx, n=number: tx.runs.get(f"run_{n}"))  # type: ignore[misc]
        assert found is not None
        assert found.started_at == number


async def test_a_body_may_be_run_twice_and_writes_once(opened: Opened) -> None:
    storage, calls = opened.storage(runs_twice=True), []

    def body(tx: Transaction) -> int:
        calls.append(tx.now)
        assert tx.runs.get("run_1") is None
        added("run_1")(tx)
        return len(calls)

    assert await storage.transact("a", body) == 2
    assert len(set(calls)) == 1
    assert await ids(storage) == ["run_1"]


async def test_a_caller_that_hangs_up_stops_waiting_and_not_the_work(opened: Opened) -> None:
    storage = opened.storage()
    calls = [asyncio.create_task(storage.transact("a", added(f"run_{n}"))) for n in range(5)]
    await asyncio.sleep(0)
    for call in calls[1::2]:
        call.cancel()
    await asyncio.wait(calls)
    await storage.transact("a", added("run_last"))
    assert await ids(storage) == ["run_0", "run_1", "run_2", "run_3", "run_4", "run_last"]


async def test_a_queue_that_is_full_refuses_and_loses_nothing(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = opened.storage(runs_twice=False)
    monkeypatch.setattr(sql_storage, "QUEUE_MAX", 100)
    calls = [asyncio.create_task(storage.transact("a", added(f"run_{n:03}"))) for n in range(150)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    taken = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert len(taken) + len(refused) == 150
    assert refused
    assert await ids(storage) == taken
    await storage.transact("a", added("run_after"))


async def test_an_update_of_what_has_moved_is_refused(opened: Opened) -> None:
    storage = opened.storage()
    await storage.transact("a", fill)

    def body(tx: Transaction) -> None:
        was = tx.runs.get("run_1")
        assert was is not None
        tx.update(was, replace(was, seq=was.seq + 1), ("seq",))
        tx.update(was, replace(was, seq=was.seq + 2, workflow="mine"), ("seq", "workflow"))

    with pytest.raises(Conflict) as refused:
        await storage.transact("a", body)
    assert refused.value.code == "storage.moved"
    after = await storage.view("a", lambda tx: tx.runs.get("run_1"))
    assert after is not None
    assert (after.seq, after.workflow) == (1, "a!")


async def test_a_view_is_one_snapshot_and_writes_nothing(opened: Opened) -> None:
    storage = opened.storage()
    await storage.transact("a", added("run_1"))

    def writes(tx: Transaction) -> None:
        tx.insert(run(run_id="run_2"))

    with pytest.raises(Unavailable):
        await storage.view("a", writes)
    assert await ids(storage) == ["run_1"]
    loop = asyncio.get_running_loop()

    def looks_twice(tx: Transaction) -> tuple[int, int]:
        first = len(tx.runs.newest(None, 10))
        asyncio.run_coroutine_threadsafe(storage.transact("a", added("run_3")), loop).result(5)
        return first, len(tx.runs.newest(None, 10))

    assert await storage.view("a", looks_twice) == (1, 1)
    assert await ids(storage) == ["run_1", "run_3"]


async def test_closing_finishes_what_is_queued_and_takes_no_more(opened: Opened) -> None:
    storage = opened.storage()
    calls = [asyncio.create_task(storage.transact("a", added(f"run_{n:03}"))) for n in range(150)]
    await asyncio.sleep(0)
    await storage.close()
    assert len(await asyncio.gather(*calls)) == 150
    with pytest.raises(Unavailable):
        await storage.transact("a", added("run_late"))
    with pytest.raises(Unavailable):
        await storage.view("a", lambda tx: tx.now)
    await storage.close()
    assert len(await ids(opened.storage())) == 150


async def test_an_engine_that_fails_a_reader_says_so_as_unavailable(opened: Opened) -> None:
    storage = opened.storage()

    def fails(_: Transaction) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(Unavailable):
        await storage.view("a", fails)


async def test_a_batch_is_one_instant(opened: Opened) -> None:
    storage = opened.storage(runs_twice=False)
    opened.clock.step = 1
    seen = await asyncio.gather(*(storage.transact("a", lambda tx: tx.now) for _ in range(10)))
    assert len(set(seen)) < 10
    assert seen == sorted(seen)


async def test_whatever_is_remembered_is_what_is_stored(opened: Opened) -> None:
    """Chance writes, fails, and asks; the writer's answers are those of a reader that knows nothing."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, storage, other = random.Random(seed), opened.storage(runs_twice=False), opened.storage(runs_twice=False)
    states = list(State)

    def ask(tx: Transaction) -> list[Any]:
        return [
            [tx.actions.get(f"act_{n}") for n in range(12)],
            [tx.runs.get(f"run_{n}") for n in range(3)],
            [tx.authority.person("prs_1"), tx.authority.agent("agt_1")],
            [
                tx.actions.tally(f"run_{n}", tag, besides)
                for n in range(3) for tag in ("t0", "t1") for besides in ("", "act_1", "act_2")
            ],
            [tx.actions.by_content(f"run_{n}", tag) for n in range(3) for tag in ("t0", "t1")],
            tx.authority.halts_in_force(),
            tx.authority.pages_mark(),
        ]  # fmt: skip

    def write(tx: Transaction) -> None:
        for _ in range(chance.randint(1, 3)):
            number = chance.randrange(12)
            known = tx.actions.get(f"act_{number}")
            if chance.random() < 0.2:
                person = tx.authority.person("prs_1")
                if person is None:
                    tx.insert(Person(tx.tenant, "prs_1", 1, "h", ("r",), "p", "key_1"))
                else:
                    tx.update(person, replace(person, seq=person.seq + 1, roles=(f"r{person.seq}",)), ("seq", "roles"))
            elif chance.random() < 0.1:
                name = f"hlt_{chance.random()}"
                tx.insert(Halt(tx.tenant, name, 1, "h", Scope.TENANT, "", False, "prs_1", 1, "r", "key_1"))
            elif known is None:
                tx.insert(
                    action(
                        tx.tenant,
                        f"act_{number}",
                        run_id=f"run_{number % 3}",
                        content_tag=f"t{chance.randrange(2)}",
                        by=chance.choice(("agt_1", "prs_1")),
                        effect=chance.choice(("read", "write")),
                        reserved_usd_micros=chance.randrange(100),
                    )
                )
            else:
                changes: dict[str, Any] = {
                    "seq": known.seq + 1, "state": chance.choice(states), "fence": chance.randrange(3),
                    "waiting_since": chance.choice((None, 5, 9)), "waited_us": chance.randrange(20),
                    "reason": chance.choice((None, "halted", "drift")), "settled_usd_micros": chance.randrange(9),
                }  # fmt: skip
                tx.update(known, replace(known, **changes), changes)
            tx.actions.tally(f"run_{number % 3}", "t0", "")
            if chance.random() < 0.2:
                raise ValueError("undone")

    for _ in range(60):
        writer = storage if chance.random() < 0.8 else other
        bodies = [writer.transact("a", write) for _ in range(chance.randint(1, 4))]
        await asyncio.gather(*bodies, return_exceptions=True)
        assert await storage.transact("a", ask) == await storage.view("a", ask)


async def test_a_transaction_names_no_other_tenant(opened: Opened) -> None:
    storage = opened.storage()
    for tenant in ("a", "b"):
        await storage.transact(tenant, fill)
    foreign: list[Callable[[Transaction], Any]] = [
        lambda tx: tx.insert(run("b", "run_9")),
        lambda tx: tx.update(run("b"), run("b"), ("workflow",)),
        lambda tx: tx.update(run("a"), run("b"), ("tenant",)),
        lambda tx: tx.actions.add_vote(vote("b", "prs_9")),
    ]
    for body in foreign:
        with pytest.raises(AssertionError):
            await storage.transact("a", body)
    assert await storage.view("b", lambda tx: tx.runs.get("run_9")) is None
    assert len(await storage.view("b", lambda tx: tx.actions.votes("act_1"))) == 1
