# SPDX-License-Identifier: Apache-2.0
"""Memory of a node: at rest, with its caches full, and what it grows by from there on as the ledger does.

Measured in a process of its own (`python -m benchmarks.memory`), which is a node with its HTTP surface loaded. What a
node remembers is bounded: runs, their keys, and the engine's pages. The ramp up to those bounds is a figure of its own
and no growth: as many runs are begun as are remembered, then the node is loaded until the engine's pages are full.
Growth is the slope of a straight line through the sizes after each load from there on, in a million entries.
"""

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import Peers
from benchmarks.row import Row

REST_MB, GROWTH_MB, STALL_MS = 150, 16, 120
ENTRIES_A_WRITE = 2
CALLERS, TIMES = 64, 3
RAMP = 8  # loads that fill the engine's pages: 32 MB of a database that grows by 8 MB a load


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure memory and stalls in a process of its own, beside a process that only imports FastAPI."""
    ours: dict[str, Any] = json.loads(_said("-m", "benchmarks.memory", "12" if quick else "60"))
    status = _said("-c", "import fastapi, uvicorn, pathlib; print(pathlib.Path('/proc/self/status').read_text())")
    return [
        Row(
            "memory at rest",
            "MB",
            ours["rest_mb"],
            REST_MB,
            versus="FastAPI and uvicorn, imported",
            theirs=_rss_mb(status),
        ),
        Row(
            "memory growth, a million entries",
            "MB",
            ours["growth_mb"],
            GROWTH_MB,
            note=f"{ours['grown_mb']:+.1f} MB over {ours['entries']:,} entries, once the caches were full",
            figures=ours,
        ),
        Row(
            "memory with its caches full",
            "MB",
            ours["full_mb"],
            note=f"{ours['runs']:,} runs and {ours['seals']:,} keys remembered: their bounds",
            versus="at rest",
            theirs=ours["rest_mb"],
        ),
        Row(
            "longest stall of the event loop under load",
            "ms",
            ours["stall_ms"],
            STALL_MS,
            versus="idle loop",
            theirs=ours["idle_stall_ms"],
        ),
    ]


async def main(loads: int) -> None:
    """Fill a node's caches, load it, and print what its memory and loop did."""
    from benchmarks.world import Bench, bench_node
    from benchmarks.writes import WRITES_A_RUN, settled, written
    from signoff.app.action.runs import begin_run
    from signoff.app.payloads import REMEMBERED
    from signoff.app.world import RUNS_REMEMBERED
    from signoff.surfaces.http.api import create_app

    async def work(bench: Bench) -> None:
        for _ in range(TIMES):
            await written(bench, CALLERS, WRITES_A_RUN)

    async def loaded(bench: Bench) -> tuple[float, float]:
        stall = await _longest_stall(work(bench))
        await settled(bench)
        bench.book.notes.clear()  # the system behind is not ours, and keeps every note
        gc.collect()
        return _own_rss_mb(), stall

    async with bench_node() as bench:
        app = create_app(bench.world)
        await asyncio.sleep(1)
        rest = _own_rss_mb()
        idle = await _longest_stall(asyncio.sleep(1))
        while min(len(bench.world.runs) / RUNS_REMEMBERED, len(bench.world.keyring) / REMEMBERED) < 1:
            await asyncio.gather(*(begin_run(bench.world, bench.agent, "notes", "bench") for _ in range(CALLERS)))
        for _ in range(RAMP):
            full, _ = await loaded(bench)
        measured = [await loaded(bench) for _ in range(loads)]
        sizes, stall = [full, *(size for size, _ in measured)], max(stall for _, stall in measured)
        each = TIMES * CALLERS * WRITES_A_RUN * ENTRIES_A_WRITE
        runs, seals = len(bench.world.runs), len(bench.world.keyring)
        del app
    slope = statistics.linear_regression(range(len(sizes)), sizes).slope
    print(
        json.dumps(
            {
                "rest_mb": rest,
                "full_mb": full,
                "sizes_mb": sizes,
                "runs": runs,
                "seals": seals,
                "entries": loads * each,
                "grown_mb": sizes[-1] - full,
                "growth_mb": max(0.0, slope) / each * 1e6,
                "stall_ms": stall * 1e3,
                "idle_stall_ms": idle * 1e3,
            }
        )
    )


def _said(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout


async def _longest_stall(work: Any) -> float:
    """Return by how many seconds a sleep of one millisecond came late at worst while `work` ran."""
    done = asyncio.ensure_future(work)
    worst = 0.0
    while not done.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began - 0.001)
    await done
    return worst


def _own_rss_mb() -> float:
    return _rss_mb(Path("/proc/self/status").read_text())


def _rss_mb(status: str) -> float:
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1000


if __name__ == "__main__":
    from signoff.surfaces.http.server import run

    run(main(int(sys.argv[1])))
