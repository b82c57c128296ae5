# SPDX-License-Identifier: Apache-2.0
"""Pages of what people look through: runs, actions, the inbox, budgets; keyset order, no totals.

A page may be shorter than asked for where rows are left out; only a missing `after` says that nothing follows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from signoff.app.action.documents import Document, brief, plan_shown, turned, when
from signoff.app.action.holds import deciders
from signoff.app.action.steps import is_lead, steps_of, waiting_steps
from signoff.app.world import World
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import FINAL, Action, State
from signoff.core.action.preview import from_value
from signoff.core.errors import Conflict, Malformed, NotFound, Unauthenticated
from signoff.core.principal import Agent, Caller, require_person
from signoff.core.run import Run
from signoff.ports.storage import Transaction

Row = TypeVar("Row")
SCANNED_MAX = 1000
WAITING = (State.HELD, State.PENDING_APPROVAL)


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a list, and the key after which the next page begins; None where nothing follows."""

    items: list[Document]
    after: str | None


def require_holding(tx: Transaction, caller: Caller) -> None:
    """Refuse an agent whose token was revoked since it was signed, or who was switched off.

    Raises:
        Unauthenticated: the token no longer counts.
    """
    require_current(tx.authority.agent(caller.id), caller)


def require_current(agent: Agent | None, caller: Caller) -> None:
    """Refuse an agent as `require_holding` does, by its row as a transaction has just read it.

    Raises:
        Unauthenticated: the token no longer counts.
    """
    if agent is None or not agent.is_active or agent.epoch != caller.epoch:
        raise Unauthenticated(
            what="This token no longer counts.",
            why="Its agent was switched off, or its tokens were revoked after this one was signed.",
            fix="Mint a new one with the agent's key (POST /v1/tokens), or ask the agent's owner.",
            code="unauthenticated.token_revoked",
        )


async def runs(world: World, caller: Caller, before: str | None, limit: int) -> Page:
    """Return runs, newest first: people see all of the tenant, an agent its own."""

    def body(tx: Transaction) -> Page:
        kept, after = scan(tx.runs.newest, before, limit, lambda run: run.run_id, lambda run: _is_seen(caller, run))
        return Page([_run_line(run) for run in kept], after)

    return await world.storage.view(caller.tenant, body)


async def actions(world: World, caller: Caller, before: str | None, limit: int, states: Sequence[State] = ()) -> Page:
    """Return actions, newest first, in any of `states` if some are given."""

    def body(tx: Transaction) -> Page:
        known: dict[str, Run] = {}

        def run_of(action: Action) -> Run:
            if action.run_id not in known:
                run = tx.runs.get(action.run_id)
                assert run is not None
                known[action.run_id] = run
            return known[action.run_id]

        def is_kept(action: Action) -> bool:
            return (not states or action.state in states) and _is_seen(caller, run_of(action))

        kept, after = scan(tx.actions.newest, before, limit, lambda action: action.action_id, is_kept)
        return Page([brief(action, run_of(action)) for action in kept], after)

    return await world.storage.view(caller.tenant, body)


async def approvals(
    world: World, caller: Caller, after: str | None, limit: int, state: State | None = None, role: str | None = None
) -> Page:
    """Return what waits for people, oldest first, or what once waited and is now in `state`.

    On the first page what nobody has looked at in time comes first, if it is less than a page. What this person has put
    off is left out until then.

    Args:
        role: only what this role could decide.

    Raises:
        Forbidden: an agent asked.
    """
    require_person(caller)
    states = WAITING if state is None else (state,)

    def body(tx: Transaction) -> Page:
        loud = tx.actions.escalated("", limit) if state is None else []
        loud = loud if len(loud) < limit else []
        first = {action.action_id for action in loud}

        def is_for(action: Action) -> bool:
            steps = waiting_steps(tx, action) if action.state is State.PENDING_APPROVAL else [action]
            roles = {name for step in steps for asked in owed_of(world, tx, step) for name in asked["roles"]}
            is_put_off = state is None and _is_put_off(caller, action, tx.now)
            if action.approval_id is None or is_put_off or not (role is None or role in roles):
                return False
            return is_lead(tx, action)

        def is_kept(action: Action) -> bool:
            return action.action_id not in first and is_for(action)

        def fetch(key: str | None, most: int) -> list[Action]:
            return tx.actions.in_states(states, key or "", most)

        kept = [action for action in loud if is_for(action)] if after is None else []
        rest, key = scan(fetch, after, limit - len(kept), lambda action: action.action_id, is_kept)
        return Page([_inbox_line(world, tx, action) for action in (*kept, *rest)], key)

    return await world.storage.view(caller.tenant, body)


