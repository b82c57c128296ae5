# SPDX-License-Identifier: Apache-2.0
"""What the pages are given: plain values, as the templates read them.

Members marked NotRequired may be absent. Times are RFC 3339, money is integer micro-dollars.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict


class Installation(TypedDict):
    """What runs here: `storage` is `SQLite` or `PostgreSQL`, `name` what the operator called it."""

    name: str
    tenant: str
    version: str
    storage: str


class Asking(TypedDict):
    """Where an envelope asks for a control: `key` is the member of the page, `line` counts from 1."""

    workflow: str
    version: str
    key: str
    line: int


class Control(TypedDict):
    """One control. `inert`: pages ask for it and nothing does it; `note` says what that means, `asked_by` who asks."""

    name: str
    state: Literal["on", "off", "inert"]
    note: str
    asked_by: NotRequired[Sequence[Asking]]


class Signer(TypedDict):
    """A person's word on an action as it stands: `decision` is approve or reject."""

    person: str
    decision: str


class ActionLine(TypedDict):
    """One action in a list; `why` is one line of plain text, `signers` is None where no approval was owed."""

    action_id: str
    at: str
    workflow: str
    agent: str
    tool: str
    state: str
    why: str
    signers: NotRequired[Sequence[Signer] | None]


class Waiting(TypedDict):
    """What waits for a person, and for whom: `state` is pending_approval, held, needs_person, or failed."""

    action_id: str
    state: str
    tool: str
    workflow: str
    summary: str
    since: str
    roles: Sequence[str]
    expires: NotRequired[str | None]


class HaltLine(TypedDict):
    """A halt in force; `in_flight` counts what was sent before it and is not concluded."""

    halt_id: str
    scope: str
    reason: str
    by: str
    since: str
    in_flight: NotRequired[int]


class LedgerHead(TypedDict):
    """The last published checkpoint; `mirror` tells whether each is also kept outside the database."""

    origin: str
    size: int
    root: str
    at: str
    mirror: bool


class SpendLine(TypedDict):
    """One budget in its present period; a cap of None counts without limiting."""

    scope: str
    window: str
    settled_usd_micros: int
    reserved_usd_micros: int
    cap_usd_micros: int | None


class UnreceiptedLine(TypedDict):
    """Writes of a tool that no receipt stands for; `at` is when they were last looked for."""

    system: str
    tool: str
    count: int
    at: str


class Home(TypedDict):
    """The model of `/`. `next_cursor` leads to older actions; `cursor` is the one this page was asked with."""

    installation: Installation
    as_of: str
    controls: Sequence[Control]
    actions: Sequence[ActionLine]
    next_cursor: str | None
    cursor: NotRequired[str | None]
    waiting: Sequence[Waiting]
    halts: Sequence[HaltLine]
    ledger: LedgerHead | None
    spend: Sequence[SpendLine]
    unreceipted: NotRequired[Sequence[UnreceiptedLine]]


class Check(TypedDict):
    """One check as recorded; `detail` is for people and left out for an agent's token."""

    check: str
    outcome: str
    reason: str
    detail: NotRequired[Any]


class Decision(TypedDict):
    verdict: str
    checks: Sequence[Check]


class Change(TypedDict):
    """One value of the target; None for what does not exist."""

    path: str
    before: Any
    after: Any


class Preview(TypedDict):
    digest: str
    summary: str
    changes: Sequence[Change]


class Duty(TypedDict):
    """An approval that is owed: `count` people, each holding one of `roles`."""

    roles: Sequence[str]
    count: int
    reason: NotRequired[str]
    distinct_roles: NotRequired[bool]


class Vote(TypedDict):
    """A person's word on one digest; the receipt gives no reason, which is a payload."""

    person: str
    role: str
    at: str
    decision: NotRequired[str]
    digest: str
    assurance: NotRequired[str]
    reason: NotRequired[str | None]


class Approval(TypedDict):
    owed: NotRequired[Sequence[Duty]]
    votes: Sequence[Vote]
    expires: NotRequired[str | None]
    self_approved: NotRequired[bool]


class Document(TypedDict):
    """The action document of the HTTP API (contract, section 4).

    `asker` is the person who asked, where that was not the agent. `timestamps` knows proposed, decided, approved, sent,
    concluded and expires, with or without `_at`. The members after `explain` are not in the contract's list; they are
    shown where the API gives them.
    """

    action_id: str
    run_id: str
    tool: str
    state: str
    decision: Decision | None
    args: Mapping[str, Any]
    digest: str | None
    revision: int
    reverses: NotRequired[str | None]
    reversed_by: NotRequired[str | None]
    plan: NotRequired[Mapping[str, Any] | None]
    preview: Preview | None
    approval: NotRequired[Approval | None]
    hold: NotRequired[Mapping[str, Any] | None]
    result: NotRequired[Any]
    error: NotRequired[Any]
    receipt_id: NotRequired[str | None]
    cost: Mapping[str, int] | None
    timestamps: Mapping[str, str | None]
    explain: str | None
    workflow: NotRequired[str]
    environment: NotRequired[str]
    agent: NotRequired[str]
    principal: NotRequired[str]
    asker: NotRequired[str | None]
    effect: NotRequired[str]
    claims: NotRequired[Mapping[str, Any] | None]
    late_find: NotRequired[Mapping[str, Any] | None]
    facts: NotRequired[Mapping[str, Any] | None]


class Event(TypedDict):
    """One ledger entry of the action, oldest first; `index` is its place in the log once integrated."""

    at: str
    type: str
    by: NotRequired[str | None]
    note: NotRequired[Any]
    seq: NotRequired[int]
    index: NotRequired[int | None]


class Inclusion(TypedDict):
    """Proof that the receipt's entry stands in the log: `path` is the audit path, leaf to root (RFC 9162, 2.1.3)."""

    index: int
    size: int
    root: str
    path: Sequence[str]
    at: NotRequired[str]


class ReceiptLink(TypedDict):
    receipt_id: str
    at: NotRequired[str]
    inclusion: NotRequired[Inclusion | None]


class ReceiptView(TypedDict):
    """A signed receipt for people: members of its statement, the opened payloads, and the proof if it has come.

    `inclusion` is None while the entry is promised: it must stand in the log by `due`. `changes` and `result` are
    openings that match their commitments; None where none rides along.
    """

    receipt_id: str
    action_id: str
    run_id: str
    workflow: str
    environment: str
    agent: str
    principal: str
    tool: str
    tool_contract: str
    envelope: str
    revision: int
    digest: str | None
    state: str
    at: str
    attempts: int
    voters: Sequence[Vote]
    self_approved: bool
    cost_usd_micros: int
    commitments: Mapping[str, str]
    key_id: str
    log: str
    leaf: str
    due: str
    inclusion: Inclusion | None
    reverses: NotRequired[str | None]
    executed_by: NotRequired[str]
    changes: NotRequired[Sequence[Change] | None]
    result: NotRequired[Any]
