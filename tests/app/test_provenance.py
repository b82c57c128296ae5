# SPDX-License-Identifier: Apache-2.0
"""A value goes through only if the user named it, or a trusted read brought it in before the agent said it."""

from typing import Any

from signoff.app.action.runs import begin_run
from signoff.core.action.lifecycle import Action, State
from tests.directory import OURS, THEIRS, Directory, opened, page
from tests.world import World

RULES = (
    "invoice_no: [user, tool:dir.invoice.invoice_no], vendor_id: [tool:dir.invoice.vendor_id],"
    " amount_cents: [tool:dir.invoice.payable_cents], iban: [tool:dir.vendor.iban]"
)
TASK = "Please pay INV-7 of Northwind."


async def working(world: World, rules: str = RULES, task: str = TASK, **changed: Any) -> Directory:
    """Open a directory and begin a run under a page with these rules."""
    more = changed.pop("more", "")
    directory = await opened(world, **changed)
    await world.publish(page(rules, more=more))
    await begin(world, task)
    return directory


async def begin(world: World, task: str = TASK) -> None:
    world.clock.advance(1)
    run, _ = await begin_run(world.node, world.cast.agent, "payments", task)
    world.run_id = run.run_id


async def read(world: World, tool: str, **args: Any) -> Action:
    done = await world.propose(tool, args, again=True)
    assert done.state in (State.SUCCEEDED, State.FAILED), done
    return done


async def pay(world: World, **args: Any) -> Action:
    return await world.propose("dir.pay", args, again=True)


async def why(world: World, action: Action, check: str = "provenance") -> str:
    """Return what people are told about a check."""
    shown = await world.document(action)
    return next(one["detail"] for one in shown["decision"]["checks"] if one["check"] == check)


GOOD = {"invoice_no": "INV-7", "vendor_id": "V-1001", "amount_cents": 120_050, "iban": OURS}


async def test_what_the_user_named_and_trusted_reads_brought_in_goes_through(world: World) -> None:
    directory = await working(world)
    await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query="Northwind")
    paid = await pay(world, **GOOD)
    assert paid.state is State.SUCCEEDED, await why(world, paid)
    assert len(directory.paid) == 1
    assert "invoice_no: user" in await why(world, paid)
    await world.check_ledger()


async def test_a_value_of_a_stranger_asks_and_its_true_origin_is_told_to_people_alone(world: World) -> None:
    directory = await working(world)
    seen = await read(world, "dir.invoice", invoice_no="INV-7")
    await read(world, "dir.vendor", query="Northwind")
    asked = await pay(world, **GOOD | {"iban": THEIRS})
    assert asked.state is State.PENDING_APPROVAL
    told = await why(world, asked)
    assert f"dir.invoice note of {seen.action_id} (untrusted, inside a text)" in told
    assert THEIRS not in told
    shown = await world.document(asked, world.cast.agent)
    assert {"check": "provenance", "outcome": "ask", "reason": "provenance_unproved"} in shown["decision"]["checks"]
    assert "note" not in str(shown["decision"])
    assert directory.paid == []
    await world.check_ledger()
