# SPDX-License-Identifier: Apache-2.0
"""Memory of a node: at rest, and what it grows by as the ledger does; and the longest stall of its event loop.

Measured in a process of its own (`python -m benchmarks.memory`), which is a node with its HTTP surface loaded. The
growth is that of the last of several equal loads and is extrapolated to a million entries: an upper bound, since
caches of bounded size are still filling.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers import Peers
from benchmarks.row import Row

REST_MB, GROWTH_MB, STALL_MS = 150, 16, 120
ENTRIES_A_WRITE = 2


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure memory and stalls in a process of its own, beside a process that only imports FastAPI."""
    ours: dict[str, Any] = json.loads(_said("-m", "benchmarks.memory", "2" if quick else "6"))
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
            note=f"extrapolated from {ours['grown_mb']:.2f} MB over the last {ours['entries']:,} entries",
            figures=ours,
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
    """Load a node and print what its memory and loop did."""
    from benchmarks.world import bench_node
    from benchmarks.writes import WRITES_A_RUN, settled, written
    from signoff.surfaces.http.api import create_app

    async with bench_node() as bench:
        app = create_app(bench.world)
        await asyncio.sleep(1)
        rest = _own_rss_mb()
        idle = await _longest_stall(asyncio.sleep(1))
        stall, sizes = 0.0, []
        for _ in range(loads):

            async def work() -> None:
                for _ in range(3):
                    await written(bench, 64, WRITES_A_RUN)

            stall = max(stall, await _longest_stall(work()))
            await settled(bench)
            gc.collect()
            bench.book.notes.clear()  # the system behind is not ours, and keeps every note
            sizes.append(_own_rss_mb())
        entries = 3 * 64 * WRITES_A_RUN * ENTRIES_A_WRITE
        half = len(sizes) // 2
        grown = (sizes[-1] - sizes[half - 1]) / (len(sizes) - half)
        del app
    print(
        json.dumps(
            {
                "rest_mb": rest,
                "sizes_mb": sizes,
                "entries": entries,
                "grown_mb": grown,
                "growth_mb": max(0.0, grown) / entries * 1e6,
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
