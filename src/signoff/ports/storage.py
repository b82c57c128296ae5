# SPDX-License-Identifier: Apache-2.0
"""The one door to durable state: `transact(tenant, body, guards)`, and `view` for reading.

A body is synchronous and deterministic and touches nothing but its `Transaction`; it may be batched with others and
run again. State and the entry that explains it are written together or not at all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action, State
from signoff.core.authority.circuit import Sent
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.authority.spend import Period
from signoff.core.errors import Unavailable
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run, Tally
from signoff.core.subject import Subject
from signoff.ports.vault import WrappedKey

T = TypeVar("T")
R = TypeVar("R", Action, Run, Person, Agent, ApiKey, Halt, Publication, Delegation, Subject, Clearance)


@dataclass(frozen=True, slots=True)
class SealedPayload:
    """A value under its run's or subject's key: `sealed` opens to a 32-byte salt and the canonical bytes."""

    owner: str  # the stream it belongs to
    name: str
    key_id: str
    sealed: bytes
    commitment: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """That one outcome is receipted; the signature follows after the commit.

    What it says is no column: it follows from the action's entries up to `seq`, the outcome's.
    """

    tenant: str
    receipt_id: str
    action_id: str
    seq: int
    log: str  # origin of the log that the entry goes to
    key_id: str | None = None
    signature: bytes | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who sends an action, under which fence, until when (microseconds since 1970)."""

    action_id: str
    fence: int
    node: str
    until: int


@dataclass(frozen=True, slots=True)
class LogHead:
    """A published checkpoint: the log's size and its signed note."""

    origin: str
    size: int
    note: str


class Actions(Protocol):
    """Queries over actions and their votes."""

    def get(self, action_id: str) -> Action | None: ...
    def by_request(self, request_key: str) -> Action | None: ...
    def by_approval(self, approval_id: str) -> Action | None: ...
    def by_content(self, run_id: str, content_tag: str) -> Action | None:
        """Return the newest write of the run with this content."""

    def on_resource(self, resource: str, besides: str) -> Action | None:
        """Return another action that is in flight, doubt included, on the resource."""

    def of_run(self, run_id: str) -> list[Action]:
        """Return a run's actions, oldest first."""

    def of_subject(self, subject_id: str) -> list[Action]:
        """Return the actions whose payloads are about a subject, oldest first."""

    def in_states(self, states: Sequence[State], after: str, limit: int) -> list[Action]:
        """Return a page of actions in any of `states`, by id, after `after` ('' for the first page)."""

    def newest(self, before: str | None, limit: int) -> list[Action]:
        """Return a page of actions, newest first, before `before`."""

    def due(self, now: int, limit: int) -> list[Action]:
        """Return actions whose deadline or next look-up has come."""

    def escalated(self, after: str, limit: int) -> list[Action]:
        """Return what waits for an approval at which nobody has looked in time, by id."""

    def held_over(self, now: int, after: str, limit: int) -> list[Action]:
        """Return held actions whose review window is over, by id."""

    def late(self, after: str, limit: int) -> list[Action]:
        """Return failed writes that were found late or could not be looked for, and that no person has settled."""

    def tally(self, run_id: str, content_tag: str, besides: str) -> Tally:
        """Return what the run has done, without the action `besides`."""

    def same_calls(self, run_id: str, content_tag: str) -> list[str]:
        """Return the ids of a run's actions with this content, newest first."""

    def sends_of(self, tool: str) -> Iterator[Sent]:
        """Yield the last sends of a tool, newest first; at least a hundred, if there are so many."""

    def votes(self, action_id: str) -> list[Vote]: ...
    def add_vote(self, vote: Vote) -> None: ...
    def count_states(self) -> dict[str, int]: ...
    def waiting_of(self, by: str) -> int:
        """Return how many actions that `by` proposed wait for an approval."""


