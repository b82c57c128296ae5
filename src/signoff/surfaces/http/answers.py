# SPDX-License-Identifier: Apache-2.0
"""What callers get: the shape of each answer, for `/openapi.json`. Members may be added; none is taken away."""

from typing import Any, Final

from pydantic import BaseModel

from signoff.surfaces.http import clearance_answers


class Problem(BaseModel):
    """What went wrong, why, and how to mend it (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    what: str
    why: str
    fix: str


class Check(BaseModel):
    check: str
    outcome: str
    reason: str


class Decision(BaseModel):
    verdict: str | None
    checks: list[Check]


class Arguments(BaseModel):
    """Three records: as proposed, as approved, as sent."""

    proposed: Any
    approved: Any
    effective: Any


class Cost(BaseModel):
    reserved_usd_micros: int
    settled_usd_micros: int


class Erased(BaseModel):
    """When what was kept was erased, and by what: `subject` or `retention`."""

    at: str
    by: str


class Action(BaseModel):
    """The action document."""

    action_id: str
    run_id: str
    workflow: str
    tool: str
    state: str
    reason: str | None
    agent_id: str
    principal_id: str
    decision: Decision
    args: Arguments
    erased: Erased | None
    digest: str | None
    revision: int
    reverses: str | None
    reversed_by: str | None
    plan: dict[str, Any] | None
    preview: dict[str, Any] | None
    approval: dict[str, Any] | None
    hold: dict[str, Any] | None
    result: Any
    error: Any
    receipt_id: str | None
    cost: Cost
    attempts: int
    timestamps: dict[str, str | None]
    explain: str


class Plan(BaseModel):
    """A plan and its steps in order, each an action document. `digest` is what people approve, of all of them."""

    plan_id: str
    run_id: str
    digest: str | None
    is_concluded: bool
    steps: list[Action]


class ActionLine(BaseModel):
    action_id: str
    run_id: str
    workflow: str
    agent_id: str
    tool: str
    state: str
    reason: str | None
    approval_id: str | None
    digest: str | None
    proposed: str
    expires: str | None
    held_until: str | None
    explain: str


class InboxLine(ActionLine):
    owed: list[dict[str, Any]]
    approvals: int
    revision: int
    since: str
    escalated: str | None
    summary: str | None
    plan: dict[str, Any] | None


class EnvelopeName(BaseModel):
    version: str
    digest: str


class RunBudgets(BaseModel):
    max_tool_calls: int | None
    cap_usd_micros: int | None
    settled_usd_micros: int
    reserved_usd_micros: int


class Run(BaseModel):
    """A run, the envelope version it stays on, and its actions in brief."""

    run_id: str
    workflow: str
    envelope: EnvelopeName
    mode: str
    environment: str
    agent_id: str
    principal_id: str
    delegation_id: str | None
    state: str
    turned: dict[str, Any] | None
    erased: Erased | None
    task: str | None
    labels: dict[str, Any]
    summary: str | None
    budgets: RunBudgets
    actions: list[ActionLine]
    timestamps: dict[str, str | None]


class RunLine(BaseModel):
    run_id: str
    workflow: str
    environment: str
    agent_id: str
    principal_id: str
    state: str
    turned: dict[str, Any] | None
    timestamps: dict[str, str | None]


class Event(BaseModel):
    at: str
    type: str
    stream: str
    seq: int
    index: int | None
    epoch: int | None
    set: dict[str, Any]


class Timeline(BaseModel):
    run_id: str
    items: list[Event]


class LeftAlone(BaseModel):
    action_id: str
    why: str


class RunUndo(BaseModel):
    """The reversals that were proposed, newest write first, and what was left alone."""

    reversals: list[Action]
    left: list[LeftAlone]


class ReceiptBundle(BaseModel):
    """A receipt as a file: the DSSE envelope, and the proof once the entry is in the log."""

    v: int
    type: str
    envelope: dict[str, Any]


class ReceiptPromise(BaseModel):
    receipt_id: str
    state: str
    retry_after_s: int


class Halt(BaseModel):
    halt_id: str
    scope: str
    stop_undo: bool
    reason: str | None
    by: str
    requested: str
    confirmed: str | None
    is_lifted: bool
    in_flight: list[str]


class HaltEffect(Halt):
    stopped: int


class Token(BaseModel):
    token: str
    token_type: str
    agent_id: str
    expires: str
    expires_in_s: int


class Finding(BaseModel):
    file: str
    line: int
    column: int
    severity: str
    code: str
    what: str
    why: str
    fix: str


class Inert(BaseModel):
    """A control that a page asks for and nothing keeps."""

    control: str
    asked_by: str
    line: int
    consequence: str


class Publication(BaseModel):
    name: str
    version: str
    digest: str
    publisher: str
    published: str
    is_withdrawn: bool


class PublishedEnvelope(Publication):
    findings: list[Finding]
    inert: list[Inert]


class PublishedContract(Publication):
    findings: list[Finding]


class Standing(BaseModel):
    """A tier or a class D tool of a page: `open` (reviewed), `changed` since it was, or `closed`."""

    name: str
    state: str


class PublishedRoles(Publication):
    findings: list[Finding]


class Roles(BaseModel):
    """The roles page in force, null before the first is published, and every version, newest first."""

    version: str | None
    digest: str | None
    text: str | None
    roles: list[str]
    versions: list[Publication]


class Delegation(BaseModel):
    """A delegation, and what was done under it and its parts."""

    delegation_id: str
    agent_id: str
    grantor_id: str
    by: str
    parent: str | None
    state: str
    tools: list[str]
    environments: list[str]
    not_before: str
    not_after: str
    condition: str | None
    uses_max: int | None
    usd_micros_max: int | None
    used: int
    spent_usd_micros: int
    purpose: str | None
    granted: str
    revoked: dict[str, Any] | None


class EnvelopeLine(Publication):
    mode: str
    approval_roles: list[str]
    tiers: list[Standing]
    class_d: list[Standing]
    inert: list[Inert]


class Checked(BaseModel):
    is_loadable: bool
    digest: str | None
    findings: list[Finding]
    inert: list[Inert]


class Person(BaseModel):
    person_id: str
    name: str | None
    email: str | None
    roles: list[str]
    is_active: bool


class NewPerson(Person):
    api_key: str


class Agent(BaseModel):
    agent_id: str
    name: str
    owner_id: str
    is_active: bool


class NewAgent(Agent):
    api_key: str


class Key(BaseModel):
    key_id: str
    holder: str
    is_active: bool


class NewKey(Key):
    api_key: str


class Myself(BaseModel):
    tenant: str
    kind: str
    id: str
    name: str | None
    roles: list[str]


class ToolLine(BaseModel):
    """`state` is pinned, unpinned, changed or unavailable."""

    system: str
    tool: str
    effect: str
    reversibility: str
    reversal_note: str
    undo: str | None
    contract: str
    pin: str | None
    state: str
    live_digest: str | None


class BudgetLine(BaseModel):
    """A task's budget, or a cap beyond the task: `who` it is about (null for the tenant), and in which period."""

    scope: str
    run_id: str | None
    workflow: str
    cap_usd_micros: int | None
    settled_usd_micros: int
    reserved_usd_micros: int
    max_tool_calls: int | None
    tool_calls: int | None
    version: str | None = None
    who: str | None = None
    left_usd_micros: int | None = None
    period_s: int | None = None
    period_start: str | None = None
    period_end: str | None = None


