# SPDX-License-Identifier: Apache-2.0
"""Whatever a system lists under our keys and no receipt stands for is found; a write that was signed off never is."""

import logging
from typing import Any

import pytest

from signoff.app import evidence
from signoff.app.action.sweep import BACK_US, last_sweeps, sweep_document, sweep_now
from signoff.core.action.doubt import Answer, Answered
from signoff.core.action.lifecycle import State
from signoff.core.authority.contract import ToolDescription, load_contract, schema_digest
from signoff.core.errors import Forbidden
from signoff.ports.connector import Call
from signoff.surfaces.cli.doctor import unreceipted
from signoff.surfaces.http.metrics import Metrics
from signoff.surfaces.web import pages, render
from tests.app.test_doubt import SETTLES
from tests.target import DESCRIBED, SERVER, TOOLS, Row, contract
from tests.world import HOUR, SECOND, TENANT, World

AN_HOUR = HOUR // SECOND
WRITES = ToolDescription(
    "book.writes",
    "Lists what was written.",
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["since"],
        "properties": {"since": {"type": "string"}},
    },
    {
        "type": "object",
        "required": ["writes"],
        "properties": {
            "writes": {
                "type": "array",
                "items": {"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}}},
            }
        },
    },
)
SWEEP = "sweep: {tool: book.writes, args: {since: since}, items: result.writes, key: item.key}"


def listing(*rows: str, sweep: str = SWEEP) -> str:
    """Return a contract whose notes are listed."""
    own = [*TOOLS["book.note"], sweep, *rows]
    digest = schema_digest(WRITES)
    return contract(book_note=own) + f"  book.writes:\n    schema_digest: {digest}\n    effect: read\n"


@pytest.fixture
async def listed(world: World) -> World:
    """Return a world whose book lists its writes."""
    book, answered = world.target, world.target._answered
    book.described["book.writes"] = WRITES

    def answer(call: Call) -> Answer:
        if call.name != "book.writes":
            return answered(call)
        return Answered({"writes": [{"key": row.key} for row in book.rows.values()]})

    book._answered = answer  # type: ignore[method-assign]
    world.node.systems.forget(SERVER)
    await world.publish(listing())
    await world.under(mode="autonomous", asks=False, tools=["book.note", "book.stamp"])
    return world


def past(world: World, key: str = "k-past") -> None:
    """Write into the book as somebody who has its credentials."""
    world.target.rows[f"X-{key}"] = Row(f"X-{key}", key)


async def alarms(world: World) -> int:
    return (await evidence.vitals(world.node, TENANT)).unreceipted


async def test_a_write_past_signoff_is_found_within_the_hour_and_told_with_the_way_to_mend_it(
    listed: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await listed.propose("book.note", {"text": "one"})).state is State.SUCCEEDED
    await listed.tick(61)
    assert await alarms(listed) == 0
    past(listed)
    await listed.tick(AN_HOUR)
    (swept,) = last_sweeps(listed.node, listed.cast.otto)
    assert [(one.key, one.why, one.action_id) for one in swept.found] == [("k-past", "unknown", None)]
    assert swept.listed == 2
    assert await alarms(listed) == 1
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(told) == 1 and "signoff sweep" in told[0] and "k-past" not in told[0]
    assert b"signoff_writes_without_receipt 1.0" in Metrics().text(await evidence.vitals(listed.node, TENANT))
    (line,) = unreceipted(1, 0)
    assert line.state == "wrong" and "credentials" in line.fix
    html = render.home(await pages.home(listed.node, listed.cast.otto, None))
    assert "Something writes past Signoff" in html and "signoff sweep" in html
    await listed.tick(AN_HOUR)
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1  # each find is told once
    del listed.target.rows["X-k-past"]
    await listed.tick(AN_HOUR)
    assert await alarms(listed) == 0


async def test_nothing_is_found_in_a_normal_walk_through_doubt_and_undo(listed: World) -> None:
    done = await listed.propose("book.note", {"text": "one"})
    await listed.undo(done, listed.cast.ann)
    listed.target.plan.append("lost_after")
    doubtful = await listed.propose("book.note", {"text": "two"})
    assert doubtful.state is State.IN_DOUBT
    (during,) = await sweep_now(listed.node, listed.cast.otto)
    assert (during.listed, during.found) == (2, ())
    await listed.pass_time(SETTLES + 5, 5)
    assert (await listed.get(doubtful)).state is State.SUCCEEDED
    (after,) = await sweep_now(listed.node, listed.cast.otto)
    assert (after.found, after.problem) == ((), "")


