# SPDX-License-Identifier: Apache-2.0
"""A real node for timings: real database, keys, ledger and receipts; only the governed system answers at once.

What is timed is Signoff's own share of a governed write, so the system behind the connector is a dictionary in this
process. Everything else is what a deployment runs.
"""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from signoff import wiring
from signoff.app.authority import people, policies
from signoff.app.world import World
from signoff.core.action.doubt import Answer, Answered
from signoff.core.authority.contract import Server, ToolDescription, schema_digest
from signoff.core.authority.quota import Quotas
from signoff.core.principal import Caller
from signoff.ports.connector import Call
from signoff.settings import Settings

NOTE = ToolDescription(
    name="book.note",
    description="Write a note about a customer.",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["customer", "text", "idempotency_key"],
        "properties": {
            "customer": {"type": "string"},
            "text": {"type": "string"},
            "amount_cents": {"type": "integer"},
            "idempotency_key": {"type": "string"},
        },
    },
    output_schema={"type": "object", "required": ["note_id"], "properties": {"note_id": {"type": "string"}}},
)
LETTER = replace(NOTE, name="book.letter", description="Send a letter to a customer.")
PREVIEW = ToolDescription(
    name="book.preview_letter",
    description="Tell what a letter would change.",
    input_schema={"type": "object", "required": ["customer"], "properties": {"customer": {"type": "string"}}},
    output_schema={"type": "object", "required": ["changes"], "properties": {"changes": {"type": "array"}}},
)
CONTRACT = f"""\
format: 1
server: {{mcp: {{command: ["none"]}}}}
tools:
  book.note:
    effect: write
    risk: B
    reversibility: manual
    reversal_note: delete the note by hand
    schema_digest: {schema_digest(NOTE)}
    idempotency: {{argument: idempotency_key, keeps: 30d}}
    cost: {{usd: 0.0001}}
    timeout: 10s
  book.letter:
    effect: write
    risk: B
    reversibility: manual
    reversal_note: write another letter
    schema_digest: {schema_digest(LETTER)}
    idempotency: {{argument: idempotency_key, keeps: 30d}}
    preview: {{tool: book.preview_letter, args: {{customer: args.customer}}}}
    cost: {{usd: 0.0001}}
    timeout: 10s
  book.preview_letter:
    effect: read
    risk: A
    schema_digest: {schema_digest(PREVIEW)}
    timeout: 10s
"""
ENVELOPE = """\
version: 1
workflow: "notes"
mode: autonomous
budgets:
  max_tool_calls: 100000
  hard_cost_cap_usd: 1000
permissions:
  allowed_tools: ["book.note"]
  write_actions_require_approval: false
  approval_roles: ["Clerk"]
loops: {max_identical_calls: 3, max_denials: 3, max_steps: 100000, max_run_seconds: 86400}
"""
LETTERS = (
    ENVELOPE.replace('"notes"', '"letters"').replace("autonomous", "assist").replace("book.note", "book.letter")
).replace("write_actions_require_approval: false", "write_actions_require_approval: true")


class Book:
    """A system that does its work at once."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    async def describe(self) -> Mapping[str, ToolDescription]:
        return {tool.name: tool for tool in (NOTE, LETTER, PREVIEW)}

    async def read(self, call: Call) -> Answer:
        return Answered({"changes": [{"path": f"letters/{call.args['customer']}", "before": None, "after": "sent"}]})

    async def execute(self, call: Call) -> Answer:
        note = self.notes.setdefault(call.args["idempotency_key"], f"N-{len(self.notes)}")
        return Answered({"note_id": note})

    async def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Bench:
    """A node with someone to act on it: an admin, a clerk who may approve, an agent and its token; and the book."""

    world: World
    admin: Caller
    clerk: Caller
    agent: Caller
    token: str
    book: Book


@asynccontextmanager
async def bench_node(folder: Path | None = None) -> AsyncIterator[Bench]:
    """Run a node on `folder`/data, or on a directory that goes with it."""
    with tempfile.TemporaryDirectory() as made:
        data = (folder or Path(made)) / "data"
        quotas = Quotas(open_runs_max=1_000_000)  # one agent stands for as many as its runs would need
        async with wiring.node(Settings(data=data, quotas=quotas)) as world:
            book = Book()
            world.systems._connectors[Server("mcp_stdio", ("none",))] = book
            admin = await _of_key(world, (data / "admin.key").read_text().strip())
            await policies.publish_contract(world, admin, "book", CONTRACT)
            for envelope in (ENVELOPE, LETTERS):
                await policies.publish_envelope(world, admin, envelope)
            _, clerk_key = await people.add_person(world, admin, "Clerk", "", ["Clerk"])
            agent, _ = await people.add_agent(world, admin, "bench")
            token, _ = await people.mint_token(world, admin, agent.agent_id)
            clerk = await _of_key(world, clerk_key)
            yield Bench(world, admin, clerk, people.caller_of_token(world, token), token, book)


async def _of_key(world: World, key: str) -> Caller:
    return await people.authenticate_key(world, "default", *people.read_key(key))
