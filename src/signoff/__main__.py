# SPDX-License-Identifier: Apache-2.0
"""`signoff` and `python -m signoff`: the command line, with the doors that only the wiring can open."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from signoff.surfaces.cli import Doors, run

if TYPE_CHECKING:
    from signoff.app.world import World
    from signoff.core.authority.contract import Server
    from signoff.ports.connector import Connector
    from signoff.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    return run(sys.argv[1:] if arguments is None else arguments, Doors(_node, _reading, _connect))


def _node(settings: "Settings") -> "AbstractAsyncContextManager[World]":
    from signoff.wiring import node

    return node(settings)


def _connect(server: "Server") -> "Connector":
    from signoff.wiring import connect

    return connect(server)


@asynccontextmanager
async def _reading(settings: "Settings") -> "AsyncIterator[World]":
    """Open a data directory that is there, to read: no lock is taken, no timer runs, and nothing is made.

    Raises:
        Misuse, NotFound, Corrupt: its keys or database cannot be used; each says why.
    """
    from signoff.adapters.clock import SystemChance, SystemClock
    from signoff.adapters.ed25519 import Ed25519Signer
    from signoff.adapters.keyfiles import KeyFiles
    from signoff.adapters.mirror import CheckpointMirror
    from signoff.adapters.sql.storage import SqliteStorage
    from signoff.adapters.tokens import JwtTokens
    from signoff.adapters.vault import AesGcmVault
    from signoff.app.payloads import Keyring
    from signoff.app.systems import Systems
    from signoff.app.world import World

    keys = KeyFiles.open(settings.keys, settings.installation)
    clock, chance = SystemClock(), SystemChance()
    storage = SqliteStorage(settings.database, clock)
    world = World(
        storage=storage,
        clock=clock,
        chance=chance,
        signer=Ed25519Signer(keys),
        tokens=JwtTokens(keys, settings.installation),
        keyring=Keyring(AesGcmVault(keys), chance, clock),
        systems=Systems(_connect, clock),
        mirror=CheckpointMirror(settings.mirror_directory),
        installation=settings.installation,
        node="",
        is_read_only=True,
        log_keys=keys.verifier_keys(),
    )
    try:
        yield world
    finally:
        await world.systems.close()
        await storage.close()


if __name__ == "__main__":
    sys.exit(main())