class Authority(Protocol):
    """Queries over who may do what."""

    def person(self, person_id: str) -> Person | None: ...
    def agent(self, agent_id: str) -> Agent | None: ...
    def agent_named(self, name: str) -> Agent | None: ...
    def key(self, key_id: str) -> ApiKey | None: ...
    def halt(self, halt_id: str) -> Halt | None: ...
    def halt_by_request(self, request_key: str) -> Halt | None: ...
    def halts_in_force(self) -> tuple[Halt, ...]: ...
    def halts(self, before: str | None, limit: int) -> list[Halt]: ...
    def people(self, after: str, limit: int) -> list[Person]: ...
    def agents(self, after: str, limit: int) -> list[Agent]: ...
    def keys_of(self, holder: str) -> list[ApiKey]: ...
    def delegation(self, delegation_id: str) -> Delegation | None: ...
    def delegation_by_request(self, request_key: str) -> Delegation | None: ...
    def delegations(self, before: str | None, limit: int) -> list[Delegation]:
        """Return a page of delegations, newest first."""

    def delegated_from(self, root_id: str) -> tuple[Delegation, ...]:
        """Return what a person granted with all its parts, and theirs, oldest first."""

    def revoked_delegations(self) -> int:
        """Return how many were revoked: what changes whenever one is."""

    def clearance(self, clearance_id: str) -> Clearance | None: ...
    def clearances(self, workflow: str) -> list[Clearance]:
        """Return every clearance of a workflow, withdrawn ones too, newest first."""

    def clearances_in_force(self, workflow: str) -> tuple[Clearance, ...]: ...
    def publication(self, digest: str) -> Publication | None: ...
    def published(self, kind: str, name: str, version: str) -> Publication | None: ...
    def newest_publication(self, kind: str, name: str) -> Publication | None:
        """Return the newest version that was not withdrawn."""

    def publications(self, kind: str) -> list[Publication]:
        """Return the newest version of each name that was not withdrawn."""

    def versions(self, kind: str, name: str) -> list[Publication]: ...
    def withdrawn(self, kind: str) -> list[str]:
        """Return the digests of withdrawn pages."""

    def pages_mark(self) -> tuple[int, str]:
        """Return what changes whenever a page is published or withdrawn."""


class Runs(Protocol):
    """Queries over runs."""

    def get(self, run_id: str) -> Run | None: ...
    def by_request(self, request_key: str) -> Run | None: ...
    def newest(self, before: str | None, limit: int) -> list[Run]: ...
    def open_of(self, agent_id: str) -> int:
        """Return how many runs of an agent are not closed."""

    def unerased_pages(self) -> list[str]:
        """Return the digests of the envelopes under which runs stand that have their payloads."""

    def unerased(self, envelope: str, until: int, beyond: tuple[int, str], limit: int) -> list[Run]:
        """Return a page of runs under an envelope that have their payloads and began at `until` or before.

        Args:
            beyond: when the last one of the page before began, and its id.
        """


class Subjects(Protocol):
    """Queries over data subjects."""

    def get(self, subject_id: str) -> Subject | None: ...
    def present(self, tag: str) -> Subject | None:
        """Return the subject of this tag whose payloads are kept now."""

    def of_tag(self, tag: str) -> list[Subject]:
        """Return every subject that had this tag, erased ones too, oldest first."""

    def unscrubbed(self, limit: int) -> list[Subject]:
        """Return erased subjects of which the engine's own files may still hold something."""


