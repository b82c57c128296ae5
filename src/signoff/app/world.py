# SPDX-License-Identifier: Apache-2.0
"""The ports in one value, and what a node itself remembers: nothing that the database does not know better."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from signoff.app.answers import Answers
from signoff.app.pages import Shelf
from signoff.app.payloads import Keyring, Seal
from signoff.app.remembered import Remembered
from signoff.app.sweeps import Sweeps
from signoff.app.systems import Systems
from signoff.core import ids
from signoff.core.authority.circuit import Circuits
from signoff.core.authority.quota import Quotas
from signoff.core.run import Run
from signoff.ledger.epochs import Epochs
from signoff.ports.clock import Chance, Clock
from signoff.ports.identity import Tokens
from signoff.ports.mirror import Mirror
from signoff.ports.signer import Signer
from signoff.ports.step_up import StepUp
from signoff.ports.storage import Storage

log = logging.getLogger("signoff.app")
TENANT = "default"
RUNS_REMEMBERED = 4096


class Bell:
    """Wakes those of this node who wait for an action; who waits for another node's work polls as well."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, action_id: str) -> None:
        for event in self._waiting.get(action_id, ()):
            event.set()

    async def wait(self, action_id: str, seconds: float) -> None:
        """Return at the next ring for the action, or after `seconds`."""
        event = asyncio.Event()
        self._waiting[action_id].add(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting[action_id].discard(event)
            if not self._waiting[action_id]:
                del self._waiting[action_id]


class Legs:
    """Legs run in tasks of the node, not of a request: who hangs up stops waiting, never the work."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start `work` under a name; the same name running already is joined instead."""
        if (running := self._running.get(name)) and not running.done():
            work.close()
            return running
        task = asyncio.create_task(work, name=name)
        self._running[name] = task
        task.add_done_callback(self._done)
        return task

    def is_running(self, name: str) -> bool:
        return name in self._running

    async def drain(self, seconds: float) -> None:
        """Wait for what runs; whatever does not end in time is left to the next start."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    def _done(self, task: asyncio.Task[Any]) -> None:
        if self._running.get(task.get_name()) is task:
            del self._running[task.get_name()]
        if not task.cancelled() and (error := task.exception()):
            log.error("leg %s stopped", task.get_name(), exc_info=error)


@dataclass(slots=True)
class World:
    """What a use case may touch besides its arguments."""

    storage: Storage
    clock: Clock
    chance: Chance
    signer: Signer
    tokens: Tokens
    keyring: Keyring
    systems: Systems
    mirror: Mirror
    installation: str  # names the logs: `<installation>/<tenant>/<epoch>`
    node: str
    is_alone: bool = True  # this process alone owns the database
    quotas: Quotas = field(default_factory=Quotas)
    circuits: Circuits = field(default_factory=Circuits)
    shelf: Shelf = field(default_factory=Shelf)
    answers: Answers = field(default_factory=Answers)
    remembered: Remembered = field(default_factory=Remembered)
    bell: Bell = field(default_factory=Bell)
    legs: Legs = field(default_factory=Legs)
    sweeps: Sweeps = field(default_factory=Sweeps)
    tags: dict[str, Seal] = field(default_factory=dict)  # by tenant: keyed digests that agree across runs
    runs: dict[tuple[str, str], tuple[Seal, Run]] = field(default_factory=dict)  # what never changes of recent runs
    aged_at: dict[str, int] = field(default_factory=dict)  # by tenant: when what has reached its age was looked for
    rewritten_at: dict[str, int] = field(default_factory=dict)  # by tenant: when that was last done for their sake
    scrubbed_at: dict[str, int] = field(default_factory=dict)  # by tenant: when an owed rewriting was last tried
    withdrawn_seen: dict[str, frozenset[str]] = field(default_factory=dict)  # by tenant: what waited there is void
    revoked_seen: dict[str, int] = field(default_factory=dict)  # by tenant: what waited under these is void
    step_up: StepUp | None = None  # without it, an approval that owes step-up is refused
    requires_delegation: bool = False  # an agent does only what a person has delegated to it
    is_read_only: bool = False
    clock_jump_us: int = 0  # how far the machine's clock was off when that was last told
    logs: dict[str, Epochs] = field(default_factory=dict)  # by tenant: learned as it is opened
    log_keys: str = ""  # C2SP verifier key lines of the log and receipt keys

    def mint(self, prefix: str) -> str:
        """Return a new id; always outside a transaction, so that a body run again writes the same."""
        return ids.mint(prefix, self.clock.now(), self.chance.bytes(10))

    def remember_run(self, known: tuple[Seal, Run]) -> None:
        """Keep a run's seal and fixed fields at hand; its state is always read from the database."""
        self.runs[known[1].tenant, known[1].run_id] = known
        if len(self.runs) > RUNS_REMEMBERED:
            del self.runs[next(iter(self.runs))]

    def log_name(self, tenant: str) -> str:
        """Return what the origins of a tenant's log share, whatever the epoch."""
        return f"{self.installation}/{tenant}"

    def origin(self, tenant: str) -> str:
        """Return the origin line of a tenant's log in its present epoch; the tenant has been opened before."""
        return self.logs[tenant].current.origin
