# SPDX-License-Identifier: Apache-2.0
"""The reversal runbook, written from contracts, pages and the ledger: who takes each write back, how, until when.

`last_tested` is the last reversal that succeeded here; a way back that nobody has ever gone says so.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from signoff.app.action.documents import Document, when
from signoff.app.world import World
from signoff.core.action.lifecycle import State
from signoff.core.action.retention import UNDO_US
from signoff.core.authority.contract import Effect, Expression, ToolContract
from signoff.core.authority.envelope import DAY_US, Envelope
from signoff.core.errors import NotFound
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction

AT_ONCE: Final = 200
UNDONE: Final = (State.REVERSED,)


async def runbook(world: World, caller: Caller, system: str | None = None) -> list[Document]:
    """Return, for each write under contract, who may take it back, how, until when, and when that last worked.

    Raises:
        Forbidden: an agent asked.
        NotFound: no contract of this system is published.
    """
    require_person(caller)
    tested = await _tested(world, caller.tenant)

    def body(tx: Transaction) -> list[Document]:
        pages = [page for page in tx.authority.publications("contract") if system in (None, page.name)]
        if system is not None and not pages:
            raise NotFound(
                what=f"There is no system {system[:64]!r}.",
                why="No tool contract is published under this name.",
                fix="List the systems with `signoff tools`.",
                code="system.unknown",
            )
        envelopes = [world.shelf.envelope(tx, page.digest) for page in tx.authority.publications("envelope")]
        return [
            _line(page.name, tool, [one for one in envelopes if tool.name in one.allowed_tools], tested)
            for page in sorted(pages, key=lambda one: one.name)
            for tool in world.shelf.contract(tx, page.digest).tools.values()
            if tool.effect is Effect.WRITE
        ]

    return await world.storage.view(caller.tenant, body)


def markdown(lines: Sequence[Document]) -> str:
    """Return the runbook as a page for people; what a contract says in words stands as code, never as markup."""
    found = ["# How each write is taken back", ""]
    for line in lines:
        tested = line["last_tested"]
        found += [f"## {_code(line['tool'])}", "", f"Class {line['class']}, {line['reversibility']}.", ""]
        found += [f"- **Who:** {_code(line['who'])}", f"- **How:** {_code(line['how'])}"]
        found += [f"- **Until:** {_code(one)}" for one in line["until"]]
        found.append(f"- **Last tested:** {tested['at']}, action {tested['action_id']}" if tested else _NEVER)
        found.append("")
    return "\n".join(found)


_NEVER: Final = "- **Last tested:** never"


def _line(system: str, tool: ToolContract, envelopes: Sequence[Envelope], tested: Mapping[str, Document]) -> Document:
    roles = sorted({role for one in envelopes for role in one.approval_roles})
    return {
        "system": system,
        "tool": tool.name,
        "class": str(tool.risk),
        "reversibility": tool.reversibility,
        "workflows": sorted(one.workflow for one in envelopes),
        "undo": tool.undo.tool if tool.undo else None,
        "who": _who(tool, roles),
        "how": _how(tool),
        "until": _until(tool, envelopes),
        "last_tested": tested.get(tool.name),
    }


def _who(tool: ToolContract, roles: Sequence[str]) -> str:
    if tool.undo is None:
        return "A person, in the system itself; Signoff does not do it."
    if not roles:
        return "Nobody yet: no envelope in force lists this tool."
    count = "two people" if tool.risk == "D" else "one person"
    return (
        f"Anyone may ask; {count} of {' or '.join(roles)} approves, the asker too where they could have approved the"
        " write. An agent that asks owes what the write owed."
    )


def _how(tool: ToolContract) -> str:
    undo = tool.undo
    if undo is None:
        return tool.reversal_note or "Nobody has said how; treat it as irreversible."
    how = f"`signoff undo ID` proposes {undo.tool} with {_given(undo.args)}."
    if undo.check is not None:
        how += f" Before, {undo.check.read} is asked with {_given(undo.check.args)}."
    return how


def _until(tool: ToolContract, envelopes: Sequence[Envelope]) -> list[str]:
    if tool.undo is None:
        return ["As the note says; Signoff sets no term."]
    found = []
    if tool.undo.check is not None:
        fields = ", ".join(tool.undo.check.unchanged)
        found.append(f"As long as {fields} is as right after the write; else the reversal is denied as a conflict.")
    else:
        found.append("No check says whether the target has moved since: look before you approve the reversal.")
    for one in envelopes:
        days = max(one.store_transcripts_days, UNDO_US // DAY_US)
        found.append(f"In {one.workflow}, {days} days after its run has ended: then what the undo needs is erased.")
    if tool.keeps_us is not None:
        found.append(f"The system keeps the key of a write {tool.keeps_us / DAY_US:g} days; it is looked up by that.")
    return found


def _given(args: Mapping[str, Expression]) -> str:
    return ", ".join(f"{name} = {value.text}" for name, value in args.items()) or "no arguments"


async def _tested(world: World, tenant: str) -> dict[str, Document]:
    """Return the last reversal that succeeded, by the tool whose write it took back."""
    found: dict[str, tuple[int, Document]] = {}
    after = ""
    while True:

        def page(tx: Transaction, after: str = after) -> tuple[list[tuple[str, int, str]], str | None]:
            undone = tx.actions.in_states(UNDONE, after, AT_ONCE)
            ends = []
            for original in undone:
                reversal = tx.actions.get(original.reversed_by) if original.reversed_by else None
                if reversal is not None and reversal.ended_at is not None:
                    ends.append((original.tool, reversal.ended_at, reversal.action_id))
            return ends, undone[-1].action_id if len(undone) == AT_ONCE else None

        ends, following = await world.storage.view(tenant, page)
        for tool, at, action_id in ends:
            if tool not in found or at > found[tool][0]:
                found[tool] = (at, {"at": when(at), "action_id": action_id})
        if following is None:
            return {tool: document for tool, (_, document) in found.items()}
        after = following


def _code(text: str) -> str:
    """Return a text as code in Markdown, so that none of it is read as markup; its own backticks become quotes."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"
