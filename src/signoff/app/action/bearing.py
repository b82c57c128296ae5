# SPDX-License-Identifier: Apache-2.0
"""What bears on a proposal, read in the transaction that acts on it: one value of all that a check may look at."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from signoff.app.action.case import Case, found
from signoff.app.action.circuits import open_circuit
from signoff.app.action.delegated import bearing_of_delegation
from signoff.app.action.polling import without_news
from signoff.app.action.traces import bearing_of_traces
from signoff.app.answers import NOTHING, Facts
from signoff.app.authority.clearances import bearing_of_clearances
from signoff.app.world import World
from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import Action
from signoff.core.authority import quota
from signoff.core.authority.bearing import Bearing, Reversal
from signoff.core.authority.contract import Effect, Risk, governs_alike
from signoff.core.authority.decision import Decision
from signoff.core.authority.envelope import Envelope
from signoff.core.run import Run
from signoff.ports.storage import Transaction


def bearing(
    world: World,
    tx: Transaction,
    run: Run,
    tool: str,
    tag: str,
    besides: str,
    epoch: int | None,
    reversal: Reversal | None,
    *,
    decided_under: str | None = None,
    is_resource_known: bool = True,
    claims: Mapping[str, Any] | None = None,
    facts: Facts = NOTHING,
    is_gathered: bool = True,
    args: Mapping[str, Any] | None = None,
) -> Bearing:
    """Return everything that bears on a proposal now, read in the transaction that acts on it.

    Args:
        tag: keyed digest of the call, for counting identical ones.
        besides: the action itself, which is not counted; '' for one that is not recorded yet.
        epoch: of the token with which it was asked; None where a person asked.
        decided_under: digest of the contract file it was decided under before, if it was.
        facts: what was fetched for the rules about this call.
        is_gathered: False for a first look, which another with facts follows.
        args: that are decided on, an edit's too.
    """
    pages = world.shelf.pages(tx)
    known = pages.tool(tool, run.environment)
    live = world.systems.live(known[1].server, known[0]) if known else None
    envelope = world.shelf.envelope(tx, run.envelope)
    tiers, is_reviewed = bearing_of_clearances(tx, envelope, known[0] if known else None)
    traced = cited = None
    if known is not None and reversal is None and args is not None:
        traced, cited = bearing_of_traces(world, tx, run, envelope, known[0], args, claims or {}, besides)
    tally = tx.actions.tally(run.run_id, tag, besides)
    if known and known[0].effect is Effect.READ and tally.identical >= envelope.loops.identical_calls_max:
        tally = replace(tally, identical=without_news(world, tx, run.run_id, tag, besides))
    return Bearing(
        now=tx.now,
        run=run,
        envelope=envelope,
        tally=tally,
        halts=tx.authority.halts_in_force(),
        agent=tx.authority.agent(run.agent_id),
        principal=tx.authority.person(run.principal_id),
        epoch=epoch,
        tool=tool,
        contract=known[0] if known else None,
        live=live[0] if live else None,
        live_digest=live[1] if live else None,
        is_withdrawn=run.envelope in pages.withdrawn,
        reversal=reversal,
        is_contract_as_decided=(
            known is None
            or decided_under in (None, known[1].digest)
            or governs_alike(tool, world.shelf.contract(tx, decided_under, run.environment), known[1])
        ),
        is_resource_known=is_resource_known,
        facts=facts.results,
        fact_problem=facts.problem,
        is_gathered=is_gathered,
        claims=claims or {},
        open_circuit=open_circuit(world, tx, tool) if known else "",
        open_tiers=tiers,
        is_reviewed=is_reviewed,
        traced=traced,
        cited=cited,
        roles=pages.roles,
        delegated=bearing_of_delegation(world, tx, run, besides),
        is_delegation_required=world.requires_delegation,
    )


def bearing_again(
    world: World,
    tx: Transaction,
    case: Case,
    action: Action,
    run: Run,
    facts: Facts = NOTHING,
    *,
    is_gathered: bool = True,
    args: Mapping[str, Any] | None = None,
) -> Bearing:
    """Return everything that bears on a recorded action now: for its decision after gathering, an edit, or a claim.

    Args:
        args: of an edit; without them its own.
    """
    reversal = reversal_of(tx, action, case.envelope)
    return bearing(
        world, tx, run, action.tool, action.content_tag, action.action_id, action.epoch, reversal,
        decided_under=action.contract, facts=facts, is_gathered=is_gathered,
        claims=case.claims if action.action_id == case.action.action_id else None,
        args=args if args is not None else case.args,
    )  # fmt: skip


def within_quotas(world: World, tx: Transaction, b: Bearing, by: str, decision: Decision) -> Decision:
    """Return a decision, denied where it would leave too many calls of one agent waiting for people.

    Counted in the transaction that has the action wait, so that no two can take the last place.
    """
    if not quota.has_people_wait(decision) or not by.startswith("agt_"):
        return decision
    return quota.within(decision, world.quotas, b.tally.waiting, tx.actions.waiting_of(by))


def reversal_of(tx: Transaction, action: Action, envelope: Envelope) -> Reversal | None:
    """Return what is owed for an action that undoes another; None for one that does not.

    A person who asks owes one approval, which they may give themselves if they could have approved the original; class
    D takes two. An agent that asks owes what the original would owe. Where the page names nobody who approves, because
    nothing under it asks, an operator does.
    """
    if action.reverses is None:
        return None
    original = found(tx.actions.get(action.reverses), action.reverses)
    risk = Risk(original.risk)
    count = 2 if Risk.D in (risk, action.risk) else 1
    by_person = action.by.startswith("prs_")
    owed = () if by_person else duties_of(original)
    return Reversal(envelope.approval_roles or ("operator",), count, by_person, risk, original.tool, owed)
