# SPDX-License-Identifier: Apache-2.0
"""Decide a proposal: every check recorded, duties added up, a deny ends it.

A pure function over values. It runs when an action is proposed, once more when its preview has been gathered, and
again at each claim; because each check can only add care, a later run can never be talked into less of it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from signoff.core.authority.bearing import Bearing, Reversal
from signoff.core.authority.check import (
    bounds,
    care,
    circuit,
    citations,
    delegation,
    fit,
    limits,
    permission,
    provenance,
    rules,
    spend,
    standing,
)
from signoff.core.authority.contract import Effect
from signoff.core.authority.decision import Check, Decision, Duty, Outcome, Verdict
from signoff.core.authority.envelope import DAY_US, Mode
from signoff.core.authority.hold import Hold


def decide(bearing: Bearing, args: Mapping[str, Any], *, again: bool = False) -> Decision:
    """Return the decision over `args` (what the agent sent, or what a person edited).

    The order is fixed: who, whether at all, which tool, with what, how much, and then who must be asked.

    Args:
        again: look again before a send or for an edit; what an agent did since (steps, loops, time) is then no matter.
    """
    checks: list[Check] = []
    spoke: list[Check] = []
    for check in _checks(bearing.reversal, again=again):
        said = check(bearing, args)
        checks.append(said)
        if said.outcome is not _PASS:
            if said.outcome is Outcome.DENY:
                return Decision(Verdict.DENY, tuple(checks))
            spoke.append(said)
    contract, envelope = bearing.contract, bearing.envelope
    assert contract is not None  # `registered` has passed
    is_lifted = bool(spoke) and envelope.mode is Mode.AUTONOMOUS and any(check.lifts for check in checks)
    duties = _owed(bearing, [check for check in spoke if not (is_lifted and check.is_default)])
    verdict = Verdict.ASK if duties else Verdict.ALLOW
    if envelope.mode is Mode.SUGGEST and contract.effect is not Effect.READ and not bearing.reversal:
        verdict, duties = Verdict.SUGGEST, ()
    hold = _hold(bearing) if verdict in (Verdict.ALLOW, Verdict.ASK) else None
    return Decision(verdict, tuple(checks), duties, contract.cost_usd_micros, hold)


def _hold(b: Bearing) -> Hold | None:
    """Return the review window that the page sets; what a person asks to be undone is theirs to decide, and has none.

    A reversal that an agent asks for waits as the original would, if that is longer.
    """
    holds = b.envelope.holds
    if not holds or (b.reversal and b.reversal.by_person):
        return None
    owed = [hold for tool in (b.tool, b.reversal and b.reversal.of_tool) if tool and (hold := holds.get(tool))]
    return max(owed, key=lambda hold: (not hold.proceeds, hold.window_us), default=None)


def _owed(b: Bearing, asked: list[Check]) -> tuple[Duty, ...]:
    """Return the duties, added up: those that checks name, and one approval by the page's roles for all others."""
    assert b.contract is not None
    if b.reversal and b.reversal.by_person:
        return (Duty(b.reversal.roles, b.reversal.count, False, DAY_US, "undo"),)
    if not asked:
        return ()
    if b.contract.effect is Effect.READ:  # what is missing makes a write ask, not a read
        asked = [check for check in asked if check.outcome is Outcome.ASK] and asked
    plain = [check for check in asked if not check.duties]
    duties = [duty for check in asked for duty in check.duties]
    if plain:
        # A check that asks is the better reason than a control that is missing.
        first = min(plain, key=lambda check: check.outcome is Outcome.INERT)
        duties.insert(0, Duty(b.envelope.approval_roles, 1, True, b.envelope.expires_us, first.reason))
    return tuple(dict.fromkeys(duties))


_PASS = Outcome.PASS
CheckFunction = Callable[[Bearing, Mapping[str, Any]], Check]
PROPOSAL: tuple[CheckFunction, ...] = (
    standing.agent, standing.halt, standing.run, standing.version,
    fit.tool, fit.registered, fit.contract, fit.pin, fit.key, fit.args, fit.resource,
    circuit.circuit, delegation.delegation, permission.permission,
    bounds.calls, bounds.steps, bounds.denials, bounds.identical, bounds.time, bounds.spend, spend.spend_caps,
    bounds.tokens, limits.limits,
    care.risk_class, care.writes, care.mode, rules.rules, provenance.provenance,
    citations.citations, care.injection,
)  # fmt: skip
# What an agent did since weighs nothing; what it has had sent does, for that is a budget.
_PAST = (bounds.steps, bounds.denials, bounds.identical, bounds.time)
CLAIM: tuple[CheckFunction, ...] = tuple(check for check in PROPOSAL if check not in _PAST)
REVERSAL: tuple[CheckFunction, ...] = (
    standing.halt, fit.registered, fit.contract, fit.pin, fit.args, fit.resource, bounds.spend,
    spend.spend_caps,
)  # fmt: skip
# The undo tool and its arguments are the contract's choice, so that no page lists it and a key may stand in them; whom
# the write was permitted to may have it taken back.
OWN_REVERSAL, OWN_REVERSAL_CLAIM = (
    tuple(check for check in checks if check not in (fit.tool, fit.key, permission.permission))
    for checks in (PROPOSAL, CLAIM)
)


def _checks(reversal: Reversal | None, *, again: bool) -> tuple[CheckFunction, ...]:
    if reversal and reversal.by_person:
        return REVERSAL
    if reversal:
        return OWN_REVERSAL_CLAIM if again else OWN_REVERSAL
    return CLAIM if again else PROPOSAL
