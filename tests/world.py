# SPDX-License-Identifier: Apache-2.0
"""The world of the playbooks: real storage, keys and ledger; a clock one sets; a target that fails on command.

Helpers read like a play. Every playbook ends with `world.check_ledger()`: the whole log is verified, each state row is
compared with the fold of its entries, each receipt is verified, and what the target holds is held against the actions.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from signoff.adapters.ed25519 import Ed25519Signer
from signoff.adapters.keyfiles import KeyFiles
from signoff.adapters.marks import HmacMarks
from signoff.adapters.mirror import CheckpointMirror
from signoff.adapters.sql.nouns import NOUNS
from signoff.adapters.sql.storage import SqliteStorage
from signoff.adapters.tokens import JwtTokens
from signoff.adapters.vault import AesGcmVault
from signoff.app import record
from signoff.app import tick as timers
from signoff.app import world as app
from signoff.app.action import approve, documents, propose, runs, settle, undo
from signoff.app.action.receipts import sign_receipts
from signoff.app.action.undo import Left
from signoff.app.authority import halts, people, policies
from signoff.app.integrate import integrate
from signoff.app.payloads import Keyring
from signoff.app.setup import open_tenant
from signoff.app.systems import Systems
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import CONCLUDED, MOVES, NOT_SENT, Action, State
from signoff.core.authority.circuit import Circuits
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.authority.spend import began
from signoff.core.ids import mint
from signoff.core.principal import Agent, ApiKey, Caller, Person
from signoff.core.proposal import Proposal
from signoff.core.run import Run
from signoff.core.subject import Subject
from signoff.ledger.checkpoint import parse_keys
from signoff.ledger.entry import Entry
from signoff.ledger.epochs import STREAM, Part, verify_epochs
from signoff.ledger.fold import Fold
from signoff.ledger.verify import Outcome, verify_receipt
from signoff.ports.storage import Transaction
from tests.target import CONTRACT, SERVER, Target, contract

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
START = 1_780_000_000 * SECOND
TENANT = app.TENANT
INSTALLATION = "play.test"
ROLE = "Clerk"
KINDS: dict[type, str] = {
    Action: "action_id",
    Run: "run_id",
    Person: "person_id",
    Agent: "agent_id",
    ApiKey: "key_id",
    Halt: "halt_id",
    Publication: "publication_id",
    Clearance: "clearance_id",
    Delegation: "delegation_id",
    Subject: "subject_id",
}


class SetClock:
    """Time stands still until it is set, or goes on by `step` microseconds whenever somebody looks."""

    def __init__(self, us: int = START) -> None:
        self.us, self.step, self.jump = us, 0, 0

    def now(self) -> int:
        self.us += self.step
        return self.us

    def jump_us(self) -> int:
        return self.jump

    def monotonic(self) -> float:
        return self.us / SECOND

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * SECOND)


class SeededChance:
    """Chance that can be played again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


def envelope(
    *,
    version: str = "1",
    workflow: str = "books",
    mode: str = "assist",
    asks: bool = True,
    tools: Sequence[str] = (),
    roles: Sequence[str] = (ROLE,),
    calls: int | None = None,
    cap: str | None = None,
    more: str = "",
) -> str:
    """Return the text of an envelope; without `tools`, it lists every tool of the target."""
    listed = ", ".join(tools or sorted(Target().described))
    budgets = [f"max_tool_calls: {calls}"] if calls is not None else []
    budgets += [f"hard_cost_cap_usd: {cap}"] if cap is not None else []
    return "\n".join(
        [
            f'version: "{version}"',
            f"workflow: {workflow}",
            f"mode: {mode}",
            *([f"budgets: {{{', '.join(budgets)}}}"] if budgets else []),
            "permissions:",
            f"  allowed_tools: [{listed}]",
            f"  write_actions_require_approval: {'true' if asks else 'false'}",
            f"  approval_roles: [{', '.join(roles)}]",
            more,
        ]
    )


class Crash(Exception):
    """The process ends here; nobody catches it."""


@dataclass
class Cast:
    """Who plays: people by their name, and the agent by its present token."""

    admin: Caller
    olga: Caller  # the agent's owner, who is also a clerk
    ann: Caller  # clerk
    bob: Caller  # clerk
    otto: Caller  # operator
    zoe: Caller  # of no role
    agent: Caller
    rival: Caller  # another agent of the same owner


