# SPDX-License-Identifier: Apache-2.0
"""Open the next epoch of a log whose newest database is lost (contract, section 5, "An old backup").

What the database has forgotten may have been done: so nothing that it still holds is sent again without a new
decision. Whatever was not sent ends; whatever may have been sent is asked of its target; no token counts any longer.
All of that, and the first checkpoint of the new log, are one transaction.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import maxsize
from typing import Any, NoReturn

from signoff.app import record
from signoff.app.action.ending import end_sent, end_unsent
from signoff.app.epochs import Loss, loss, open_log
from signoff.app.integrate import extend, mirror, signed_head
from signoff.app.setup import TAGS
from signoff.app.world import World
from signoff.core.action.doubt import RECOVERED
from signoff.core.action.lifecycle import NOT_SENT, Action, State
from signoff.core.errors import Conflict, Corrupt
from signoff.ledger.checkpoint import Checkpoint, parse_keys, verify
from signoff.ledger.entry import encode, leaf_hash
from signoff.ledger.epochs import STREAM, TYPE, Epoch, Opening, number_of
from signoff.ledger.errors import Refused
from signoff.ledger.merkle import EMPTY_ROOT, Frontier
from signoff.ports.storage import LogHead, Transaction

AT_ONCE = 200
# Each revocation is an entry, so that the entries known to be lost bound how often an agent's epoch was raised in them.
# The margin is for those that no checkpoint outside tells of: a second's worth of them.
MARGIN = 1_000_000


@dataclass(frozen=True, slots=True)
class Missing:
    """What would be lost: of which log, what the database has, what was published, and since when (microseconds)."""

    had: Checkpoint | None
    known: Checkpoint
    next_epoch: int
    last_at: int
    waiting: int  # actions not sent, which end
    sent: int  # actions that may have been sent, of which the targets are asked

    @property
    def is_diverged(self) -> bool:
        """Whether the database is not shorter than what was published, but another: two copies ran side by side."""
        return self.had is not None and self.had.origin == self.known.origin and self.had.size >= self.known.size

    @property
    def lost(self) -> int:
        """How many entries are known to be lost."""
        if self.had is None or self.had.origin != self.known.origin:
            return self.known.size
        return max(0, self.known.size - self.had.size)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did: the log it opened, and how many actions and agents it touched."""

    missing: Missing
    head: LogHead
    actions: Mapping[str, int]  # by the state they are in now
    agents: int
    carried: int


async def missing(world: World, tenant: str) -> Missing | None:
    """Return what the database lacks; None where it is the one that was published last.

    Raises:
        Corrupt: a checkpoint, of the mirror or the database, is signed by no key of this log.
    """
    await open_log(world, tenant)
    found = await loss(world, tenant)
    if found is None:
        return None

    def look(tx: Transaction) -> tuple[int, int, int]:
        states = tx.actions.count_states()
        sent = sum(states.get(state, 0) for state in (State.DISPATCHING, State.IN_DOUBT))
        return tx.ledger.last_at(), sum(states.get(state, 0) for state in NOT_SENT), sent

    last_at, waiting, sent = await world.storage.view(tenant, look)
    return Missing(_believed(world, found.had), _signed(world, found), found.next_epoch, last_at, waiting, sent)


def nothing(world: World, tenant: str) -> NoReturn:
    """Say that the database is the newest one.

    Raises:
        Conflict: `recover.nothing`.
    """
    raise Conflict(
        what="There is nothing to recover.",
        why=f"The database holds the last checkpoint of {world.origin(tenant)} that its mirror keeps, if any.",
        fix="Serve it. If you know of a newer checkpoint, name the mirror that keeps it with --mirror.",
        code="recover.nothing",
    )


