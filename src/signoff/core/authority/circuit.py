# SPDX-License-Identifier: Apache-2.0
"""Circuit breakers: a tool whose last sends all went wrong is left alone for a while, and then tried once.

It is told from the sends themselves, so that every node that sees the same actions says the same. An answer by which
the target refuses, in its own code, shows that it is well; only what says something of the system counts against it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# What a failed call says of the system: no answer, none that can be read, no connection, an error without a code.
BROKEN: Final = frozenset({"answer_lost", "answer_invalid", "not_sent", "target_error"})


@dataclass(frozen=True, slots=True)
class Circuits:
    """When calls of a tool are broken off, and for how long."""

    sends: int = 5
    within_us: int = 300_000_000
    cool_us: int = 60_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One send of a tool. `doubt_since` stays once a doubt was resolved; times are microseconds since 1970."""

    claimed_at: int
    is_under_way: bool
    reason: str | None = None
    doubt_since: int | None = None
    failed_at: int | None = None  # when it ended as failed

    @property
    def is_bad(self) -> bool:
        return self.doubt_since is not None or (self.failed_at is not None and self.reason in BROKEN)


@dataclass(frozen=True, slots=True)
class Broken:
    """Calls of a tool are broken off until a time, or while the one that is tried is under way (None)."""

    sends: int
    until: int | None


def broken_off(sends: Iterable[Sent], now: int, circuits: Circuits) -> Broken | None:
    """Return whether calls of a tool are broken off.

    Args:
        sends: of the tool, newest first; no more are looked at than it takes.
    """
    bad: list[Sent] = []
    under_way: list[Sent] = []
    for sent in sends:
        if sent.is_under_way:
            under_way.append(sent)
            continue
        if not sent.is_bad:
            return None
        bad.append(sent)
        if len(bad) == circuits.sends:
            break
    if len(bad) < circuits.sends:
        return None
    since = max(sent.doubt_since or sent.failed_at or sent.claimed_at for sent in bad)
    if since - min(sent.claimed_at for sent in bad) > circuits.within_us:
        return None
    if now < since + circuits.cool_us:
        return Broken(len(bad), since + circuits.cool_us)
    if any(sent.claimed_at >= since for sent in under_way):
        return Broken(len(bad), None)
    return None
