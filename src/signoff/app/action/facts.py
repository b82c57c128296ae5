# SPDX-License-Identifier: Apache-2.0
"""Fetch the facts that rules about a call stand on: from trusted read tools, in parallel, within 5 s in all.

They are fetched after the checks that need none, kept per run, tool and arguments for as long as the page says, and
fetched again for a claim unless at most 5 s old. An agent never sees them.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from signoff.app.action.case import as_named, evaluated
from signoff.app.action.gather import FRESH_US, OUTAGE, Seen, ask, gather, needs_gathering
from signoff.app.answers import NOTHING, Asked, Facts, key_of
from signoff.app.payloads import Seal
from signoff.app.world import World
from signoff.core.action.lifecycle import Action
from signoff.core.authority.contract import Contract, Effect, ToolContract
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.facts import Fact, as_fact, unfit
from signoff.core.authority.rules import facts_about
from signoff.core.errors import SignoffError
from signoff.core.run import Run
from signoff.ports.storage import SealedPayload, Transaction

WITHIN_S = 5.0


def needs_facts(envelope: Envelope, tool: str) -> bool:
    """Tell whether a rule of the page about this tool stands on a fact."""
    return bool(envelope.rules) and bool(facts_about(envelope.rules, tool))


async def look(
    world: World,
    run: Run,
    envelope: Envelope,
    contract: Contract,
    tool: ToolContract,
    args: Mapping[str, Any],
    key: str,
    *,
    for_claim: bool = False,
    rules_apply: bool = True,
) -> Seen:
    """Return everything that a decision needs from the outside world: preview and facts, asked for side by side.

    Args:
        for_claim: facts may then be no older than 5 s.
        rules_apply: False for a reversal that a person asks, which no rule of the page is about.
    """
    has_preview = tool.effect is Effect.WRITE and needs_gathering(tool)
    if not (rules_apply and needs_facts(envelope, tool.name)):
        return await gather(world, contract, tool, args, key) if has_preview else Seen()
    await world.systems.look(contract.server)
    fetching = fetch(world, run, envelope, contract, tool, args, for_claim=for_claim)
    if not has_preview:
        return Seen(facts=await fetching)
    facts, seen = await asyncio.gather(fetching, gather(world, contract, tool, args, key))
    return replace(seen, facts=facts)


async def fetch(
    world: World,
    run: Run,
    envelope: Envelope,
    contract: Contract,
    tool: ToolContract,
    args: Mapping[str, Any],
    *,
    for_claim: bool = False,
) -> Facts:
    """Return the facts that rules about this call use. Never raises for a target's doing: that is a `problem`.

    Args:
        for_claim: none of them may be older than 5 s, whatever the page allows.
    """
    names = sorted(facts_about(envelope.rules, tool.name))
    if not names:
        return NOTHING
    known = await world.storage.view(run.tenant, world.shelf.pages)
    given = {"args": as_named(world, contract, tool, args)}

    async def one(fact: Fact) -> Asked:
        source = known.tool(fact.tool, run.environment)
        if source is None:
            raise _unfit(fact, f"No published tool contract knows {fact.tool} in {run.environment}.")
        max_age = min(fact.max_age_us, FRESH_US) if for_claim else fact.max_age_us
        return await _asked(world, run, fact, *source, given, max_age)

    async def all_of_them() -> list[Asked | SignoffError]:
        return await asyncio.gather(*(_kept(one(envelope.facts[name])) for name in names))

    try:
        async with asyncio.timeout(WITHIN_S):
            answers = await all_of_them()
    except TimeoutError:
        return Facts(problem=f"Not all of {', '.join(names)} came within {WITHIN_S:g} s.", is_outage=True)
    failed = {name: one for name, one in zip(names, answers, strict=True) if isinstance(one, SignoffError)}
    asked = {name: one for name, one in zip(names, answers, strict=True) if isinstance(one, Asked)}
    why = " ".join(f"{name}: {error.what} {error.why}" for name, error in failed.items())
    # One that refused will refuse again; an outage alone is worth waiting for.
    return Facts(asked, why, bool(failed) and all(error.code == OUTAGE for error in failed.values()))


def sealed_facts(seal: Seal, action_id: str, name: str, seen: Seen) -> list[SealedPayload]:
    """Return the payload by which people see what was known when it was decided; none where no fact was asked for."""
    is_asked = bool(seen.facts.asked or seen.facts.problem)
    return [seal.seal(action_id, name, seen.facts.as_value())] if is_asked else []


def known_when(
    world: World, tx: Transaction, action: Action, run: Run, when: Callable[[int], str | None]
) -> dict[str, Any] | None:
    """Return what people are shown of the facts: as they were for the decision, and for the last look at a claim.

    Args:
        when: writes an instant as people read it.
    """
    if not needs_facts(world.shelf.envelope(tx, run.envelope), action.tool):
        return None

    def opened(name: str) -> dict[str, Any] | None:
        value = world.keyring.open(tx, action.action_id, name)
        return value and {name: one | {"at": when(one["at"])} for name, one in value["facts"].items()}

    # A claim that was refused took no number, and is the last that there was.
    claims = (opened(f"facts.{action.revision}.{number}") for number in (action.fence + 1, action.fence))
    decided, claimed = opened(f"facts.{action.revision}"), next((one for one in claims if one is not None), None)
    return {"decided": decided, "claimed": claimed} if decided is not None or claimed is not None else None


async def _kept(asking: Any) -> Asked | SignoffError:
    try:
        answer: Asked = await asking
    except SignoffError as error:
        return error
    return answer


async def _asked(
    world: World,
    run: Run,
    fact: Fact,
    tool: ToolContract,
    contract: Contract,
    given: Mapping[str, Any],
    max_age_us: int,
) -> Asked:
    args = evaluated(fact.args, given)
    key = key_of(run.tenant, run.run_id, contract.digest, tool.name, args)
    await world.systems.look(contract.server)
    live = world.systems.live(contract.server, tool)
    if problem := unfit(tool, *(live or (None, None))):
        raise _unfit(fact, problem, is_outage=live is None)
    assert live is not None
    now = world.clock.now()
    if known := world.answers.get(key, now - max_age_us):
        return known
    asked = Asked(tool.name, args, as_fact(tool, live[0], await ask(world, contract, tool, args)), now)
    world.answers.put(key, asked)
    return asked


def _unfit(fact: Fact, why: str, *, is_outage: bool = False) -> SignoffError:
    code = OUTAGE if is_outage else "gather.unanswered"
    return SignoffError(f"{fact.tool} cannot vouch for {fact.name}.", why, "Mend its contract.", code=code)
