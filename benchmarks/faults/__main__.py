# SPDX-License-Identifier: Apache-2.0
"""`make faults`: one pass over every edge, then rounds at random moments.

The last line of standard output is one JSON object of counts; exit 1 if any that must be zero is not.
"""

import argparse
import gc
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults import bench
from benchmarks.faults.plants import PLANTS
from benchmarks.faults.points import all_edges, unreachable


def main(argv: list[str] | None = None) -> int:
    """Run the bench; exit 0 if all that must be zero is, 1 if not, 2 on misuse."""
    options = _parser().parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=options.work))
    began = time.monotonic()
    results = options.results or Path("var") / f"faults-{options.database}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    rounds = list(_rounds(options))
    if options.resume and results.exists():
        known = _known(results, options)
        rounds = [made for made in rounds if made.name not in known]
    gc.freeze()  # what is imported stays shared with the children
    total = bench.Total()
    with results.open("a") as file:
        for _, result in _with_progress(bench.play_all(rounds, folder, options.lanes), len(rounds)):
            total.add(result)
            line = asdict(result) | {"seed": options.seed, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            line |= {"database": options.database, "plant": options.plant}
            file.write(json.dumps(line) + "\n")
            file.flush()
            if not result.is_clean:
                _say(f"{result.name} ({', '.join(result.jobs)}): {result.outcome}")
                for name, lines in result.found.items():
                    _say(*(f"  {name}: {line}" for line in lines[:5]))
    if total.failing:
        _say(f"the lives of these rounds are kept in {folder}; replay one with --seed {options.seed} --only NAME")
    else:
        shutil.rmtree(folder)
    seconds = round(time.monotonic() - began, 1)
    told = {"database": options.database, "seed": options.seed, "seconds": seconds} | total.as_value()
    if not options.plant and not options.only:
        reached = [edge for edge in all_edges() if total.crossed[edge]]
        told |= {"edges_crossed": len(reached), "edges_not_reachable": unreachable()}
    print(json.dumps(told))
    return 1 if total.failing else 0


def _rounds(options: argparse.Namespace) -> Iterator[bench.Round]:
    if options.plant and not options.only:
        yield bench.plant_round(options.plant)
        return
    fixed = bench.edge_rounds(options.plant)
    if options.only is not None:
        wanted = options.only.removeprefix("random ")
        if wanted.isdecimal():
            yield bench.random_round(options.seed, int(wanted), options.plant)
        else:
            yield from (made for made in fixed if options.only in (made.name, *made.kills))
        return
    yield from () if options.rounds_only else fixed
    if not options.edges_only:
        yield from (bench.random_round(options.seed, number) for number in range(options.rounds))


def _known(results: Path, options: argparse.Namespace) -> set[str]:
    """Return the rounds that a results file has of this seed, clean ones only: others are played again."""
    found = set()
    for line in results.read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        is_same = (row["seed"], row["database"], row["plant"]) == (options.seed, options.database, options.plant)
        if is_same and not any(row["counts"].get(name) for name in bench.MUST_BE_ZERO):
            found.add(str(row["name"]))
    return found


def _with_progress(playing: Iterator[Any], count: int) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield from playing
        return
    from rich.console import Console
    from rich.progress import track

    # No refreshing thread: the bench forks, and what forks has one thread only.
    console = Console(stderr=True)
    yield from track(playing, "rounds", total=count, console=console, auto_refresh=False)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--database", choices=["sqlite"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=200, help="how many rounds at random moments, after the edges")
    parser.add_argument("--seed", type=int, default=0, help="draws jobs and moments of the random rounds")
    parser.add_argument("--edges-only", action="store_true", help="one pass over the edges and nothing else")
    parser.add_argument("--rounds-only", action="store_true", help="leave the pass over the edges out")
    parser.add_argument("--only", metavar="ROUND", help="one round: the number of a random one, or a point")
    parser.add_argument("--resume", action="store_true", help="leave out the clean rounds that the results file has")
    parser.add_argument("--results", type=Path, metavar="FILE", help="JSON lines; else var/faults-DATABASE.jsonl")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="apply a bug: the bench must then fail")
    parser.add_argument("--lanes", type=int, default=4, help="how many rounds side by side")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where the lives are played; else the temporary one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
