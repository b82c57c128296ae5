# SPDX-License-Identifier: Apache-2.0
"""Load a workflow's envelope: the one page that says what its agents may do (contract, section 1)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum

from signoff.core.authority.done import Done
from signoff.core.authority.facts import Fact
from signoff.core.authority.hold import Hold
from signoff.core.authority.limit import Limit
from signoff.core.authority.page import Finding, Node, Page, quoted, read_page
from signoff.core.authority.provenance import Provenance
from signoff.core.authority.reading import Reader
from signoff.core.authority.rules import Rule
from signoff.core.authority.spend import SpendCap
from signoff.core.authority.tool import Effect, Risk, ToolContract
from signoff.core.money import MICROS

DAY_US = 86_400_000_000


class Mode(StrEnum):
    """The ceiling of autonomy."""

    SUGGEST = "suggest"
    WATCH = "watch"
    ASSIST = "assist"
    AUTONOMOUS = "autonomous"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What one task may use; None is no cap."""

    tokens_max: int | None = None
    calls_max: int | None = None
    cap_usd_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Loops:
    """When a run goes round in circles."""

    identical_calls_max: int = 3
    denials_max: int = 3
    steps_max: int = 40
    run_seconds_max: int = 900


@dataclass(frozen=True, slots=True)
class Envelope:
    """One version of a workflow's page; `digest` is over the file's exact bytes.

    A page that names no environment is for production: nothing is assumed to be a rehearsal.
    """

    file: str
    text: str
    digest: str
    workflow: str
    version: str
    format: int = 1
    purpose: str = ""
    environments: tuple[str, ...] = ("production",)
    owners: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.ASSIST
    models: Mapping[str, str] = field(default_factory=dict)
    budgets: Budgets = Budgets()
    allowed_tools: frozenset[str] = frozenset()
    writes_ask: bool = True
    approval_roles: tuple[str, ...] = ()
    expires_us: int = DAY_US
    redact_pii: bool = True
    store_transcripts_days: int = 30
    injection_threshold_ppm: int | None = None
    citations_for: tuple[str, ...] = ()
    loops: Loops = Loops()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    spend: tuple[SpendCap, ...] = ()
    done: Done | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    """On which line of the page each key stands that was asked for, by its path: `budgets.max_tool_calls`."""


FORMAT = 1
NAMED = (
    "format",
    "version",
    "workflow",
    "purpose",
    "environments",
    "owners",
    "mode",
    "models",
    "budgets",
    "permissions",
    "logging",
    "safety",
    "loops",
)
NOT_ENFORCED: Mapping[str, str] = {
    "facts": "fetches no facts",
    "limits": "keeps no impact limits",
    "provenance": "does not trace where arguments come from",
    "holds": "has no review windows",
    "spend": "keeps no budgets beyond the task",
    "downgrade": "does not downgrade as a budget runs out",
    "done": "does not check when a task is done",
    "rollout": "has no rollouts",
    "incidents": "has no incident rules",
    "evals": "runs no evaluations",
}
OWNERS = ("executive", "product", "engineering", "operations", "compliance")
PAGE_LINES_MAX = 60
_JUDGMENT = re.compile(r"use\s+(?:your\s+|good\s+|best\s+|common\s+)*judge?ment", re.IGNORECASE)


def load_envelope(
    text: str | bytes,
    file: str,
    contracts: Mapping[str, ToolContract] | None = None,
    *,
    one_page: bool = False,
) -> tuple[Envelope | None, list[Finding]]:
    """Return the envelope that `text` says, and everything there is to mend in it; raises nothing.

    Args:
        file: its name in findings; nothing is read from it.
        contracts: the known tools; without them, tools are not checked and a warning says so.
        one_page: also warn past 60 lines.

    Returns:
        No envelope if any finding is an error.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    envelope = _read(reader, page)
    _check_wording(reader, one_page)
    _check_tools(reader, envelope, contracts)
    _check_approvals(reader, envelope, contracts)
    return (None if reader.has_errors else envelope), reader.sorted_findings()


def read_published(text: str | bytes, file: str) -> tuple[Envelope | None, list[Finding]]:
    """Return the envelope of a page that was published, read by itself.

    What it asks of the tools was checked when it was published; contracts have changed since, and a run stays on its
    version all the same.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    envelope = _read(reader, page)
    return (None if reader.has_errors else envelope), reader.sorted_findings()