class Ledger(Protocol):
    """The append-only log of one tenant and what hangs on it."""

    def append(self, stream: str, seq: int, at: int, entry: bytes) -> None: ...
    def entries_of(self, stream: str) -> list[tuple[int | None, bytes]]:
        """Return index (None until integrated) and bytes of a stream's entries, in order."""

    def entry_at(self, index: int) -> bytes | None: ...
    def locate(self, stream: str, seq: int) -> int | None: ...
    def pending(self, limit: int) -> list[tuple[str, int, bytes]]:
        """Return stream, seq and bytes of entries not yet integrated, so that each stream's order is kept.

        Raises:
            Corrupt: code `ledger.forged_entry`: one has not the mark that the installation puts on its entries.
        """

    def unmarked(self) -> Iterator[tuple[str, int]]:
        """Yield stream and seq of pending entries without a true mark, and of integrated ones that still have any."""

    def integrate(self, placed: Sequence[tuple[str, int, int]]) -> None:
        """Give (stream, seq) its index."""

    def nodes(self) -> Mapping[tuple[int, int], bytes]:
        """Return a view of the tree's stored nodes by level and index."""

    def add_nodes(self, nodes: Iterable[tuple[int, int, bytes]]) -> None: ...
    def head(self, origin: str) -> LogHead | None:
        """Return the last checkpoint of the log of this origin."""

    def head_at(self, origin: str, size: int) -> LogHead | None: ...
    def publish(self, head: LogHead) -> None:
        """Record a checkpoint; unique by origin and size.

        Raises:
            Conflict: another one of that size is recorded.
        """

    def heads(self, origin: str) -> Iterator[LogHead]:
        """Yield the checkpoints of a log by size."""

    def last_at(self) -> int:
        """Return the time of the latest entry (microseconds since 1970), 0 in an empty log."""

    def scan(self) -> Iterator[tuple[int | None, str, int, int, bytes]]:
        """Yield index, stream, seq, time and bytes of every entry, integrated ones first and in order."""


class Receipts(Protocol):
    """Receipts and their signatures."""

    def add(self, receipt: Receipt) -> None: ...
    def get(self, receipt_id: str) -> Receipt | None: ...
    def unsigned(self, limit: int) -> list[Receipt]: ...
    def sign(self, signed: Iterable[tuple[str, str, bytes]]) -> None:
        """Give receipts that have none their key id and signature."""

    def all(self) -> Iterator[Receipt]: ...


class Payloads(Protocol):
    """Sealed payloads and the wrapped keys that open them."""

    def add(self, payload: SealedPayload) -> None: ...
    def get(self, owner: str, name: str) -> tuple[str, bytes] | None:
        """Return key id and sealed bytes."""

    def add_key(self, key: WrappedKey) -> None: ...
    def key(self, key_id: str) -> WrappedKey | None: ...
    def destroy_key(self, key_id: str) -> None:
        """Remove a wrapped key, and overwrite it where it lay."""

    def erase_run(self, run_id: str) -> int:
        """Remove the payloads of a run and its actions, overwrite them where they lay, and return how many."""

    def erase_subject(self, subject_id: str) -> int:
        """Remove the payloads of a subject's actions, overwrite them where they lay, and return how many."""

    def all(self) -> Iterator[tuple[str, str, str, bytes]]: ...


class Leases(Protocol):
    """Leases on sends: a claim holds for 15 s by itself; a row says that it was renewed."""

    def aged(self, latest: int, dead_node_but: str | None) -> list[Lease]:
        """Return the leases of sends that were claimed at `latest` or before, and, where one node is alone, also
        those of nodes other than `dead_node_but`. Reads hold none."""

    def renew(self, action_id: str, fence: int, until: int) -> None: ...
    def drop(self, action_id: str) -> None: ...


class Sums(Protocol):
    """What impact limits and spend caps add up, over all runs of a tenant."""

    def spent(self, window_us: int, began: int) -> Period:
        """Return what actions proposed in the period that began then have settled and reserved, by scope."""

    def counted_of(self, action_id: str) -> list[Counted]:
        """Return what an action counts for, by key."""

    def count(self, action_id: str, counted: Sequence[Counted]) -> None:
        """Have an action count for exactly these from now on."""

    def last_counted(self, impact_key: str) -> int:
        """Return the last place that was given under a key, whatever became of its action; 0 if none was."""

    def counted(self, impact_key: str, since: int, until: int, besides: str) -> int:
        """Return the amounts under a key of actions that are done or may still be, without the action `besides`.

        Args:
            since: places after this one, and up to `until`, are in the window.
        """

    def delegated(self, delegation_id: str, besides: str) -> tuple[int, int]:
        """Return what was done in the runs begun under a delegation, its parts apart, without the action `besides`.

        Calls of agents that do something, and are done or may still be, are counted; and all that is settled and set
        aside, in micro-dollars.
        """


