# SPDX-License-Identifier: Apache-2.0
"""A real node behind a real HTTP server in a process of its own, which a test may kill and start again."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from signoff_sample.erp.store import Store, open_store
from signoff_sample.erp.ubl import as_text, read_ubl, register
from signoff_sample.invoices import sample

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "src" / "signoff_sample" / "erp" / "contract.yaml"
WORKFLOW = "invoice_reconcile"


@dataclass
class Company:
    """The sample company with Signoff between its agent and its ERP."""

    folder: Path
    port: int
    store: Store
    keys: dict[str, Path] = field(default_factory=dict)
    node: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        found = os.environ | {"SIGNOFF_SAMPLE_ERP_DB": str(self.folder / "erp.db"), "PATH": path}
        return found | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}

    def start(self) -> None:
        """Start the node, and return once it answers."""
        with (self.folder / "node.log").open("ab") as log:
            self.node = subprocess.Popen(
                [sys.executable, __file__, str(self.folder / "data"), str(self.port)],
                env=self.environment(), stdout=log, stderr=log,
            )  # fmt: skip
        for _ in range(600):
            assert self.node.poll() is None, (self.folder / "node.log").read_text()
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{self.url}/readyz", trust_env=False).is_success:
                    return
            time.sleep(0.05)
        raise AssertionError("the node does not answer")

    def kill(self) -> None:
        """End the node as a power cut would."""
        assert self.node
        self.node.kill()
        self.node.wait()

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        key = (self.folder / "data" / "admin.key").read_text().strip()
        answer = httpx2.request(
            method, self.url + path, json=body, headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def furnish(self) -> None:
        """Publish the contract and the envelope, and add an agent and two people."""
        self.admin("PUT", "/v1/tools/erp", {"text": CONTRACT.read_text()})
        page = sample("agent-execution-policy.yaml").decode()
        self.admin("PUT", f"/v1/envelopes/{WORKFLOW}", {"text": page})
        self._keep("agent", self.admin("POST", "/v1/agents", {"name": "reconciler"}))
        for name in ("Ada Flores", "Ben Okafor"):
            self._keep(name, self.admin("POST", "/v1/people", {"name": name, "roles": ["FinanceAdmin"]}))

    def key(self, name: str) -> str:
        return self.keys[name].read_text()

    def receive(self, name: str) -> Path:
        """Book a sample document as received, and return the file with its text as an agent's task."""
        document = read_ubl(sample(name))
        register(self.store, document)
        task = self.folder / f"{name}.txt"
        task.write_text(as_text(document), encoding="utf-8")
        return task

    def _keep(self, name: str, made: dict[str, Any]) -> None:
        self.keys[name] = self.folder / f"{name}.key"
        self.keys[name].write_text(made["api_key"] + "\n")


@contextlib.contextmanager
def company(folder: Path) -> Iterator[Company]:
    """Run the sample company in a folder until the block ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    store = open_store(folder / "erp.db")
    one = Company(folder, port, store)
    try:
        one.start()
        one.furnish()
        yield one
    finally:
        if one.node:
            one.kill()
        store.close()


async def _serve(data: Path, port: int) -> None:
    import uvicorn

    from signoff.settings import Settings
    from signoff.surfaces.http.api import create_app
    from signoff.wiring import node

    async with node(Settings(data)) as world:
        config = uvicorn.Config(create_app(world), host="127.0.0.1", port=port, log_level="warning", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
