# SPDX-License-Identifier: Apache-2.0
"""The floor: two small records made durable, one after the other, with nothing around them.

Callers queue; one writer takes what waits, writes it and syncs once. So a governed write, which makes an intent and
an outcome durable, is compared with what this disk and this event loop allow at best.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.row import Load, loaded

RECORD = b"x" * 1000
BATCH_MAX = 64


class Writer:
    """Takes what waits, keeps it, and only then wakes who waited."""

    def __init__(self, keep: Callable[[int], None]) -> None:
        """Begin.

        Args:
            keep: makes so many records durable.
        """
        self._keep = keep
        self._waiting: list[asyncio.Future[None]] = []
        self._working: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1)

    async def write(self) -> None:
        """Make one record durable."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(done)
        if self._working is None:
            self._working = loop.create_task(self._work())
        await done

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await loop.run_in_executor(self._disk, self._keep, len(batch))
            for done in batch:
                done.set_result(None)
            await asyncio.sleep(0)
        self._working = None


async def appended(folder: Path, callers: int, calls: int) -> Load:
    """Time pairs of records appended to a file, each batch with one fdatasync."""
    handle = os.open(folder / "floor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def keep(count: int) -> None:
        os.write(handle, RECORD * count)
        os.fdatasync(handle)

    try:
        return await _pairs(keep, callers, calls)
    finally:
        os.close(handle)


async def committed(folder: Path, callers: int, calls: int) -> Load:
    """Time pairs of records in SQLite (write-ahead log, synchronous=FULL), each batch one commit."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT")

    def keep(count: int) -> None:
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO records (record) VALUES (?)", [(RECORD,)] * count)
        database.execute("COMMIT")

    try:
        return await _pairs(keep, callers, calls)
    finally:
        database.close()


async def _pairs(keep: Callable[[int], None], callers: int, calls: int) -> Load:
    writer = Writer(keep)

    async def pair(_who: int, _number: int) -> None:
        await writer.write()
        await writer.write()

    return await loaded(callers, calls, pair)