def _read(reader: Reader, page: Page) -> Envelope:
    """Read every key; what is wrong is a finding, and its default stands in."""
    root = page.root
    if root.kind == "map":
        root = _without_unenforced(reader, root, "", NOT_ENFORCED)
    top = reader.fields(root, "", NAMED, required=("version", "workflow"))
    budgets = reader.fields(
        top.get("budgets"), "budgets", ("max_tokens_per_task", "max_tool_calls", "hard_cost_cap_usd")
    )
    rules = top.get("permissions")
    if rules is not None and rules.kind == "map":
        rules = _without_unenforced(reader, rules, "permissions.", {"rules": "evaluates no rules"})
    permissions = reader.fields(
        rules, "permissions", ("allowed_tools", "write_actions_require_approval", "approval_roles")
    )
    logging = reader.fields(top.get("logging"), "logging", ("redact_pii", "store_transcripts_days"))
    safety = reader.fields(
        top.get("safety"), "safety", ("block_on_prompt_injection_score_gte", "require_citations_for")
    )
    environments = reader.texts(top.get("environments"), "environments")
    if (node := top.get("environments")) is not None and node.kind == "list" and not node.items:
        reader.wrong(node, "environments", "at least one environment", "Write `[production]`, or leave it out.")
    owners = reader.fields(top.get("owners"), "owners", OWNERS)
    loops = reader.fields(
        top.get("loops"), "loops", ("max_identical_calls", "max_denials", "max_steps", "max_run_seconds")
    )
    return Envelope(
        file=page.file,
        text=page.text,
        digest=page.digest,
        workflow=reader.name(top.get("workflow"), "workflow") or "",
        version=reader.text(top.get("version"), "version", "", numbers=True),
        format=_format(reader, top.get("format")),
        purpose=reader.text(top.get("purpose"), "purpose", ""),
        environments=environments or ("production",),
        owners={role: reader.text(node, f"owners.{role}", "") for role, node in owners.items()},
        mode=Mode(reader.word(top.get("mode"), "mode", tuple(Mode), Mode.ASSIST)),
        models=_models(reader, top.get("models")),
        budgets=Budgets(
            tokens_max=reader.integer(budgets.get("max_tokens_per_task"), "budgets.max_tokens_per_task", 1, 10**9),
            calls_max=reader.integer(budgets.get("max_tool_calls"), "budgets.max_tool_calls", 1, 100_000),
            cap_usd_micros=reader.money(
                budgets.get("hard_cost_cap_usd"), "budgets.hard_cost_cap_usd", 1_000_000 * MICROS
            ),
        ),
        allowed_tools=frozenset(reader.texts(permissions.get("allowed_tools"), "permissions.allowed_tools")),
        writes_ask=reader.boolean(
            permissions.get("write_actions_require_approval"), "permissions.write_actions_require_approval", True
        ),
        approval_roles=reader.texts(permissions.get("approval_roles"), "permissions.approval_roles"),
        redact_pii=reader.boolean(logging.get("redact_pii"), "logging.redact_pii", True),
        store_transcripts_days=reader.integer(
            logging.get("store_transcripts_days"), "logging.store_transcripts_days", 0, 36_500, 30
        ),
        injection_threshold_ppm=reader.fraction_ppm(
            safety.get("block_on_prompt_injection_score_gte"), "safety.block_on_prompt_injection_score_gte"
        ),
        citations_for=reader.texts(safety.get("require_citations_for"), "safety.require_citations_for", names=False),
        loops=Loops(
            identical_calls_max=reader.integer(
                loops.get("max_identical_calls"), "loops.max_identical_calls", 1, 1000, 3
            ),
            denials_max=reader.integer(loops.get("max_denials"), "loops.max_denials", 1, 1000, 3),
            steps_max=reader.integer(loops.get("max_steps"), "loops.max_steps", 1, 100_000, 40),
            run_seconds_max=reader.integer(loops.get("max_run_seconds"), "loops.max_run_seconds", 1, 30 * 86_400, 900),
        ),
        lines=dict(reader.lines),
    )


