# SPDX-License-Identifier: Apache-2.0
"""Group commit: bodies queue, run in turn with a savepoint each, are committed once, and only then wake their callers.

An error of a body undoes that body alone. An error of the engine undoes the whole batch; its bodies then run again one
by one, at most three times. A body touches nothing but its transaction, so that running it again is harmless.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from signoff.adapters.sql.action import SqlActions, SqlLeases, SqlReceipts, SqlRuns
from signoff.adapters.sql.authority import SqlAuthority
from signoff.adapters.sql.engine import Connection, create_or_check, is_engine_error
from signoff.adapters.sql.ledger import SqlLedger, SqlPayloads
from signoff.adapters.sql.nouns import NOUNS
from signoff.adapters.sql.stored import SqlStored
from signoff.core.errors import Conflict, Unavailable
from signoff.ports.clock import Clock
from signoff.ports.storage import Storage, Transaction

T = TypeVar("T")
BATCH_MAX = 64
QUEUE_MAX = 4096
TRIES_MAX = 3
READERS = 4


class SqlTransaction:
    """One tenant's rows within one engine transaction."""

    def __init__(self, connection: Connection, tenant: str, now: int) -> None:
        self.tenant, self.now = tenant, now
        self._connection = connection
        self.edges: list[str] = []
        self.actions = SqlActions(connection, tenant, now)
        self.runs = SqlRuns(connection, tenant)
        self.authority = SqlAuthority(connection, tenant)
        self.ledger = SqlLedger(connection, tenant)
        self.receipts = SqlReceipts(connection, tenant)
        self.payloads = SqlPayloads(connection, tenant)
        self.leases = SqlLeases(connection, tenant)
        self.stored = SqlStored(connection, tenant)

    def insert(self, row: Any) -> None:
        NOUNS[type(row)].insert(self._connection, self._own(row))

    def update(self, row: Any, changes: Mapping[str, Any]) -> None:
        if not NOUNS[type(row)].update(self._connection, self._own(row), changes):
            raise Conflict(
                what="Somebody else was faster.",
                why=f"What was read at entry {row.seq} has moved since.",
                fix="Read it again and decide anew.",
                code="storage.moved",
            )

    def passed(self, edge: str) -> None:
        self.edges.append(edge)

    def _own(self, row: Any) -> Any:
        if row.tenant != self.tenant:
            raise AssertionError("a transaction is opened for one tenant and cannot name another")
        return row


@dataclass(slots=True)
class _Job:
    tenant: str
    body: Callable[[Transaction], Any]
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None
    edges: list[str] = field(default_factory=list)


class SqliteStorage(Storage):
    """The embedded database: one writer thread, a few readers."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        is_durable: bool = True,
        runs_twice: bool = False,
        failpoint: Callable[[str], None] | None = None,
    ) -> None:
        """Open or create the database at `path`.

        Args:
            is_durable: sync at every commit; only a test that loses nothing by it says False.
            runs_twice: run every body twice, the first time for nothing, to find bodies that are not repeatable.
            failpoint: called with `<edge>:before` and `<edge>:after` around each commit that crosses an edge.
        """
        create_or_check(path)
        self._clock, self._runs_twice, self._failpoint = clock, runs_twice, failpoint
        self._writer = Connection(str(path), is_durable=is_durable)
        self._path = path
        self._queue: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._commits = 0
        self._local = threading.local()
        self._read_connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="signoff-reader")
        self._thread = threading.Thread(target=self._work, name="signoff-writer", daemon=True)
        self._thread.start()

    async def transact(self, tenant: str, body: Callable[[Transaction], T], guards: Sequence[str] = ()) -> T:
        # One writer sees what is committed and nothing else, so that no guard row has to be locked here.
        loop = asyncio.get_running_loop()
        job = _Job(tenant, body, loop, loop.create_future())
        with self._wake:
            if self._is_closing or len(self._queue) >= QUEUE_MAX:
                raise _busy("It is shutting down." if self._is_closing else f"{QUEUE_MAX} transactions wait already.")
            self._queue.append(job)
            self._wake.notify()
        return cast("T", await job.future)

    async def view(self, tenant: str, body: Callable[[Transaction], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._view, tenant, body)

    async def close(self) -> None:
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._readers.shutdown(wait=True)
        for connection in self._read_connections:
            connection.close()
        self._writer.close()

    def _view(self, tenant: str, body: Callable[[Transaction], T]) -> T:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(str(self._path), read_only=True)
            self._read_connections.append(connection)
        connection.begin(to_write=False)
        try:
            return body(cast("Transaction", SqlTransaction(connection, tenant, self._clock.now())))
        finally:
            connection.rollback()

    # --- the writer thread ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        while batch := self._take():
            self._run(batch)
            for loop in {job.loop for job in batch}:
                mine = [job for job in batch if job.loop is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_answer, mine)
            self._commits += 1
            if self._commits % 64 == 0:
                self._writer.keep_log_small()

    def _take(self) -> list[_Job]:
        with self._wake:
            while not self._queue and not self._is_closing:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]

    def _run(self, batch: list[_Job]) -> None:
        try:
            self._commit_together(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must get an answer
            if len(batch) == 1 and not is_engine_error(error):
                batch[0].error = error
                return
            for job in batch:
                self._run_alone(job)

    def _run_alone(self, job: _Job) -> None:
        for _ in range(TRIES_MAX):
            job.result = job.error = None
            try:
                return self._commit_together([job])
            except Exception as error:  # noqa: BLE001  # kept as the cause of what the caller gets
                job.error = error
        cause = job.error
        job.error = _busy(f"The engine says: {cause}.") if cause and is_engine_error(cause) else cause
        if job.error is not cause and job.error is not None:
            job.error.__cause__ = cause
        return None

    def _commit_together(self, batch: list[_Job]) -> None:
        connection = self._writer
        try:
            connection.begin(to_write=True)
            now = self._clock.now()
            for job in batch:
                self._run_body(job, now)
            edges = [edge for job in batch if job.error is None for edge in job.edges]
            self._fail(edges, "before")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        self._fail(edges, "after")

    def _run_body(self, job: _Job, now: int) -> None:
        connection = self._writer
        for is_rehearsal in (True, False) if self._runs_twice else (False,):
            connection.execute("SAVEPOINT body")
            transaction = SqlTransaction(connection, job.tenant, now)
            job.result = job.error = None
            try:
                job.result = job.body(cast("Transaction", transaction))
            except Exception as error:
                if is_engine_error(error):
                    raise
                job.error = error
            if job.error is not None or is_rehearsal:
                connection.execute("ROLLBACK TO body")
            connection.execute("RELEASE body")
            job.edges = transaction.edges

    def _fail(self, edges: list[str], side: str) -> None:
        if self._failpoint is not None:
            for edge in edges:
                self._failpoint(f"{edge}:{side}")


def kill_at(point: str) -> Callable[[str], None]:
    """Return a failpoint that ends this process, as a power cut would, when `point` is reached."""

    def check(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), 9)

    return check


def _answer(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller hung up; the work stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _busy(why: str) -> Unavailable:
    return Unavailable(
        what="The database cannot take this now; nothing was lost or half done.",
        why=why,
        fix="Send the same request again with the same idempotency key in a few seconds.",
        code="storage.unavailable",
        retry_after_s=2,
    )
