# SPDX-License-Identifier: Apache-2.0
"""One life of a node: open it, arm a failpoint, work through a job until it is done, or be killed on the way.

It runs in a process forked from one that has imported everything, before any thread or event loop was started there.
"""

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.faults import plants, stage
from benchmarks.faults.cases import CASES, Desk
from benchmarks.faults.office import Office, Stuck, is_written, settled
from signoff import wiring
from signoff.adapters.mirror import CheckpointMirror
from signoff.adapters.sql.action import SqlReceipts
from signoff.adapters.sql.ledger import SqlLedger
from signoff.adapters.sql.storage import SqliteStorage, kill_at
from signoff.app import record
from signoff.app.authority import people
from signoff.app.systems import Systems
from signoff.app.world import TENANT, World
from signoff.core.action.doubt import Answer
from signoff.core.authority.circuit import Circuits
from signoff.core.authority.contract import Contract, ToolContract
from signoff.core.errors import SignoffError
from signoff.settings import Settings

DONE, BROKEN, STUCK, READ_ONLY, LOCKED_OUT = 0, 2, 3, 4, 5  # exit codes; a kill has none
FIRST_START = "first-start"  # the job of a node on an empty directory: nothing but to be there


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do."""

    life: Path
    jobs: tuple[str, ...]  # cases, each at the slot of its place
    point: str = ""
    plant: str = ""
    patience_s: float = 20.0


def fork(work: Callable[[], int], log: Path) -> int:
    """Run `work` in a child whose words go to `log`; returns its process id. Its exit code is what `work` returns."""
    pid = os.fork()
    if pid:
        return pid
    code = BROKEN
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for standard in (1, 2):
            os.dup2(handle, standard)
        code = work()
    except BaseException:  # noqa: BLE001  # nothing may unwind into what the parent was doing
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def work(order: Order) -> int:
    """Do what is ordered; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    os.environ[stage.ERP_VARIABLE] = str(order.life / "erp.db")
    print(f"--- {' '.join(order.jobs)} at {order.point or 'no point'} {order.plant}", file=sys.stderr)
    _name_commits()
    if order.point:
        _arm(order)
    if order.plant:
        plants.apply(order.plant)
    return asyncio.run(_live(order))


async def _live(order: Order) -> int:
    async with wiring.node(Settings(data=order.life / "data", failpoint=order.point)) as world:
        if world.is_read_only:
            return READ_ONLY if await _refuses(world, order) else BROKEN
        if order.jobs == (FIRST_START,):
            return await _first_start(world, order)
        await _shorten(world)
        # What is proved here is what becomes of each fault; a breaker would keep most of them from being met.
        world.circuits = Circuits(sends=100)
        office = Office(world, order.life, order.patience_s)
        plays = [CASES[name].play(Desk(office, slot)) for slot, name in enumerate(order.jobs)]
        ends = await asyncio.gather(*plays, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, Stuck):
                raise end
        try:
            for end in ends:
                if isinstance(end, Stuck):
                    raise end
            await settled(world, order.patience_s)
        except Stuck as stuck:
            print(f"stuck: {stuck}", file=sys.stderr)
            return STUCK
    return DONE


async def _first_start(world: World, order: Order) -> int:
    """Sign in with the key that the first start leaves: an installation that nobody can enter is lost."""
    (order.life / "keys.txt").write_text(world.log_keys)
    try:
        secret = (order.life / "data" / "admin.key").read_text().strip()
        admin = await people.authenticate_key(world, TENANT, *people.read_key(secret))
    except (OSError, SignoffError) as error:
        print(f"locked out: {error!r}", file=sys.stderr)
        return LOCKED_OUT
    await settled(world, order.patience_s)
    return DONE if admin.may("admin") else LOCKED_OUT


async def _refuses(world: World, order: Order) -> bool:
    """Tell whether a node that serves reading only takes nothing new, so that nothing can be sent."""
    before = await world.storage.view(TENANT, lambda tx: tx.ledger.last_at())
    try:
        await Desk(Office(world, order.life, order.patience_s), 0).begin()
    except SignoffError as refused:
        print(f"read-only: {refused.code}", file=sys.stderr)
    await asyncio.sleep(2 * wiring.TICK_S)
    return before == await world.storage.view(TENANT, lambda tx: tx.ledger.last_at())


async def _shorten(world: World) -> None:
    """Let approvals under `brief` fall due while one waits: the parsed page is changed, not the published bytes."""

    def body(tx: Any) -> None:
        published = tx.authority.published("envelope", "brief", "1")
        envelope = world.shelf.envelope(tx, published.digest)
        world.shelf._envelopes[published.digest] = replace(envelope, expires_us=stage.BRIEF_EXPIRES_US)

    await world.storage.view(TENANT, body)


def _name_commits() -> None:
    """Name every commit, beside its edges, by what it writes: types of entries, signatures, a checkpoint."""
    transact = SqliteStorage.transact
    written: list[str] = []

    def telling(write: Callable[..., Any]) -> Callable[..., Any]:
        def told(tx: Any, row: Any, type_: str, *rest: Any, **changes: Any) -> Any:
            written.append(type_)
            return write(tx, row, type_, *rest, **changes)

        return told

    def marking(write: Callable[..., Any], name: str) -> Callable[..., Any]:
        def marked(*given: Any) -> Any:
            written.append(name)
            return write(*given)

        return marked

    async def named(self: SqliteStorage, tenant: str, body: Callable[[Any], Any], guards: Any = ()) -> Any:
        def noted(tx: Any) -> Any:
            written.clear()  # bodies run one after the other, and none awaits
            result = body(tx)
            for name in dict.fromkeys(written):
                tx.passed(name)
            return result

        return await transact(self, tenant, noted, guards)

    for name in ("begin", "move"):
        setattr(record, name, telling(getattr(record, name)))
    SqlReceipts.sign = marking(SqlReceipts.sign, "receipt.signed")  # type: ignore[method-assign]
    SqlLedger.publish = marking(SqlLedger.publish, "checkpoint.recorded")  # type: ignore[method-assign]
    SqliteStorage.transact = named  # type: ignore[method-assign]


def _arm(order: Order) -> None:
    """Arm the points that are no commits: around the call to the target, and around the mirror."""
    reach = kill_at(order.point)
    execute, keep = Systems.execute, CheckpointMirror.keep

    async def sent(self: Systems, contract: Contract, tool: ToolContract, args: Mapping[str, Any]) -> Answer:
        reach("send:before")
        call = asyncio.ensure_future(execute(self, contract, tool, args))
        if order.point == "send:written":
            key = args["idempotency_key"]
            while not call.done() and not is_written(order.life, key):  # noqa: ASYNC110  # another program writes
                await asyncio.sleep(0.001)
            reach("send:written")
        answer = await call
        reach("send:answered")
        return answer

    def kept(self: CheckpointMirror, origin: str, size: int, note_text: str) -> None:
        reach("mirror:before")
        keep(self, origin, size, note_text)
        reach("mirror:after")

    Systems.execute = sent  # type: ignore[method-assign]
    CheckpointMirror.keep = kept  # type: ignore[method-assign]
