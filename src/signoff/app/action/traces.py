# SPDX-License-Identifier: Apache-2.0
"""What a run has said and seen, read from its payloads where the page asks where values or claims come from.

Nothing is read for a tool about which the page has no such rule. What is read is remembered by the node, so that each
payload of a run is opened once. A look again sees what stood there when the action was proposed, so that nothing that
happened since makes it stricter.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, Final

from signoff.app.remembered import RunMemory
from signoff.app.world import World
from signoff.core.action import checks
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.check.provenance import ORIGIN_REASONS
from signoff.core.authority.citation import Cited, cite
from signoff.core.authority.contract import Effect, Server, ToolContract
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.normal import Told
from signoff.core.authority.provenance import Seen, Shown, Traced, trace
from signoff.core.authority.said import Said, leaves
from signoff.core.authority.tool import OutputTrust
from signoff.core.run import Run
from signoff.ports.storage import Transaction

ACTIONS_MAX: Final = 1000  # of one run; past it, no result of it endorses anything
DONE: Final = frozenset({State.SUCCEEDED, State.REVERSING, State.REVERSED, State.REVERSAL_FAILED})


def bearing_of_traces(
    world: World,
    tx: Transaction,
    run: Run,
    envelope: Envelope,
    tool: ToolContract | None,
    args: Mapping[str, Any],
    claims: Mapping[str, Any],
    besides: str,
) -> tuple[Traced | None, Cited | None]:
    """Return where a call's arguments and claims come from; None for what the page does not ask of this tool.

    Args:
        args: that are decided on, an edit's too; what differs from the proposal, a person has written.
        besides: the action itself; '' for one that is not recorded yet.
    """
    if tool is None:
        return None, None
    rule = envelope.provenance.get(tool.name)
    kinds = envelope.citations_for if tool.effect is not Effect.READ else ()
    if rule is None and not kinds:
        return None, None
    seen = _seen(world, tx, run, args, besides)
    return (
        trace(rule, args, seen) if rule is not None else None,
        cite(kinds, args, claims, seen) if kinds else None,
    )


def _seen(world: World, tx: Transaction, run: Run, args: Mapping[str, Any], besides: str) -> Seen:
    memory = world.remembered.of(tx.tenant, run.run_id)
    action = tx.actions.get(besides) if besides else None
    until = action.proposed_at if action is not None else tx.now
    earlier = [one for one in tx.actions.of_run(run.run_id) if one.action_id != besides and one.proposed_at <= until]
    earlier.sort(key=lambda one: (one.proposed_at, one.action_id))
    task = _task(world, tx, run, memory)
    edited = _edited(world, tx, action, args)
    is_barred = any(_was_refused(one) for one in earlier)
    if len(earlier) > ACTIONS_MAX:
        gap = f"This run has made more than {ACTIONS_MAX} calls, which are not traced."
        return Seen(task, edited=edited, is_barred=is_barred, gap=gap)
    calls = [one for one in earlier if one.by.startswith("agt_") and one.reverses is None]
    times = [one.proposed_at for one in calls]
    erased = _erased(tx, earlier, memory)
    said = [_said(world, tx, one, memory) if one.action_id not in erased else None for one in calls]
    writes = [one for one in earlier if one.effect != Effect.READ and one.fence]
    trusts: dict[tuple[str, str], OutputTrust] = {}
    shown: list[Shown] = []
    for one in sorted(earlier, key=lambda one: (one.ended_at or 0, one.action_id)):
        if one.ended_at is None or one.ended_at >= until or one.action_id in erased:
            continue
        if not (content := _content(world, tx, one, memory)):
            continue
        if (trust := trusts.get((one.contract, one.tool))) is None:
            trust = trusts[one.contract, one.tool] = _trust(world, tx, one)
        shown.append(
            Shown(
                one.action_id,
                one.tool,
                content,
                trust,
                bisect_right(times, one.ended_at),
                is_error=one.state not in DONE,
                is_written=any(_wrote_before(world, tx, write, one) for write in writes),
                is_read=one.effect == Effect.READ,
            )
        )
    gap = ""
    if memory.is_full or any(one is None for one in said):
        gap = "More was said and read in this run than is traced, or some of it is gone."
    known = tuple(one for one in said if one is not None)
    return Seen(task, known, tuple(shown), edited, is_barred, gap)


def _task(world: World, tx: Transaction, run: Run, memory: RunMemory) -> Told:
    if memory.task is None:
        kept = world.keyring.open(tx, run.run_id, "task") or {}
        memory.task = Told(str(kept.get("task") or ""))
        memory.size += len(memory.task.text)
    return memory.task


def _edited(world: World, tx: Transaction, action: Action | None, args: Mapping[str, Any]) -> frozenset[str]:
    """Return the arguments that are not as the agent proposed them: only a person can have changed them."""
    if action is None:
        return frozenset()
    first = world.keyring.open(tx, action.action_id, "args.1") or {}
    return frozenset(name for name, value in args.items() if name not in first or first[name] != value)


def _was_refused(action: Action) -> bool:
    """Tell whether policy denied a call for its origins, or a person rejected one that asked for them."""
    if action.state is State.DENIED:
        return action.reason in ORIGIN_REASONS
    if action.state is not State.REJECTED:
        return False
    return any(name == "provenance" and outcome == "ask" for name, outcome, _ in checks.read(action.checks))


def _erased(tx: Transaction, earlier: list[Action], memory: RunMemory) -> frozenset[str]:
    """Return the calls of which nothing is kept any more, for whom they were about was erased; nor is it remembered."""
    subjects = {one.subject for one in earlier if one.subject is not None}
    gone = {one for one in subjects if (known := tx.subjects.get(one)) is None or known.erased_at is not None}
    found = [one for one in earlier if one.subject in gone]
    for one in found:
        memory.said.pop(one.args_proposed, None)
        memory.shown.pop(one.outcome or "", None)
    return frozenset(one.action_id for one in found)


def _said(world: World, tx: Transaction, action: Action, memory: RunMemory) -> Said | None:
    known = memory.said.get(action.args_proposed)
    if known is None and not memory.is_full:
        args = world.keyring.open(tx, action.action_id, "args.1")
        if not isinstance(args, dict):
            return None
        known = memory.said[action.args_proposed] = Said(args)
        memory.size += known.size
    return known


def _content(world: World, tx: Transaction, action: Action, memory: RunMemory) -> Mapping[str, Any] | None:
    """Return a result, or the code and message of an error; None for what brought nothing in."""
    from signoff.app.action.outcome import outcome_of  # which reads cases, whose bearing is filled here

    if action.outcome is None or (action.state not in DONE and action.state is not State.FAILED):
        return None
    known = memory.shown.get(action.outcome)
    if known is None and not memory.is_full:
        kept = outcome_of(world, tx, action) or {}
        value = kept.get("result" if action.state in DONE else "error")
        known = memory.shown[action.outcome] = value if isinstance(value, dict) else {}
        memory.size += sum(len(leaf) for leaf in leaves(known) if isinstance(leaf, str))
    return known


def _trust(world: World, tx: Transaction, action: Action) -> OutputTrust:
    """Return which fields are trusted by the contract that the call was made under and by the one in force."""
    then = world.shelf.contract(tx, action.contract).tools.get(action.tool)
    now = world.shelf.pages(tx).tool(action.tool)
    if then is None or now is None:
        return OutputTrust()
    both = then.output, now[0].output
    names = both[0].fields.keys() | both[1].fields.keys()
    return OutputTrust(
        all(one.whole for one in both), {name: all(one.is_trusted(name) for one in both) for name in names}
    )


def _wrote_before(world: World, tx: Transaction, write: Action, read: Action) -> bool:
    """Tell whether a call may have changed what another one then read.

    Where either contract does not say which resource a call is about, anything of the same system may be meant.
    """
    if write.action_id == read.action_id:
        return False
    sent = write.claimed_at if write.fence == 1 else write.proposed_at
    if sent is None or read.ended_at is None or sent > read.ended_at:
        return False
    if write.resource is not None and read.resource is not None:
        return write.resource == read.resource
    return _servers(world, tx, write) == _servers(world, tx, read)


def _servers(world: World, tx: Transaction, action: Action) -> tuple[Server, ...]:
    return world.shelf.contract(tx, action.contract).reached