def _without_unenforced(reader: Reader, node: Node, prefix: str, unenforced: Mapping[str, str]) -> Node:
    """Return the map without the keys that this version knows and does not enforce; each is an error."""
    for key, _ in node.pairs:
        if key.text in unenforced:
            reader.error(
                key,
                "envelope.not_enforced",
                f"This version does not enforce `{prefix}{key.text}`.",
                f"It {unenforced[key.text]}; loading the page would promise a control that nobody keeps.",
                "Remove the key; until it is kept, have writes ask: `write_actions_require_approval: true`.",
            )
    return replace(node, pairs=tuple(pair for pair in node.pairs if pair[0].text not in unenforced))


def _format(reader: Reader, node: Node | None) -> int:
    value = reader.integer(node, "format", 1, 10**6, FORMAT)
    if node is not None and value > FORMAT:
        reader.error(
            node,
            "page.format",
            f"The page is written in format {value}.",
            f"This version reads format {FORMAT}.",
            "Update Signoff, or write the page in the older format.",
        )
    return value


def _models(reader: Reader, node: Node | None) -> dict[str, str]:
    if node is None:
        return {}
    if node.kind != "map":
        reader.wrong(node, "models", "roles and model names", "Write `reasoning: frontier`.")
        return {}
    found: dict[str, str] = {}
    for key, value in node.pairs:
        reader.lines[f"models.{key.text}"] = key.line
        if (model := reader.name(value, f"models.{key.text}")) and reader.name(key, "a key of models"):
            found[key.text] = model
    return found


def _check_wording(reader: Reader, one_page: bool) -> None:
    """Warn of words that leave the decision to the agent, and of a page that is longer than a page."""
    rows = reader.page.lines
    for number, row in enumerate(rows, start=1):
        if match := _JUDGMENT.search(row):
            reader.warn(
                Node("scalar", number, match.start() + 1),
                "envelope.judgment",
                "The page asks the agent to use judgment.",
                "Judgment cannot be checked or enforced, and nothing here reads it.",
                "Say the rule in numbers, or leave the decision to a person by approval.",
            )
    count = len(rows) - (rows[-1] == "")
    if one_page and count > PAGE_LINES_MAX:
        reader.warn(
            Node("scalar", PAGE_LINES_MAX + 1, 1),
            "envelope.one_page",
            f"The page has {count} lines.",
            f"Past {PAGE_LINES_MAX} nobody reads it as a whole before signing it.",
            "Split the workflow, or say less.",
        )


def _check_tools(reader: Reader, envelope: Envelope, contracts: Mapping[str, ToolContract] | None) -> None:
    """Find tools that nobody described, and writes that neither ask nor can be taken back."""
    permissions = _node(reader.page.root, "permissions")
    allowed = _node(permissions, "allowed_tools")
    at = allowed or permissions or reader.page.root
    if not envelope.allowed_tools and (allowed is None or (allowed.kind == "list" and not allowed.items)):
        reader.warn(
            at,
            "envelope.no_tools",
            "The page allows no tool.",
            "Tools that are not listed are denied, so all are.",
            "List them under `permissions.allowed_tools`.",
        )
    if allowed is None or allowed.kind != "list":
        return
    if contracts is None:
        if envelope.allowed_tools:
            reader.warn(
                allowed,
                "envelope.tools_unchecked",
                "The tools of this page were not checked.",
                "No tool contracts were given, so that nobody knows which exist and which of them write.",
                "Check the page together with the contract file of each system.",
            )
        return
    for item in allowed.items:
        if item.kind != "scalar" or item.text not in envelope.allowed_tools:
            continue
        contract = contracts.get(item.text)
        if contract is None:
            near = get_close_matches(item.text, contracts, 1)
            reader.error(
                item,
                "envelope.unknown_tool",
                f"No contract describes the tool {quoted(item.text)}.",
                "Without one, nobody can say whether it writes.",
                f"Did you mean `{near[0]}`?" if near else "Describe it in the contract file of its system.",
            )
        elif not contract.has_reversal_story and not _asks(envelope, contract):
            reader.error(
                item,
                "envelope.no_way_back",
                f"{quoted(item.text)} writes without asking, and nobody said how to undo it.",
                "Its contract has neither `undo` nor `reversal_note`, and this page does not make it ask.",
                "Say in the contract how it is taken back, or set `write_actions_require_approval: true`.",
            )


