# SPDX-License-Identifier: Apache-2.0
"""Open tiers and put class D reviews on record: by a named person, for exactly what they saw, until withdrawn."""

from dataclasses import dataclass

from signoff.app import record
from signoff.app.world import World
from signoff.core.authority.clearance import (
    Clearance,
    Cleared,
    asks_clearance,
    is_reviewed,
    open_tiers,
    require_may_clear,
    review_digest,
    tier_digest,
    tiers_of,
)
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.inert import InertControl, inert_controls
from signoff.core.authority.rules import Rule
from signoff.core.authority.tool import Risk, ToolContract
from signoff.core.errors import Conflict, NotFound
from signoff.core.principal import Caller, require_person
from signoff.ports.storage import Transaction

# A person stands in for these where nothing keeps them; an open tier lifts that, and still nothing keeps them.
STOOD_IN_FOR = frozenset({"budgets.max_tokens_per_task", "safety.block_on_prompt_injection_score_gte"})


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier of a page as it stands: `given` opens it; `had_other` says that another wording of it is open."""

    name: str
    digest: str
    rules: tuple[Rule, ...]
    given: Clearance | None
    had_other: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A class D tool that the page lists: `given` is the review on record for it as it stands."""

    tool: str
    digest: str
    given: Clearance | None
    had_other: bool


@dataclass(frozen=True, slots=True)
class Clearable:
    """What there is to clear in a workflow's newest page, and everything that was ever cleared, newest first."""

    envelope: Envelope
    tiers: tuple[Tier, ...]
    reviews: tuple[Review, ...]
    lifts: tuple[InertControl, ...]
    ever: tuple[tuple[Clearance, str | None], ...]  # with its reason; None once that is erased


async def clearable(world: World, caller: Caller, workflow: str) -> Clearable:
    """Return the tiers and class D tools of a workflow's newest page, and which of them are cleared.

    Raises:
        NotFound: no page of this workflow is published.
        Forbidden: an agent asks; what opens a way for it is no business of its own.
    """
    require_person(caller)

    def body(tx: Transaction) -> Clearable:
        return _clearable(world, tx, workflow)

    return await world.storage.view(caller.tenant, body)


async def clear(
    world: World, caller: Caller, workflow: str, kind: Cleared, name: str, digest: str, reason: str
) -> tuple[Clearance, bool]:
    """Open a tier, or put a class D review on record; the same again is the same. Also tells whether it is new.

    Args:
        digest: of what the person saw (`clearable`).

    Raises:
        Forbidden: the caller may not: an agent never, a person only with what the kind takes.
        NotFound: the newest page has no such tier, or lists no such tool of class D.
        Conflict: it has another digest now than the one seen.
    """
    require_person(caller)
    clearance_id = world.mint("clr")
    wrapped, seal = world.keyring.mint(caller.tenant)
    kept = seal.seal(clearance_id, "reason", reason)

    def body(tx: Transaction) -> tuple[Clearance, bool]:
        require_may_clear(kind, tx.authority.person(caller.id))
        found = _clearable(world, tx, workflow)
        now = _digest_of(found, kind, name)
        if now != digest:
            raise Conflict(
                what=f"{_called(kind, name)} of {workflow[:64]} was not cleared.",
                why=f"You named {digest[:80]!r}; on the newest page, {found.envelope.version[:40]}, it is {now}.",
                fix="Look at it again and clear what you then see.",
                code="clearance.digest_mismatch",
                field="digest",
            )
        for given in tx.authority.clearances_in_force(workflow):
            if (given.kind, given.name, given.digest) == (kind, name, digest):
                return given, False
        tx.payloads.add_key(wrapped)
        row = Clearance(
            tx.tenant, clearance_id, 0, "", kind, workflow, name, digest, caller.id, tx.now, kept.commitment,
            wrapped.key_id,
        )  # fmt: skip
        return record.begin(tx, row, "clearance.given", [kept]), True

    return await world.storage.transact(caller.tenant, body, guards=("clearances", "pages"))


async def withdraw_clearance(
    world: World, caller: Caller, workflow: str, clearance_id: str, reason: str
) -> tuple[Clearance, str | None]:
    """Withdraw a clearance: from the next decision on the tier is closed, the tool not reviewed. Also its reason.

    Closing takes less than opening: also an operator may, as with the kill switch, and whoever could give it.

    Raises:
        NotFound: this workflow has no such clearance.
        Forbidden: the caller may not.
    """
    require_person(caller)
    seal = await world.storage.view(
        caller.tenant, lambda tx: world.keyring.seal(tx, _found(tx, workflow, clearance_id).payload_key)
    )

    def body(tx: Transaction) -> tuple[Clearance, str | None]:
        given = _found(tx, workflow, clearance_id)
        _require_may_withdraw(tx, caller, given)
        if not given.is_withdrawn:
            said = seal.seal(clearance_id, f"withdrawn.{given.seq}", {"by": caller.id, "reason": reason})
            changes = {"is_withdrawn": True, "withdrawn_by": caller.id, "withdrawn_at": tx.now}
            given = record.move(tx, given, "clearance.withdrawn", [said], **changes)  # type: ignore[arg-type]
        return given, reason_of(world, tx, given)

    return await world.storage.transact(caller.tenant, body, guards=("clearances",))