class Stored(Protocol):
    """Rows exactly as they are stored, for verification: nothing is read into nouns, so that nothing is overlooked.

    Every method raises Corrupt, with the table in its detail, where the engine cannot read what is there.
    """

    def columns(self, table: str) -> tuple[str, ...]: ...
    def count(self, table: str) -> int: ...
    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield the tenant's rows in the order of their key, one at a time."""

    def find(self, table: str, key: str) -> tuple[Any, ...] | None:
        """Return the row whose key, after the tenant, begins with `key`."""

    def entries(self) -> Iterator[tuple[str, int, int, int | None, bytes, bytes | None]]:
        """Yield stream, seq, time, index and bytes of every entry by stream and seq, each with the leaf that the
        tree holds at its index."""

    def entries_of(self, stream: str) -> list[tuple[int | None, bytes]]:
        """Return index (None until integrated) and bytes of a stream's entries, in order."""

    def nodes(self, level: int) -> Iterator[tuple[bytes]]:
        """Yield the hash of each stored node of a level, alone in its row, from left to right."""

    def node_levels(self) -> list[tuple[int, int, int, int]]:
        """Return each stored level of the tree with the number of its nodes, and the first and last position."""

    def leaf_without_entry(self) -> int | None:
        """Return the first position of the tree's leaves that is the index of no entry."""

    def spent(self, run_id: str) -> int:
        """Return what the actions of a run have settled and set aside, in micro-dollars."""

    def counted(self) -> Iterator[tuple[str, int, int, int, str, str, str | None, str]]:
        """Yield what actions count for by key and place: key, place, amount, number of the limit on its page, and of
        the action id, state, line of checks, and digest of the page."""

    def spending(self) -> Iterator[tuple[int, str, int, str, str, str, str]]:
        """Yield what actions have settled and set aside by when they were proposed: that time, the action's id, the
        amount, and of its run the principal, the agent, the workflow, and the digest of the page."""

    def faults(self) -> list[tuple[str, str]]:
        """Return table and fault of whatever is wrong with the database itself: tables, indexes, triggers that are not
        those of this version, and what the engine's own check finds."""


class Transaction(Protocol):
    """One tenant's rows, as of one instant; it cannot name another tenant."""

    tenant: str
    now: int
    actions: Actions
    runs: Runs
    authority: Authority
    subjects: Subjects
    ledger: Ledger
    receipts: Receipts
    payloads: Payloads
    leases: Leases
    sums: Sums
    stored: Stored

    def insert(self, row: Any) -> None:
        """Insert a row that authorises, as its first entry says."""

    def update(self, was: Any, row: Any, names: Iterable[str]) -> None:
        """Write the columns `names` of `row` over `was`, if its `seq` is still the one that was read.

        Raises:
            Conflict: it moved meanwhile.
        """

    def passed(self, edge: str) -> None:
        """Note the edge of a state table that this body crosses; faults are injected by these names."""


class Storage(Protocol):
    """Durable when `transact` returns; a body that raised left nothing behind."""

    async def transact(self, tenant: str, body: Callable[[Transaction], T], guards: Sequence[str] = ()) -> T:
        """Run `body` in a transaction and return what it returned, after the commit.

        Args:
            guards: names of what is checked and then acted on; locked first, in one sorted order.

        Raises:
            Unavailable: the database cannot commit now, or too many bodies wait; nothing was lost.
        """

    async def view(self, tenant: str, body: Callable[[Transaction], T], *, is_short: bool = False) -> T:
        """Run a body that only reads, on a consistent snapshot.

        Args:
            is_short: it reads a few rows by their keys, so that handing it to another thread would cost more.
        """

    def freeze(self, why: Unavailable) -> None:
        """From now on refuse every transaction with `why`; reading goes on."""

    async def scrub(self, size_max: int | None = None) -> bool:
        """Rewrite the engine's files so that nothing that was removed before can be read in them.

        Nothing is committed meanwhile. Returns False where someone still reads an older state: then it is to be tried
        again.

        Args:
            size_max: bytes; where the database is larger nothing is done, and False returned.

        Raises:
            Unavailable: there is no room for it now, or the database is only read.
        """

    async def close(self) -> None:
        """Finish what is queued and release the database."""
