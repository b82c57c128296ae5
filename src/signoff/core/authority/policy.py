# SPDX-License-Identifier: Apache-2.0
"""Decide a proposal: every check recorded, duties added up, a deny ends it.

A pure function over values. It runs when an action is proposed, once more when its preview has been gathered, and
again at each claim; because each check can only add care, a later run can never be talked into less of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from signoff.core.authority import halt as halts_
from signoff.core.authority.contract import Effect, Risk, ToolContract, ToolDescription, argument_problems
from signoff.core.authority.envelope import Envelope, Mode
from signoff.core.authority.halt import Halt
from signoff.core.money import dollars
from signoff.core.principal import Agent, Person
from signoff.core.run import CLOSED, Run, RunState, Tally


class Outcome(StrEnum):
    """What one check says. `inert`: the envelope asks for a control that this installation does not have."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    ASK = "ask"
    DENY = "deny"
    INERT = "inert"


class Verdict(StrEnum):
    """What all checks together say."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"
    SUGGEST = "suggest"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, what it said, a reason code, and a sentence for people (a payload)."""

    check: str
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Duty:
    """An approval that is owed: `count` different people, each holding one of `roles`."""

    roles: tuple[str, ...]
    count: int
    distinct_from_requester: bool
    expires_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict, the checks in the order in which they ran, the duties owed, and the money to set aside."""

    verdict: Verdict
    checks: tuple[Check, ...]
    duties: tuple[Duty, ...] = ()
    reserve_usd_micros: int = 0

    @property
    def denial(self) -> Check | None:
        """The check that ended it."""
        return next((check for check in self.checks if check.outcome is Outcome.DENY), None)


@dataclass(frozen=True, slots=True)
class Reversal:
    """The proposal undoes an earlier action; `roles` could have approved that one.

    Asked by a person it owes `count` approvals of its preview; asked by an agent, what the original would owe.
    """

    roles: tuple[str, ...]
    count: int = 1
    by_person: bool = True
    original_risk: Risk = Risk.A


@dataclass(frozen=True, slots=True)
class Bearing:
    """Everything that bears on a proposal, read in the transaction that acts on it."""

    now: int
    run: Run
    envelope: Envelope
    tally: Tally
    halts: tuple[Halt, ...]
    agent: Agent | None
    principal: Person | None
    epoch: int | None  # of the token shown; None where no token is (a person, a timer)
    tool: str
    contract: ToolContract | None
    live: ToolDescription | None  # as the server describes it now
    live_digest: str | None
    is_withdrawn: bool = False
    reversal: Reversal | None = None
    contract_digest: str | None = None  # of the contract file in force
    decided_under: str | None = None  # the one it was decided under before; None the first time
    is_resource_known: bool = True  # whether the contract's `resource` could be evaluated


DAY_US = 24 * 3600 * 1_000_000


def decide(bearing: Bearing, args: Mapping[str, Any], *, again: bool = False) -> Decision:
    """Return the decision over `args` (what the agent sent, or what a person edited).

    The order is fixed: who, whether at all, which tool, with what, how much, and then who must be asked.

    Args:
        again: look again before a send or for an edit; what an agent did since (steps, loops, time) is then no matter.
    """
    checks: list[Check] = []
    duties: list[Duty] = []
    for check in _checks(bearing.reversal, again=again):
        said = check(bearing, args)
        checks.append(said)
        if said.outcome is Outcome.DENY:
            return Decision(Verdict.DENY, tuple(checks))
    contract, envelope = bearing.contract, bearing.envelope
    assert contract is not None  # `registered` has passed
    asked = [check for check in checks if check.outcome in (Outcome.ASK, Outcome.INERT)]
    undo = bearing.reversal
    if undo and undo.by_person:
        duties.append(Duty(undo.roles, undo.count, False, DAY_US, "undo"))
    elif any(check.outcome is Outcome.ASK for check in asked) or (asked and contract.effect is not Effect.READ):
        # A check that asks is the better reason than a control that is missing.
        first = min(asked, key=lambda check: check.outcome is Outcome.INERT)
        duties.append(Duty(envelope.approval_roles, 1, True, envelope.expires_us, first.reason))
    verdict = Verdict.ASK if duties else Verdict.ALLOW
    if envelope.mode is Mode.SUGGEST and contract.effect is not Effect.READ and not bearing.reversal:
        verdict, duties = Verdict.SUGGEST, []
    return Decision(verdict, tuple(checks), tuple(duties), contract.cost_usd_micros)


STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.SUGGEST: 2, Verdict.DENY: 3}


def is_stricter(later: Decision, earlier_verdict: Verdict, earlier_duties: tuple[Duty, ...]) -> bool:
    """Tell whether a decision taken again owes more than the one that people approved."""
    if STRICTNESS[later.verdict] != STRICTNESS[earlier_verdict]:
        return STRICTNESS[later.verdict] > STRICTNESS[earlier_verdict]
    return not all(any(_covers(earlier, duty) for earlier in earlier_duties) for duty in later.duties)


def _covers(met: Duty, owed: Duty) -> bool:
    """Tell whether whoever met one duty has met the other: as many, of no other roles, as much apart."""
    is_apart = met.distinct_from_requester or not owed.distinct_from_requester
    return is_apart and met.count >= owed.count and set(met.roles) <= set(owed.roles)


# --- the checks, each one sentence of the contract ---------------------------------------------------------------


def _deny(check: str, reason: str, detail: str) -> Check:
    return Check(check, Outcome.DENY, reason, detail)


_PASSED = {
    name: Check(name)
    for names in (
        ("agent", "halt", "run", "version", "tool", "registered", "contract", "pin", "args", "key", "resource"),
        ("calls", "steps", "denials", "identical", "time", "spend"),
        ("class", "writes", "mode", "injection", "citations", "tokens"),
    )
    for name in names
}


def agent(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The agent is known and active, its token is of its present epoch, and its principal is active."""
    if b.agent is None or not b.agent.is_active:
        return _deny("agent", "agent_inactive", "The agent is not registered, or was switched off.")
    if b.epoch is not None and b.epoch != b.agent.epoch:
        return _deny("agent", "token_revoked", "The agent's tokens were revoked after this one was issued.")
    if b.principal is None or not b.principal.is_active:
        return _deny("agent", "principal_inactive", "The person on whose behalf this runs is no longer active.")
    return _PASSED["agent"]


