# SPDX-License-Identifier: Apache-2.0
"""Group commit: bodies queue, run in turn, are committed once, and only then wake their callers.

An error of a body undoes that body alone: where it had written, the batch runs again with a savepoint for each. An
error of the engine undoes the whole batch; its bodies then run again one by one, at most three times. A body touches
nothing but its transaction, so that running it again is harmless.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from signoff.adapters.sql.action import SqlActions, SqlLeases, SqlReceipts, SqlRuns
from signoff.adapters.sql.authority import SqlAuthority
from signoff.adapters.sql.engine import Connection, EngineError, create_or_check, engine_failed, is_engine_error
from signoff.adapters.sql.known import Known
from signoff.adapters.sql.ledger import SqlLedger
from signoff.adapters.sql.nouns import NOUNS
from signoff.adapters.sql.payloads import SqlPayloads, SqlSubjects
from signoff.adapters.sql.sends import ToolSends
from signoff.adapters.sql.spending import Spending
from signoff.adapters.sql.stored import SqlStored
from signoff.adapters.sql.sums import SqlSums
from signoff.adapters.sql.tally import Line, RunTally
from signoff.core.action.lifecycle import Action
from signoff.core.errors import Conflict, Unavailable
from signoff.ports.clock import Clock
from signoff.ports.marks import Marks
from signoff.ports.storage import Storage, Transaction

T = TypeVar("T")
log = logging.getLogger("signoff.storage")
BATCH_MAX = 64
QUEUE_MAX = 4096
TRIES_MAX = 3
READERS = 4
CHECKPOINT_EVERY = 64  # batches; the write-ahead log then is some megabytes at most


class SqlTransaction:
    """One tenant's rows within one engine transaction."""

    def __init__(self, connection: Connection, known: Known, tenant: str, now: int, marks: Marks) -> None:
        self.tenant, self.now = tenant, now
        self._connection, self._known = connection, known
        self.edges: list[str] = []
        self.actions = SqlActions(connection, known, tenant, now)
        self.runs = SqlRuns(connection, known, tenant)
        self.authority = SqlAuthority(connection, known, tenant)
        self.subjects = SqlSubjects(connection, tenant)
        self.ledger = SqlLedger(connection, tenant, marks)
        self.receipts = SqlReceipts(connection, tenant)
        self.payloads = SqlPayloads(connection, tenant)
        self.leases = SqlLeases(connection, tenant)
        self.sums = SqlSums(connection, known, tenant)
        self.stored = SqlStored(connection, tenant)

    def insert(self, row: Any) -> None:
        NOUNS[type(row)].insert(self._connection, self._own(row))
        self._written(None, row)

    def update(self, was: Any, row: Any, names: Iterable[str]) -> None:
        if not NOUNS[type(row)].update(self._connection, self._own(was), self._own(row), tuple(names)):
            raise Conflict(
                what="Somebody else was faster.",
                why=f"What was read at entry {was.seq} has moved since.",
                fix="Read it again and decide anew.",
                code="storage.moved",
            )
        self._written(was, row)

    def passed(self, edge: str) -> None:
        self.edges.append(edge)

    def _written(self, was: Any, row: Any) -> None:
        """Know an action as it is now; of other kinds, forget what was known."""
        if type(row) is not Action:
            self._known.forget(row.__class__, self.tenant)
            return
        self._known.put(Action, self.tenant, row.action_id, row)
        tally: RunTally | None = self._known.peek(RunTally, self.tenant, row.run_id)
        if tally is not None:
            tally.put(Line.of(row))
        if row.claimed_at is not None:
            sends: ToolSends | None = self._known.peek(ToolSends, self.tenant, row.tool)
            if sends is not None:
                sends.put(row)
        if periods := self._known.each(Spending, self.tenant):
            run = self.runs.get(row.run_id)
            for period in periods.values():
                if run is not None and period.since <= row.proposed_at < period.until:
                    period.put(run, was, row)

    def _own(self, row: Any) -> Any:
        if row.tenant != self.tenant:
            raise AssertionError("a transaction is opened for one tenant and cannot name another")
        return row


@dataclass(slots=True)
class _Job:
    tenant: str
    body: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"
    result: Any = None
    error: Exception | None = None
    edges: list[str] = field(default_factory=list)

    def answer(self) -> None:
        if self.future.done():  # the caller hung up; the work stands
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _HalfDone(Exception):
    """A body failed after it had written something."""


