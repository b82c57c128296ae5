# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of its sweeps: the last one of each tool, and when each system was looked through."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

EACH_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Unreceipted:
    """A write that a system lists under our keys and that no receipt stands for.

    `why` is `unknown` (no action has this key), `no_key` (it was listed without one) or `not_done` (the action of this
    key says that it was not done); `action_id` is that action's.
    """

    system: str
    tool: str
    key: str
    why: str
    action_id: str | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """One look through the writes of one tool. Times are microseconds since 1970; `problem` is why there is no list."""

    system: str
    tool: str
    since: int
    at: int
    listed: int = 0
    found: tuple[Unreceipted, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class Sweeps:
    """The sweeps of a node. `each_s` is how often a system is looked through, in seconds; 0 is never by itself."""

    each_s: int = EACH_S
    last: dict[tuple[str, str, str], Swept] = field(default_factory=dict)  # by tenant, system and tool
    begun: dict[tuple[str, str], int] = field(default_factory=dict)  # by tenant and system
    looked: dict[str, int] = field(default_factory=dict)  # by tenant: when systems were looked for

    def of(self, tenant: str) -> tuple[Swept, ...]:
        """Return the last sweep of each tool of a tenant."""
        return tuple(swept for (whose, _, _), swept in sorted(self.last.items()) if whose == tenant)

    def keep(self, tenant: str, swept: Iterable[Swept]) -> None:
        """Have these stand as the last ones of their tools."""
        self.last.update({(tenant, one.system, one.tool): one for one in swept})