class LedgerEntry(BaseModel):
    """`entry` is the entry's own bytes: canonical JSON as text."""

    index: int
    leaf: str
    entry: str


class KnownCheckpoint(BaseModel):
    origin: str
    size: int
    root: str


class LogEpoch(BaseModel):
    """One tree of the log: where it ends in this database (null: it still grows), and what was known as it began."""

    epoch: int
    origin: str
    size: int | None
    known: KnownCheckpoint | None


class SubjectAction(BaseModel):
    action_id: str
    run_id: str
    tool: str
    state: str
    proposed: str
    receipt_id: str | None


class Subject(BaseModel):
    """A data subject: the first 200 of its actions, what an erasure takes, and what it leaves and why."""

    subject_id: str
    met: str
    erased: str | None
    erased_by: str | None
    reason: str | None
    erased_payloads: int
    scrubbed: str | None
    actions: list[SubjectAction]
    actions_total: int
    underway: list[str]
    goes: list[str]
    stays: list[str]
    notes: list[str]


class Checkpoint(BaseModel):
    origin: str
    size: int
    note: str
    epoch: int
    epochs: list[LogEpoch]


class Inclusion(BaseModel):
    epoch: int
    index: int
    size: int
    leaf: str
    hashes: list[str]


class Consistency(BaseModel):
    epoch: int
    first: int
    second: int
    hashes: list[str]