def bearing_of_clearances(
    tx: Transaction, envelope: Envelope, tool: ToolContract | None
) -> tuple[frozenset[str], bool]:
    """Return the tiers that are open for a tool, and whether its class D review is on record."""
    if tool is None or not asks_clearance(envelope, tool):
        return frozenset(), False
    given = tx.authority.clearances_in_force(envelope.workflow)
    return open_tiers(envelope, tool.name, given), tool.risk is Risk.D and is_reviewed(envelope, tool, given)


def reason_of(world: World, tx: Transaction, given: Clearance) -> str | None:
    """Return why a clearance was given; None once that is erased."""
    try:
        reason: str | None = world.keyring.open(tx, given.clearance_id, "reason")
    except NotFound:
        return None
    return reason


def _clearable(world: World, tx: Transaction, workflow: str) -> Clearable:
    published = tx.authority.newest_publication("envelope", workflow)
    if published is None:
        raise NotFound(
            what=f"There is no workflow {workflow[:64]!r}.",
            why="No version of its envelope is published, or all were withdrawn.",
            fix="List them with `signoff envelopes list`.",
            code="workflow.unknown",
        )
    envelope = world.shelf.envelope(tx, published.digest)
    tiers, reviews = standing(world, tx, envelope)
    return Clearable(
        envelope,
        tiers,
        reviews,
        tuple(one for one in inert_controls(envelope) if one.asked_by in STOOD_IN_FOR),
        tuple((one, reason_of(world, tx, one)) for one in tx.authority.clearances(workflow)),
    )


def standing(world: World, tx: Transaction, envelope: Envelope) -> tuple[tuple[Tier, ...], tuple[Review, ...]]:
    """Return how the tiers and the class D tools of a page stand now."""
    pages, given = world.shelf.pages(tx), tx.authority.clearances_in_force(envelope.workflow)
    by = {(one.kind, one.name, one.digest): one for one in given}
    names = {(one.kind, one.name) for one in given}

    def tier(name: str, rules: tuple[Rule, ...]) -> Tier:
        digest = tier_digest(envelope, name)
        opened = by.get((Cleared.TIER, name, digest))
        return Tier(name, digest, rules, opened, opened is None and (Cleared.TIER, name) in names)

    def review(tool: ToolContract) -> Review:
        digest = review_digest(envelope, tool)
        seen = by.get((Cleared.CLASS_D, tool.name, digest))
        return Review(tool.name, digest, seen, seen is None and (Cleared.CLASS_D, tool.name) in names)

    known = [pages.tool(name) for name in sorted(envelope.allowed_tools)]
    tiers = tuple(tier(name, rules) for name, rules in tiers_of(envelope).items())
    return tiers, tuple(review(one[0]) for one in known if one is not None and one[0].risk is Risk.D)


def _digest_of(found: Clearable, kind: Cleared, name: str) -> str:
    if kind is Cleared.TIER:
        digests = {tier.name: tier.digest for tier in found.tiers}
        what, known = "tier", "Its rules with `then: allow` name"
    else:
        digests = {review.tool: review.digest for review in found.reviews}
        what, known = "class D tool", "Of class D it lists"
    if name in digests:
        return digests[name]
    raise NotFound(
        what=f"The page of {found.envelope.workflow} has no {what} {name[:64]!r}.",
        why=f"{known} {', '.join(sorted(digests)) or 'none'}.",
        fix="Look at `signoff tiers list WORKFLOW`.",
        code="clearance.unknown",
    )


def _found(tx: Transaction, workflow: str, clearance_id: str) -> Clearance:
    given = tx.authority.clearance(clearance_id)
    if given is None or given.workflow != workflow:
        raise NotFound(
            what=f"There is no clearance {clearance_id[:48]} of {workflow[:64]!r}.",
            why="No clearance of this workflow has this id.",
            fix="Look at `signoff tiers list WORKFLOW`.",
            code="clearance.unknown",
        )
    return given


def _require_may_withdraw(tx: Transaction, caller: Caller, given: Clearance) -> None:
    person = tx.authority.person(caller.id)
    roles = set(person.roles) if person is not None and person.is_active else set()
    if roles.isdisjoint({"author", "operator", "admin"}):
        require_may_clear(given.kind, person)


def _called(kind: Cleared, name: str) -> str:
    return f"Tier {name[:64]}" if kind is Cleared.TIER else f"The class D tool {name[:64]}"