async def waiting_for_people(world: World, caller: Caller, limit: int) -> list[Document]:
    """Return the first of what waits for a person in any way: an approval, a review window, a finding, a late find."""
    require_person(caller)

    def body(tx: Transaction) -> list[Document]:
        found_ = tx.actions.late("", limit) + tx.actions.escalated("", limit)
        found_ += tx.actions.in_states((*WAITING, State.NEEDS_PERSON), "", limit)
        kept = [action for action in found_ if not _is_put_off(caller, action, tx.now) and is_lead(tx, action)]
        once = {action.action_id: action for action in kept}
        return [_inbox_line(world, tx, action) for action in list(once.values())[:limit]]

    return await world.storage.view(caller.tenant, body)


async def decided_on(world: World, caller: Caller, approval_id: str) -> str:
    """Return the id of the action that an approval, named by its own id or the action's, is about.

    Raises:
        NotFound: there is none.
        Conflict: the action never owed an approval.
    """
    require_person(caller)

    def body(tx: Transaction) -> str:
        action = tx.actions.by_approval(approval_id) or tx.actions.get(approval_id)
        if action is None:
            raise NotFound(
                what=f"There is no approval {approval_id[:48]}.",
                why="Nothing of this tenant waits under this id; an edit gives what waits a new one.",
                fix="List what waits with `signoff approvals`.",
                code="approval.unknown",
            )
        if action.approval_id is None:
            raise Conflict(
                what="There is nothing to decide on this action.",
                why=f"It is {action.state} and owes no approval.",
                fix="Read the action; its `explain` says where it stands.",
                code="approval.not_pending",
            )
        return action.action_id

    return await world.storage.view(caller.tenant, body)


async def budgets(world: World, caller: Caller, before: str | None, limit: int, run_id: str | None = None) -> Page:
    """Return what tasks have spent and reserved of their caps, newest first, or that of one run."""

    def body(tx: Transaction) -> Page:
        if run_id is not None:
            run = tx.runs.get(run_id)
            return Page([_budget_line(world, tx, run)] if run and _is_seen(caller, run) else [], None)
        kept, after = scan(tx.runs.newest, before, limit, lambda run: run.run_id, lambda run: _is_seen(caller, run))
        return Page([_budget_line(world, tx, run) for run in kept], after)

    return await world.storage.view(caller.tenant, body)


async def is_said_already(world: World, caller: Caller, action_id: str, decision: str, digest: str) -> bool:
    """Tell whether this person gave this very word on this very digest before: then saying it again changes nothing."""

    def body(tx: Transaction) -> bool:
        return any(
            vote.person_id == caller.id and vote.digest == digest and vote.decision == decision
            for step in _steps_named(tx, action_id)
            for vote in tx.actions.votes(step.action_id)
        )

    return await world.storage.view(caller.tenant, body)


async def own_reversal(world: World, caller: Caller, action_id: str) -> str | None:
    """Return the reversal of an action that this caller asked for and that is not over, None if there is none."""

    def body(tx: Transaction) -> str | None:
        original = tx.actions.get(action_id)
        reversal = tx.actions.get(original.reversed_by) if original and original.reversed_by else None
        is_own = reversal is not None and reversal.by == caller.id and reversal.state not in FINAL
        return reversal.action_id if reversal is not None and is_own else None

    return await world.storage.view(caller.tenant, body)


def state_named(name: str) -> State:
    """Return the state of an action by its name.

    Raises:
        Malformed: there is none such.
    """
    if name in tuple(State):
        return State(name)
    raise Malformed(
        what=f"{name[:40]!r} is no state of an action.",
        why=f"The states are {', '.join(sorted(State))}.",
        fix="Use one of these, or leave `state` out.",
        path="state",
    )


def _steps_named(tx: Transaction, action_id: str) -> list[Action]:
    action = tx.actions.get(action_id)
    return steps_of(tx, action) if action else []