async def test_a_write_whose_action_says_that_it_was_not_done_is_found_with_its_action(listed: World) -> None:
    await listed.halt()
    denied = await listed.propose("book.note", {"text": "halted"})
    assert denied.state is State.DENIED
    past(listed, denied.key)
    (swept,) = await sweep_now(listed.node, listed.cast.otto)
    assert [(one.why, one.action_id) for one in swept.found] == [("not_done", denied.action_id)]


async def test_a_write_without_a_key_is_found(listed: World) -> None:
    past(listed, "")
    (swept,) = await sweep_now(listed.node, listed.cast.otto)
    assert [one.why for one in swept.found] == ["no_key"]


async def test_a_system_without_an_answer_is_told_and_takes_no_find_back(listed: World) -> None:
    past(listed)
    await listed.tick(61)
    await listed.tick(AN_HOUR)
    listed.target.reading["book.writes"] = "fail"
    await listed.tick(AN_HOUR)
    vitals = await evidence.vitals(listed.node, TENANT)
    assert (vitals.unreceipted, vitals.unswept) == (1, 1)
    (line,) = unreceipted(0, 1)
    assert line.state == "unknown"
    shown = sweep_document(last_sweeps(listed.node, listed.cast.otto))
    assert shown["items"][0]["problem"] and shown["found"] == 1


async def test_a_shorter_period_is_looked_through_and_stands_for_nothing(listed: World) -> None:
    past(listed)
    now = listed.clock.now()
    (swept,) = await sweep_now(listed.node, listed.cast.otto, now - HOUR)
    assert len(swept.found) == 1 and await alarms(listed) == 0
    assert listed.target.reads[-1].args["since"].endswith("Z")
    await sweep_now(listed.node, listed.cast.otto, now - BACK_US)
    assert await alarms(listed) == 1


async def test_a_sweep_takes_an_auditor_or_operator(listed: World) -> None:
    for who in (listed.cast.zoe, listed.cast.agent):
        with pytest.raises(Forbidden):
            await sweep_now(listed.node, who)
        with pytest.raises(Forbidden):
            last_sweeps(listed.node, who)


async def test_a_node_that_is_told_never_to_sweep_does_not(listed: World) -> None:
    listed.node.sweeps.each_s = 0
    past(listed)
    await listed.tick(2 * AN_HOUR)
    assert last_sweeps(listed.node, listed.cast.otto) == []


async def test_a_contract_that_says_how_to_sweep_changes_nothing_for_what_waits(listed: World) -> None:
    await listed.under(tools=["book.note"])
    waiting = await listed.propose("book.note", {"text": "one"})
    await listed.publish(contract())
    assert (await listed.vote(waiting)).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (SWEEP.replace("item.key", "item.kex"), "item.kex"),
        (SWEEP.replace("since: since", "since: sinse"), "sinse"),
        (SWEEP.replace("result.writes", "result.write"), "result.write"),
        (SWEEP.replace("book.writes", "book.stamp"), "which is a write"),
        (SWEEP.replace("{since: since}", "{sins: since}"), "no argument"),
        (SWEEP.replace(", key: item.key", ""), "key"),
    ],
)
def test_a_sweep_that_could_never_find_anything_does_not_load(sweep: str, said: str) -> None:
    known: dict[str, Any] = {**DESCRIBED, "book.writes": WRITES}
    contract_, findings = load_contract(listing(sweep=sweep), "book.yaml", known)
    assert contract_ is None or any(one.severity == "error" for one in findings)
    assert said in " ".join(one.what for one in findings), findings


def test_a_sweep_is_of_no_use_where_signoff_puts_in_no_key() -> None:
    text = contract(book_stamp=[*TOOLS["book.stamp"], SWEEP]) + "  book.writes: {effect: read}\n"
    _, findings = load_contract(text, "book.yaml")
    assert any(one.code == "contract.no_meaning" for one in findings)
