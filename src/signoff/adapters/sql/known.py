# SPDX-License-Identifier: Apache-2.0
"""What one connection knows by heart: rows it has read or written, for as long as nobody else can have changed them.

The writer keeps one for its life, and asks the engine at the beginning of each batch, when it holds the write lock,
whether another connection has committed; a body that is undone takes everything with it. A reader has one a view,
which is one snapshot.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from signoff.adapters.sql.tally import RunTally

T = TypeVar("T")
KEPT_MAX = 512  # of one kind and tenant; more are forgotten together
LINES_MAX = 65_536  # of all tallies, which grow with their runs: some 30 MB
_NONE: Mapping[Hashable, Any] = {}
WEIGHED_EVERY = 64  # batches, which add some 4,096 lines at most


class Known:
    """Rows and answers by kind, tenant and key."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, str], dict[Hashable, Any]] = {}
        self._version: int | None = None
        self._batches = 0

    def as_of(self, version: int) -> None:
        """Forget everything if the engine's version of what others have committed is another one."""
        if version != self._version:
            self._kept.clear()
            self._version = version
        self._batches += 1
        if self._batches % WEIGHED_EVERY == 0:
            self._shed()

    def get(self, kind: Hashable, tenant: str, key: Hashable, read: Callable[[], T]) -> T:
        """Return what is known, else read it; that there is no such row is known too."""
        kept = self._kept.get((kind, tenant))
        if kept is None:
            kept = self._kept[kind, tenant] = {}
        elif key in kept:
            return kept[key]  # type: ignore[no-any-return]
        found = read()
        self._put(kept, key, found)
        return found

    def peek(self, kind: Hashable, tenant: str, key: Hashable) -> Any:
        """Return what is known, or None."""
        return self._kept.get((kind, tenant), {}).get(key)

    def each(self, kind: Hashable, tenant: str) -> Mapping[Hashable, Any]:
        """Return all that is known of a kind, by key."""
        return self._kept.get((kind, tenant), _NONE)

    def put(self, kind: Hashable, tenant: str, key: Hashable, value: object) -> None:
        """Know a row as it was just written."""
        self._put(self._kept.setdefault((kind, tenant), {}), key, value)

    def forget(self, kind: Hashable, tenant: str) -> None:
        """Forget a kind of which something was written."""
        self._kept.pop((kind, tenant), None)

    def forget_all(self) -> None:
        """Forget everything: what was written is undone."""
        self._kept.clear()

    def _shed(self) -> None:
        """Forget the tallies first known, until their lines are bounded; the last of them may be longer alone."""
        held = [
            (kept, key, len(tally)) for (kind, _), kept in self._kept.items() if kind is RunTally
            for key, tally in kept.items()
        ]  # fmt: skip
        lines = sum(length for _, _, length in held)
        for kept, key, length in held[:-1]:
            if lines <= LINES_MAX:
                return
            del kept[key]
            lines -= length

    @staticmethod
    def _put(kept: dict[Hashable, Any], key: Hashable, value: object) -> None:
        if len(kept) >= KEPT_MAX:
            kept.clear()
        kept[key] = value
