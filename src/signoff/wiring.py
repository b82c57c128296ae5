# SPDX-License-Identifier: Apache-2.0
"""The only file that knows every room: puts a node together from its settings."""

import asyncio
import fcntl
import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from signoff.adapters.clock import SystemChance, SystemClock
from signoff.adapters.connectors.mcp_tool import McpConnector, http, stdio
from signoff.adapters.ed25519 import Ed25519Signer
from signoff.adapters.keyfiles import KeyFiles
from signoff.adapters.marks import HmacMarks
from signoff.adapters.mirror import CheckpointMirror
from signoff.adapters.sql.storage import SqliteStorage, kill_at
from signoff.adapters.tokens import JwtTokens
from signoff.adapters.vault import AesGcmVault
from signoff.app.epochs import look_at_log
from signoff.app.payloads import Keyring
from signoff.app.setup import open_tenant
from signoff.app.sweeps import Sweeps
from signoff.app.systems import Systems
from signoff.app.tick import finish, tick
from signoff.app.world import TENANT, World
from signoff.core.authority.contract import Server
from signoff.core.errors import Conflict, Malformed, SignoffError
from signoff.core.ids import mint
from signoff.ports.connector import Connector
from signoff.settings import Settings

log = logging.getLogger("signoff.node")
TICK_S = 0.25
DRAIN_S = 10.0
FINISH_S = 2.0  # of that, kept for what was done last: its receipts, its place in the log, the mirror


class DirectoryLock:
    """One process owns a data directory; the operating system's lock goes with the process."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (data / "lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Conflict(
                what=f"The data in {data} is in use.",
                why="Another Signoff process serves it; two would not see each other's work.",
                fix="Leave out --data and give --url: the running server does it over HTTP. Or stop that server first.",
                code="data.in_use",
            ) from error

    def release(self) -> None:
        self._file.close()


def connect(server: Server) -> Connector:
    """Return a connector for a contract's server."""
    if server.kind == "mcp_stdio":
        named = [*((name, name) for name in server.env), *server.env_as]
        return McpConnector(
            stdio(server.command, {name: os.environ[ours] for name, ours in named if ours in os.environ})
        )
    if server.kind == "mcp_http" and server.url:
        return McpConnector(http(server.url))
    raise Malformed(
        what=f"Servers of kind {server.kind} cannot be reached by this version.",
        why="It has connectors for MCP over stdio and streamable HTTP.",
        fix="Put an MCP server before the system, or use a later version.",
        path="server",
    )


@asynccontextmanager
async def node(settings: Settings) -> AsyncIterator[World]:
    """Run a node on its data directory, with its timers, until the block ends; then drain.

    The first start of an empty directory creates keys, database and a first admin, whose API key is written to
    `DATA/admin.key`, readable by its owner only.

    Raises:
        Conflict: another process owns the directory.
    """
    lock = DirectoryLock(settings.data)
    try:
        keys = KeyFiles.create_or_open(settings.keys, settings.installation)
        clock, chance = SystemClock(), SystemChance()
        failpoint = kill_at(settings.failpoint) if settings.failpoint else None
        storage = SqliteStorage(settings.database, clock, HmacMarks(keys), failpoint=failpoint)
        clock.advance_floor(await storage.view(TENANT, lambda tx: tx.ledger.last_at()))
        world = _world(settings, keys, storage, clock, chance)
        ticking: asyncio.Task[None] | None = None
        try:
            await open_tenant(world, TENANT, partial(_keep_secret, settings.data / "admin.key"))
            ticking = asyncio.create_task(_tick_on(world))
            # What a node is made of lives as long as it does. Looked through again and again for garbage, it would hold
            # up the event loop for some 50 ms each time.
            gc.collect()
            gc.freeze()
            yield world
        finally:
            if ticking is not None:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking
            loop = asyncio.get_running_loop()
            until = loop.time() + DRAIN_S
            await world.legs.drain(DRAIN_S - FINISH_S)
            if ticking is not None:
                await finish(world, TENANT, until - loop.time())
            await world.systems.close()
            await storage.close()
    finally:
        lock.release()


@asynccontextmanager
async def owned(settings: Settings) -> AsyncIterator[World]:
    """Own a data directory that is there, to change it while nobody serves it: no timer runs, nothing is sent.

    Raises:
        Conflict: another process owns the directory.
        Misuse, NotFound, Corrupt: its keys or database cannot be used; each says why.
    """
    lock = DirectoryLock(settings.data)
    try:
        keys = KeyFiles.open(settings.keys, settings.installation)
        clock = SystemClock()
        storage = SqliteStorage(settings.database, clock, HmacMarks(keys))
        world = _world(settings, keys, storage, clock, SystemChance())
        try:
            clock.advance_floor(await storage.view(TENANT, lambda tx: tx.ledger.last_at()))
            yield world
        finally:
            await world.systems.close()
            await storage.close()
    finally:
        lock.release()


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[World]:
    """Open a data directory that is there, to read: no lock is taken, no timer runs, and nothing is made.

    Raises:
        Misuse, NotFound, Corrupt: its keys or database cannot be used; each says why.
    """
    keys = KeyFiles.open(settings.keys, settings.installation)
    clock = SystemClock()
    storage = SqliteStorage(settings.database, clock, HmacMarks(keys))
    world = _world(settings, keys, storage, clock, SystemChance())
    world.is_read_only = True
    try:
        await look_at_log(world, TENANT)
        yield world
    finally:
        await world.systems.close()
        await storage.close()


def _world(
    settings: Settings, keys: KeyFiles, storage: SqliteStorage, clock: SystemClock, chance: SystemChance
) -> World:
    return World(
        storage=storage,
        clock=clock,
        chance=chance,
        signer=Ed25519Signer(keys),
        tokens=JwtTokens(keys, settings.installation),
        keyring=Keyring(AesGcmVault(keys), chance, clock),
        systems=Systems(connect, clock),
        mirror=CheckpointMirror(settings.mirror_directory),
        installation=settings.installation,
        node=mint("nod", clock.now(), chance.bytes(10)),
        log_keys=keys.verifier_keys(),
        quotas=settings.quotas,
        requires_delegation=settings.requires_delegation,
        sweeps=Sweeps(settings.sweep_each_s),
        circuits=settings.circuits,
    )


async def _tick_on(world: World) -> None:
    while True:
        try:
            await tick(world, TENANT)
        except SignoffError as error:
            log.error("a tick failed: %s %s", error.what, error.why)
        except Exception:
            log.exception("a tick failed; it is tried again")
        await asyncio.sleep(TICK_S)


def _keep_secret(path: Path, secret: str) -> None:
    """Put the secret in a file of its owner's, whole and on the disk; that of a first start cut short is replaced."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(handle)
    unfinished.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
