# SPDX-License-Identifier: Apache-2.0
"""Retention: what is kept of a run goes at the age its page names, and never what somebody still needs."""

import sqlite3
from typing import Any

import pytest

from signoff.app.action import runs
from signoff.app.action.documents import run_document
from signoff.app.audit import audit
from signoff.app.authority import people
from signoff.core.action.lifecycle import State
from signoff.core.errors import Conflict
from signoff.core.run import RunState
from tests.world import DAY, MINUTE, SECOND, TENANT, World

WRITE = {"text": "hello"}


async def under(world: World, days: int, **given: Any) -> None:
    await world.under(mode="autonomous", asks=False, more=f"logging: {{store_transcripts_days: {days}}}", **given)


async def days(world: World, count: float) -> None:
    await world.tick(count * DAY / SECOND)
    token, _ = await people.mint_token(world.node, world.cast.olga, world.cast.agent.id)
    world.cast.agent = people.caller_of_token(world.node, token)


async def erased(world: World) -> bool:
    return (await world.run()).erased_at is not None


def payloads(world: World) -> list[str]:
    db = sqlite3.connect(world.folder / "signoff.db")
    found = [row[0] for row in db.execute("SELECT owner FROM payloads")]
    db.close()
    return found


async def test_a_run_is_erased_at_its_age_and_the_log_still_verifies(world: World) -> None:
    await under(world, 30)
    done = await world.propose("book.stamp", WRITE)
    assert done.state is State.SUCCEEDED
    await world.complete()
    run = await world.run()
    before = await audit(world.node, TENANT)
    await days(world, 29.9)
    assert not await erased(world)
    await days(world, 0.2)
    assert await erased(world)
    after = await world.run()
    assert (after.state, after.erased_payloads) == (RunState.COMPLETED, 4)
    assert {run.run_id, done.action_id}.isdisjoint(payloads(world))
    assert await world.node.storage.view(TENANT, lambda tx: tx.payloads.key(run.payload_key)) is None
    report = await audit(world.node, TENANT)
    assert report.is_sound and report.erased == 4 == before.payloads - report.payloads
    shown = await world.document(done)
    assert shown["erased"]["by"] == "retention" and shown["result"] is None
    told = await world.node.storage.view(TENANT, lambda tx: run_document(world.node, tx, after))
    assert (told["task"], told["erased"]["by"]) == (None, "retention")
    with pytest.raises(Conflict, match="closed"):
        await world.propose("book.stamp", {"text": "again"})
    with pytest.raises(Conflict, match="closed"):
        await world.complete("failed")
    assert (await world.complete()).erased_at is not None
    await world.check_ledger()


async def test_what_can_be_undone_keeps_its_run_for_a_week_however_few_the_page_says(world: World) -> None:
    await under(world, 0)
    done = await world.propose("book.note", WRITE)
    assert done.state is State.SUCCEEDED
    await world.complete()
    await days(world, 6.9)
    assert not await erased(world)
    await days(world, 0.2)
    assert await erased(world)
    with pytest.raises(Conflict) as refused:
        await world.undo(done)
    assert refused.value.code == "undo.erased"
    await world.check_ledger()


async def test_nothing_goes_that_is_in_doubt_or_waits_for_a_person(world: World) -> None:
    await under(world, 0)
    world.target.plan.append("lost_after")
    world.target.reading["book.find"] = "wrong"
    unclear = await world.propose("book.note", WRITE)
    await world.pass_time(5)
    assert (await world.get(unclear)).state is State.NEEDS_PERSON
    await days(world, 40)
    assert not await erased(world)
    world.target.reading.clear()
    assert (await world.resolve(await world.get(unclear), "done")).state is State.SUCCEEDED
    await world.complete()
    await days(world, 1)
    assert not await erased(world)  # it can be undone now
    await days(world, 7)
    assert await erased(world)
    await world.check_ledger()


async def test_a_run_that_nobody_closed_is_over_a_day_after_its_time_and_a_paused_one_is_not(world: World) -> None:
    await under(world, 0)
    await world.propose("book.stamp", WRITE)
    await days(world, 0.9)
    assert not await erased(world)
    await days(world, 0.2)
    assert ((await world.run()).state, await erased(world)) == (RunState.EXPIRED, True)
    await world.begin(workflow=(await world.run()).workflow)
    await runs.set_paused(world.node, world.cast.otto, world.run_id, True)
    await days(world, 40)
    assert not await erased(world)
    await world.check_ledger()


async def test_the_days_are_those_of_the_version_a_run_began_with(world: World) -> None:
    await under(world, 2, workflow="w")
    await world.propose("book.stamp", WRITE)
    await world.complete()
    first = world.run_id
    await under(world, 300, workflow="w", version="2")
    await world.propose("book.stamp", WRITE)
    await world.complete()
    await days(world, 3)
    assert (await world.run(first)).erased_at is not None
    assert not await erased(world)


async def test_many_runs_go_in_one_pass_and_those_that_stay_hold_nobody_up(world: World) -> None:
    await under(world, 1)
    workflow = (await world.run()).workflow
    keep = await world.begin(workflow)
    await runs.set_paused(world.node, world.cast.otto, keep.run_id, True)
    gone = []
    for _ in range(7):
        gone.append((await world.begin(workflow)).run_id)
        await world.complete()
    await days(world, 1.5)
    assert all([(await world.run(one)).erased_at is not None for one in gone])
    assert (await world.run(keep.run_id)).erased_at is None
    await world.tick(MINUTE / SECOND)
    await world.check_ledger()


async def test_a_removed_payload_of_a_run_that_says_nothing_of_it_is_still_found(world: World) -> None:
    await under(world, 30)
    await world.propose("book.stamp", WRITE)
    db = sqlite3.connect(world.folder / "signoff.db")
    db.execute("DELETE FROM payloads WHERE owner = ?", [world.run_id])
    db.execute("UPDATE runs SET erased_at = 5, erased_payloads = 1 WHERE run_id = ?", [world.run_id])
    db.commit()
    db.close()
    found = (await audit(world.node, TENANT)).findings
    assert {one.table for one in found} == {"runs", "payloads"}
