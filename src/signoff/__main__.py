# SPDX-License-Identifier: Apache-2.0
"""`signoff` and `python -m signoff`: the command line, with the doors that only the wiring can open."""

import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from signoff.surfaces.cli import Doors, run

if TYPE_CHECKING:
    from signoff.app.world import World
    from signoff.core.authority.contract import Server
    from signoff.ports.connector import Connector
    from signoff.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    return run(sys.argv[1:] if arguments is None else arguments, Doors(_node, _reading, _owned, _connect))


def _node(settings: "Settings") -> "AbstractAsyncContextManager[World]":
    from signoff.wiring import node

    return node(settings)


def _connect(server: "Server") -> "Connector":
    from signoff.wiring import connect

    return connect(server)


def _reading(settings: "Settings") -> "AbstractAsyncContextManager[World]":
    from signoff.wiring import reading

    return reading(settings)


def _owned(settings: "Settings") -> "AbstractAsyncContextManager[World]":
    from signoff.wiring import owned

    return owned(settings)


if __name__ == "__main__":
    sys.exit(main())
