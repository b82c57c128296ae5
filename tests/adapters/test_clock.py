# SPDX-License-Identifier: Apache-2.0
"""Time only grows, follows no jump of the wall clock, and is never behind the last record."""

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff.adapters.clock import SystemChance, SystemClock
from signoff.ports.clock import Chance, Clock

S = 1_000_000  # microseconds


class Times:
    """The two clocks of a machine, set by hand, in nanoseconds."""

    def __init__(self, wall: int = 1_700_000_000 * S, uptime: int = 5 * S) -> None:
        self.wall_ns, self.uptime_ns = wall * 1000, uptime * 1000

    def clock(self, floor: int = 0) -> SystemClock:
        return SystemClock(floor, wall_ns=lambda: self.wall_ns, uptime_ns=lambda: self.uptime_ns)

    def pass_(self, us: int) -> None:
        self.wall_ns += us * 1000
        self.uptime_ns += us * 1000


def test_it_starts_at_the_wall_clock_and_is_carried_on_by_the_one_that_only_grows() -> None:
    times = Times()
    clock = times.clock()
    assert clock.now() == 1_700_000_000 * S
    assert clock.monotonic() == 5.0
    times.pass_(7 * S)
    assert (clock.now(), clock.monotonic(), clock.jump_us()) == (1_700_000_007 * S, 12.0, 0)


def test_a_jump_of_the_wall_clock_is_told_and_not_followed() -> None:
    for jump in (3600 * S, -3600 * S):
        times = Times()
        clock = times.clock()
        times.wall_ns += jump * 1000
        times.pass_(S)
        assert clock.now() == 1_700_000_001 * S
        assert clock.jump_us() == jump


def test_a_wall_clock_behind_the_last_record_starts_at_the_record_and_time_goes_on() -> None:
    times = Times()
    floor = 1_700_000_000 * S + 86_400 * S
    clock = times.clock(floor)
    assert clock.now() == floor
    times.pass_(10 * S)
    assert clock.now() == floor + 10 * S
    assert clock.jump_us() == -86_400 * S


def test_the_floor_can_be_raised_and_never_lowered() -> None:
    times = Times()
    clock = times.clock()
    start = clock.now()
    clock.advance_floor(start - 100)
    assert clock.now() == start
    clock.advance_floor(start + 100)
    assert clock.now() == start + 100
    clock.advance_floor(start + 50)
    times.pass_(1)
    assert clock.now() == start + 101


steps = st.lists(
    st.tuples(st.sampled_from(["wall", "pass", "floor"]), st.integers(-(10**12), 10**12)), min_size=1, max_size=30
)


@given(steps=steps, floor=st.integers(0, 2 * 10**15))
def test_no_answer_is_smaller_than_the_one_before_or_a_floor(steps: list[tuple[str, int]], floor: int) -> None:
    times = Times()
    clock = times.clock(floor)
    last = clock.now()
    assert last >= floor
    for what, amount in steps:
        if what == "wall":
            times.wall_ns += amount * 1000
        elif what == "pass":
            times.pass_(abs(amount))
        else:
            clock.advance_floor(last + amount)
            assert clock.now() >= last + amount
        assert clock.now() >= last
        last = clock.now()


def test_the_systems_own_clocks_agree_with_it_at_start() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns() // 1000
    assert abs(clock.now() - before) < 60 * S
    assert clock.monotonic() <= clock.monotonic()


def test_threads_that_raise_the_floor_never_see_time_go_back() -> None:
    clock = SystemClock()
    wrong: list[tuple[int, int]] = []

    def work() -> None:
        last = clock.now()
        for _ in range(2000):
            clock.advance_floor(last + 10)
            if (now := clock.now()) < last + 10:
                wrong.append((last, now))
            last = now

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_chance_is_of_the_asked_length_and_never_the_same() -> None:
    chance: Chance = SystemChance()
    assert [len(chance.bytes(n)) for n in (0, 1, 10, 32, 5000)] == [0, 1, 10, 32, 5000]
    assert len({chance.bytes(16) for _ in range(1000)}) == 1000


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # later Pythons warn wherever a thread is left
def test_a_forked_process_does_not_repeat_its_parents_chance() -> None:
    chance = SystemChance()
    chance.bytes(10)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, chance.bytes(32))
        os._exit(0)
    os.close(writing)
    theirs = os.read(reading, 64)
    os.close(reading)
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != chance.bytes(32)
