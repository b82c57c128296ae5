# SPDX-License-Identifier: Apache-2.0
"""A clean stop leaves nothing to the next start: receipts are signed, entries integrated, the mirror knows the last."""

import asyncio
import logging
import threading
from pathlib import Path

import pytest

from signoff import wiring
from signoff.app import world as app
from signoff.app.authority import people
from signoff.app.tick import finish, tick
from signoff.core.errors import Unavailable
from signoff.core.principal import Caller
from signoff.ports.storage import Transaction
from signoff.settings import Settings
from tests.world import TENANT, World


async def left(world: World) -> tuple[int, int, bool]:
    """Return how many receipts are unsigned, how many entries pend, and whether the mirror has the last checkpoint."""
    node = world.node

    def look(tx: Transaction) -> tuple[int, int, tuple[int, str]]:
        head = tx.ledger.head(node.origin(TENANT))
        assert head is not None
        pending = tx.ledger.pending(1000)
        return len(tx.receipts.unsigned(100)), len(pending), (head.size, head.note)

    unsigned, pending, head = await node.storage.view(TENANT, look)
    return unsigned, pending, node.mirror.last(node.origin(TENANT)) == head


async def test_a_stop_signs_integrates_and_mirrors_what_was_done_last(world: World) -> None:
    await world.tick()
    await world.posted()
    unsigned, pending, _ = await left(world)
    assert (unsigned, pending > 3) == (1, True)
    await finish(world.node, TENANT, 10)
    assert await left(world) == (0, 0, True)
    await world.check_ledger()


async def test_a_checkpoint_that_was_recorded_and_not_mirrored_yet_is_mirrored_by_the_stop(world: World) -> None:
    """A tick that the stop cut short had come so far."""
    mirror = world.node.mirror

    class Late:
        def keep(self, origin: str, size: int, note_text: str) -> None:
            raise Unavailable("The mirror is away.", "A test took it.", "Bring it back.")

        last = staticmethod(mirror.last)

    world.node.mirror = Late()
    with pytest.raises(Unavailable):
        await world.tick()
    assert (await left(world))[1:] == (0, False)
    world.node.mirror = mirror
    await finish(world.node, TENANT, 10)
    assert await left(world) == (0, 0, True)


async def test_a_mirror_that_hangs_does_not_hold_up_a_stop(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """The log is whole all the same, and the next start mirrors it."""
    mirror, hanging, is_asked = world.node.mirror, threading.Event(), threading.Event()

    class Hanging:
        def keep(self, origin: str, size: int, note_text: str) -> None:
            is_asked.set()
            hanging.wait()

        last = staticmethod(mirror.last)

    world.node.mirror = Hanging()
    await world.posted()
    await asyncio.wait_for(finish(world.node, TENANT, 0.3), 20)
    assert is_asked.is_set()
    assert (await left(world))[:2] == (0, 0)
    assert "the next start does it" in caplog.text
    hanging.set()


async def test_a_database_that_takes_nothing_does_not_hold_up_a_stop(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.posted()
    world.node.storage.freeze(Unavailable("It is frozen.", "A test froze it.", "Thaw it.", code="storage.unavailable"))
    with caplog.at_level(logging.WARNING):
        await finish(world.node, TENANT, 10)
    assert "storage.unavailable" in caplog.text
    world.node.storage._frozen = None  # type: ignore[attr-defined]
    world.node.is_read_only = True  # then nothing is written either, and nothing is said
    caplog.clear()
    await finish(world.node, TENANT, 10)
    assert caplog.text == ""
    assert (await left(world))[0] == 1


async def test_a_node_that_ends_does_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its timers look once and then sleep: what comes after is integrated by the stop alone."""
    looked = asyncio.Event()

    async def look_once(world: app.World, tenant: str) -> None:
        await tick(world, tenant)
        looked.set()

    monkeypatch.setattr(wiring, "TICK_S", 3600)
    monkeypatch.setattr(wiring, "tick", look_once)
    settings = Settings(data=tmp_path)
    async with wiring.node(settings) as world:
        first = (await world.storage.view(TENANT, lambda tx: tx.authority.people("", 1)))[0]
        await looked.wait()
        await people.add_person(world, Caller(TENANT, first.person_id, first.roles), "Ann", "ann@play.test", ())
        assert await world.storage.view(TENANT, lambda tx: tx.ledger.pending(9))
    async with wiring.reading(settings) as world:
        assert await world.storage.view(TENANT, lambda tx: tx.ledger.pending(9)) == []
        head = await world.storage.view(TENANT, lambda tx: tx.ledger.head(world.origin(TENANT)))
        assert head is not None
        assert world.mirror.last(head.origin) == (head.size, head.note)
