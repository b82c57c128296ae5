# SPDX-License-Identifier: Apache-2.0
"""Load a workflow's envelope: the one page that says what its agents may do (contract, section 1)."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from signoff.core.authority.bound_reading import read_done, read_downgrade, read_holds, read_spend
from signoff.core.authority.description import ToolDescription
from signoff.core.authority.envelope_check import PAGE_LINES_MAX, check_approvals, check_tools, check_wording
from signoff.core.authority.inert import INERT, InertControl, inert_controls
from signoff.core.authority.page import Finding, Node, Page, quoted, read_page
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule_check import Places, check_rules
from signoff.core.authority.rule_reading import Approvers, fact_names, read_facts, read_limits, read_rules
from signoff.core.authority.source_reading import read_provenance
from signoff.core.authority.terms import DAY_US, Budgets, Envelope, Loops, Mode
from signoff.core.authority.tool import ToolContract
from signoff.core.authority.trust_check import check_trust
from signoff.core.authority.type_check import check_types
from signoff.core.money import MICROS

__all__ = [
    "DAY_US",
    "INERT",
    "PAGE_LINES_MAX",
    "Budgets",
    "Envelope",
    "InertControl",
    "Loops",
    "Mode",
    "inert_controls",
    "load_envelope",
    "read_published",
]

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
    "facts",
    "limits",
    "provenance",
    "holds",
    "spend",
    "downgrade",
    "done",
)
# Who makes a control work removes its key here, in the same commit; till then its page is read and refused.
NOT_ENFORCED: Mapping[str, str] = {
    "rollout": "has no rollouts",
    "incidents": "has no incident rules",
    "evals": "runs no evaluations",
}
TO_COME = ("rollout", "incidents", "evals")
READABLE = frozenset(NOT_ENFORCED) - frozenset(TO_COME)
"""Keys whose values are read: a test that needs a page with them passes these as `kept`."""
OWNERS = ("executive", "product", "engineering", "operations", "compliance")


def load_envelope(
    text: str | bytes,
    file: str,
    contracts: Mapping[str, ToolContract] | None = None,
    *,
    descriptions: Mapping[str, ToolDescription] | None = None,
    one_page: bool = False,
    kept: Collection[str] = (),
) -> tuple[Envelope | None, list[Finding]]:
    """Return the envelope that `text` says, and everything there is to mend in it; raises nothing.

    Args:
        file: its name in findings; nothing is read from it.
        contracts: the known tools; without them, tools are not checked and a warning says so.
        descriptions: the pinned tools by our names, as their servers describe them; with them and `contracts`,
            expressions are checked against the schemas, so that a misspelt field is found here.
        one_page: also warn past 60 lines.
        kept: keys of `NOT_ENFORCED` that are kept all the same, as in a test of what will keep them.

    Returns:
        No envelope if any finding is an error.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    envelope, places = _read(reader, page, kept)
    check_wording(reader, one_page)
    check_tools(reader, envelope, contracts)
    check_approvals(reader, envelope, contracts)
    check_rules(reader, envelope, places)
    if contracts is not None:
        check_trust(reader, envelope, places, contracts)
        check_types(reader, envelope, places, contracts, descriptions or {})
    return (None if reader.has_errors else envelope), reader.sorted_findings()


def read_published(
    text: str | bytes, file: str, *, kept: Collection[str] = ()
) -> tuple[Envelope | None, list[Finding]]:
    """Return the envelope of a page that was published, read by itself.

    What it asks of the tools was checked when it was published; contracts have changed since, and a run stays on its
    version all the same.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    envelope, _ = _read(reader, page, kept)
    return (None if reader.has_errors else envelope), reader.sorted_findings()


def _read(reader: Reader, page: Page, kept: Collection[str]) -> tuple[Envelope, Places]:
    """Read every key; what is wrong is a finding, and its default stands in."""
    missing = {key: why for key, why in NOT_ENFORCED.items() if key not in kept}
    root = _known(reader, page.root, "", missing)
    top = reader.fields(root, "", NAMED, required=("version", "workflow"))
    budgets = reader.fields(
        top.get("budgets"), "budgets", ("max_tokens_per_task", "max_tool_calls", "hard_cost_cap_usd")
    )
    permissions = reader.fields(
        _known(reader, top["permissions"], "permissions.", missing) if "permissions" in top else None,
        "permissions",
        ("allowed_tools", "write_actions_require_approval", "approval_roles", "rules"),
    )
    roles = reader.texts(permissions.get("approval_roles"), "permissions.approval_roles")
    approvers = Approvers(roles, DAY_US)
    facts = read_facts(reader, top.get("facts"))
    rules = read_rules(reader, permissions.get("rules"), fact_names(top.get("facts")), approvers)
    limits = read_limits(reader, top.get("limits"), approvers)
    provenance = read_provenance(reader, top.get("provenance"))
    holds = read_holds(reader, top.get("holds"))
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
    envelope = Envelope(
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
        approval_roles=roles,
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
        facts=facts,
        rules=tuple(rules.values()),
        limits=tuple(limits.values()),
        provenance=provenance,
        holds={hold.tool: hold for hold in holds.values()},
        spend=read_spend(reader, top.get("spend")),
        downgrade=read_downgrade(reader, top.get("downgrade")),
        done=read_done(reader, top.get("done")),
        lines=dict(reader.lines),
    )
    return envelope, Places(rules, limits, holds)


def _known(reader: Reader, node: Node, prefix: str, missing: Mapping[str, str]) -> Node:
    """Return the map without the keys that are yet to come; each key that nothing keeps is an error, and read."""
    for key, _ in node.pairs:
        if (path := f"{prefix}{key.text}") in missing:
            reader.error(
                key,
                "envelope.not_enforced",
                f"This version does not enforce `{path}`.",
                f"It {missing[path]}; loading the page would promise a control that nobody keeps.",
                "Remove the key; until it is kept, have writes ask: `write_actions_require_approval: true`.",
            )
    return replace(node, pairs=tuple(pair for pair in node.pairs if f"{prefix}{pair[0].text}" not in TO_COME))


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
        if not key.text.replace("-", "_").isidentifier() or not key.text.isascii():  # `router:: small` is a slip
            reader.error(
                key,
                "page.name",
                f"{quoted(key.text)} is no role of a model.",
                "A role is a letter and then letters, digits, `_` and `-`.",
                "Rename it.",
            )
        elif model := reader.name(value, f"models.{key.text}"):
            found[key.text] = model
    return found
