# SPDX-License-Identifier: Apache-2.0
"""Everything that bears on a proposal, as values: read in the transaction that acts on it, or gathered before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.authority.citation import Cited
from signoff.core.authority.contract import Risk, ToolContract, ToolDescription
from signoff.core.authority.decision import Duty
from signoff.core.authority.delegation import Delegated
from signoff.core.authority.envelope import Envelope
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Impact
from signoff.core.authority.permission import Roles
from signoff.core.authority.provenance import Traced
from signoff.core.authority.spend import Spent
from signoff.core.principal import Agent, Person
from signoff.core.run import Run, Tally


@dataclass(frozen=True, slots=True)
class Reversal:
    """The proposal undoes an earlier action; `roles` could have approved that one.

    Asked by a person it owes `count` approvals of its preview; asked by an agent, what the original would owe.
    """

    roles: tuple[str, ...]
    count: int = 1
    by_person: bool = True
    original_risk: Risk = Risk.A
    of_tool: str = ""
    owed: tuple[Duty, ...] = ()  # by the original, where an agent asks


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
    is_contract_as_decided: bool = True  # the contract in force says of the tool what it was decided under, if it was
    is_resource_known: bool = True  # whether the contract's `resource` could be evaluated
    is_subject_known: bool = True  # whether the contract's `subject` could be evaluated
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # results by name of the fact
    fact_problem: str = ""  # why one that is needed could not be had
    is_gathered: bool = True  # False before facts are fetched: what needs none is decided first
    open_tiers: frozenset[str] = frozenset()  # tiers of this page that a named person has opened
    is_reviewed: bool = False  # the compliance owner's review of a class D tool is on record
    claims: Mapping[str, Any] = field(default_factory=dict)  # the agent's: confidence, rationale, citations
    impacts: tuple[Impact, ...] = ()
    spent: tuple[Spent, ...] = ()
    traced: Traced | None = None  # where the arguments come from; None where no provenance rule is about the tool
    cited: Cited | None = None  # what the call claims and cites; None where the page asks for no citations
    open_circuit: str = ""  # why calls of this tool are broken off for a while
    roles: Roles | None = None  # what roles permit; None while no such page is published
    delegated: Delegated | None = None  # what the run was begun under
    is_delegation_required: bool = False  # an agent without a delegation may do nothing
