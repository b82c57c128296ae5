# SPDX-License-Identifier: Apache-2.0
"""Verification of the ledger: every entry, stream, tree node and checkpoint again, over entries that a node wrote."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import orjson

from benchmarks.peers import Peers
from benchmarks.row import Row, median
from benchmarks.world import bench_node
from benchmarks.writes import WRITES_A_RUN, settled, written
from signoff.app.audit import audit
from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.entry import Entry
from signoff.ledger.fold import fold, verify_log
from signoff.ports.storage import Transaction

VERIFY = 250_000


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure verification, interleaved with reading and hashing the same bytes, and the rest of an audit apart."""
    rounds, batches = (3, 1) if quick else (7, 5)
    async with bench_node() as bench:
        for _ in range(batches):
            await written(bench, 64, WRITES_A_RUN)
        await settled(bench)
        world = bench.world

        def read(tx: Transaction) -> tuple[list[tuple[int | None, bytes]], list[str]]:
            notes = [head.note for head in tx.ledger.heads(world.origin("default"))]
            return [(row[0], row[4]) for row in tx.ledger.scan()], notes

        entries, notes = await world.storage.view("default", read)
        keys = parse_keys(world.log_keys)
        values: list[Entry] = [orjson.loads(data) for _, data in entries]

        def verify() -> None:
            report = verify_log(entries, notes, keys, origin=world.origin("default"))
            assert report.is_sound and report.proved == len(entries), report.bad

        verified, hashed, folded, audited = [], [], [], []
        for _ in range(rounds):
            verified.append(_rate(len(entries), verify))
            hashed.append(_rate(len(entries), lambda: [(orjson.loads(data), sha256(data)) for _, data in entries]))
            folded.append(_rate(len(entries), lambda: fold(values)))
        for _ in range(max(2, rounds // 3)):
            began = time.perf_counter()
            assert not (await audit(world, "default")).findings
            audited.append(len(entries) / (time.perf_counter() - began))
    floor = "read each as JSON, and hash it"
    return [
        Row(
            "ledger verification",
            "entries/s",
            median(verified),
            VERIFY,
            most=False,
            versus=floor,
            theirs=median(hashed),
            note=f"{len(entries):,} entries, {len(notes)} checkpoints",
        ),
        Row("fold of the state, from entries read", "entries/s", median(folded), versus=floor, theirs=median(hashed)),
        Row(
            "whole audit: log, tree, every row, receipt, payload",
            "entries/s",
            median(audited),
            versus="verification of the log",
            theirs=median(verified),
        ),
    ]


def _rate(count: int, work: Callable[[], Any]) -> float:
    """Return how many a second of the processor: work in memory waits for nothing but other people's work."""
    began = time.process_time()
    work()
    return count / (time.process_time() - began)