async def recover(world: World, tenant: str) -> Recovered:
    """Open the next epoch; the caller has accepted the loss, and owns the database alone.

    Raises:
        Conflict: `recover.nothing`: the database lacks nothing of what was published.
        Corrupt: see `missing`.
        Unavailable: the database or the mirror cannot be written.
    """
    lacking = await missing(world, tenant)
    if lacking is None:
        nothing(world, tenant)
    past = world.logs[tenant].current
    origin = f"{world.log_name(tenant)}/{lacking.next_epoch}"
    # The number is taken before anything is signed under it, on a disk that no restored database can forget.
    await mirror(world, signed_head(world, origin, 0, EMPTY_ROOT))
    tag_key = world.keyring.mint_named(TAGS)

    def open_epoch(tx: Transaction) -> tuple[LogHead, int]:
        earlier = tx.ledger.entries_of(STREAM)
        had = lacking.had.size if lacking.had else 0
        root = lacking.had.root if lacking.had else EMPTY_ROOT
        carried = tx.ledger.pending(maxsize)
        known = lacking.known
        opening = Opening(lacking.next_epoch, had, root.hex(), known.origin, known.size, known.root.hex(), len(carried))
        seq, prev = len(earlier) + 1, leaf_hash(earlier[-1][1]).hex() if earlier else ""
        entry = encode(
            {
                "v": 1,
                "type": TYPE,
                "tenant": tx.tenant,
                "stream": STREAM,
                "seq": seq,
                "prev": prev,
                "at": tx.now,
                "set": opening.members(),
            }
        )
        is_empty = not tx.ledger.last_at()
        tx.ledger.append(STREAM, seq, tx.now, entry)
        if is_empty and tx.payloads.key(TAGS) is None:
            tx.payloads.add_key(tag_key)  # a database that was lost whole begins like a new one
        epoch = Epoch(lacking.next_epoch, origin, (*past.before, had), opening)
        return extend(world, tx, epoch, Frontier(), [(STREAM, seq, entry), *carried]), len(carried)

    def body(tx: Transaction) -> Recovered:
        head, carried = open_epoch(tx)
        touched = Counter(str(_end(world, tx, action).state) for action in _unfinished(tx))
        agents = _void_tokens(tx, lacking.lost + MARGIN)
        revoke_delegations(tx)
        return Recovered(lacking, head, dict(touched), agents, carried)

    before = world.logs[tenant]
    opened = Epoch(lacking.next_epoch, origin, (*past.before, lacking.had.size if lacking.had else 0))
    world.logs[tenant] = type(before)((*before.all, opened))  # receipts of what ends here belong to the new log
    try:
        done = await world.storage.transact(tenant, body, guards=("ledger", "agents"))
    finally:
        await open_log(world, tenant)
    await mirror(world, done.head)
    return done


def _unfinished(tx: Transaction) -> Iterator[Action]:
    """Yield what is not sent, and what may have been sent and has no outcome, by id."""
    after, states = "", (*sorted(NOT_SENT), State.DISPATCHING, State.IN_DOUBT)
    while page := tx.actions.in_states(states, after, AT_ONCE):
        yield from page
        after = page[-1].action_id


def _end(world: World, tx: Transaction, action: Action) -> Action:
    """End what was not sent; put in doubt, from now on, what may have been."""
    if action.state is State.PROPOSED:  # nothing was decided on it that could be voided
        return end_unsent(tx, action, State.STOPPED, RECOVERED)
    if action.state in NOT_SENT:
        return end_unsent(tx, action, State.VOIDED, RECOVERED)
    if not action.is_write:
        return end_sent(world, tx, action, "answer_lost")
    # It may have been sent again since the backup, up to this moment: what proved it absent then proves nothing, and
    # its absence is proved only once a send of now would have settled. `settle` never sends it again.
    doubt: dict[str, Any] = {
        "reason": RECOVERED,
        "proof": None,
        "claimed_at": tx.now,
        "doubt_since": tx.now,
        "look_at": tx.now,
    }
    tx.leases.drop(action.action_id)
    if action.state is State.IN_DOUBT:
        return record.move(tx, action, "action.doubted_anew", (), (), looks=0, **doubt)
    return record.move(tx, action, "action.in_doubt", (), (), state=State.IN_DOUBT, looks=0, **doubt)


def revoke_delegations(tx: Transaction) -> None:
    """Revoke every delegation that was not: one may have been in the entries that are lost. People delegate anew."""
    before: str | None = None
    while page := tx.authority.delegations(before, AT_ONCE):
        before = page[-1].delegation_id
        for one in page:
            if not one.is_revoked and tx.now < one.not_after:
                record.move(tx, one, "delegation.revoked", is_revoked=True, revoked_at=tx.now)


def _void_tokens(tx: Transaction, step: int) -> int:
    """Raise every agent's epoch past whatever it had been raised to in the entries that are lost."""
    raised, after = 0, ""
    while page := tx.authority.agents(after, AT_ONCE):
        for agent in page:
            record.move(tx, agent, "agent.changed", epoch=agent.epoch + step)
        raised, after = raised + len(page), page[-1].agent_id
    return raised


def _signed(world: World, found: Loss) -> Checkpoint:
    known = _believed(world, found.known)
    assert known is not None and number_of(known.origin)
    return known


def _believed(world: World, head: LogHead | None) -> Checkpoint | None:
    """Return a checkpoint whose signature holds.

    Raises:
        Corrupt: it does not; an epoch is opened on nothing that anybody could have written.
    """
    if head is None:
        return None
    try:
        return verify(head.note, parse_keys(world.log_keys))
    except Refused as refused:
        raise Corrupt(refused.what, refused.why, refused.fix, code="recover.unsigned") from refused
