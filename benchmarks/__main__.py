# SPDX-License-Identifier: Apache-2.0
"""`make bench`: each figure beside its target, and beside a comparison measured in the same run."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import decision, ledger, memory, over_http, peers, start, writes
from benchmarks.row import Row, shown
from signoff.surfaces.http.server import run

NOUNS: dict[str, Callable[..., Awaitable[list[Row]]]] = {
    "decision": decision.rows,
    "writes": writes.rows,
    "over_http": over_http.rows,
    "ledger": ledger.rows,
    "memory": memory.rows,
    "start": start.rows,
}
KEPT = Path("var/bench.jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep; returns 1 only for a missed target under `--strict`."""
    asked = _asked(arguments)
    before, began = os.getloadavg()[0], time.time()
    found_peers = peers.measure() if os.environ.get("PEERS") == "1" else None
    rows: list[Row] = []
    for name in asked.only or NOUNS:
        print(f"measuring {name} ...", file=sys.stderr)
        rows += run(_measured(name, asked.quick, found_peers))
    report = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "machine": _machine(),
        "load_before": before,
        "load_after": os.getloadavg()[0],
        "quick": asked.quick,
        "peers": found_peers.figures if found_peers else None,
        "rows": [row.as_value() for row in rows],
    }
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with KEPT.open("a") as kept:
        kept.write(json.dumps(report) + "\n")
    if asked.json:
        print(json.dumps(report))
    else:
        _print(report, rows)
    return int(asked.strict and any(row.has_failed for row in rows))


async def _measured(name: str, quick: bool, found: peers.Peers | None) -> list[Row]:
    return await NOUNS[name](quick=quick, peers=found)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("make bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(NOUNS), help="measure this alone; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a rough look")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    return parser.parse_args(arguments)


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _print(report: dict[str, Any], rows: Sequence[Row]) -> None:
    machine = report["machine"]
    console = Console(width=None if sys.stdout.isatty() else 180)
    console.print(
        f"{report['at']}  {machine['processor']}, {machine['cores']} cores, {machine['system']},"
        f" Python {machine['python']}; load average {report['load_before']:.2f} before,"
        f" {report['load_after']:.2f} after",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for heading, side in (
        ("figure", "left"),
        ("ours", "right"),
        ("", "left"),
        ("target", "right"),
        ("", "left"),
        ("comparison, same run", "left"),
        ("theirs", "right"),
        ("ours/theirs", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=side, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        sign = "" if row.target is None else "<= " if row.most else ">= "
        verdict = "" if row.factor is None else f"FAIL {row.factor:.1f}x" if row.has_failed else "ok"
        theirs, ratio = (shown(row.theirs), shown(row.ratio)) if row.theirs is not None else ("", "")
        target = sign + shown(row.target) if row.target is not None else ""
        table.add_row(row.name, shown(row.ours), row.unit, target, verdict, row.versus, theirs, ratio, row.note)
    console.print(table)
    console.print(f"Kept as one more line of {KEPT}.", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
