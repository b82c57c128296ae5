# SPDX-License-Identifier: Apache-2.0
"""The people and agents of a round: they ask, vote, withdraw and undo, and go on after a restart where things stand.

Whatever they are told is first written to a file and synced, as a person would remember it: the checker then asks
whether the ledger knows it too. They hold no state beside that; each step looks at the action before it acts, so that
a job can be begun again at any point.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from signoff.app.action import approve, defer, propose, runs, settle, undo
from signoff.app.authority import halts, people, policies
from signoff.app.world import TENANT, World
from signoff.core.action.lifecycle import CONCLUDED, NOT_SENT, Action, State
from signoff.core.errors import Conflict
from signoff.core.principal import Caller
from signoff.core.proposal import Proposal
from signoff.core.run import Run

LOOK_S = 0.015
DECIDED = frozenset(State) - {State.PROPOSED}


class Stuck(Exception):
    """Something did not come about in time; the text says what was waited for."""


class Office:
    """Everyone who works with one node."""

    def __init__(self, world: World, life: Path, patience_s: float) -> None:
        self.world, self.life, self.patience_s = world, life, patience_s
        self._known: dict[str, dict[str, str]] = json.loads((life / "known.json").read_text())
        self._bounds = json.loads((life / "tools.json").read_text())
        self._callers: dict[str, Caller] = {}
        told = life / "told.jsonl"
        lines = told.read_bytes().splitlines() if told.exists() else []
        self._voted = {(one["vote"], one["digest"]) for line in lines if "vote" in (one := _line(line))}
        self._told = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if lines and not told.read_bytes().endswith(b"\n"):
            os.write(self._told, b"\n")

    async def caller(self, name: str) -> Caller:
        if name not in self._callers:
            key = people.read_key(self._known[name]["key"])
            caller = await people.authenticate_key(self.world, TENANT, *key)
            if caller.is_agent:
                token, _ = await people.mint_token(self.world, caller)
                caller = people.caller_of_token(self.world, token)
            self._callers[name] = caller
        return self._callers[name]

    def told(self, row: Any, stream: str, **more: Any) -> None:
        """Remember what was told, on the disk, before anyone acts on it."""
        line = {"stream": stream, "seq": row.seq, "head": row.head} | more
        os.write(self._told, json.dumps(line).encode() + b"\n")
        os.fsync(self._told)

    async def get(self, action_id: str) -> Action:
        action = await self.world.storage.view(TENANT, lambda tx: tx.actions.get(action_id))
        assert action is not None, f"{action_id} was told and is gone"
        return action

    async def until(self, action_id: str, *states: State) -> Action:
        """Return the action once it is in one of `states`, or concluded."""
        give_up = time.monotonic() + self.patience_s
        while True:
            action = await self.get(action_id)
            if action.state in states or action.is_concluded:
                return action
            if time.monotonic() > give_up:
                wanted = ", ".join(states) or "an end"
                raise Stuck(f"{action.tool} {action_id} is {action.state} ({action.reason}), not {wanted}")
            await self.world.bell.wait(action_id, LOOK_S)

    async def begin(self, agent: str, workflow: str) -> Run:
        caller = await self.caller(agent)
        run, _ = await runs.begin_run(self.world, caller, workflow, "a round", idempotency_key=f"{agent}-{workflow}")
        self.told(run, run.run_id)
        return run

    async def propose(self, agent: str, run: Run, step: str, tool: str, args: Mapping[str, Any]) -> str:
        proposal = Proposal(run.run_id, tool, args, idempotency_key=step)
        action = await propose.propose(self.world, await self.caller(agent), proposal)
        self.told(action, action.action_id)
        return action.action_id

    async def vote(self, who: str, action_id: str, decision: str = "approve") -> None:
        """Vote once on what waits, if it still does: nobody votes twice on what they were told was counted."""
        action = await self.until(action_id, *DECIDED)
        caller = await self.caller(who)
        if action.state is not State.PENDING_APPROVAL or (caller.id, action.digest) in self._voted:
            return
        assert action.digest is not None
        try:
            after = await approve.vote(self.world, caller, action_id, decision, action.digest, "as asked")
        except Conflict:
            return  # somebody was faster, or its time was up
        self._voted.add((caller.id, action.digest))
        self.told(after, action_id, vote=caller.id, digest=action.digest, decision=decision)

    async def decide_hold(self, who: str, action_id: str, decision: str) -> None:
        """Release or cancel what is on hold, if it still is and nobody has."""
        action = await self.until(action_id, *DECIDED)
        if action.state is not State.HELD or action.released_by is not None:
            return
        try:
            after = await approve.vote(
                self.world, await self.caller(who), action_id, decision, action.digest or "", "looked at it"
            )
        except Conflict:
            return  # its window was over, or somebody was faster
        self.told(after, action_id)

    async def put_off(self, who: str, action_id: str, by_us: int) -> None:
        """Move the end of a hold once."""
        action = await self.until(action_id, *DECIDED)
        first = (action.waiting_since or 0) + (action.hold_us or 0)
        if action.state is not State.HELD or action.hold_until != first:
            return
        try:
            after = await defer.defer(
                self.world, await self.caller(who), action_id, action.digest or "", "not today", first + by_us
            )
        except Conflict:
            return
        self.told(after, action_id)

    async def edit(self, who: str, action_id: str, args: Mapping[str, Any]) -> None:
        action = await self.until(action_id, *DECIDED)
        if action.state is State.PENDING_APPROVAL and action.revision == 1:
            assert action.digest is not None
            after = await approve.edit(
                self.world, await self.caller(who), action_id, action.digest, args, "said so by phone"
            )
            self.told(after, action_id)

    async def cancel(self, who: str, action_id: str) -> None:
        if (await self.get(action_id)).state in NOT_SENT:
            self.told(await approve.cancel(self.world, await self.caller(who), action_id, "no longer"), action_id)

    async def halt(self, agent: str) -> None:
        """Stop an agent, once: whoever finds the halt there leaves the rest to the node."""
        target = self._known[agent]["id"]
        known = await self.world.storage.view(TENANT, lambda tx: tx.authority.halts(None, 100))
        if not any(halt.target == target for halt in known):
            effect = await halts.engage(self.world, await self.caller("admin"), f"agent:{target}", "a drill", True)
            self.told(effect.halt, effect.halt.halt_id)

    async def lift(self, agent: str) -> None:
        target = self._known[agent]["id"]
        for halt in await self.world.storage.view(TENANT, lambda tx: tx.authority.halts_in_force()):
            if halt.target == target:
                self.told(await halts.lift(self.world, await self.caller("admin"), halt.halt_id), halt.halt_id)

    async def withdraw(self, workflow: str) -> None:
        published = await self.world.storage.view(TENANT, lambda tx: tx.authority.published("envelope", workflow, "1"))
        if published is not None and not published.is_withdrawn:
            after = await policies.withdraw(self.world, await self.caller("admin"), "envelope", workflow, "1")
            self.told(after, after.publication_id)

    async def ended(self, action_id: str) -> Action:
        """Return the action once it is concluded; where a person is needed, they look into the target and say so."""
        while True:
            action = await self.until(action_id, State.NEEDS_PERSON)
            if action.state is not State.NEEDS_PERSON:
                self.told(action, action_id)
                return action
            await self._resolve(action)

    async def _resolve(self, action: Action) -> None:
        # "Nothing there" is true only once no send of it can land any more.
        lands_until = (action.claimed_at or 0) + self._bounds[action.tool]["bound_us"]
        while not (is_done := self.is_written(action.key)):  # the ERP is another program: no bell
            if self.world.clock.now() >= lands_until:
                break
            await asyncio.sleep(0.05)
        said = "done" if is_done else "not_done"
        try:
            caller = await self.caller("admin")
            await settle.resolve(self.world, caller, action.action_id, said, "looked into the ERP", "by hand")
        except Conflict:
            return

    async def reverse(self, who: str, action_id: str, tries: int = 4) -> None:
        """Undo a write, and decide the reversal, until it is taken back or refused."""
        for _ in range(tries):
            original = await self.get(action_id)
            if original.state not in (State.SUCCEEDED, State.REVERSING, State.REVERSAL_FAILED):
                return
            underway = await self.get(original.reversed_by) if original.reversed_by else None
            if underway is None or underway.is_concluded:
                underway = await undo.undo(self.world, await self.caller(who), action_id)
                self.told(underway, underway.action_id)
                if underway.state is State.DENIED:
                    return
            await self.vote(who, underway.action_id)
            await self.ended(underway.action_id)

    async def reversals(self, run: Run, action_id: str) -> list[Action]:
        actions = await self.world.storage.view(TENANT, lambda tx: tx.actions.of_run(run.run_id))
        return [action for action in actions if action.reverses == action_id]

    async def complete(self, agent: str, run: Run) -> None:
        closed = await runs.complete_run(self.world, await self.caller(agent), run.run_id, "completed", "done")
        self.told(closed, run.run_id)

    # --- the ERP, which others use too -------------------------------------------------------------------------

    def is_written(self, key: str) -> bool:
        return is_written(self.life, key)

    def erp(self, sql: str, *values: Any) -> list[Any]:
        return at_the_counter(self.life, sql, *values)


async def settled(world: World, patience_s: float) -> None:
    """Return once nothing is left to do: all concluded, every receipt signed, every entry in the tree.

    Raises:
        Stuck: it took too long; the text says what is left.
    """
    give_up = time.monotonic() + patience_s
    while left := await world.storage.view(TENANT, _left):
        if time.monotonic() > give_up:
            raise Stuck(f"left to do: {left}")
        await asyncio.sleep(LOOK_S)


def is_written(life: Path, key: str) -> bool:
    """Tell whether the ERP has a write under this key."""
    return bool(at_the_counter(life, "SELECT 1 FROM writes WHERE idempotency_key = ?", key))


def at_the_counter(life: Path, sql: str, *values: Any) -> list[Any]:
    """Run one statement in the ERP's own database, as a colleague at its counter would."""
    connection = sqlite3.connect(life / "erp.db", timeout=10, isolation_level=None)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def _left(tx: Any) -> str:
    open_ = sorted(state for state, count in tx.actions.count_states().items() if count and state not in CONCLUDED)
    if open_:
        return f"actions {', '.join(open_)}"
    if tx.receipts.unsigned(1):
        return "receipts to sign"
    return "entries to integrate" if tx.ledger.pending(1) else ""


def _line(line: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}  # the last line may be torn by the kill; then nobody was told
    return found
