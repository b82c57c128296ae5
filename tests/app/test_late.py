# SPDX-License-Identifier: Apache-2.0
"""What failed as absent under a natural key is looked up once more a day later, and a late find is alarmed."""

import asyncio
import json
import logging
from typing import Any

import pytest

from signoff.app import evidence
from signoff.app.action.documents import receipt_bundle, timeline
from signoff.app.action.lists import waiting_for_people
from signoff.app.audit import audit
from signoff.app.tick import watch_clock
from signoff.core.action.lifecycle import Action, State
from signoff.core.errors import Conflict, Forbidden
from signoff.surfaces.web import pages, render
from tests.app.test_doubt import SETTLES
from tests.surfaces.terminal import run
from tests.world import DAY, HOUR, SECOND, TENANT, World

A_DAY, AN_HOUR = DAY // SECOND, HOUR // SECOND


async def absent(world: World, name: str = "Moby", how: str = "late") -> Action:
    """Register a name whose write does not show for as long as a look-up takes to settle."""
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append(how)
    doubtful = await world.propose("book.register", {"name": name})
    await world.pass_time(SETTLES + 5, 5)
    failed = await world.get(doubtful)
    assert (failed.state, failed.reason) == (State.FAILED, "proved_absent")
    return failed


async def types(world: World, action: Action) -> list[str]:
    """Return the kinds of an action's entries."""
    of = await world.run(action.run_id)
    told = await world.node.storage.view(TENANT, lambda tx: timeline(tx, of))
    return [one["type"] for one in told if one["stream"] == action.action_id]


async def page(world: World, action: Action) -> str:
    return render.action(*await pages.action(world.node, world.cast.otto, action.action_id))


async def receipt(world: World, action: Action) -> Any:
    """Return what is signed of an action: statement and signature."""
    await world.tick()
    found = await world.node.storage.view(
        TENANT, lambda tx: receipt_bundle(world.node, tx, world.cast.admin, action.receipt_id or "")
    )
    assert found is not None
    return json.loads(found)["envelope"]


async def doctor(world: World) -> dict[str, Any] | None:
    """Return what `signoff doctor --data` says of late finds."""
    said = await asyncio.to_thread(run, "doctor", "--data", world.folder, "--json")
    return next((line for line in said.json["lines"] if line["name"] == "late finds"), None)


async def alarms(world: World) -> int:
    return (await evidence.vitals(world.node, TENANT)).late


async def test_a_look_a_day_later_that_finds_nothing_is_recorded_and_was_the_last(world: World) -> None:
    failed = await absent(world, how="lost_before")
    assert failed.look_at == (failed.ended_at or 0) + DAY
    await world.tick(A_DAY - 60)
    assert await world.get(failed) == failed
    assert (await evidence.vitals(world.node, TENANT)).lag_s == 0
    asked = len(world.target.reads)
    await world.tick(61)
    looked = await world.get(failed)
    assert (looked.state, looked.reason, looked.look_at) == (State.FAILED, "proved_absent", None)
    assert (await types(world, failed))[-1] == "action.looked_up"
    assert len(world.target.reads) == asked + 1
    await world.pass_time(3 * A_DAY, A_DAY)
    assert await world.get(failed) == looked
    assert await alarms(world) == 0
    assert (await world.document(failed))["late_find"] is None
    await world.check_ledger()


async def test_a_late_find_is_alarmed_and_the_action_stays_failed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    failed = await absent(world)
    before = await receipt(world, failed)
    world.target.land()
    await world.tick(A_DAY + 1)
    found = await world.get(failed)
    assert (found.state, found.reason, found.look_at) == (State.FAILED, "found_late", None)
    assert (found.ended_at, found.outcome, found.settled_usd_micros) == (failed.ended_at, failed.outcome, 0)
    assert [one.levelname for one in caplog.records if failed.action_id in one.message][-1] == "ERROR"
    assert await alarms(world) == 1
    shown = await world.document(failed)
    assert shown["late_find"]["result"] == {"entry_id": "E-1"}
    assert (shown["late_find"]["is_open"], shown["late_find"]["agrees"]) == (True, True)
    assert "undo it there, or propose its reversal" in shown["explain"]
    assert "late_find" not in await world.document(failed, world.cast.agent)
    html = await page(world, failed)
    assert "Found in the target a day later." in html and "signoff resolve" in html and "E-1" in html
    assert (await types(world, failed))[-1] == "action.found_late"
    assert await receipt(world, failed) == before  # it says what was proved when it was signed
    line = await doctor(world)
    assert line is not None
    assert (line["state"], failed.action_id in line["note"]) == ("wrong", True)
    assert "propose its reversal" in line["fix"]
    waiting = await waiting_for_people(world.node, world.cast.otto, 10)
    assert [one["action_id"] for one in waiting] == [failed.action_id]
    assert (await audit(world.node, TENANT)).is_sound
    await world.pass_time(3 * A_DAY, A_DAY)
    assert await world.get(failed) == found  # it is said once, and stands until somebody settles it
    await world.check_ledger()


