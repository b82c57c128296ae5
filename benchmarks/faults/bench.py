# SPDX-License-Identifier: Apache-2.0
"""Play rounds: start a node on a copy of the stage, kill it, start it again until its job is done, and have it checked.

A round is a generator that yields while a child is at work, so that several rounds share one thread: children are
forked from a process that has imported everything and never started a thread.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults import stage, worker
from benchmarks.faults.cases import CASES, FOREVER, Fault
from benchmarks.faults.checker import COUNTS, check, edges_crossed
from benchmarks.faults.plants import PLANTS
from benchmarks.faults.points import FIRST_START, SIDES, edge_points, other_points
from benchmarks.faults.worker import Order

STARTS_MAX = 3  # a job that is not done after so many starts is stuck
LIFE_MAX_S = 90.0
TRIES_MAX = 4
OLD_BACKUP = "old-backup"
FIRST_START_S = (0.02, 0.04, 0.06, 0.08, 0.1)  # while keys and tables are made
MUST_BE_ZERO = (*COUNTS, "old_backups_missed", "locked_out", "false_alarms", "unfinished", "unreached")


@dataclass(frozen=True, slots=True)
class Round:
    """One round: what is worked on, and where or when the node is killed."""

    name: str
    jobs: tuple[str, ...]
    kills: tuple[str | float, ...] = ()  # a point, or seconds after the start; one for each start in turn
    faults: tuple[Fault, ...] = ()
    plant: str = ""
    must_reach: bool = False  # the point is what the round is about
    patience_s: float = 20.0


@dataclass(slots=True)
class Result:
    """What became of a round."""

    name: str
    jobs: tuple[str, ...]
    wanted: tuple[str | float, ...]
    outcome: str = ""
    kills: int = 0
    starts: int = 0
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=dict)
    crossed: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not any(self.counts.get(name, 0) for name in MUST_BE_ZERO)


def edge_rounds(plant: str = "") -> list[Round]:
    """Return one round for each point, those of a first start, and the one of the old backup."""
    rounds = [_at(point.name, point.case, plant) for point in (*edge_points(), *other_points())]
    rounds += [_first(f"{name}:{side}") for name in FIRST_START for side in SIDES]
    rounds += [_first(after_s) for after_s in FIRST_START_S]
    return [*rounds, Round(OLD_BACKUP, ("post",), plant=plant)]


def random_round(seed: int, number: int, plant: str = "") -> Round:
    """Return a round of several cases side by side, killed one to three times, most often at a random moment.

    Now and then it is a point that is drawn, so that what goes on after one kill meets another in its most delicate
    places. A round that kills nobody is played again, see `play_all`.
    """
    chance = random.Random(f"{seed}:{number}")
    jobs = tuple(chance.sample(sorted(CASES), chance.randint(3, 7)))
    points = sorted({point.name for point in (*edge_points(), *other_points())})
    kills: list[str | float] = [round(chance.uniform(0.05, 4.0), 3)]
    more = chance.choice((0, 0, 1, 2))
    kills += [chance.choice((chance.choice(points), round(chance.uniform(0.05, 4.0), 3))) for _ in range(more)]
    chance.shuffle(kills)
    return Round(f"random {number}", jobs, tuple(kills), _faults(jobs, most=3), plant, must_reach=True)


def plant_round(name: str) -> Round:
    """Return the round that shows a planted bug."""
    plant = PLANTS[name]
    if plant.case == OLD_BACKUP:
        return Round(OLD_BACKUP, ("post",), plant=name)
    faults = _faults((plant.case,)) + plant.faults
    kills = (plant.point,) if plant.point else ()
    return Round(f"{name} in {plant.case}", (plant.case,), kills, faults, name, bool(kills), 5.0)


def _at(point: str, case: str, plant: str) -> Round:
    return Round(f"{point} in {case}", (case,), (point,), _faults((case,)), plant, must_reach=True)


def _first(kill: str | float) -> Round:
    name = f"{kill} in {worker.FIRST_START}"
    return Round(name, (worker.FIRST_START,), (kill,), must_reach=isinstance(kill, str))


def _faults(jobs: Iterable[str], most: int = FOREVER) -> tuple[Fault, ...]:
    """Return the faults of several cases; side by side none may hold for ever, for it would hold for all."""
    wanted = [fault for job in jobs for fault in CASES[job].faults]
    return tuple((tool, kind, times or most, delay_s) for tool, kind, times, delay_s in wanted)


# --- playing -------------------------------------------------------------------------------------------------------

Playing = Generator[None, None, Result]


def play(made: Round, stage_folder: Path, life: Path) -> Playing:
    """Play one round; yields while a child works."""
    began = time.monotonic()
    result = Result(made.name, made.jobs, made.kills)
    if made.jobs == (worker.FIRST_START,):
        stage.copy_empty(stage_folder, life)
    else:
        stage.copy(stage_folder, life, made.faults)
    order = Order(life, made.jobs, "", made.plant, made.patience_s)
    code = yield from _live(order, made, result, began)
    if made.name == OLD_BACKUP and code == worker.DONE:
        code = yield from _restore_old(order, stage_folder, result)
    result.outcome = _OUTCOMES.get(code, f"ended with {code}")
    if made.must_reach and result.kills == 0:
        result.counts["unreached"] = 1
    if code == worker.READ_ONLY:
        result.counts["false_alarms"] = 1
    elif code == worker.LOCKED_OUT:
        result.counts["locked_out"] = 1
    elif code != worker.DONE:
        result.counts["unfinished"] = 1
    yield from _checked(life, result)
    result.seconds = round(time.monotonic() - began, 2)
    return result


def _live(order: Order, made: Round, result: Result, began: float) -> Generator[None, None, int]:
    """Start the node until its job is done; kill it at the points and moments that the round names."""
    code = worker.BROKEN
    kills = list(made.kills)
    for number in range(STARTS_MAX + len(kills)):
        kill = kills.pop(0) if kills else ""
        armed = replace(order, point=kill) if isinstance(kill, str) else order
        kill_s = None if isinstance(kill, str) else kill
        code = yield from _child(partial(worker.work, armed), order.life, kill_s)
        result.starts += 1
        result.kills += code == -signal.SIGKILL
        if code in (worker.DONE, worker.READ_ONLY, worker.LOCKED_OUT) or time.monotonic() > began + LIFE_MAX_S:
            break
        if code == worker.STUCK and (order.plant or number):
            break
    return code


def _restore_old(order: Order, stage_folder: Path, result: Result) -> Generator[None, None, int]:
    """Put the database of the first day in place of the present one: the node must see it, and take nothing."""
    data, kept = order.life / "data", order.life / "kept"
    shutil.copytree(data, kept)
    for path in data.glob("signoff.db*"):
        path.unlink()
    shutil.copy(stage_folder / "data" / "signoff.db", data)
    code = yield from _child(partial(worker.work, order), order.life, None)
    result.starts += 1
    if code != worker.READ_ONLY:
        result.counts["old_backups_missed"] = 1
    shutil.rmtree(data)
    kept.rename(data)
    return worker.DONE


def _checked(life: Path, result: Result) -> Generator[None, None, None]:
    report = life / "check.json"

    def run() -> int:
        report.write_text(json.dumps({"found": check(life), "crossed": edges_crossed(life)}))
        return 0

    code = yield from _child(run, life, None)
    if code != 0:
        result.counts["unfinished"] = 1
        result.found["checker"] = [f"it ended with {code}; see {life / 'worker.log'}"]
        return
    told = json.loads(report.read_text())
    result.found |= {name: lines for name, lines in told["found"].items() if lines}
    result.counts |= {name: len(lines) for name, lines in told["found"].items() if lines}
    result.crossed = told["crossed"]


def _child(work: Callable[[], int], life: Path, kill_s: float | None) -> Generator[None, None, int]:
    """Run `work` in a child; returns its exit code, or minus the signal that ended it."""
    pid = worker.fork(work, life / "worker.log")
    began, is_over = time.monotonic(), False
    try:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                is_over = True
                return os.waitstatus_to_exitcode(status)
            spent = time.monotonic() - began
            if (kill_s is not None and spent >= kill_s) or spent > LIFE_MAX_S:
                os.kill(pid, signal.SIGKILL)
            yield
    finally:
        if not is_over:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


_OUTCOMES = {
    worker.DONE: "done",
    worker.STUCK: "stuck",
    worker.READ_ONLY: "taken for an old backup",
    worker.LOCKED_OUT: "locked out",
    worker.BROKEN: "broken",
    -signal.SIGKILL: "killed",
}


@dataclass(slots=True)
class Lane:
    made: Round
    life: Path
    playing: Playing
    tries: int = 1


def play_all(rounds: Iterable[Round], folder: Path, lanes: int) -> Iterator[tuple[Round, Result]]:
    """Play rounds side by side, each in a life of its own; yields results as they come.

    A round that killed nobody is played again: a busy machine may have turned a time-out the other way, or the job was
    done before its moment came, which is then halved. The lives of rounds that were not clean are kept.
    """
    stage_folder = folder / "stage"
    _build(stage_folder, folder / "stage.log")
    waiting, busy, number = iter(rounds), list[Lane](), 0
    while True:
        while len(busy) < lanes and (made := next(waiting, None)) is not None:
            number += 1
            life = folder / f"life-{number}"
            busy.append(Lane(made, life, play(made, stage_folder, life)))
        if not busy:
            return
        for lane in list(busy):
            try:
                next(lane.playing)
            except StopIteration as stop:
                result: Result = stop.value
                if result.counts.get("unreached") and lane.tries < TRIES_MAX and not lane.made.plant:
                    shutil.rmtree(lane.life)
                    lane.made = _sooner(lane.made)
                    lane.playing, lane.tries = play(lane.made, stage_folder, lane.life), lane.tries + 1
                    continue
                busy.remove(lane)
                if result.is_clean:
                    shutil.rmtree(lane.life)
                yield lane.made, result
        time.sleep(0.004)


def _sooner(made: Round) -> Round:
    """Return the round with its moments halved, and without the points that kept them from coming; or as it is."""
    moments = tuple(kill / 2 for kill in made.kills if not isinstance(kill, str))
    return replace(made, kills=moments or made.kills)


def _build(stage_folder: Path, log: Path) -> None:
    def build() -> int:
        stage.build(stage_folder)
        return 0

    _, status = os.waitpid(worker.fork(build, log), 0)
    if status:
        raise RuntimeError(f"the stage could not be built; {log} says why")


@dataclass(slots=True)
class Total:
    """The sum over all rounds."""

    rounds: int = 0
    kills: int = 0
    starts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    crossed: Counter[str] = field(default_factory=Counter)
    failing: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.rounds, self.kills, self.starts = (
            self.rounds + 1,
            self.kills + result.kills,
            self.starts + result.starts,
        )
        self.counts.update(result.counts)
        self.crossed.update(result.crossed)
        if not result.is_clean:
            self.failing.append(result.name)

    def as_value(self) -> dict[str, Any]:
        zero = {name: self.counts[name] for name in MUST_BE_ZERO}
        return {"rounds": self.rounds, "kills": self.kills, "starts": self.starts} | zero | {"failing": self.failing}
