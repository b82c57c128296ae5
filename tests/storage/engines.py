# SPDX-License-Identifier: Apache-2.0
"""Each engine under test: how it is opened, and how its disk is filled. The contract's tests know no other way in."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from signoff.adapters.marks import HmacMarks
from signoff.adapters.sql.storage import SqliteStorage
from signoff.ports.storage import Storage
from tests.world import SetClock


class Opened(Protocol):
    """One database of an engine."""

    clock: SetClock
    path: Path

    def storage(self, *, runs_twice: bool = True, failpoint: Callable[[str], None] | None = None) -> Storage:
        """Open it; the first one opened creates it."""

    def full(self, storage: Storage) -> Any:
        """Return a context in which the disk is full for this writer."""

    async def close(self) -> None:
        """Close whatever was opened."""


@dataclass(frozen=True)
class OneKey:
    """A ring of log keys with one key, which everyone knows."""

    secret: bytes = bytes(32)

    def active(self, _: str) -> "OneKey":
        return self

    def keys(self, _: str) -> "list[OneKey]":
        return [self]


MARKS = HmacMarks(OneKey())


class OpenedSqlite:
    """SQLite: a file, whose pages can be limited."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.path = SetClock(), folder / "contract.db"
        self._storages: list[SqliteStorage] = []

    def storage(self, *, runs_twice: bool = True, failpoint: Callable[[str], None] | None = None) -> SqliteStorage:
        opened = SqliteStorage(
            self.path, self.clock, MARKS, is_durable=False, runs_twice=runs_twice, failpoint=failpoint
        )
        self._storages.append(opened)
        return opened

    @contextmanager
    def full(self, storage: SqliteStorage) -> Iterator[None]:
        writer: sqlite3.Connection = storage._writer._db
        [most] = writer.execute("PRAGMA max_page_count").fetchone()
        writer.execute(f"PRAGMA max_page_count={writer.execute('PRAGMA page_count').fetchone()[0] + 4}")
        try:
            yield
        finally:
            writer.execute(f"PRAGMA max_page_count={most}")

    async def close(self) -> None:
        for storage in self._storages:
            await storage.close()


ENGINES: dict[str, Callable[[Path], Any]] = {"sqlite": OpenedSqlite}