def halt(b: Bearing, _: Mapping[str, Any]) -> Check:
    """No halt covers it."""
    is_undo = b.reversal is not None and b.reversal.by_person
    found = halts_.in_force(b.halts, b.run.workflow, b.run.agent_id, b.tool, is_undo=is_undo)
    if found is None:
        return _PASSED["halt"]
    scope = f"{found.scope} {found.target}".strip()
    return _deny("halt", "halted", f"Halt {found.halt_id} is in force for {scope}.")


def run(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run is open."""
    if b.run.state in CLOSED:
        return _deny("run", "run_closed", f"The run is {b.run.state}; a closed run takes no more calls.")
    if b.run.state is RunState.PAUSED:
        return _deny("run", "run_paused", "The run is paused until a person resumes it.")
    return _PASSED["run"]


def version(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope's version was not withdrawn."""
    if b.is_withdrawn:
        return _deny("version", "version_withdrawn", f"Version {b.envelope.version} of the envelope was withdrawn.")
    return _PASSED["version"]


def tool(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope lists the tool; what is not listed is denied."""
    if b.tool in b.envelope.allowed_tools:
        return _PASSED["tool"]
    return _deny("tool", "tool_not_allowed", f"The envelope of {b.run.workflow} does not list {b.tool}.")


def registered(b: Bearing, _: Mapping[str, Any]) -> Check:
    """A published tool contract knows the tool."""
    if b.contract is not None:
        return _PASSED["registered"]
    return _deny("registered", "tool_unregistered", f"No published tool contract knows {b.tool}.")


def contract(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The contract file in force is the one it was decided under: an approval binds its digest."""
    if b.decided_under in (None, b.contract_digest):
        return _PASSED["contract"]
    return _deny("contract", "contract_changed", f"The contract of {b.tool} was replaced after this was decided.")


def pin(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The server still offers the tool exactly as it was pinned."""
    assert b.contract is not None
    if b.live is None:
        return _deny("pin", "tool_unavailable", f"The server does not offer {b.tool} now, or cannot be asked.")
    if b.contract.schema_digest is None:
        return _deny("pin", "tool_unpinned", f"The contract of {b.tool} pins no schema.")
    if b.live_digest != b.contract.schema_digest:
        return _deny("pin", "tool_changed", f"{b.tool} is now {b.live_digest}, pinned was {b.contract.schema_digest}.")
    return _PASSED["pin"]


def args(b: Bearing, args: Mapping[str, Any]) -> Check:
    """The arguments fit the pinned schema, with what Signoff itself puts in."""
    assert b.contract is not None and b.live is not None
    if problems := argument_problems(_without_precondition(b.live, b.contract), completed(b.contract, args, "0" * 32)):
        return _deny("args", "args_invalid", "; ".join(problems[:5]))
    return _PASSED["args"]


def resource(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The resource it would hold alone can be told from the arguments."""
    if b.is_resource_known:
        return _PASSED["resource"]
    return _deny("resource", "resource_unknown", f"The contract's `resource` of {b.tool} has no value for these.")


def key(b: Bearing, args: Mapping[str, Any]) -> Check:
    """What Signoff puts in (idempotency key, expected version) is refused from the agent."""
    assert b.contract is not None
    own = [name for name in put_in(b.contract) if name in args]
    if own:
        return _deny("key", "argument_reserved", f"{own[0]} is put in by Signoff and must not be sent.")
    return _PASSED["key"]


def calls(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has calls left; they are counted when they are sent."""
    most = b.envelope.budgets.calls_max
    if most is not None and b.tally.sent >= most:
        return _deny("calls", "calls_exhausted", f"{b.tally.sent} of {most} tool calls were sent.")
    return _PASSED["calls"]


def steps(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has steps left."""
    if b.tally.steps >= b.envelope.loops.steps_max:
        return _deny("steps", "steps_exhausted", f"{b.tally.steps} of {b.envelope.loops.steps_max} steps were taken.")
    return _PASSED["steps"]


def denials(b: Bearing, _: Mapping[str, Any]) -> Check:
    """After too many denials the run may only read."""
    assert b.contract is not None
    if b.tally.denied >= b.envelope.loops.denials_max and b.contract.effect is not Effect.READ:
        return _deny(
            "denials", "denials_exhausted", f"{b.tally.denied} proposals of this run were denied; it may only read."
        )
    return _PASSED["denials"]


def identical(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The same call is not made over and over."""
    if b.tally.identical >= b.envelope.loops.identical_calls_max:
        return _deny("identical", "identical_calls", f"This very call was made {b.tally.identical} times in this run.")
    return _PASSED["identical"]


def time(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The run has time left; it does not pass while people are waited for."""
    used_s = (b.now - b.run.started_at - b.tally.waited_us) // 1_000_000
    if used_s >= b.envelope.loops.run_seconds_max:
        return _deny("time", "time_exhausted", f"The run has used {used_s} of {b.envelope.loops.run_seconds_max} s.")
    return _PASSED["time"]


def spend(b: Bearing, _: Mapping[str, Any]) -> Check:
    """What is settled and reserved, with this call, stays within the task's cap."""
    assert b.contract is not None
    cap, cost = b.envelope.budgets.cap_usd_micros, b.contract.cost_usd_micros
    if cap is not None and b.tally.spent_usd_micros + cost > cap:
        spent = dollars(b.tally.spent_usd_micros)
        return _deny(
            "spend",
            "spend_exhausted",
            f"USD {spent} is spent or set aside, this call costs {dollars(cost)}, the cap is {dollars(cap)}.",
        )
    return _PASSED["spend"]


def risk_class(b: Bearing, _: Mapping[str, Any]) -> Check:
    """Class C asks; class D is denied until the compliance owner's review is on record."""
    assert b.contract is not None
    if b.contract.risk is Risk.D:
        return _deny(
            "class", "class_d_unreviewed", "Class D needs the compliance owner's policy review on record first."
        )
    worst = max(b.contract.risk, b.reversal.original_risk) if b.reversal else b.contract.risk
    if worst >= Risk.C and b.contract.effect is not Effect.READ:
        return Check(
            "class", Outcome.ASK, "class_c", "Class C (money, messages sent, access, irreversible) asks each time."
        )
    return _PASSED["class"]


def writes(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The envelope lets writes ask, which it does when silent."""
    assert b.contract is not None
    if b.envelope.writes_ask and b.contract.effect is not Effect.READ:
        return Check("writes", Outcome.ASK, "write_asks", "The envelope asks for an approval of every write.")
    return _PASSED["writes"]


def mode(b: Bearing, _: Mapping[str, Any]) -> Check:
    """In watch every call asks, in assist every write."""
    assert b.contract is not None
    if b.envelope.mode is Mode.WATCH:
        return Check("mode", Outcome.ASK, "mode_watch", "In mode watch every call waits for a person.")
    if b.envelope.mode is Mode.ASSIST and b.contract.effect is not Effect.READ:
        return Check("mode", Outcome.ASK, "mode_assist", "In mode assist every write waits for a person.")
    return _PASSED["mode"]


def injection(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The score port: asked for by the envelope, and no scorer is installed, so a person stands in for it."""
    if b.envelope.injection_threshold_ppm is None:
        return _PASSED["injection"]
    return Check(
        "injection",
        Outcome.INERT,
        "no_injection_scorer",
        "The envelope asks for an injection score; no scorer is installed.",
    )


def citations(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The citations port: asked for by the envelope, and nothing checks citations yet, so a person stands in."""
    if not b.envelope.citations_for:
        return _PASSED["citations"]
    return Check(
        "citations", Outcome.INERT, "no_citation_check", "The envelope asks for citations; nothing checks them yet."
    )


def tokens(b: Bearing, _: Mapping[str, Any]) -> Check:
    """The token cap: nothing counts model tokens before the model gateway does."""
    if b.envelope.budgets.tokens_max is None:
        return _PASSED["tokens"]
    return Check(
        "tokens", Outcome.INERT, "tokens_uncounted", "The envelope caps model tokens; nothing counts them yet."
    )


CheckFunction = Callable[[Bearing, Mapping[str, Any]], Check]
PROPOSAL: tuple[CheckFunction, ...] = (
    agent, halt, run, version, tool, registered, contract, pin, key, args, resource, calls, steps, denials, identical,
    time, spend, tokens, risk_class, writes, mode, injection, citations,
)  # fmt: skip
# What an agent did since weighs nothing; what it has had sent does, for that is a budget.
CLAIM: tuple[CheckFunction, ...] = tuple(check for check in PROPOSAL if check not in (steps, denials, identical, time))
REVERSAL: tuple[CheckFunction, ...] = (halt, registered, contract, pin, args, resource, spend)
# The undo tool and its arguments are the contract's choice, so that no page lists it and a key may stand in them.
OWN_REVERSAL, OWN_REVERSAL_CLAIM = (
    tuple(check for check in checks if check not in (tool, key)) for checks in (PROPOSAL, CLAIM)
)


def _checks(reversal: Reversal | None, *, again: bool) -> tuple[CheckFunction, ...]:
    if reversal and reversal.by_person:
        return REVERSAL
    if reversal:
        return OWN_REVERSAL_CLAIM if again else OWN_REVERSAL
    return CLAIM if again else PROPOSAL


_RELAXED: dict[int, tuple[Mapping[str, Any], ToolDescription]] = {}


def _without_precondition(live: ToolDescription, contract: ToolContract) -> ToolDescription:
    """Return a tool's description without the demand for the argument that only a preview can fill.

    It is remembered by the schema's identity, for schemas are compiled by theirs.
    """
    required = live.input_schema.get("required", ())
    if contract.precondition is None or contract.precondition.argument not in required:
        return live
    known = _RELAXED.get(id(live.input_schema))
    if known is None or known[0] is not live.input_schema:
        left = [name for name in required if name != contract.precondition.argument]
        known = live.input_schema, replace(live, input_schema={**live.input_schema, "required": left})
        if len(_RELAXED) >= 256:
            _RELAXED.clear()
        _RELAXED[id(live.input_schema)] = known
    return known[1]


def put_in(contract: ToolContract) -> tuple[str, ...]:
    """Return the names of the arguments that Signoff itself fills."""
    names = (contract.key_argument, contract.precondition.argument if contract.precondition else None)
    return tuple(name for name in names if name)


def completed(contract: ToolContract, args: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the arguments as they are sent, with the idempotency key where the contract has a place for it."""
    return {**args, contract.key_argument: key} if contract.key_argument else dict(args)
