# SPDX-License-Identifier: Apache-2.0
"""Starting: from an empty data directory to a server that says it is ready, and the command line's own help."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from benchmarks.peers import Peers
from benchmarks.row import Row, median

READY_S, HELP_S = 2.0, 0.4
PATIENCE_S = 30


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure starts, interleaved with those of a bare interpreter and of FastAPI alone."""
    rounds = 3 if quick else 7
    ready, helped, bare, fastapi = [], [], [], []
    for _ in range(rounds):
        ready.append(_ready())
        fastapi.append(_run(sys.executable, "-c", "import fastapi, uvicorn"))
        helped.append(_run(sys.executable, "-m", "signoff", "--help"))
        bare.append(_run(sys.executable, "-c", "pass"))
    return [
        Row(
            "start, empty directory to ready",
            "s",
            median(ready),
            READY_S,
            versus="import of FastAPI and uvicorn",
            theirs=median(fastapi),
        ),
        Row("signoff --help", "s", median(helped), HELP_S, versus="python -c pass", theirs=median(bare)),
    ]


def _run(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _ready() -> float:
    """Return the seconds from starting a server to its first yes on `/readyz`."""
    with tempfile.TemporaryDirectory() as data:
        port = _free_port()
        began = time.perf_counter()
        command = [sys.executable, "-m", "signoff", "serve", "--data", f"{data}/d", "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while time.perf_counter() - began < PATIENCE_S:
                with (
                    contextlib.suppress(urllib.error.URLError, ConnectionError),
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer,
                ):
                    if answer.status == 200:
                        return time.perf_counter() - began
                if server.poll() is not None:
                    raise AssertionError(f"the server ended with {server.returncode}")
                time.sleep(0.005)
            raise AssertionError(f"the server was not ready within {PATIENCE_S} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGTERM)
            server.wait(PATIENCE_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
