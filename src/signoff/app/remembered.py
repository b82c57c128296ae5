# SPDX-License-Identifier: Apache-2.0
"""What a node remembers of runs under provenance rules: payloads already opened and read, by their commitments.

A commitment stands for exactly one content, so that nothing here can be out of date. It is bounded for each run and
for the node, and forgotten where something is erased.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from signoff.core.authority.normal import Told
from signoff.core.authority.said import Said

RUN_MAX = 8 * 2**20  # characters of one run; past it, no result of it endorses anything
NODE_MAX = 32 * 2**20


@dataclass(slots=True)
class RunMemory:
    """What was read of one run: its task, what its agent sent, and what came back."""

    task: Told | None = None
    said: dict[str, Said] = field(default_factory=dict)
    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size > RUN_MAX


class Remembered:
    """The runs that were looked at last; bodies of several threads share it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str], RunMemory] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def of(self, tenant: str, run_id: str) -> RunMemory:
        """Return what is remembered of a run, and forget the runs that were looked at longest ago."""
        with self._lock:
            memory = self._runs.setdefault((tenant, run_id), RunMemory())
            self._runs.move_to_end((tenant, run_id))
            held = sum(one.size for one in self._runs.values())
            while held > NODE_MAX and len(self._runs) > 1:
                _, gone = self._runs.popitem(last=False)
                held -= gone.size
            return memory

    def forget(self, tenant: str) -> None:
        """Forget a tenant's runs: something was erased, and nothing of it is to stay in memory."""
        with self._lock:
            for key in [key for key in self._runs if key[0] == tenant]:
                del self._runs[key]
