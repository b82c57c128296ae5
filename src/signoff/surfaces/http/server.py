# SPDX-License-Identifier: Apache-2.0
"""Serve a node over HTTP until it is told to stop, and then let requests end.

The server takes no signal away from the process: handlers are set for as long as it serves and put back, and a signal
only asks it to stop. A second one makes it stop waiting for open requests.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

import uvicorn

from signoff.app.world import World
from signoff.core.errors import Conflict
from signoff.surfaces.http.api import create_app
from signoff.surfaces.http.bounded import HEAD_MAX, protocol

T = TypeVar("T")
log = logging.getLogger("signoff.http")
DRAIN_S: Final = 10
BACKLOG: Final = 2048
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would raise the signal again after the server has stopped."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_server(
    world: World,
    host: str,
    port: int,
    *,
    ready: Callable[[str, int], object] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until a signal comes or `stop` is set; requests under way have `DRAIN_S` seconds to end.

    A leg of an action runs in a task of the node, so that whoever is cut off loses an answer and no work.

    Args:
        port: 0 takes a free one.
        ready: called with URL and port once connections are accepted, such as `http://127.0.0.1:8470` and 8470.
        stop: where it is given, signals are left to the caller.

    Raises:
        Conflict: nothing can listen there.
    """
    app = create_app(world)
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=protocol(),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=30,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=HEAD_MAX,
    )
    server = _Server(config)
    stopping = stop or asyncio.Event()
    with contextlib.ExitStack() as handlers:
        if stop is None:
            handlers.enter_context(_asking_to_stop(stopping, server))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(stopping.wait())
        starting = asyncio.create_task(server.accepting.wait())
        try:
            await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
            if ready is not None and server.started:
                ready(*_bound(listener))
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            app.is_draining = True
            server.should_exit = True
            watching.cancel()
            starting.cancel()
            await _ended(serving, server)
            listener.close()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program's main coroutine, on uvloop where it is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        with contextlib.suppress(ImportError):
            import uvloop

            factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def _ended(serving: "asyncio.Task[None]", server: uvicorn.Server) -> None:
    """Wait for the server's end, even when the waiting is cancelled: connections are not dropped for that."""
    while not serving.done():
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            if serving.done():
                return
            server.force_exit = True
    serving.result()


@contextlib.contextmanager
def _asking_to_stop(stopping: asyncio.Event, server: uvicorn.Server) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def ask() -> None:
        if stopping.is_set():
            server.force_exit = True
        stopping.set()

    kept = {}
    for number in SIGNALS:
        try:
            previous = signal.getsignal(number)
            loop.add_signal_handler(number, ask)
        except (ValueError, RuntimeError, NotImplementedError):
            continue  # no signals outside of the main thread, or on this platform
        kept[number] = previous
    try:
        yield
    finally:
        for number, previous in kept.items():
            loop.remove_signal_handler(number)
            if previous is not None:
                signal.signal(number, previous)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise Conflict(
            what=f"Nothing can listen on {host} port {port}.",
            why=f"The operating system says: {error.strerror or error}.",
            fix="Choose another port, or stop what listens there.",
            code="server.no_address",
        ) from error
    return listener


def _bound(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return (f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"), port
