# SPDX-License-Identifier: Apache-2.0
"""The stage of the demo: a server of its own, the sample ERP behind it, and people and an agent with keys.

Everything goes the way a user goes: the server is a process of its own, set up over its public API with the key of
its first admin. A second demo on the same data finds what the first one set up.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import httpx2

from signoff.core.errors import Unavailable

PEOPLE = {"Ada Flores": "ada@acme.test", "Ben Okafor": "ben@acme.test"}
YOU = "You"
OPENER = "Cora Lindt"  # product owner: she opens what may go unattended, and approves nothing
AGENTS = {"honest": "invoice-clerk", "clumsy": "clumsy-clerk", "compromised": "compromised-clerk"}
SHORT_PAGE, LONG_PAGE = "agent-execution-policy.yaml", "long-execution-policy.yaml"
ROLE = "FinanceAdmin"
WORKFLOW = "invoice_reconcile"
READY_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A running server and what is known of it."""

    url: str
    data: Path
    server: "subprocess.Popen[bytes]"
    http: httpx2.Client  # as the admin, on connections that are kept

    @property
    def books(self) -> Path:
        """The ERP's own database."""
        return self.data / "erp.db"

    def key_file(self, name: str) -> Path:
        return self.data / "demo" / f"{name.lower().replace(' ', '-')}.key"

    def key(self, name: str) -> str:
        return self.key_file(name).read_text(encoding="ascii").strip()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, by: str | None = None) -> Any:
        """Make one call of the public API, and return its JSON.

        Args:
            by: the person who makes it; the admin where None.

        Raises:
            Unavailable: it was refused; the problem's own words are kept.
        """
        headers = {"Authorization": f"Bearer {self.key(by)}"} if by else None
        answer = self.http.request(method, path, json=body, headers=headers)
        if answer.status_code >= 300:
            problem = answer.json()
            raise Unavailable(
                what=problem.get("what", f"{method} {path} was refused."),
                why=problem.get("why", f"It answered {answer.status_code}."),
                fix=problem.get("fix", "See the server's log in the data directory."),
            )
        return answer.json()

    def fetch(self, path: str) -> bytes:
        """Return what is at a path of the public API, byte for byte."""
        return self.http.get(path).raise_for_status().content


@contextmanager
def stage(data: Path, page: str, port: int | None = None) -> Iterator[Stage]:
    """Start a server on `data`, set it up under a page of the sample, and stop it at the end of the block.

    Raises:
        Unavailable: it does not come up; the end of its log says why.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = f"http://127.0.0.1:{port or _free_port()}"
    server = _start(data, url)
    try:
        _await_ready(server, url, data)
        admin = {"Authorization": f"Bearer {(data / 'admin.key').read_text(encoding='ascii').strip()}"}
        with httpx2.Client(base_url=url, headers=admin, timeout=60, trust_env=False) as http:
            set_ = Stage(url, data, server, http)
            _set_up(set_, page)
            yield set_
    finally:
        _stop(server)


def open_tiers(set_: Stage) -> list[Mapping[str, Any]]:
    """Open every tier of the page in the name of its owner, for exactly the rules she saw; return the tiers."""
    path = f"/v1/envelopes/{WORKFLOW}/clearances"
    tiers: list[Mapping[str, Any]] = set_.call("GET", path, by=OPENER)["tiers"]
    for tier in tiers:
        said = {"kind": "tier", "name": tier["name"], "digest": tier["digest"], "reason": "Agreed with finance."}
        set_.call("POST", path, said, by=OPENER)
    return tiers


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Let the server drain and end."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def child_environment(data: Path) -> dict[str, str]:
    """Return the environment of the server and the agents: this installation's commands first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "SIGNOFF_SAMPLE_ERP_DB": str(data.absolute() / "erp.db")}


def _start(data: Path, url: str) -> "subprocess.Popen[bytes]":
    host, port = url.removeprefix("http://").split(":")
    command = [sys.executable, "-m", "signoff", "serve", "--data", str(data), "--host", host, "--port", port]
    with (data / "server.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=child_environment(data),
            start_new_session=True,
        )


def _await_ready(server: "subprocess.Popen[bytes]", url: str, data: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    last = (data / "server.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise Unavailable(
        what="The demo's server did not come up.",
        why=last[0][:400] if last else "It wrote nothing to its log.",
        fix=f"Read {data / 'server.log'}, or run the demo again with another --data.",
    )


def _set_up(set_: Stage, page: str) -> None:
    """Publish the sample's pages, and give people and agents their keys; what is there already stays."""
    with resources.as_file(resources.files("signoff_sample")) as sample:
        contract = (sample / "erp" / "contract.yaml").read_text(encoding="utf-8")
        envelope = (sample / "invoices" / page).read_text(encoding="utf-8")
    set_.call("PUT", "/v1/tools/erp", {"text": contract, "file": "contract.yaml"})
    set_.call("PUT", f"/v1/envelopes/{WORKFLOW}", {"text": envelope, "file": page})
    people = [(name, email, ROLE) for name, email in {**PEOPLE, YOU: "you@acme.test"}.items()]
    for name, email, role in [*people, (OPENER, "cora@acme.test", "author")]:
        if not set_.key_file(name).exists():
            made = set_.call("POST", "/v1/people", {"name": name, "email": email, "roles": [role]})
            _keep(set_.key_file(name), made["api_key"])
    for name, agent in AGENTS.items():
        if not set_.key_file(name).exists():
            made = set_.call("POST", "/v1/agents", {"name": agent})
            _keep(set_.key_file(name), made["api_key"])


def _keep(path: Path, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
