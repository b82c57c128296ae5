# SPDX-License-Identifier: Apache-2.0
"""A case: one action with everything a leg needs of it, read in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import Action
from signoff.core.action.preview import Preview, from_value
from signoff.core.authority.contract import Contract, Risk, ToolContract
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.policy import Bearing, Reversal
from signoff.core.errors import NotFound
from signoff.core.run import Run
from signoff.ports.storage import Transaction


@dataclass(frozen=True, slots=True)
class Case:
    """An action, its run and envelope, its effective arguments, and the contract it was decided under."""

    action: Action
    run: Run
    envelope: Envelope
    contract: Contract
    tool: ToolContract
    args: Mapping[str, Any]
    preview: Preview | None
    seal: Seal


def load(world: World, tx: Transaction, action_id: str) -> Case:
    """Return the case of an action.

    Raises:
        NotFound: there is no such action in this tenant.
    """
    action = found(tx.actions.get(action_id), action_id)
    run = tx.runs.get(action.run_id)
    assert run is not None
    contract = world.shelf.contract(tx, action.contract)
    revision = action.revision
    preview = world.keyring.open(tx, action_id, f"preview.{revision}") if action.preview else None
    return Case(
        action,
        run,
        world.shelf.envelope(tx, run.envelope),
        contract,
        contract.tools[action.tool],
        world.keyring.open(tx, action_id, f"args.{revision}"),
        from_value(preview) if preview is not None else None,
        world.keyring.seal(tx, run.payload_key),
    )


def bearing(
    world: World,
    tx: Transaction,
    run: Run,
    tool: str,
    tag: str,
    besides: str,
    epoch: int | None,
    reversal: Reversal | None,
) -> Bearing:
    """Return everything that bears on a proposal now, read in the transaction that acts on it.

    Args:
        tag: keyed digest of the call, for counting identical ones.
        besides: the action itself, which is not counted; '' for one that is not recorded yet.
    """
    pages = world.shelf.pages(tx)
    known = pages.tool(tool)
    live = world.systems.live(known[1].server, known[0]) if known else None
    return Bearing(
        now=tx.now,
        run=run,
        envelope=world.shelf.envelope(tx, run.envelope),
        tally=tx.actions.tally(run.run_id, tag, besides),
        halts=tx.authority.halts_in_force(),
        agent=tx.authority.agent(run.agent_id),
        principal=tx.authority.person(run.principal_id),
        epoch=epoch,
        tool=tool,
        contract=known[0] if known else None,
        live=live[0] if live else None,
        live_digest=live[1] if live else None,
        is_withdrawn=run.envelope in pages.withdrawn,
        reversal=reversal,
    )


def reversal_of(action: Action, envelope: Envelope) -> Reversal | None:
    """Return what is owed for an action that undoes another; None for one that does not.

    A person who asks owes one approval, which they may give themselves if they could have approved the original; class
    D takes two. An agent that asks owes what the original would owe.
    """
    if action.reverses is None:
        return None
    by_person = action.by.startswith("prs_")
    return Reversal(envelope.approval_roles, 2 if action.risk == Risk.D else 1, not by_person)


def owed(action: Action) -> str:
    """Return the roles that are waited for, for people to read."""
    return ", ".join(sorted({role for duty in duties_of(action) for role in duty.roles}))


def found(action: Action | None, action_id: str) -> Action:
    """Return the action.

    Raises:
        NotFound: there is none.
    """
    if action is None:
        raise NotFound(
            what=f"There is no action {action_id[:48]}.",
            why="No action of this tenant has this id.",
            fix="Copy the id from the answer to the proposal, or list actions with `signoff runs show RUN`.",
            code="action.unknown",
        )
    return action
