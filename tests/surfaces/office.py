# SPDX-License-Identifier: Apache-2.0
"""A whole installation on a loopback port, in a thread of its own: real node, real HTTP, the sample ERP over MCP."""

import asyncio
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import httpx2

from signoff.app.world import World
from signoff.core.authority.contract import Server
from signoff.core.authority.description import schema_digest
from signoff.settings import Settings
from signoff.surfaces.http.server import run_server
from signoff.wiring import connect, node

WORKFLOW = "invoice_reconcile"
ROLE = "FinanceAdmin"
LOOK_UP = {"tool": "erp.lookup_vendor", "args": {"name": "Brisk Paper B.V."}}
ENTRY = {
    "vendor_id": "V-1001",
    "invoice_no": "BP-2026-0412",
    "po_number": "PO-7001",
    "amount_cents": 145_200,
    "currency": "EUR",
}


def envelope(version: str = "1", workflow: str = WORKFLOW, more: str = "") -> str:
    """Return the text of an envelope under which every write asks one FinanceAdmin."""
    return f"""\
version: "{version}"
workflow: {workflow}
budgets: {{max_tool_calls: 40, hard_cost_cap_usd: 1.25}}
permissions:
  allowed_tools: [erp.lookup_vendor, erp.create_journal_entry, erp.update_vendor_note]
  write_actions_require_approval: true
  approval_roles: [{ROLE}]
{more}"""


TIERED = envelope("1", "tiered").replace(
    "  write_", "  rules: [{id: r, tool: erp.update_vendor_note, when: 'true', then: allow, tier: notes}]\n  write_"
)


def pinned(text: str, command: list[str], pins: Mapping[str, str]) -> str:
    """Return the sample contract for a server started by `command`, every tool pinned to what it says of itself."""
    text = re.sub(r"server: .*", f"server: {{mcp: {{command: {command!r}}}}}".replace("'", '"'), text, count=1)
    text = re.sub(
        r"^  (erp\.\w+): \{effect", lambda m: f"  {m[1]}: {{schema_digest: {pins[m[1]]}, effect", text, flags=re.M
    )
    return re.sub(
        r"^  (erp\.\w+):\n    effect",
        lambda m: f"  {m[1]}:\n    schema_digest: {pins[m[1]]}\n    effect",
        text,
        flags=re.M,
    )


