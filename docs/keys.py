# SPDX-License-Identifier: Apache-2.0
"""Every key of an envelope, once: what it means, an example that loads, and one that is refused.

`docs/reference/pages.md` prints this list and `tests/core/authority/test_keys.py` tries each line of it, so that what
is documented is what is read. `NAME`, `TOOL` and `ARGUMENT` stand for names that the page chooses, `[]` for each entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its path, its default, its meaning, a value that loads, one that does not, and what is found there."""

    path: str
    silent: str
    meaning: str
    good: str
    bad: str
    code: str
    beside: Mapping[str, str] = field(default_factory=dict)
    """Other keys of the same entry that an example needs."""

    @property
    def group(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


_ALLOW: Final = {"then": "allow"}
_ROLES: Final = "  allowed_tools: [erp.get_entry, erp.pay]\n  approval_roles: [FinanceAdmin]\n"
_PERMISSIONS: Final = f"permissions:\n{_ROLES}"
_RULE: Final = {
    "id": "new-vendor",
    "tool": "erp.pay",
    "when": "args.amount > 100",
    "then": "approve",
    "tier": "routine",
}
_LIMIT: Final = {
    "id": "day",
    "tool": "erp.pay",
    "sum": "args.amount",
    "window": "24h",
    "max": "2500000",
    "then": "approve",
}
# By group: what stands before an entry, its indent, and the entry's other keys.
_GROUPS: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "facts.NAME": ("facts:\n  vendor:\n", "    ", {"tool": "erp.get_entry"}),
    "permissions.rules[]": (f"{_PERMISSIONS}  rules:\n    -\n", "      ", _RULE),
    "permissions.rules[].approve": (
        f"{_PERMISSIONS}  rules:\n    - id: new-vendor\n      tool: erp.pay\n      when: args.amount > 100\n"
        "      then: approve\n      approve:\n",
        "        ",
        {},
    ),
    "limits[]": ("limits:\n  -\n", "    ", _LIMIT),
    "limits[].approve": (
        "limits:\n  - id: day\n    tool: erp.pay\n    sum: args.amount\n    window: 24h\n    max: 2500000\n"
        "    then: approve\n    approve:\n",
        "      ",
        {},
    ),
    "provenance.TOOL": ("provenance:\n  erp.pay:\n", "    ", {"ARGUMENT": "[user]"}),
    "provenance.TOOL.ARGUMENT": ("provenance:\n  erp.pay:\n    iban:\n", "      ", {"from": "[user]"}),
    "holds[]": ("holds:\n  -\n", "    ", {"tool": "erp.pay", "window": "4h"}),
    "spend[]": ("spend:\n  -\n", "    ", {"per": "user", "window": "1d", "usd": "20"}),
    "downgrade[]": ("downgrade:\n  -\n", "    ", {"at": "0.7", "do": "smaller_model"}),
    "done": ("done:\n", "  ", {"requires": "[erp.pay]"}),
}


def page_with(key: Key, value: str) -> str:
    """Return a page that loads but for `value`, which stands on its last line."""
    base = {"version": "version: 1\n", "workflow": "workflow: w\n", "permissions": _PERMISSIONS}
    base.pop(key.path, None)
    if key.path.startswith("permissions"):
        del base["permissions"]
    text = "".join(base.values())
    if not key.group:
        return f"{text}{key.name}: {value}\n"
    if key.path.startswith("permissions.") and key.group == "permissions":
        rest = "".join(line for line in _ROLES.splitlines(keepends=True) if f" {key.name}:" not in line)
        return f"{text}permissions:\n{rest}  {key.name}: {value}\n"
    before, indent, entry = _GROUPS.get(key.group, (f"{key.group}:\n", "  ", {}))
    others = {name: one for name, one in {**entry, **key.beside}.items() if name != key.name}
    if others.get("then") != "allow" or key.name == "then":
        others.pop("tier", None)
    lines = [f"{indent}{_written(name)}: {one}\n" for name, one in others.items()]
    return f"{text}{before}{''.join(lines)}{indent}{_written(key.name)}: {value}\n"


def _written(name: str) -> str:
    return "iban" if name == "ARGUMENT" else name


def _approve(group: str) -> tuple[Key, ...]:
    return (
        Key(f"{group}.roles", "`permissions.approval_roles`", "who may approve: holders of any of these",
            "[Controller]", "[]", "envelope.nobody_approves"),
        Key(f"{group}.count", "1", "how many different people", "2", "0", "page.range"),
        Key(f"{group}.distinct_from_requester", "`true`", "with `false`, and a count of 1, who asked may approve: "
            "warned of, told on the receipt, never for class D", "true", "maybe", "page.type"),
        Key(f"{group}.step_up", "`false`", "each of them proves anew who they are", "true", "1", "page.type"),
        Key(f"{group}.expires", "24h", "how long they are waited for", "4h", "4 hours", "page.type"),
    )  # fmt: skip


