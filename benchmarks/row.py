# SPDX-License-Identifier: Apache-2.0
"""A row: one figure of ours beside its target, and beside what was measured for comparison in the same run."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `most`: the target is an upper bound. A row without a target is told, and never fails."""

    name: str
    unit: str
    ours: float
    target: float | None = None
    most: bool = True
    versus: str = ""  # what the comparison is, in a few words
    theirs: float | None = None
    note: str = ""
    figures: dict[str, Any] = field(default_factory=dict)  # what else was measured along with it

    @property
    def factor(self) -> float | None:
        """How far from the target: 1 meets it, 2 misses it by half."""
        if self.target is None:
            return None
        return self.ours / self.target if self.most else self.target / max(self.ours, 1e-9)

    @property
    def has_failed(self) -> bool:
        return self.factor is not None and self.factor > 1

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs."""
        return self.ours / self.theirs if self.theirs else None

    def as_value(self) -> dict[str, Any]:
        """Return the row as JSON."""
        return asdict(self) | {"ratio": self.ratio, "factor": self.factor, "failed": self.has_failed}


@dataclass(frozen=True, slots=True)
class Load:
    """What a load of calls took: seconds from first to last, and of each call."""

    seconds: float
    each: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.each) / self.seconds

    def at(self, share: float) -> float:
        """Seconds within which that share of the calls ended."""
        return quantile(self.each, share)


async def loaded(callers: int, calls: int, call: Callable[[int, int], Awaitable[object]]) -> Load:
    """Let `callers` make `calls` each, one after the other; `call` is given the caller and the number of the call."""
    each: list[float] = []

    async def caller(who: int) -> None:
        for number in range(calls):
            began = time.perf_counter()
            await call(who, number)
            each.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller(who) for who in range(callers)))
    return Load(time.perf_counter() - began, tuple(each))


def timed(call: Callable[[], object], times: int) -> tuple[float, ...]:
    """Return the seconds of each of `times` calls."""
    clock, each = time.perf_counter, []
    for _ in range(times):
        began = clock()
        call()
        each.append(clock() - began)
    return tuple(each)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of `values` lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Iterable[float]) -> float:
    """Return the median: of several short rounds it is what a noisy machine moves least."""
    return statistics.median(values)


def shown(value: float | None) -> str:
    """Return a figure for people: three digits that count, thousands apart."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