@dataclass
class Office:
    """One installation and who works there: `keys` are API keys by name, `ids` their holders."""

    folder: Path
    url: str = ""
    port: int = 0
    world: World | None = None
    contract: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(trust_env=False, timeout=30))
    count: int = 0
    close: Callable[[], object] = lambda: None  # asks the server to stop

    def call(
        self, method: str, path: str, body: Any = None, *, who: str | None = "admin", **more: Any
    ) -> httpx2.Response:
        """Make one call as someone: a person's key, or a token that is minted for an agent; None says nothing."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers.setdefault("Authorization", f"Bearer {self.bearer(who)}")
        if body is not None:
            more["json"] = body
        return self.http.request(method, self.url + path, headers=headers, **more)

    def ok(self, method: str, path: str, body: Any = None, *, who: str = "admin", **more: Any) -> Any:
        """Make a call that must succeed, and return its document."""
        answer = self.call(method, path, body, who=who, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def bearer(self, who: str) -> str:
        if who not in ("clerk", "rival"):
            return self.keys[who]
        minted = self.http.post(f"{self.url}/v1/tokens", headers={"Authorization": f"Bearer {self.keys[who]}"})
        return str(minted.json()["token"])

    def begin(self, who: str = "clerk", **more: Any) -> str:
        """Begin a run and return its id."""
        run = self.ok("POST", "/v1/runs", {"workflow": WORKFLOW, "task": "Post the invoice.", **more}, who=who)
        return str(run["run_id"])

    def waiting(self, run_id: str, **args: Any) -> dict[str, Any]:
        """Propose a write that waits for approval, one that was not proposed before."""
        self.count += 1
        note = {"vendor_id": "V-1001", "note": f"Seen {self.count} times.", **args}
        body = {"tool": "erp.update_vendor_note", "args": note}
        document: dict[str, Any] = self.ok("POST", f"/v1/runs/{run_id}/actions?wait=0", body, who="clerk")
        if document["state"] == "proposed":
            document = self.until(document, "pending_approval")
        assert document["state"] == "pending_approval", document
        return document

    def approve(self, document: Mapping[str, Any], who: str = "ann") -> dict[str, Any]:
        """Approve what waits, and return the action once it is concluded."""
        body = {"decision": "approve", "digest": document["digest"], "reason": "It matches."}
        self.ok("POST", f"/v1/approvals/{document['approval']['approval_id']}", body, who=who)
        found: dict[str, Any] = self.ok("GET", f"/v1/actions/{document['action_id']}?wait=20")
        return found

    def until(self, document: Mapping[str, Any], *states: str) -> dict[str, Any]:
        """Read an action until it is in one of these states."""
        for _ in range(400):
            found: dict[str, Any] = self.ok("GET", f"/v1/actions/{document['action_id']}")
            if found["state"] in states:
                return found
            threading.Event().wait(0.02)
        raise AssertionError(found)

    def receipt(self, action_id: str) -> bytes:
        """Return the receipt of an action once it carries its proof."""
        for _ in range(400):
            found = self.call("GET", f"/v1/receipts/{self.ok('GET', f'/v1/actions/{action_id}')['receipt_id']}")
            if found.status_code == 200 and "proof" in found.json():
                return found.content
            threading.Event().wait(0.02)
        raise AssertionError(found.text)


@contextmanager
def opened(folder: Path) -> Iterator[Office]:
    """Open an office with its people and agents, its contract and its envelope published."""
    office = Office(folder)
    ready, errors = threading.Event(), list[BaseException]()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        office.close = lambda: loop.call_soon_threadsafe(stop.set) if not loop.is_closed() else None
        async with node(Settings(data=folder / "data")) as world:
            office.world = world
            command = [sys.executable, "-m", "signoff_sample", "erp", "--db", str(folder / "erp.db")]
            connector = connect(Server("mcp_stdio", tuple(command)))
            pins = {name: schema_digest(tool) for name, tool in (await connector.describe()).items()}
            await connector.close()
            text = (resources.files("signoff_sample.erp") / "contract.yaml").read_text()
            office.contract = pinned(text, command, pins)

            def told(url: str, port: int) -> None:
                office.url, office.port = url, port
                ready.set()

            await run_server(world, "127.0.0.1", 0, ready=told, stop=stop)

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  # raised again where the office was opened
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="office")
    thread.start()
    try:
        assert ready.wait(30)
        if errors:
            raise errors[0]
        office.keys["admin"] = (folder / "data" / "admin.key").read_text().strip()
        _furnish(office)
        yield office
    finally:
        office.http.close()
        office.close()
        thread.join(30)
    assert not errors, errors


def _furnish(office: Office) -> None:
    office.ids["admin"] = office.ok("GET", "/v1/me")["id"]
    roles = {"ann": [ROLE], "bob": [ROLE], "otto": ["operator"], "audra": ["auditor"], "arthur": ["author"], "zoe": []}
    for name, held in roles.items():
        made = office.ok("POST", "/v1/people", {"name": name.title(), "email": f"{name}@acme.test", "roles": held})
        office.keys[name], office.ids[name] = made["api_key"], made["person_id"]
    for name in ("clerk", "rival"):
        made = office.ok("POST", "/v1/agents", {"name": name, "owner_id": office.ids["zoe"]})
        office.keys[name], office.ids[name] = made["api_key"], made["agent_id"]
    office.ok("PUT", "/v1/tools/erp", {"text": office.contract}, who="arthur")
    office.ok("PUT", f"/v1/envelopes/{WORKFLOW}", {"text": envelope()}, who="arthur")