KEYS: Final[tuple[Key, ...]] = (
    Key("format", "1", "grammar of the file", "1", "2", "page.format"),
    Key("version", "required", "the page's own name; read as text", "2026-03-01", "[1]", "page.type"),
    Key("workflow", "required", "whose page it is", "invoice_reconcile", "two words", "page.name"),
    Key("purpose", "", "for people", "match invoices", "{a: b}", "page.type"),
    Key("environments", "`[production]`", "where its runs may work; the first is the default",
        "[sandbox, production]", "[]", "page.type"),
    Key("owners.executive", "", "who answers for risk and expansion", "cfo@acme.test", "7", "page.type"),
    Key("owners.product", "", "who answers for success criteria", "pm@acme.test", "true", "page.type"),
    Key("owners.engineering", "", "who answers for guardrails", "ml@acme.test", "[]", "page.type"),
    Key("owners.operations", "", "who answers for availability", "ops@acme.test", "~", "page.empty_value"),
    Key("owners.compliance", "", "who answers for class D and audits", "legal@acme.test", "null", "page.empty_value"),
    Key("mode", "`assist`", "`suggest` runs nothing but reads; `watch` asks for each call; `assist` asks for each "
        "write; `autonomous` asks as the rest of the page says", "watch", "autonomus", "page.type"),
    Key("models", "", "which model serves which role", "{reasoning: frontier}", "[frontier]", "page.type"),
    Key("budgets.max_tokens_per_task", "no cap", "model tokens of one run", "18000", "-1", "page.range"),
    Key("budgets.max_tool_calls", "no cap", "calls of one run that were sent", "8", "99999999999", "page.range"),
    Key("budgets.hard_cost_cap_usd", "no cap", "money of one run, reserved before a call; a tool costs what its "
        "contract says", "1.25", "1.2345678", "page.money"),
    Key("permissions.allowed_tools", "none", "what is not listed is denied", "[erp.get_entry, erp.pay]", "erp.pay",
        "page.type"),
    Key("permissions.write_actions_require_approval", "`true`", "with `false`, in mode `autonomous`, only class C and "
        "D ask, and what an inert control asks", "true", "yes", "page.type"),
    Key("permissions.approval_roles", "none", "one holder of any of these approves, within 24 h, and never the "
        "requester", "[FinanceAdmin]", "[Finance Admin]", "page.name"),
    Key("permissions.rules", "none", "what follows from conditions; every match counts",
        "[{id: big, tool: erp.pay, when: args.amount > 100, then: approve}]", "{big: approve}", "page.type"),
    Key("permissions.rules[].id", "required", "its name in reasons; each once", "new-vendor", "new vendor",
        "page.name"),
    Key("permissions.rules[].tool", "required", "the listed tool that it is about", "erp.pay", "erp.payy",
        "envelope.not_listed"),
    Key("permissions.rules[].when", "required", "a CEL condition", "args.amount > 100", "action.confidnce > 0.9",
        "page.expression"),
    Key("permissions.rules[].then", "required", "`allow` lifts what asks by default, under an open tier and in mode "
        "`autonomous`; `approve` asks whatever allows; `deny` ends it", "deny", "ask", "page.type"),
    Key("permissions.rules[].tier", "required of an allow", "the slice that a named person opens", "routine", "7",
        "page.type", _ALLOW),
    Key("permissions.rules[].approve", "one of the page's roles", "of `then: approve`: who is asked", "{count: 2}",
        "FinanceAdmin", "page.type"),
    *_approve("permissions.rules[].approve"),
    Key("facts", "none", "what Signoff fetches itself for the rules that name it", "{vendor: {tool: erp.get_entry}}",
        "[vendor]", "page.type"),
    Key("facts.NAME.tool", "required", "a read with trusted output and an output schema; the agent need not be "
        "allowed to call it", "erp.get_entry", "[erp.get_entry]", "page.type"),
    Key("facts.NAME.args", "none", "its arguments, CEL over `args` of the proposal", "{entry_id: args.entry_id}",
        "{entry_id: argz.entry_id}", "page.expression"),
    Key("facts.NAME.max_age", "5s", "how long one answer serves the same run and arguments; a claim takes none older "
        "than 5 s", "60s", "2d", "page.range"),
    Key("limits", "none", "sums over sliding windows, over all runs and agents of the workflow; see below",
        "[{id: day, tool: erp.pay, sum: args.amount, window: 24h, max: 100, then: deny}]", "vendor-day", "page.type"),
    Key("limits[].id", "required", "its name, and its memory over versions of the page; each once", "vendor-day",
        "vendor day", "page.name"),
    Key("limits[].tool", "required", "the listed write that it is about", "erp.pay", "erp.pey", "envelope.not_listed"),
    Key("limits[].sum", "required", "CEL over `args`: what one call counts for; `1` counts calls", "args.amount",
        "\"'ten'\"", "page.expression"),
    Key("limits[].per", "one sum", "CEL over `args`: the text under which amounts are added up",
        "args.vendor_id + '/' + args.currency", "1 + 1", "page.expression"),
    Key("limits[].window", "required", "from 1m to 366d", "24h", "24", "page.type"),
    Key("limits[].max", "required", "the most that the window may hold", "2500000", "-1", "page.range"),
    Key("limits[].then", "required", "`approve` or `deny` what passes it", "deny", "allow", "page.type"),
    Key("limits[].approve", "one of the page's roles", "of `then: approve`: who is asked", "{count: 2}", "[A]",
        "page.type"),
    *_approve("limits[].approve"),
    Key("provenance", "none", "where the values of arguments must come from", "{erp.pay: {iban: [user]}}",
        "[erp.pay]", "page.type"),
    Key("provenance.TOOL.ARGUMENT", "anywhere", "its sources: `user`, the task as it was given, or `tool:NAME.FIELD`, "
        "a trusted field of a read's result", "[user, tool:erp.get_entry.iban]", "[erp.get_entry.iban]", "page.type"),
    Key("provenance.TOOL.ARGUMENT.from", "required", "the same, in the form that says how to compare",
        "[tool:erp.get_entry.iban]", "user", "page.type"),
    Key("provenance.TOOL.ARGUMENT.normal", "`exact`", "how values are made comparable: `exact`, `number`, `date`, "
        "`text`, `iban`", "iban", "fuzzy", "page.type"),
    Key("provenance.TOOL.intents", "none", "words of which the task must hold one", "[pay, settle]", "[]",
        "page.type"),
    Key("provenance.TOOL.then", "`approve`", "`deny` what fails, where nobody needs it", "deny", "ask", "page.type"),
    Key("holds", "none", "review windows", "[{tool: erp.pay, window: 4h}]", "{erp.pay: 4h}", "page.type"),
    Key("holds[].tool", "required", "the listed write that waits", "erp.pay", "erp.pey", "envelope.not_listed"),
    Key("holds[].window", "required", "from 1s to 30d", "4h", "31d", "page.range"),
    Key("holds[].on_timeout", "`hold`", "then a person decides; with `proceed` time alone lets it go", "proceed",
        "send", "page.type"),
    Key("spend", "none", "caps on money beyond the task; see below", "[{per: user, window: 1d, usd: 20}]", "20",
        "page.type"),
    Key("spend[].per", "required", "`user`, `agent`, `workflow` or `tenant`", "tenant", "task", "page.type"),
    Key("spend[].window", "required", "a fixed period from the UTC epoch, from 1m to 366d", "30d", "30s",
        "page.range"),
    Key("spend[].usd", "required", "the most that is settled and reserved in it", "5000", '"20"', "page.type"),
    Key("downgrade", "none", "what gives way as a task's budget runs out", "[{at: 0.7, do: smaller_model}]",
        "{at: 0.7}", "page.type"),
    Key("downgrade[].at", "required", "the share of the budget, rising", "0.85", "85", "page.type"),
    Key("downgrade[].do", "required", "`smaller_model`, `reduce_context`, `require_confirmation` or `stop`", "stop",
        "slow_down", "page.type"),
    Key("done", "any outcome", "what a completed task is", "{requires: [erp.pay]}", "[erp.pay]", "page.type"),
    Key("done.requires", "required", "tools that must have succeeded in the run, and still stand, before it is "
        "completed", "[erp.pay]", "[]", "page.type"),
    Key("done.not_reopened_within", "none", "a task that is reopened within it was not done", "24h", "soon",
        "page.type"),
    Key("loops.max_identical_calls", "3", "the same call in one run; of reads, those that told nothing new", "3", "0",
        "page.range"),
    Key("loops.max_denials", "3", "then the run may only read", "3", "three", "page.type"),
    Key("loops.max_steps", "40", "proposals of one run", "40", '"40"', "page.type"),
    Key("loops.max_run_seconds", "900", "time of one run, without the time people were waited for", "900", "1e3",
        "page.type"),
    Key("logging.redact_pii", "`true`", "what is personal is masked once nobody decides on it", "true", '"true"',
        "page.type"),
    Key("logging.store_transcripts_days", "30", "days until a run is erased; 7 at least after an undoable write",
        "30", "30.5", "page.type"),
    Key("safety.block_on_prompt_injection_score_gte", "off", "text that scores as high is blocked", "0.7", "7",
        "page.type"),
    Key("safety.require_citations_for", "off", "kinds of claims that quote a source this run has read",
        '["policy", "contract"]', "policy", "page.type"),
)  # fmt: skip
