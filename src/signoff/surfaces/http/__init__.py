# SPDX-License-Identifier: Apache-2.0
"""The HTTP surface: `run_server` serves a node, `create_app` is its ASGI application.

Both are loaded when they are asked for, so that naming one room does not furnish the house.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signoff.surfaces.http.api import create_app as create_app
    from signoff.surfaces.http.server import run as run
    from signoff.surfaces.http.server import run_server as run_server

_WHERE = {"create_app": "api", "run": "server", "run_server": "server"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
