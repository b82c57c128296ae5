# SPDX-License-Identifier: Apache-2.0
"""The runbook says of each write who takes it back, how, until when, and when that last worked."""

import pytest

from signoff.app.authority.runbook import markdown, runbook
from signoff.core.errors import Forbidden, NotFound
from tests.target import TOOLS, contract
from tests.world import World


async def test_each_write_says_who_how_until_when_and_that_nobody_ever_tried(world: World) -> None:
    await world.under()
    lines = {line["tool"]: line for line in await runbook(world.node, world.cast.zoe)}
    assert set(lines) == {tool for tool, rows in TOOLS.items() if "effect: write" in rows}
    entry = lines["book.create"]
    assert "one person of Clerk" in entry["who"]
    assert "book.reverse with entry_id = result.entry_id" in entry["how"]
    assert "book.get is asked" in entry["how"]
    assert "status, amount is as right after the write" in entry["until"][0]
    assert any("30 days; it is looked up by that" in one for one in entry["until"])
    assert entry["last_tested"] is None
    assert lines["book.stamp"]["how"] == "ink stays" and "Signoff does not do it" in lines["book.stamp"]["who"]
    assert "No check" in lines["book.lend"]["until"][0]


async def test_a_reversal_that_succeeded_counts_as_its_last_test_and_one_that_waits_does_not(world: World) -> None:
    await world.under()
    done = await world.posted()
    reversal = await world.undo(done)
    tested = {line["tool"]: line["last_tested"] for line in await runbook(world.node, world.cast.ann)}
    assert tested["book.create"] is None
    ended = await world.vote(reversal)
    tested = {line["tool"]: line["last_tested"] for line in await runbook(world.node, world.cast.ann, "book")}
    assert tested["book.create"]["action_id"] == ended.action_id
    assert tested["book.note"] is None
    page = markdown(await runbook(world.node, world.cast.ann))
    assert page.count("## ") == len(tested) and f"action {ended.action_id}" in page and "never" in page


async def test_what_a_contract_says_is_never_markup(world: World) -> None:
    rows = [row for row in TOOLS["book.stamp"] if not row.startswith("reversal_note")]
    await world.publish(contract(book_stamp=[*rows, 'reversal_note: "`<script>` [x](y)"']))
    page = markdown(await runbook(world.node, world.cast.ann))
    assert "- **How:** `'<script>' [x](y)`" in page


async def test_the_runbook_is_for_people_and_of_systems_that_are_there(world: World) -> None:
    with pytest.raises(Forbidden):
        await runbook(world.node, world.cast.agent)
    with pytest.raises(NotFound, match="no system"):
        await runbook(world.node, world.cast.ann, "nowhere")
