# SPDX-License-Identifier: Apache-2.0
"""Governed writes: proposed, decided, made durable, sent, their outcome made durable, a receipt issued and signed."""

import asyncio
import itertools
import sqlite3
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks import floor
from benchmarks.peers import Peers
from benchmarks.row import Load, Row, loaded, median
from benchmarks.world import Bench, bench_node
from signoff.app.action.approve import vote
from signoff.app.action.documents import wait_for
from signoff.app.action.propose import propose
from signoff.app.action.runs import begin_run
from signoff.core.action.lifecycle import State
from signoff.core.proposal import Proposal

WRITES_A_RUN = 20  # a long task of an agent; each write is decided against all earlier ones of its run
RATE, P99_MS, ONE_MS, BYTES = 6000, 20, 1.2, 2000
_serial = itertools.count()


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure governed writes, interleaved with the floor."""
    rounds, singles = (3, 100) if quick else (7, 400)
    with tempfile.TemporaryDirectory() as folder:
        async with bench_node(Path(folder)) as bench:
            many, one, files, tables, file_one = [], [], [], [], []
            await written(bench, 64, 5)  # what is compiled, parsed or derived at first use is not the question
            await previewed(bench, 8, 2)
            for _ in range(rounds):
                many.append(await written(bench, 64, WRITES_A_RUN))
                tables.append(await floor.committed(Path(folder), 64, 100))
                files.append(await floor.appended(Path(folder), 64, 100))
            for _ in range(rounds):
                one.append(await written(bench, 1, singles))
                file_one.append(await floor.committed(Path(folder), 1, singles))
            asked = [await previewed(bench, 64, 4) for _ in range(max(2, rounds // 2))]
            await settled(bench)
        size, payloads, count = _sizes(Path(folder) / "data" / "signoff.db")
    found = [
        Row(
            "governed writes, 64 callers",
            "actions/s",
            median(load.rate for load in many),
            RATE,
            most=False,
            versus="SQLite, two bare records, 64 callers",
            theirs=median(load.rate for load in tables),
            figures=_figures(many) | {"appended_per_s": median(load.rate for load in files)},
        ),
        Row(
            "governed writes, 64 callers, p99",
            "ms",
            median(load.at(0.99) * 1e3 for load in many),
            P99_MS,
            versus="SQLite, two bare records, 64 callers",
            theirs=median(load.at(0.99) * 1e3 for load in tables),
        ),
        Row(
            "governed write, one caller, p50",
            "ms",
            median(load.at(0.5) * 1e3 for load in one),
            ONE_MS,
            versus="SQLite, two bare records, one caller",
            theirs=median(load.at(0.5) * 1e3 for load in file_one),
            figures=_figures(one),
        ),
        Row(
            "with preview and approval, 64 callers",
            "actions/s",
            median(load.rate for load in asked),
            versus="SQLite, two bare records, 64 callers",
            theirs=median(load.rate for load in tables),
            figures=_figures(asked),
        ),
        Row(
            "database, a governed write",
            "bytes",
            size / count,
            BYTES,
            note=f"beside {payloads / count:,.0f} bytes of payloads; whole pages counted",
        ),
    ]
    if peers is not None:
        theirs = peers.figure("agt_two_durable_per_s")
        found.append(
            Row(
                "against AGT, two records made durable",
                "actions/s",
                found[0].ours,
                theirs * 4 if theirs else None,
                most=False,
                versus="AGT, one caller after another",
                theirs=theirs,
                note=peers.why("agt_two_durable_per_s") or "target: four times theirs",
            )
        )
    return found


async def written(bench: Bench, callers: int, calls: int) -> Load:
    """Time allowed writes without facts or preview, from proposal to recorded outcome; a run takes a task's worth."""
    needed = -(-calls // WRITES_A_RUN)
    runs = [
        [(await begin_run(bench.world, bench.agent, "notes", "bench"))[0].run_id for _ in range(needed)]
        for _ in range(callers)
    ]

    async def call(who: int, number: int) -> None:
        note = {"customer": f"C-{who}", "text": f"note {next(_serial)}", "amount_cents": number}
        proposal = Proposal(runs[who][number // WRITES_A_RUN], "book.note", note)
        action = await propose(bench.world, bench.agent, proposal)
        assert action.state is State.SUCCEEDED, action.reason

    return await loaded(callers, calls, call)


async def previewed(bench: Bench, callers: int, calls: int) -> Load:
    """Time writes that are previewed before and approved by a second person, both at once."""
    runs = [(await begin_run(bench.world, bench.agent, "letters", "bench"))[0].run_id for _ in range(callers)]

    async def call(who: int, number: int) -> None:
        letter = {"customer": f"C-{who}", "text": f"letter {next(_serial)}", "amount_cents": number}
        asked = await propose(bench.world, bench.agent, Proposal(runs[who], "book.letter", letter))
        assert asked.state is State.PENDING_APPROVAL and asked.digest is not None, asked.reason
        await vote(bench.world, bench.clerk, asked.action_id, "approve", asked.digest, "")
        done = await wait_for(bench.world, bench.agent, asked.action_id, 30)
        assert done["state"] == State.SUCCEEDED, done["reason"]

    return await loaded(callers, calls, call)


async def settled(bench: Bench, within_s: float = 60) -> None:
    """Wait until every receipt is signed and every entry has its place."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        left = await bench.world.storage.view(
            "default", lambda tx: len(tx.receipts.unsigned(1)) + len(tx.ledger.pending(1))
        )
        if not left:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("receipts or entries were left over")


def _figures(loads: list[Load]) -> dict[str, float]:
    return {
        "rate_per_s": median(load.rate for load in loads),
        "p50_ms": median(load.at(0.5) * 1e3 for load in loads),
        "p99_ms": median(load.at(0.99) * 1e3 for load in loads),
        "worst_ms": max(load.at(1) * 1e3 for load in loads),
    }


def _sizes(database: Path) -> tuple[int, int, int]:
    """Return bytes of all pages but those of payloads, bytes of those, and the number of actions."""
    db = sqlite3.connect(database)
    try:
        pages, page = db.execute("PRAGMA page_count").fetchone()[0], db.execute("PRAGMA page_size").fetchone()[0]
        count = db.execute("SELECT count(*) FROM actions").fetchone()[0]
        sealed = db.execute("SELECT sum(length(sealed) + length(owner) + length(name) + length(key_id)) FROM payloads")
        held = sealed.fetchone()[0]
        # Where SQLite cannot tell pages by table, the bytes themselves come close.
        with suppress(sqlite3.OperationalError):
            held = db.execute(
                "SELECT sum(pgsize) FROM dbstat WHERE name IN ('payloads', 'sqlite_autoindex_payloads_1')"
            ).fetchone()[0]
        return pages * page - held, held, count
    finally:
        db.close()