class SqliteStorage(Storage):
    """The embedded database: one writer, a few readers.

    Bodies run on the event loop's own thread, and only the commit, which waits for the disk, runs beside it. A driver
    gives up the interpreter at every statement: with a thread of its own each would be fought for anew.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        marks: Marks,
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
        self._clock, self._marks = clock, marks
        self._runs_twice, self._failpoint = runs_twice, failpoint
        self._writer = Connection(str(path), is_durable=is_durable)
        self._known = Known()
        self._path = path
        self._queue: deque[_Job] = deque()
        self._scrubs: list[asyncio.Future[bool]] = []
        self._working: asyncio.Task[None] | None = None
        self._is_closing = False
        self._frozen: Unavailable | None = None
        self._commits = 0
        self._local = threading.local()
        self._read_connections: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="signoff-reader")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="signoff-commit")
        self._sweeper = Connection(str(path), is_durable=is_durable)
        self._sweeping: asyncio.Future[None] | None = None
        self._sweep = ThreadPoolExecutor(1, thread_name_prefix="signoff-checkpoint")

    async def transact(self, tenant: str, body: Callable[[Transaction], T], guards: Sequence[str] = ()) -> T:
        # One writer sees what is committed and nothing else, so that no guard row has to be locked here.
        if self._frozen is not None:
            raise self._frozen
        if self._is_closing or len(self._queue) >= QUEUE_MAX:
            raise _busy("It is shutting down." if self._is_closing else f"{QUEUE_MAX} transactions wait already.")
        loop = asyncio.get_running_loop()
        job = _Job(tenant, body, loop.create_future())
        self._queue.append(job)
        if self._working is None:
            self._working = loop.create_task(self._work(), name="signoff-writer")
        return cast("T", await job.future)

    async def view(self, tenant: str, body: Callable[[Transaction], T], *, is_short: bool = False) -> T:
        if self._is_closing:
            raise _busy("It is shutting down.")
        if is_short:
            return self._view(tenant, body)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._view, tenant, body)

    def freeze(self, why: Unavailable) -> None:
        self._frozen = why

    async def scrub(self, size_max: int | None = None) -> bool:
        if self._frozen is not None:
            raise self._frozen
        if self._is_closing:
            raise _busy("It is shutting down.")
        if size_max is not None and self._path.stat().st_size > size_max:
            return False
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[bool] = loop.create_future()
        self._scrubs.append(asked)
        if self._working is None:
            self._working = loop.create_task(self._work(), name="signoff-writer")
        return await asked

    async def close(self) -> None:
        self._is_closing = True
        if self._working is not None:
            await self._working
        self._readers.shutdown(wait=True)
        self._disk.shutdown(wait=True)
        self._sweep.shutdown(wait=True)
        for connection in self._read_connections:
            connection.close()
        self._sweeper.close()
        self._writer.close()

    def _view(self, tenant: str, body: Callable[[Transaction], T]) -> T:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = Connection(str(self._path), read_only=True)
                self._read_connections.append(connection)
            connection.begin(to_write=False)
            try:
                return body(
                    cast("Transaction", SqlTransaction(connection, Known(), tenant, self._clock.now(), self._marks))
                )
            finally:
                connection.rollback()
        except EngineError as error:
            if not is_engine_error(error):
                raise
            raise engine_failed(error) from error

    # --- the writer ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Commit batch after batch until nothing waits."""
        while self._queue or self._scrubs:
            await self._rewrite()
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            if batch:
                await self._run(batch)
            for job in batch:
                job.answer()
            self._commits += 1
            await self._tidy()
            await asyncio.sleep(0)  # who was just answered may ask again, and joins the next batch
        self._working = None

    async def _rewrite(self) -> None:
        """Rewrite the files for those who asked for it, while nothing else is written."""
        asked, self._scrubs = self._scrubs, []
        if not asked:
            return
        done, failed = False, None
        try:
            if self._sweeping is not None:
                await asyncio.wait({self._sweeping})
            await self._beside(self._writer.rewrite)
            done = await self._beside(self._writer.empty_log)
        except EngineError as error:
            failed = engine_failed(error)
            failed.__cause__ = error
        for future in asked:
            if not future.done():
                future.set_result(done) if failed is None else future.set_exception(failed)

    async def _tidy(self) -> None:
        """Move the write-ahead log into the database: most of it while batches go on, the rest between two of them.

        The log begins anew only once all of it is moved, and that nobody may add to meanwhile; moving it all between
        two batches would hold everyone up for tens of milliseconds.
        """
        if self._sweeping is None:
            if self._commits % CHECKPOINT_EVERY == 0:
                loop = asyncio.get_running_loop()
                self._sweeping = loop.run_in_executor(self._sweep, self._sweeper.keep_log_small)
            return
        if not self._sweeping.done():
            return
        try:
            self._sweeping.result()
            await self._beside(self._writer.keep_log_small)
        except EngineError as error:
            # Everything is committed, and the log only grows: a full disk here stops nobody, and is tried again.
            log.warning("the write-ahead log could not be tidied: %s", error)
        finally:
            self._sweeping = None

    async def _run(self, batch: list[_Job]) -> None:
        try:
            try:
                await self._commit_together(batch, has_savepoints=self._runs_twice)
            except _HalfDone:
                await self._commit_together(batch)
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must get an answer
            if len(batch) == 1 and not is_engine_error(error):
                batch[0].error = error
                return
            for job in batch:
                await self._run_alone(job)

    async def _run_alone(self, job: _Job) -> None:
        cause: Exception | None = None
        for _ in range(TRIES_MAX):
            try:
                return await self._commit_together([job])
            except Exception as error:  # noqa: BLE001  # kept as the cause of what the caller gets
                cause = error
        assert cause is not None
        job.result, job.error = None, cause
        if is_engine_error(cause):
            job.error = engine_failed(cause)
            job.error.__cause__ = cause
        return None

    async def _commit_together(self, batch: list[_Job], *, has_savepoints: bool = True) -> None:
        connection, run_body = self._writer, self._run_body if has_savepoints else self._run_bare
        try:
            connection.begin(to_write=True)
            self._known.as_of(connection.version_of_others())
            now = self._clock.now()
            for job in batch:
                run_body(job, now)
            edges = [edge for job in batch if job.error is None for edge in job.edges]
            self._fail(edges, "before")
            if len(batch) == 1 and not self._queue:
                connection.commit()  # nobody else could use the time
            else:
                await self._beside(connection.commit)
        except BaseException:
            connection.rollback()
            self._known.forget_all()
            raise
        self._fail(edges, "after")

    def _run_bare(self, job: _Job, now: int) -> None:
        """Run a body without a savepoint of its own: a savepoint costs as much as two statements, and is rarely used.

        Raises:
            _HalfDone: it failed and had written, so that the batch has to run again, with savepoints.
        """
        changes = self._writer.changes()
        transaction = SqlTransaction(self._writer, self._known, job.tenant, now, self._marks)
        job.result = job.error = None
        try:
            job.result = job.body(cast("Transaction", transaction))
        except Exception as error:
            if is_engine_error(error):
                raise
            if self._writer.changes() != changes:
                raise _HalfDone from error
            job.error = error
        job.edges = transaction.edges

    def _run_body(self, job: _Job, now: int) -> None:
        connection = self._writer
        for is_rehearsal in (True, False) if self._runs_twice else (False,):
            connection.execute("SAVEPOINT body")
            transaction = SqlTransaction(connection, self._known, job.tenant, now, self._marks)
            job.result = job.error = None
            try:
                job.result = job.body(cast("Transaction", transaction))
            except Exception as error:
                if is_engine_error(error):
                    raise
                job.error = error
            if job.error is not None or is_rehearsal:
                connection.execute("ROLLBACK TO body")
                self._known.forget_all()
            connection.execute("RELEASE body")
            job.edges = transaction.edges

    async def _beside(self, work: Callable[[], T]) -> T:
        """Wait for the disk on another thread; the connection is touched by nobody else meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

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


def _busy(why: str) -> Unavailable:
    return Unavailable(
        what="The database cannot take this now; nothing was lost or half done.",
        why=why,
        fix="Send the same request again with the same idempotency key in a few seconds.",
        code="storage.unavailable",
        retry_after_s=2,
    )