@dataclass
class World:
    """One installation, its people, its target, and one run."""

    folder: Path
    clock: SetClock
    chance: SeededChance
    target: Target
    node: app.World
    cast: Cast = field(init=False)
    run_id: str = ""
    failing: Callable[[str], None] | None = None  # called in the writer thread with `<edge>:before|after`
    edges: list[str] = field(default_factory=list)
    runs_twice: bool = True

    # --- the play ------------------------------------------------------------------------------------------------

    async def publish(self, text: str, **changed: Any) -> Publication:
        """Publish an envelope, or a contract where the text is one."""
        if text.startswith("format: 1\nserver"):
            return (await policies.publish_contract(self.node, self.cast.admin, "book", text)).publication
        return (await policies.publish_envelope(self.node, self.cast.admin, text)).publication

    async def begin(self, workflow: str = "books", who: Caller | None = None, **given: Any) -> Run:
        """Begin a run, which the proposals that follow belong to."""
        self.clock.advance(0.001)
        run, _ = await runs.begin_run(self.node, who or self.cast.agent, workflow, "keep the books", **given)
        self.run_id = run.run_id
        return run

    async def under(self, **given: Any) -> Run:
        """Publish an envelope of its own and begin a run under it."""
        workflow = given.setdefault("workflow", f"books-{len(self.edges)}-{self.clock.us}")
        await self.publish(envelope(**given))
        return await self.begin(workflow)

    async def propose(
        self,
        tool: str = "book.create",
        args: Mapping[str, Any] | None = None,
        *,
        who: Caller | None = None,
        run: str | None = None,
        again: bool = False,
        key: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> Action:
        """Propose a call; by default a new entry of 12."""
        self.clock.advance(0.001)
        args = {"shelf": "a", "amount": 12} if args is None and tool == "book.create" else args or {}
        proposal = Proposal(run or self.run_id, tool, dict(args), dict(claims or {}), again, key)
        return await propose.propose(self.node, who or self.cast.agent, proposal)

    async def vote(
        self, action: Action, who: Caller | None = None, decision: str = "approve", digest: str | None = None
    ) -> Action:
        """Vote on what waits now, or on another digest; what follows from it is waited for."""
        shown = action.digest or "" if digest is None else digest
        voted = await approve.vote(self.node, who or self.cast.ann, action.action_id, decision, shown, "because")
        await self.settled()
        return await self.get(voted)

    async def approved(self, tool: str = "book.create", args: Mapping[str, Any] | None = None) -> Action:
        """Propose, and approve without letting it be sent: the node is busy elsewhere until the next tick."""
        waiting = await self.propose(tool, args)
        assert waiting.state is State.PENDING_APPROVAL, waiting
        blocked: asyncio.Event = asyncio.Event()
        self.node.legs.start(waiting.action_id, _held(blocked))
        voted = await approve.vote(
            self.node, self.cast.ann, waiting.action_id, "approve", waiting.digest or "", "because"
        )
        blocked.set()
        await self.settled()
        assert voted.state is State.APPROVED, voted
        return voted

    async def posted(self, tool: str = "book.create", args: Mapping[str, Any] | None = None) -> Action:
        """Propose, approve and see it done."""
        waiting = await self.propose(tool, args)
        done = await self.vote(waiting)
        assert done.state is State.SUCCEEDED, done
        return done

    async def edit(self, action: Action, args: Mapping[str, Any], who: Caller | None = None) -> Action:
        edited = await approve.edit(
            self.node, who or self.cast.bob, action.action_id, action.digest or "", args, "better so"
        )
        await self.settled()
        return edited

    async def cancel(self, action: Action, who: Caller | None = None) -> Action:
        return await approve.cancel(self.node, who or self.cast.agent, action.action_id, "not needed")

    async def undo(self, action: Action, who: Caller | None = None) -> Action:
        self.clock.advance(0.001)
        reversal = await undo.undo(self.node, who or self.cast.bob, action.action_id)
        await self.settled()
        return await self.get(reversal)

    async def undo_run(self, who: Caller | None = None) -> tuple[list[Action], list[Left]]:
        return await undo.undo_run(self.node, who or self.cast.bob, self.run_id)

    async def resolve(self, action: Action, found: str, who: Caller | None = None) -> Action:
        return await settle.resolve(
            self.node, who or self.cast.otto, action.action_id, found, "page 7 of the book", "looked myself"
        )

    async def halt(self, scope: str = "tenant", *, stop_undo: bool = False) -> halts.Effect:
        return await halts.engage(self.node, self.cast.otto, scope, "something is odd", stop_undo)

    async def lift(self, effect: halts.Effect) -> Halt:
        return await halts.lift(self.node, self.cast.otto, effect.halt.halt_id)

    async def complete(self, outcome: str = "completed", who: Caller | None = None) -> Run:
        return await runs.complete_run(self.node, who or self.cast.agent, self.run_id, outcome, "done")

    async def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and have the node do whatever is due then."""
        self.clock.advance(seconds)
        await timers.tick(self.node, TENANT)
        await self.settled()

    async def tick_without_waiting(self) -> None:
        """Have the node look around while calls are under way."""
        await timers.tick(self.node, TENANT)

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass in steps, with a tick after each."""
        for _ in range(round(seconds / step)):
            await self.tick(step)

    async def settled(self) -> None:
        """Wait until no leg runs, or all that run hang on the target."""
        while running := [task for task in self.node.legs._running.values() if not task.done()]:
            await asyncio.wait(running, timeout=0.02)
            if self.target.hanging:
                return

    async def get(self, action: Action | str) -> Action:
        action_id = action if isinstance(action, str) else action.action_id
        found = await self.node.storage.view(TENANT, lambda tx: tx.actions.get(action_id))
        assert found is not None
        return found

    async def run(self, run_id: str | None = None) -> Run:
        found = await self.node.storage.view(TENANT, lambda tx: tx.runs.get(run_id or self.run_id))
        assert found is not None
        return found

    async def actions(self) -> list[Action]:
        return await self.node.storage.view(TENANT, lambda tx: rows(tx, Action))

    async def votes(self, action: Action) -> list[Vote]:
        return await self.node.storage.view(TENANT, lambda tx: tx.actions.votes(action.action_id))

    async def document(self, action: Action, who: Caller | None = None) -> dict[str, Any]:
        return await documents.action_document(self.node, who or self.cast.ann, action.action_id)

    async def detail(self, action: Action) -> str:
        """Return what people are told about the check that ended an action."""
        shown = await self.document(action)
        return next((check["detail"] for check in shown["decision"]["checks"] if check["outcome"] == "deny"), "")

    async def give_roles(self, who: Caller, *roles: str) -> Person:
        return await people.change_person(self.node, self.cast.admin, who.id, roles=roles)

    async def spent(self) -> tuple[int, int]:
        """Return what the run has reserved and settled, in micro-dollars."""
        mine = [action for action in await self.actions() if action.run_id == self.run_id]
        return sum(a.reserved_usd_micros for a in mine), sum(a.settled_usd_micros for a in mine)

    # --- accidents -----------------------------------------------------------------------------------------------

    async def crash(self) -> None:
        """The node goes away in the middle of whatever it does; another one opens the same files."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        self.failing = None
        await self.node.storage.close()
        self.target.restart()
        self.node = self._open()
        await open_tenant(self.node, TENANT)

    def fail_at(self, point: str) -> None:
        """Have the process end at `<edge>:before` or `<edge>:after` its commit."""

        def check(reached: str) -> None:
            if reached == point:
                raise Crash(point)

        self.failing = check

    def _open(self) -> app.World:
        keys = KeyFiles.create_or_open(self.folder / "keys", INSTALLATION)

        def passed(point: str) -> None:
            self.edges.append(point)
            if self.failing is not None:
                self.failing(point)

        return app.World(
            storage=SqliteStorage(
                self.folder / "signoff.db",
                self.clock,
                HmacMarks(keys),
                is_durable=False,
                runs_twice=self.runs_twice,
                failpoint=passed,
            ),
            clock=self.clock,
            chance=self.chance,
            signer=Ed25519Signer(keys),
            tokens=JwtTokens(keys, INSTALLATION),
            keyring=Keyring(AesGcmVault(keys), self.chance, self.clock),
            systems=Systems(lambda server: self.target, self.clock),
            mirror=CheckpointMirror(self.folder / "mirror"),
            installation=INSTALLATION,
            node=mint("nod", self.clock.now(), self.chance.bytes(10)),
            circuits=Circuits(sends=1000),  # most playbooks have a system fail more often than any breaker bears
            log_keys=keys.verifier_keys(),
        )

    # --- the proof -----------------------------------------------------------------------------------------------

    async def check_ledger(self) -> None:
        """Verify the whole log, its fold against every row, every receipt, and the target against the actions.

        Raises:
            AssertionError: something does not hold; it says what.
        """
        await self.settled()
        await sign_receipts(self.node, TENANT)
        await integrate(self.node, TENANT)
        keys = parse_keys(self.node.log_keys)
        folded, path = Fold(), Path_()

        def each(_: int | None, entry: Entry) -> None:
            folded.add(entry)
            path.add(entry)

        def look(tx: Transaction) -> list[tuple[str, bytes]]:
            log = [(index, data) for index, _, _, _, data in tx.ledger.scan()]
            held = self.node.logs[TENANT]
            ends = [*(epoch.first for epoch in held.all[1:]), len(log)]
            parts = [
                Part(
                    [(index - epoch.first, data) for index, data in log[epoch.first : end] if index is not None],
                    [head.note for head in tx.ledger.heads(epoch.origin)],
                    epoch.origin,
                )
                for epoch, end in zip(held.all, ends, strict=True)
            ]
            reports = verify_epochs(parts, keys, each=each)
            report = reports[-1]
            assert report.is_sound, report.bad
            assert sum(one.size for one in reports) == sum(one.proved for one in reports) == len(log)
            folded.states.pop(STREAM, None)
            seen: set[str] = set()
            for kind, id_name in KINDS.items():
                for row in rows(tx, kind):
                    stream = getattr(row, id_name)
                    seen.add(stream)
                    _compare(row, folded.states[stream])
                    assert (row.seq, bytes.fromhex(row.head)) == report.heads[stream], stream
            assert seen == folded.states.keys()
            votes = {(vote.action_id, vote.digest, vote.person_id): vote for vote in rows(tx, Vote)}
            told = {
                (stream, row["digest"], row["person_id"]): row
                for stream, tables in folded.rows.items()
                for row in tables.get("votes", [])
            }
            assert votes.keys() == told.keys()
            for key, vote in votes.items():
                shown = {f.name: getattr(vote, f.name) for f in fields(Vote) if f.name not in ("tenant", "action_id")}
                assert {k: v for k, v in shown.items() if v is not None} == told[key]
            _check_impacts(rows(tx, Counted), path)
            _check_actions(rows(tx, Action), path)
            self._check_target(rows(tx, Action))
            receipts = []
            for action in rows(tx, Action):
                if action.receipt_id and action.ended_at is not None:
                    receipt = tx.receipts.get(action.receipt_id)
                    assert receipt is not None, action
                    data = documents.receipt_bundle(self.node, tx, self.cast.admin, action.receipt_id)
                    assert data is not None
                    receipts.append((action.action_id, data))
            assert len(receipts) == sum(1 for _ in tx.receipts.all())
            return receipts

        await self._check_what_is_remembered()
        for action_id, bundle in await self.node.storage.view(TENANT, look):
            verdict = verify_receipt(bundle, keys)
            assert verdict.outcome is Outcome.INCLUDED, (action_id, verdict)
            assert verdict.statement is not None
            assert verdict.statement["predicate"]["action"] == action_id

    async def _check_what_is_remembered(self) -> None:
        """Whatever the writer remembers is what the database holds."""

        def told(tx: Transaction) -> list[object]:
            known = rows(tx, Action)
            by_id = {action.action_id: action for action in known}
            assert all(tx.actions.get(action.action_id) == action for action in known)
            of_runs = [
                (run.run_id, tx.actions.tally(run.run_id, tag, besides), tx.actions.by_content(run.run_id, tag))
                for run in rows(tx, Run)
                for tag in sorted({action.content_tag for action in known if action.run_id == run.run_id})[:50]
                for besides in ("", min(by_id))
            ]
            people_ = [(tx.authority.person(one.person_id), one) for one in rows(tx, Person)]
            agents = [(tx.authority.agent(one.agent_id), one) for one in rows(tx, Agent)]
            assert all(known == stored for known, stored in [*people_, *agents])
            periods = [tx.sums.spent(window, began(tx.now, window)) for window in (DAY, 30 * DAY)]
            return [tx.now and of_runs, periods, tx.authority.halts_in_force(), tx.authority.pages_mark()]

        step, self.clock.step = self.clock.step, 0
        assert await self.node.storage.transact(TENANT, told) == await self.node.storage.view(TENANT, told)
        self.clock.step = step

    def _check_target(self, actions: list[Action]) -> None:
        """No write without an action that was claimed for it, none twice, none for what is known not to be done."""
        by_key = {action.key: action for action in actions}
        for call in self.target.calls:
            key = call.args.get("key")
            if key is not None:
                assert by_key[key].fence >= 1
                assert by_key[key].state not in NOT_SENT
        assert self.target.double_writes == 0
        for key in self.target.written:
            if key in by_key:
                assert by_key[key].state in (
                    State.SUCCEEDED, State.REVERSING, State.REVERSED, State.REVERSAL_FAILED, State.DISPATCHING,
                    State.IN_DOUBT, State.NEEDS_PERSON,
                ), by_key[key]  # fmt: skip


def rows(tx: Transaction, kind: type[Any]) -> list[Any]:
    """Return every row of a noun, read column by column."""
    noun = NOUNS[kind]
    columns = tx.stored.columns(noun.table.name)
    found = []
    for row in tx.stored.rows(noun.table.name):
        named = dict(zip(columns, row, strict=True))
        found.append(noun.read(tuple(named[name] for name in noun.names)))
    return found


class Path_:
    """The states each action went through, and what each run had set aside, entry by entry."""

    def __init__(self) -> None:
        self.states: dict[str, list[str]] = {}
        self.impacts: dict[str, list[dict[str, Any]]] = {}

    def add(self, entry: Entry) -> None:
        if entry["stream"].startswith("act_") and "state" in entry["set"]:
            self.states.setdefault(entry["stream"], []).append(entry["set"]["state"])
        if "impacts" in entry.get("rows", {}):
            self.impacts[entry["stream"]] = entry["rows"]["impacts"]


def _check_impacts(impacts: list[Counted], path: Path_) -> None:
    told = {
        (stream, one["key"], one["nth"], one["at"], one["amount"])
        for stream, ones in path.impacts.items()
        for one in ones
    }
    assert {(one.action_id, one.key, one.nth, one.at, one.amount) for one in impacts} == told
    assert len({(one.key, one.at) for one in impacts}) == len(impacts), "two share a place"


def _check_actions(actions: list[Action], path: Path_) -> None:
    for action in actions:
        states = [State(state) for state in path.states[action.action_id]]
        assert states[0] in ({State.PROPOSED} | MOVES[State.PROPOSED]), states
        for before, after in pairwise(states):
            assert after in MOVES.get(before, ()), (action.action_id, states)
        assert states[-1] is action.state
        if action.state in CONCLUDED:
            assert action.reserved_usd_micros == 0, action
            assert action.ended_at is not None, action
        if action.state is State.REVERSED or action.state is State.REVERSING:
            assert action.reversed_by is not None


def _compare(row: Any, folded: Mapping[str, Any]) -> None:
    for name in record.folded_names(type(row)):
        value = getattr(row, name)
        expected = folded.get(name)
        if isinstance(value, tuple):
            value = list(value)
        if expected is None and value is not None:
            raise AssertionError(f"{type(row).__name__}.{name} is {value!r}, its entries never said so")
        assert value == expected, f"{type(row).__name__}.{name} is {value!r}, its entries say {expected!r}"


async def _held(until: asyncio.Event) -> None:
    await until.wait()


@asynccontextmanager
async def new_world(
    folder: Path, *, seed: int = 7, text: str | None = None, runs_twice: bool = True
) -> AsyncIterator[World]:
    """Open an installation with its people, one agent, the target's contract, and a run under `envelope()`."""
    clock, chance, target = SetClock(), SeededChance(seed), Target()
    world = World(folder, clock, chance, target, None, runs_twice=runs_twice)  # type: ignore[arg-type]
    world.node = world._open()
    try:
        first = await open_tenant(world.node, TENANT)
        assert first is not None
        admin = Caller(TENANT, first[0].person_id, first[0].roles)

        async def person(name: str, *roles: str) -> Caller:
            one, _ = await people.add_person(world.node, admin, name, f"{name}@play.test", roles)
            return Caller(TENANT, one.person_id, one.roles)

        olga = await person("Olga", ROLE)

        async def agent(name: str) -> Caller:
            one, _ = await people.add_agent(world.node, admin, name, olga.id)
            token, _ = await people.mint_token(world.node, olga, one.agent_id)
            return people.caller_of_token(world.node, token)

        world.cast = Cast(
            admin, olga, await person("Ann", ROLE), await person("Bob", ROLE), await person("Otto", "operator"),
            await person("Zoe"), await agent("scribe"), await agent("rival"),
        )  # fmt: skip
        await world.publish(CONTRACT if text is None else text)
        await world.publish(envelope())
        await world.begin()
        yield world
    finally:
        target.restart()
        await world.node.legs.drain(5)
        await world.node.storage.close()


__all__ = ["CONTRACT", "DAY", "HOUR", "MINUTE", "SECOND", "SERVER", "START", "TENANT", "World", "contract", "envelope"]
