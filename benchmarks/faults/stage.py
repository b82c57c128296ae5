# SPDX-License-Identifier: Apache-2.0
"""Build once what every round starts from: people, agents and pages in a data directory, and the ERP's books.

A round works on a copy. The ERP is the sample company's real MCP server over stdio; its contract is the packaged one
with short times and three changes, each of which opens a path that the packaged one never takes.
"""

import asyncio
import json
import os
import shutil
import sys
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from signoff import wiring
from signoff.app.authority import people, policies
from signoff.core.authority.contract import Server, load_contract, schema_digest
from signoff.settings import Settings
from signoff_sample.erp import faults
from signoff_sample.erp.store import number_key, open_store

ERP_VARIABLE = "SIGNOFF_SAMPLE_ERP_DB"
SLOTS = 12  # cases that one life can hold side by side, each with a vendor of its own
TIMEOUT_S, SETTLES_S, SEND_WITHIN_S = 1, 1, 2  # the last is the product's own: a send begins within 2 s of its claim
PEOPLE = {"ann": ("FinanceAdmin",), "ben": ("FinanceAdmin",)}
IBAN = "NL11ABCD0417164300"
OPEN_CENTS, PAYABLE_CENTS = 1_000_000, 50_000
ENTRY, REVERSE, NOTE, PAY = (
    "erp.create_journal_entry",
    "erp.reverse_journal_entry",
    "erp.update_vendor_note",
    "erp.schedule_payment",
)
WORKFLOWS = {  # each a page of its own, so that what befalls one leaves the others alone
    "daily": "autonomous",
    "rehearsal": "suggest",
    "brief": "autonomous",
    "fleeting": "autonomous",
    "held": "autonomous",
    "held-briefly": "autonomous",
    "held-fleeting": "autonomous",
}
HOLDS = {  # the review windows of a page, by tool
    "held": f"{{tool: {NOTE}, window: 10m}}, {{tool: {PAY}, window: 1s, on_timeout: proceed}}, "
    f"{{tool: {ENTRY}, window: 1s, on_timeout: proceed}}",
    "held-briefly": f"{{tool: {NOTE}, window: 1s}}",
    "held-fleeting": f"{{tool: {NOTE}, window: 10m}}",
}
BRIEF_EXPIRES_US = 2_500_000  # no page can name a deadline in this version, so the worker shortens that of `brief`


def agent_of(slot: int) -> str:
    """Return the agent's name at a slot: a halt of one stops nobody else."""
    return f"clerk-{slot}"


def vendor_of(slot: int) -> str:
    return f"V-2{slot:03}"


def order_of(slot: int) -> str:
    return f"PO-2{slot:03}"


def invoice_of(slot: int) -> str:
    return f"INV-2{slot:03}"


def build(folder: Path) -> None:
    """Build the stage in an empty folder; starts an event loop of its own."""
    folder.mkdir(parents=True)
    os.environ[ERP_VARIABLE] = str(folder / "erp.db")
    _build_erp(folder / "erp.db")
    asyncio.run(_build_data(folder))


def copy(stage: Path, life: Path, wanted: tuple[tuple[str, str, int, float | None], ...]) -> None:
    """Copy the stage for one life and set the target's faults: tool, kind, times, delay in seconds."""
    shutil.copytree(stage, life)
    store = open_store(life / "erp.db", create=False)
    for tool, kind, times, delay_s in wanted:
        faults.set_fault(store, tool, kind, times=times, delay_s=delay_s)
    store.close()


def copy_empty(stage: Path, life: Path) -> None:
    """Make a life whose node has never been started."""
    life.mkdir()
    for name in ("erp.db", "tools.json"):
        shutil.copy(stage / name, life)


def _build_erp(path: Path) -> None:
    store = open_store(path)
    with store.writing() as tx:
        for slot in range(SLOTS):
            vendor, order, invoice = vendor_of(slot), order_of(slot), invoice_of(slot)
            row: dict[str, Any] = {"vendor_id": vendor, "name": f"Vendor {slot}", "name_key": f"vendor {slot}"}
            tx.insert("vendors", row | {"tax_id": f"T{slot}", "currency": "EUR", "known": 1})
            tx.insert("bank_accounts", {"vendor_id": vendor, "iban": IBAN, "verified": 1})
            row = {"po_number": order, "vendor_id": vendor, "currency": "EUR", "ordered_on": "2026-11-02"}
            tx.insert("purchase_orders", row | {"total_cents": OPEN_CENTS, "open_cents": OPEN_CENTS})
            row = {"vendor_id": vendor, "invoice_no": invoice, "kind": "invoice", "issue_date": "2026-11-03"}
            row |= {"due_date": "2026-12-03", "payable_cents": PAYABLE_CENTS, "currency": "EUR", "po_number": order}
            row |= {"sums_agree": 1, "number_key": number_key(invoice)}
            tx.insert("invoices", row | {"iban": IBAN, "note": "", "status": "open"})
    store.close()