async def test_a_person_ends_the_alarm_with_evidence_and_only_once(world: World) -> None:
    failed = await absent(world)
    world.target.land()
    await world.tick(A_DAY + 1)
    with pytest.raises(Forbidden):
        await world.resolve(failed, "not_done", world.cast.ann)
    settled = await world.resolve(failed, "not_done")
    assert (settled.state, settled.reason) == (State.FAILED, "late_find_settled")
    assert await alarms(world) == 0
    assert await doctor(world) is None
    assert await waiting_for_people(world.node, world.cast.otto, 10) == []
    late = (await world.document(failed))["late_find"]
    assert (late["is_open"], late["resolution"]["evidence"]) == (False, "page 7 of the book")
    assert "page 7 of the book" in await page(world, failed)
    with pytest.raises(Conflict):
        await world.resolve(failed, "not_done")
    await world.check_ledger()


@pytest.mark.parametrize("reading", ["fail", "lost", "garbage", "unreachable"])
async def test_a_look_without_an_answer_is_taken_again_for_a_day_and_then_left_to_a_person(
    world: World, reading: str, caplog: pytest.LogCaptureFixture
) -> None:
    failed = await absent(world)
    world.target.reading["book.find"] = reading
    await world.tick(A_DAY + 1)
    assert (await world.get(failed)).reason == "proved_absent"
    assert await alarms(world) == 0
    await world.pass_time(A_DAY, AN_HOUR)
    waiting = await world.get(failed)
    assert (waiting.state, waiting.reason, waiting.look_at) == (State.FAILED, "late_look_unanswered", None)
    assert await alarms(world) == 1
    assert any(one.levelno == logging.ERROR for one in caplog.records)
    assert "could not be asked" in await page(world, failed)
    assert 20 < waiting.looks - failed.looks <= 26
    assert (await world.resolve(failed, "done")).reason == "late_find_settled"
    await world.check_ledger()


async def test_an_outage_on_the_day_itself_is_waited_out(world: World) -> None:
    failed = await absent(world)
    world.target.reading["book.find"] = "unreachable"
    await world.tick(A_DAY + 1)
    world.target.land()
    del world.target.reading["book.find"]
    await world.tick(AN_HOUR)
    assert (await world.get(failed)).reason == "found_late"
    await world.check_ledger()


async def test_what_another_action_wrote_since_under_that_key_is_no_late_find(world: World) -> None:
    """An agent that is told `failed` proposes the same again: what is found is then that."""
    failed = await absent(world, how="lost_before")
    again = await world.propose("book.register", {"name": "Moby"}, again=True)
    assert again.state is State.SUCCEEDED
    await world.tick(A_DAY + 1)
    looked = await world.get(failed)
    assert (looked.reason, looked.look_at) == ("proved_absent", None)
    assert await alarms(world) == 0
    assert (await world.document(failed))["late_find"]["written_by"] == again.action_id
    assert again.action_id in await page(world, failed)
    assert (await types(world, failed))[-1] == "action.found_another"
    await world.check_ledger()


async def test_a_write_of_another_name_since_explains_nothing(world: World) -> None:
    failed = await absent(world)
    assert (await world.propose("book.register", {"name": "Ahab"})).state is State.SUCCEEDED
    world.target.land()
    await world.tick(A_DAY + 1)
    assert (await world.get(failed)).reason == "found_late"
    await world.check_ledger()


async def test_a_restart_forgets_no_look(world: World) -> None:
    failed = await absent(world)
    world.target.land()
    await world.crash()
    await world.tick(A_DAY + 1)
    assert (await world.get(failed)).reason == "found_late"
    await world.check_ledger()


async def test_who_was_proved_absent_otherwise_is_not_looked_up_again(world: World) -> None:
    """Where no connection was made, or the target says so itself, nothing can come late; and a key of ours holds."""
    world.target.plan.append("error:shelf_closed")
    failed = await world.vote(await world.propose())
    assert (failed.state, failed.look_at) == (State.FAILED, None)
    await world.under(mode="autonomous", asks=False)
    world.target.plan.append("not_sent")
    unsent = await world.propose("book.register", {"name": "Moby"})
    assert (unsent.state, unsent.reason, unsent.look_at) == (State.FAILED, "not_sent", None)
    await world.check_ledger()


async def test_a_jump_of_the_machines_clock_is_told_once_and_so_is_its_end(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    told: list[Any] = []
    for jump in (0, 1_999_999, 3600 * SECOND, 3601 * SECOND, 3600 * SECOND, -5 * SECOND, -5 * SECOND, 0, 0):
        world.clock.jump = jump
        caplog.clear()
        await world.tick()
        watch_clock(world.node)
        told.append([(one.levelname, one.message.split(":")[0]) for one in caplog.records if "clock" in one.message])
        assert (await evidence.vitals(world.node, TENANT)).clock_jump_s == jump / SECOND
    assert [len(one) for one in told] == [0, 0, 1, 0, 0, 1, 0, 1, 0]
    assert [told[at][0][0] for at in (2, 5, 7)] == ["ERROR", "ERROR", "WARNING"]
    assert "3600.0 s ahead of" in told[2][0][1] and "5.0 s behind" in told[5][0][1]


async def test_a_node_that_only_reads_tells_of_its_clock_too(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.node.is_read_only, world.clock.jump = True, 9 * SECOND
    await world.tick()
    world.node.is_read_only = False
    assert [one.levelname for one in caplog.records if "clock" in one.message] == ["ERROR"]
