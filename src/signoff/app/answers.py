# SPDX-License-Identifier: Apache-2.0
"""What read tools answered: the facts of one call, and what a node remembers of them for a short while, bounded."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from signoff.ledger.canonical import canonical

KEPT_MAX = 1024
BYTES_MAX = 16 * 1024  # of one answer: all of them stay below 16 MiB


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of a read tool: what was asked, what came, and when it was asked (microseconds since 1970)."""

    tool: str
    args: Mapping[str, Any]
    result: Mapping[str, Any]
    at: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was fetched, by name of the fact; or why one could not be had, and if that is an outage."""

    asked: Mapping[str, Asked] = field(default_factory=dict)
    problem: str = ""
    is_outage: bool = False

    @property
    def at(self) -> int | None:
        """When the oldest of them was asked for; None where there is none."""
        return min((asked.at for asked in self.asked.values()), default=None)

    @property
    def results(self) -> dict[str, Mapping[str, Any]]:
        return {name: asked.result for name, asked in self.asked.items()}

    def as_value(self) -> dict[str, Any]:
        """Return the payload by which people see what was known when."""
        asked = {
            name: {"tool": one.tool, "args": dict(one.args), "result": dict(one.result), "at": one.at}
            for name, one in self.asked.items()
        }
        return {"facts": asked, "problem": self.problem}


NOTHING = Facts()


class Answers:
    """The newest answers by who asked what; the oldest are forgotten first. Nothing here outlives the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Asked] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._kept)

    def get(self, key: bytes, since: int) -> Asked | None:
        """Return the answer to `key` if it was asked for after `since`."""
        known = self._kept.get(key)
        return known if known is not None and known.at > since else None

    def put(self, key: bytes, asked: Asked) -> None:
        """Remember an answer, unless it is a large one."""
        self._kept.pop(key, None)
        if len(canonical(dict(asked.result))) > BYTES_MAX:
            return
        self._kept[key] = asked
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def key_of(tenant: str, run_id: str, contract: str, tool: str, args: Mapping[str, Any]) -> bytes:
    """Return the name of a question: whose run asks which tool, under which contract file, with what."""
    return sha256(canonical([tenant, run_id, contract, tool, dict(args)])).digest()