async def _build_data(folder: Path) -> None:
    async with wiring.node(Settings(data=folder / "data", failpoint="")) as world:
        secret = (folder / "data" / "admin.key").read_text().strip()
        admin = await people.authenticate_key(world, "default", *people.read_key(secret))
        known: dict[str, dict[str, str]] = {"admin": {"id": admin.id, "key": secret}}
        server = Server("mcp_stdio", (sys.executable, "-m", "signoff_sample", "erp"), env=(ERP_VARIABLE,))
        offered = await world.systems.connector(server).describe()
        text, tools = _contract({name: schema_digest(tool) for name, tool in offered.items()})
        contract, findings = load_contract(text, "contract.yaml")
        assert contract is not None and contract.server == server, [str(finding) for finding in findings]
        await policies.publish_contract(world, admin, "erp", text)
        for workflow, mode in WORKFLOWS.items():
            await policies.publish_envelope(world, admin, _envelope(workflow, mode))
        for name, roles in PEOPLE.items():
            person, key = await people.add_person(world, admin, name, f"{name}@sample.test", roles)
            known[name] = {"id": person.person_id, "key": key}
        for slot in range(SLOTS):
            agent, key = await people.add_agent(world, admin, agent_of(slot))
            known[agent_of(slot)] = {"id": agent.agent_id, "key": key}
        (folder / "keys.txt").write_text(world.log_keys)
    _write_private(folder / "known.json", known)
    (folder / "tools.json").write_text(json.dumps(tools))


def _contract(pins: dict[str, str]) -> tuple[str, dict[str, dict[str, int]]]:
    """Return the contract's text, and what the checker must know of each write: its cost and its time in doubt."""
    yaml = YAML(typ="safe", pure=True)
    page = yaml.load((files("signoff_sample.erp") / "contract.yaml").read_text())
    command = [sys.executable, "-m", "signoff_sample", "erp"]
    page["server"] = {"mcp": {"command": command, "env": [ERP_VARIABLE]}}
    writes: dict[str, dict[str, int]] = {}
    for name, tool in page["tools"].items():
        tool["schema_digest"] = pins[name]
        tool["timeout"] = "10s" if tool["effect"] == "read" else f"{TIMEOUT_S}s"
        if tool["effect"] != "read":
            tool["look_up"]["settles_after"] = f"{SETTLES_S}s"
            bound_us = (SEND_WITHIN_S + TIMEOUT_S + SETTLES_S) * 1_000_000
            writes[name] = {"cost_usd_micros": round(tool["cost"]["usd"] * 1_000_000), "bound_us": bound_us}
    # Without a preview a write is decided and claimed in the transaction that admits it, and the target's own refusal
    # is first heard after the send; without a check an undo learns from the target that it comes too late.
    for name in (PAY, "erp.cancel_payment"):
        del page["tools"][name]["preview"]
    del page["tools"][PAY]["precondition"], page["tools"][PAY]["undo"]["check"]
    page["tools"][PAY]["risk"] = "B"
    out = StringIO()
    yaml.default_flow_style = False
    yaml.dump(page, out)
    asking = {name: int(page["tools"][name]["risk"] in "CD") for name in writes}
    return out.getvalue(), {name: facts | {"asks": asking[name]} for name, facts in writes.items()}


def _envelope(workflow: str, mode: str) -> str:
    return f"""\
version: 1
workflow: "{workflow}"
mode: {mode}
budgets: {{max_tool_calls: 1000, hard_cost_cap_usd: 10}}
permissions:
  allowed_tools: ["erp.lookup_vendor", "{ENTRY}", "{NOTE}", "{PAY}"]
  write_actions_require_approval: false
  approval_roles: ["FinanceAdmin"]
{f"holds: [{HOLDS[workflow]}]" if workflow in HOLDS else ""}
loops: {{max_identical_calls: 10, max_denials: 10, max_steps: 1000, max_run_seconds: 86400}}
"""


def _write_private(path: Path, value: Any) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(value, file)