class AuditFinding(BaseModel):
    table: str
    stream: str | None
    seq: int | None
    index: int | None
    column: str | None
    what: str
    why: str
    fix: str


class Audited(BaseModel):
    """What a verification of the whole log and of every row of state found; at most 100 findings are listed."""

    verified: bool
    origin: str
    entries: int
    pending: int
    size: int
    root: str
    checkpoints: int
    rows: dict[str, int]
    receipts: int
    payloads: int
    erased: int
    findings_total: int
    findings: list[AuditFinding]
    unchecked: list[str]


class Ready(BaseModel):
    is_ready: bool
    reasons: list[str]


class Alive(BaseModel):
    is_alive: bool


class Listed(BaseModel):
    next_cursor: str | None


class Actions(Listed):
    items: list[ActionLine]


class Edit(BaseModel):
    revision: int
    by: str | None
    reason: str | None
    args: Any


class Correction(BaseModel):
    """An action whose arguments a person edited. What was erased is null."""

    action_id: str
    run_id: str
    workflow: str
    tool: str
    state: str
    is_approved: bool
    proposed: Any
    edits: list[Edit]
    timestamps: dict[str, str | None]


class Corrections(Listed):
    items: list[Correction]


class Inbox(Listed):
    items: list[InboxLine]


class Runs(Listed):
    items: list[RunLine]


class Halts(Listed):
    items: list[Halt]


class People(Listed):
    items: list[Person]


class Agents(Listed):
    items: list[Agent]


class Keys(Listed):
    items: list[Key]


class Delegations(Listed):
    items: list[Delegation]


class Envelopes(Listed):
    items: list[EnvelopeLine]


class Tools(Listed):
    items: list[ToolLine]


class Budgets(Listed):
    items: list[BudgetLine]


class Entries(Listed):
    items: list[LedgerEntry]


class AccountRead(BaseModel):
    what: str
    tool: str | None
    at: str | None
    action_id: str | None


class Account(BaseModel):
    """Why an action stands where it does. An agent gets the first three members."""

    action_id: str
    verdict: str | None
    reasons: list[str]
    stands: str | None = None
    why: list[str] | None = None
    read: list[AccountRead] | None = None
    next: list[str] | None = None


class BatchError(BaseModel):
    code: str
    what: str
    why: str
    fix: str


class BatchLine(BaseModel):
    """What became of one item; `error` says why this vote was not counted."""

    approval_id: str
    action_id: str
    is_counted: bool
    state: str
    explain: str
    receipt_id: str | None
    error: BatchError | None


class Batch(BaseModel):
    items: list[BatchLine]


class Tested(BaseModel):
    at: str
    action_id: str


class RunbookLine(BaseModel):
    """How one tool's writes are taken back; `last_tested` is null where nobody ever did."""

    system: str
    tool: str
    reversibility: str
    workflows: list[str]
    undo: str | None
    who: str
    how: str
    until: list[str]
    last_tested: Tested | None


class Runbook(BaseModel):
    items: list[RunbookLine]
    markdown: str


class SweepFind(BaseModel):
    """A write that no receipt stands for: `why` is `unknown`, `no_key` or `not_done`."""

    key: str
    why: str
    action_id: str | None


class Sweep(BaseModel):
    """One look through the writes of one tool; `problem` is why there was no list."""

    system: str
    tool: str
    since: str
    at: str
    listed: int
    problem: str | None
    found: list[SweepFind]


class Sweeps(BaseModel):
    items: list[Sweep]
    found: int


_TOLD = [one for room in (globals(), vars(clearance_answers)) for one in room.values() if isinstance(one, type)]
ANSWERS: Final[tuple[type[BaseModel], ...]] = tuple(
    model for model in _TOLD if issubclass(model, BaseModel) and model is not BaseModel
)
