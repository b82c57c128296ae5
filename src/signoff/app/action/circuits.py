# SPDX-License-Identifier: Apache-2.0
"""Which tools are left alone for a while, as their last sends tell."""

from datetime import UTC, datetime

from signoff.app.world import World
from signoff.core.authority.circuit import Broken, broken_off
from signoff.ports.storage import Transaction


def open_circuit(world: World, tx: Transaction, tool: str) -> str:
    """Return why calls of a tool are broken off now, '' where they are not."""
    broken = broken_off(tx.actions.sends_of(tool), tx.now, world.circuits)
    return "" if broken is None else _said(tool, broken)


def open_circuits(world: World, tx: Transaction) -> dict[str, str]:
    """Return why calls are broken off, by tool, for every tool that is."""
    known = world.shelf.pages(tx).tools
    return {tool: why for tool in sorted(known) if (why := open_circuit(world, tx, tool))}


def _said(tool: str, broken: Broken) -> str:
    past = f"The last {broken.sends} calls of {tool} failed or got no clear answer."
    if broken.until is None:
        return f"{past} One is being tried; the next may follow once it has an outcome."
    at = datetime.fromtimestamp(broken.until // 1_000_000, UTC)
    return f"{past} None is sent before {at:%H:%M:%S} UTC; then one is tried."