def _is_put_off(caller: Caller, action: Action, now: int) -> bool:
    """Tell whether this person wants to see no more of it for now."""
    is_own = action.state is State.PENDING_APPROVAL and action.seen_by == caller.id
    return is_own and action.deferred_until is not None and now < action.deferred_until


def _is_seen(caller: Caller, run: Run) -> bool:
    return not caller.is_agent or run.agent_id == caller.id


def scan(
    fetch: Callable[[str | None, int], list[Row]],
    key: str | None,
    limit: int,
    key_of: Callable[[Row], str],
    is_kept: Callable[[Row], bool],
) -> tuple[list[Row], str | None]:
    """Return up to `limit` rows that are kept, of at most `SCANNED_MAX` looked at, and the key to go on from."""
    kept: list[Row] = []
    size = limit + 1
    for _ in range(0, SCANNED_MAX, size):
        batch = fetch(key, size)
        for row in batch:
            if len(kept) == limit:
                return kept, key
            key = key_of(row)
            if is_kept(row):
                kept.append(row)
        if len(batch) < size:
            return kept, None
    return kept, key


def _run_line(run: Run) -> Document:
    return {
        "run_id": run.run_id,
        "workflow": run.workflow,
        "environment": run.environment,
        "agent_id": run.agent_id,
        "principal_id": run.principal_id,
        "state": str(run.state),
        "turned": turned(run) if run.turned_at is not None else None,
        "timestamps": {"started": when(run.started_at), "ended": when(run.ended_at)},
    }


def owed_of(world: World, tx: Transaction, action: Action) -> list[Document]:
    """Return who is waited for: by the duties that are owed; for what is on hold, by the roles that may decide it."""
    if action.state is not State.HELD:
        return [{"roles": list(duty.roles), "count": duty.count} for duty in duties_of(action)]
    run = tx.runs.get(action.run_id)
    assert run is not None
    return [{"roles": list(deciders(world.shelf.envelope(tx, run.envelope))), "count": 1}]


def _inbox_line(world: World, tx: Transaction, action: Action) -> Document:
    run = tx.runs.get(action.run_id)
    assert run is not None
    return brief(action, run) | {
        "plan": _plan_line(world, tx, action),
        "owed": _owed_by_all(world, tx, action),
        "approvals": sum(
            vote.digest == action.digest and vote.decision == "approve" for vote in tx.actions.votes(action.action_id)
        ),
        "revision": action.revision,
        "reverses": action.reverses,
        "since": when(action.waiting_since or action.proposed_at),
        "escalated": when(action.escalated_at) if action.state is State.PENDING_APPROVAL else None,
        "summary": _summary(world, tx, action),
    }


def _owed_by_all(world: World, tx: Transaction, action: Action) -> list[Document]:
    """Return who is waited for; for a plan by any of its steps, each duty once."""
    if action.plan_id is None or action.state is not State.PENDING_APPROVAL:
        return owed_of(world, tx, action)
    found: list[Document] = []
    for step in waiting_steps(tx, action):
        found += [asked for asked in owed_of(world, tx, step) if asked not in found]
    return found


def _plan_line(world: World, tx: Transaction, action: Action) -> Document | None:
    """Return what waits of a plan, and what every step of it would change in brief."""
    shown = plan_shown(tx, action)
    if shown is None:
        return None
    steps = zip(shown["steps"], steps_of(tx, action), strict=True)
    return shown | {"steps": [line | {"summary": _summary(world, tx, step)} for line, step in steps]}


def _summary(world: World, tx: Transaction, action: Action) -> str | None:
    preview: Any = world.keyring.open(tx, action.action_id, f"preview.{action.revision}") if action.preview else None
    return from_value(preview).summary if preview is not None else None


def _budget_line(world: World, tx: Transaction, run: Run) -> Document:
    page = world.shelf.envelope(tx, run.envelope)
    done = tx.actions.of_run(run.run_id)
    return {
        "scope": "run",
        "run_id": run.run_id,
        "workflow": run.workflow,
        "state": str(run.state),
        "cap_usd_micros": page.budgets.cap_usd_micros,
        "settled_usd_micros": sum(action.settled_usd_micros for action in done),
        "reserved_usd_micros": sum(action.reserved_usd_micros for action in done),
        "max_tool_calls": page.budgets.calls_max,
        "tool_calls": sum(action.fence > 0 for action in done if action.reverses is None),
    }
