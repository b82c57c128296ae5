# SPDX-License-Identifier: Apache-2.0
"""A case: one action with everything a leg needs of it, read in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.app.action.hand import Hand
from signoff.app.payloads import Seal, gone
from signoff.app.world import World
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import Action
from signoff.core.action.preview import Preview, from_value
from signoff.core.authority.contract import Contract, Expression, ToolContract
from signoff.core.authority.envelope import Envelope
from signoff.core.errors import Forbidden, NotFound, SignoffError
from signoff.core.principal import Caller
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
    run_seal: Seal  # of its run: digests of content are under this one, so that equal calls of a run are found
    hand: Hand | None = None  # of the call that proposed it, if one waits to be told
    claims: Mapping[str, Any] = field(default_factory=dict)  # read where something of the page looks at them

    @property
    def rules_apply(self) -> bool:
        """Whether the page's rules are about it: what a person asks to be undone is theirs to decide."""
        return not (self.action.reverses and self.action.by.startswith("prs_"))


def load(world: World, tx: Transaction, action_id: str) -> Case:
    """Return the case of an action.

    Raises:
        NotFound: there is no such action in this tenant, or what was kept of it is erased.
    """
    action = found(tx.actions.get(action_id), action_id)
    run = tx.runs.get(action.run_id)
    assert run is not None
    contract = world.shelf.contract(tx, action.contract, run.environment)
    revision = action.revision
    require_kept(tx, action, run)
    envelope = world.shelf.envelope(tx, run.envelope)
    asks_claims = action.claims is not None and (envelope.rules or envelope.citations_for)
    preview = world.keyring.open(tx, action_id, f"preview.{revision}") if action.preview else None
    return Case(
        action,
        run,
        envelope,
        contract,
        contract.tools[action.tool],
        world.keyring.open(tx, action_id, f"args.{revision}"),
        from_value(preview) if preview is not None else None,
        seal_of(world, tx, action, run),
        world.keyring.seal(tx, run.payload_key),
        claims=world.keyring.open(tx, action_id, "claims") if asks_claims else {},
    )


def seal_of(world: World, tx: Transaction, action: Action, run: Run) -> Seal:
    """Return what seals the payloads of an action: the key of the subject it is about, else that of its run.

    Raises:
        NotFound: it was destroyed.
    """
    require_kept(tx, action, run)
    subject = tx.subjects.get(action.subject) if action.subject else None
    return world.keyring.seal(tx, subject.payload_key if subject else run.payload_key)


def erased_at(tx: Transaction, action: Action, run: Run) -> tuple[int, str] | None:
    """Return when what was kept of an action was erased, and by what (`subject`, `retention`); None while it is."""
    if action.subject and (subject := tx.subjects.get(action.subject)) and subject.erased_at is not None:
        return subject.erased_at, "subject"
    return None if run.erased_at is None else (run.erased_at, "retention")


def require_kept(tx: Transaction, action: Action, run: Run) -> None:
    """Refuse to go on with an action of which nothing is left to go on with.

    Raises:
        NotFound: code `payload.erased`.
    """
    if (erased := erased_at(tx, action, run)) is not None:
        raise gone(f"What was kept of {action.action_id}", erased[1])


def seen(tx: Transaction, caller: Caller, action_id: str) -> tuple[Action, Run]:
    """Return an action that the caller may see, with its run: its agent its own, people all of the tenant.

    Raises:
        NotFound: there is none such; another agent's is told like an id that does not exist.
    """
    action = found(tx.actions.get(action_id), action_id)
    run = tx.runs.get(action.run_id)
    assert run is not None
    found(None if caller.is_agent and run.agent_id != caller.id else action, action_id)
    return action, run


def names_of(world: World, case: Case, **more: Any) -> dict[str, Any]:
    """Return the names that a contract's expressions over a recorded action may use; an absent argument is null."""
    names: dict[str, Any] = {"args": as_named(world, case.contract, case.tool, case.args), "key": case.action.key}
    if case.preview is not None:
        names["preview"] = case.preview.answer
    return names | more


def as_named(world: World, contract: Contract, tool: ToolContract, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments as expressions see them: an absent optional one is null (contract, section 1, "CEL")."""
    live = world.systems.live(contract.server, tool)
    return live[0].with_absent(args) if live else args


def evaluated(args: Mapping[str, Expression], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call given as expressions; one that yields null is left out."""
    values = {name: expression.value(names) for name, expression in args.items()}
    return {name: value for name, value in values.items() if value is not None}


def resource_tag(
    world: World, tenant: str, contract: Contract | None, tool: ToolContract | None, args: Mapping[str, Any]
) -> tuple[str | None, bool]:
    """Return the keyed digest of the resource that a write holds from claim to outcome, None if it holds none.

    The truth value is False where the contract names a resource that is no text for these arguments, or an empty one:
    then nobody could keep two writers apart, and the write is refused.
    """
    if contract is None or tool is None or tool.resource is None:
        return None, True
    try:
        return world.tags[tenant].tag(tool.resource.text_of({"args": as_named(world, contract, tool, args)})), True
    except SignoffError:
        return None, False


def require_standing(tx: Transaction, caller: Caller) -> None:
    """Refuse a caller whose proof no longer holds: asked in each transaction that acts on it.

    Raises:
        Forbidden: an agent that was switched off or whose tokens were revoked since, or a person who was switched off.
    """
    if caller.is_agent:
        agent = tx.authority.agent(caller.id)
        if agent is not None and agent.is_active and agent.epoch == caller.epoch:
            return
        raise Forbidden(
            what="This token no longer counts.",
            why="Its agent was switched off, or its tokens were revoked after this one was issued.",
            fix="Get a new token with the agent's key, or ask its owner.",
            code="agent.inactive",
        )
    person = tx.authority.person(caller.id)
    if person is None or not person.is_active:
        raise Forbidden(
            what="You cannot do this any more.",
            why="You are not an active person of this tenant.",
            fix="Ask an admin to activate you.",
            code="person.inactive",
        )


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
