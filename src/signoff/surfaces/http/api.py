# SPDX-License-Identifier: Apache-2.0
"""The HTTP surface put together: the door around the two hot routes, the wide ones, and the pages."""

from functools import cached_property
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from signoff import __version__
from signoff.app.world import World
from signoff.surfaces.http.action import action_routes
from signoff.surfaces.http.authentication import Sessions
from signoff.surfaces.http.authority import authority_routes
from signoff.surfaces.http.described import openapi
from signoff.surfaces.http.door import Door, Receive, Scope, Send
from signoff.surfaces.http.evidence import evidence_routes
from signoff.surfaces.http.hot import METHODS, hot_calls
from signoff.surfaces.http.metrics import Metrics
from signoff.surfaces.http.operations import operations_routes
from signoff.surfaces.http.oversight import oversight_routes
from signoff.surfaces.web.routes import page_routes


class Rooms(FastAPI):
    """FastAPI without its own error handling: the door alone turns errors into answers."""

    def build_middleware_stack(self) -> ASGIApp:
        return AsyncExitStackMiddleware(self.router)


class Api:
    """The ASGI application of one node. Set `is_draining` when it is about to stop: `/readyz` then says so."""

    def __init__(self, world: World) -> None:
        self.is_draining = False
        self.metrics = Metrics()
        sessions = Sessions()
        self._hot = hot_calls(world, lambda: self.is_draining)
        self._rooms = Rooms(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self._rooms.include_router(action_routes(world))
        self._rooms.include_router(authority_routes(world))
        self._rooms.include_router(evidence_routes(world))
        self._rooms.include_router(oversight_routes(world))
        self._rooms.include_router(
            operations_routes(world, self.metrics, lambda: self.is_draining, lambda: self.description)
        )
        self._rooms.router.routes.extend(page_routes(world, sessions))
        self._door = Door(world, self._inside, sessions, self.metrics)

    @cached_property
    def description(self) -> dict[str, Any]:
        """The OpenAPI description."""
        return openapi(self._rooms, __version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door(scope, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = scope.get("hot")
        if place is None:
            await self._rooms(scope, receive, send)
        elif scope["method"] not in METHODS[place[0]]:
            raise HTTPException(405, headers={"Allow": ", ".join(METHODS[place[0]])})
        else:
            await self._hot[place[0]](scope, receive, send)


def create_app(world: World) -> Api:
    """Return the HTTP surface of a node: API, pages, metrics and probes."""
    return Api(world)