def _asks(envelope: Envelope, contract: ToolContract) -> bool:
    """Tell whether a call of this tool asks a person under this page (contract, section 1, "Modes")."""
    if envelope.mode is Mode.WATCH:
        return True
    if envelope.mode is Mode.SUGGEST or contract.effect is Effect.READ:
        return False
    return envelope.writes_ask or envelope.mode is Mode.ASSIST or contract.risk in (Risk.C, Risk.D)


def _check_approvals(reader: Reader, envelope: Envelope, contracts: Mapping[str, ToolContract] | None) -> None:
    """Find an approval that nobody can give, and a waiver that has no effect."""
    permissions = _node(reader.page.root, "permissions")
    at = _node(permissions, "approval_roles") or permissions or reader.page.root
    if not envelope.writes_ask and envelope.mode in (Mode.WATCH, Mode.ASSIST):
        reader.warn(
            _node(permissions, "write_actions_require_approval") or at,
            "envelope.no_effect",
            "`write_actions_require_approval: false` has no effect here.",
            f"In mode {envelope.mode} each write asks anyway.",
            "Remove it, or choose another mode.",
        )
    if envelope.approval_roles or envelope.mode is Mode.SUGGEST:
        return
    known = [contracts[name] for name in envelope.allowed_tools if name in contracts] if contracts is not None else None
    if known is not None and len(known) == len(envelope.allowed_tools) and not any(_asks(envelope, c) for c in known):
        return
    reader.error(
        at,
        "envelope.nobody_approves",
        "Approval is asked for, and nobody can give it.",
        "`permissions.approval_roles` names no role, so that each such call would wait until it expires.",
        'Name at least one role: `approval_roles: ["FinanceAdmin"]`.',
    )


def _node(node: Node | None, key: str) -> Node | None:
    """Return the value under `key` of a map."""
    if node is None or node.kind != "map":
        return None
    return next((value for name, value in node.pairs if name.text == key), None)


@dataclass(frozen=True, slots=True)
class InertControl:
    """A control that a page asks for and nothing keeps: shown on load, at start, in the panel and by `doctor`."""

    control: str
    asked_by: str
    line: int
    consequence: str


_INERT: Mapping[str, tuple[str, str]] = {
    "budgets.max_tokens_per_task": ("token budget", "Nothing counts tokens: a task may use any number of them."),
    "models": ("model routing", "No model is called through Signoff: the agent chooses its models itself."),
    "logging.redact_pii": ("redaction", "Nothing is redacted: personal data is kept as it came, encrypted."),
    "logging.store_transcripts_days": ("retention", "Nothing is deleted by age: payloads stay until they are erased."),
    "safety.block_on_prompt_injection_score_gte": (
        "injection score",
        "There is no scorer: no text is scored and nothing is blocked for its score.",
    ),
    "safety.require_citations_for": ("citations", "No citation is checked: answers without one pass."),
}


def inert_controls(envelope: Envelope, active: Collection[str] = ()) -> tuple[InertControl, ...]:
    """Return the controls that `envelope` asks for and that are not kept, in the order of the page.

    Args:
        active: key paths of controls that this installation does keep, such as `safety.require_citations_for`.
    """
    found = []
    for key, (control, consequence) in _INERT.items():
        if key in active or (line := envelope.lines.get(key)) is None:
            continue
        if key == "logging.redact_pii" and not envelope.redact_pii:
            continue
        found.append(InertControl(control, key, line, consequence))
    return tuple(sorted(found, key=lambda inert: inert.line))
