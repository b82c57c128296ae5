# SPDX-License-Identifier: Apache-2.0
"""Read facts, rules and limits off the long page: each condition compiled with the names that it may speak of.

A value is kept under the path at which it stands, such as `permissions.rules[2]`, so that what is found about it later
is found there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from signoff.core.authority.decision import Duty
from signoff.core.authority.facts import Fact
from signoff.core.authority.limit import Limit
from signoff.core.authority.names import ARGS_ONLY, names_of
from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule import Expression, Names, compile_expression, compiles, is_word
from signoff.core.authority.rules import Rule, Then
from signoff.core.money import INT_MAX

FACT: Final = ("tool", "args", "max_age")
RULE: Final = ("id", "tool", "when", "then", "tier", "approve")
LIMIT: Final = ("id", "tool", "sum", "per", "window", "max", "then", "approve")
APPROVE: Final = ("roles", "count", "distinct_from_requester", "step_up", "expires")
MAX_AGE_US: Final = 5_000_000
COUNT_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who approves where an `approve` does not say: the roles of the page, and how long they are waited for."""

    roles: tuple[str, ...]
    expires_us: int


def listed(reader: Reader, node: Node | None, where: str, example: str) -> Iterator[tuple[str, Node]]:
    """Yield each entry of a list with its path."""
    if node is None:
        return
    if node.kind != "list":
        reader.wrong(node, where, "a list", f"Write one entry a line: `- {example}`.")
        return
    for index, item in enumerate(node.items):
        yield f"{where}[{index}]", item


def fact_names(node: Node | None) -> tuple[str, ...]:
    """Return the names under `facts`, also of those that are wrong otherwise: a rule may name them."""
    if node is None or node.kind != "map":
        return ()
    return tuple(key.text for key, _ in node.pairs if is_word(key.text))


def read_facts(reader: Reader, node: Node | None) -> dict[str, Fact]:
    """Return the facts by name."""
    found: dict[str, Fact] = {}
    if node is not None and node.kind != "map":
        reader.wrong(node, "facts", "names and where they come from", "Write `vendor: {tool: ..., args: {...}}`.")
    for key, item in node.pairs if node is not None and node.kind == "map" else ():
        path = f"facts.{key.text}"
        reader.lines[path], reader.nodes[path] = key.line, key
        if not is_word(key.text):
            reader.error(
                key,
                "page.name",
                f"{quoted(key.text)} is no name of a fact.",
                "Rules write it after a point, as in `facts.vendor`: a letter, then letters, digits and `_`.",
                "Rename it.",
            )
            continue
        fields = reader.fields(item, path, FACT, required=("tool",))
        tool = reader.name(fields.get("tool"), f"{path}.tool")
        args = reader.expressions(fields.get("args"), f"{path}.args", ARGS_ONLY)
        max_age = reader.duration(fields.get("max_age"), f"{path}.max_age", "0s", "1d", MAX_AGE_US)
        if tool is not None:
            found[key.text] = Fact(key.text, tool, args, max_age)
    return found


def read_rules(reader: Reader, node: Node | None, facts: tuple[str, ...], approvers: Approvers) -> dict[str, Rule]:
    """Return the rules by path; `facts` are the names a condition may use."""
    found: dict[str, Rule] = {}
    example = "{id: ..., tool: ..., when: ..., then: approve}"
    for path, item in listed(reader, node, "permissions.rules", example):
        fields = reader.fields(item, path, RULE, required=("id", "tool", "when", "then"))
        rule_id = reader.name(fields.get("id"), f"{path}.id")
        tool = reader.name(fields.get("tool"), f"{path}.tool")
        when = reader.expression(fields.get("when"), f"{path}.when", names_of(facts), ("bool",))
        word = reader.word(fields.get("then"), f"{path}.then", tuple(Then))
        tier = reader.name(fields.get("tier"), f"{path}.tier")
        then = Then(word) if word is not None else None
        _no_meaning(reader, fields, path, then)
        duty = None
        if then is Then.APPROVE or "approve" in fields:
            duty = _duty(
                reader, fields.get("approve"), f"{path}.approve", fields.get("then", item), approvers, "rule_asks"
            )
        if then is Then.ALLOW and "tier" not in fields:
            reader.error(
                fields["then"],
                "envelope.no_tier",
                f"`{path}` allows and names no `tier`.",
                "What goes unattended is opened by a named person, tier by tier; without one nobody could open it.",
                "Add `tier:` with a name for this slice, such as `routine`.",
            )
        if rule_id is not None and tool is not None and when is not None and then is not None:
            used, when = _naming(when, facts)
            found[path] = Rule(rule_id, tool, when, then, tier, duty if then is Then.APPROVE else None, used)
    return found


def read_limits(reader: Reader, node: Node | None, approvers: Approvers) -> dict[str, Limit]:
    """Return the limits by path."""
    found: dict[str, Limit] = {}
    example = "{id: ..., tool: ..., sum: args.amount_cents, window: 24h, max: 100000, then: approve}"
    for path, item in listed(reader, node, "limits", example):
        fields = reader.fields(item, path, LIMIT, required=("id", "tool", "sum", "window", "max", "then"))
        limit_id = reader.name(fields.get("id"), f"{path}.id")
        tool = reader.name(fields.get("tool"), f"{path}.tool")
        amount = reader.expression(fields.get("sum"), f"{path}.sum", ARGS_ONLY, ("int",))
        per = reader.expression(fields.get("per"), f"{path}.per", ARGS_ONLY, ("string",))
        window = reader.duration(fields.get("window"), f"{path}.window", "1m", "366d")
        most = reader.integer(fields.get("max"), f"{path}.max", 0, INT_MAX)
        word = reader.word(fields.get("then"), f"{path}.then", (Then.APPROVE, Then.DENY))
        then = Then(word) if word is not None else None
        _no_meaning(reader, fields, path, then)
        duty = None
        if then is Then.APPROVE or "approve" in fields:
            at = fields.get("then", item)
            duty = _duty(reader, fields.get("approve"), f"{path}.approve", at, approvers, "limit_exceeded")
        if None in (limit_id, tool, amount, window, most, then) or ("per" in fields and per is None):
            continue  # each of these is a finding already
        assert limit_id is not None and tool is not None and amount is not None and window is not None
        assert most is not None and then is not None
        found[path] = Limit(limit_id, tool, amount, per, window, most, then, duty if then is Then.APPROVE else None)
    return found


def _duty(reader: Reader, node: Node | None, where: str, at: Node, approvers: Approvers, reason: str) -> Duty:
    """Return the approval that is owed; what is not said is one of the page's roles, within its time."""
    fields = reader.fields(node, where, APPROVE)
    roles = reader.texts(fields.get("roles"), f"{where}.roles") if "roles" in fields else approvers.roles
    count = reader.integer(fields.get("count"), f"{where}.count", 1, COUNT_MAX, 1)
    is_distinct = reader.boolean(fields.get("distinct_from_requester"), f"{where}.distinct_from_requester", True)
    step_up = reader.boolean(fields.get("step_up"), f"{where}.step_up", False)
    expires = reader.duration(fields.get("expires"), f"{where}.expires", "1m", "30d", approvers.expires_us)
    if not roles and not ("roles" in fields and fields["roles"].kind == "list" and fields["roles"].items):
        reader.error(
            fields.get("roles", at),
            "envelope.nobody_approves",
            f"`{where}` asks for an approval that nobody can give.",
            "It names no role, and neither does `permissions.approval_roles`.",
            "Name at least one: `approve: {roles: [FinanceAdmin]}`.",
        )
    if not is_distinct:
        _self_approval(reader, fields["distinct_from_requester"], where, count)
    if step_up:
        reader.warn(
            fields["step_up"],
            "envelope.step_up",
            f"`{where}` asks for a step-up, and nothing here can show one.",
            "No provider comes with this version: without one each yes that owes it is refused.",
            "Install a provider; or remove the key, and ask two people: `count: 2`.",
        )
    return Duty(roles, count, is_distinct, expires, reason, step_up)


def _self_approval(reader: Reader, at: Node, where: str, count: int) -> None:
    """Tell that who asks may approve; possible with one vote only (contract, section 3, "votes")."""
    if count > 1:
        reader.error(
            at,
            "envelope.self_approval",
            f"`{where}` asks {count} people, of whom the requester may be one.",
            "Approving one's own request is possible for a single vote only.",
            "Say `distinct_from_requester: true`, or `count: 1`.",
        )
        return
    reader.warn(
        at,
        "envelope.self_approval",
        f"`{where}` lets people approve what they asked for themselves.",
        "The receipt will say `self-approved`.",
        "Say `distinct_from_requester: true`, unless it is meant.",
    )


def _no_meaning(reader: Reader, fields: Mapping[str, Node], path: str, then: Then | None) -> None:
    """Find keys that do nothing beside this `then`: whoever wrote them believes that they do."""
    for key, own in (("tier", Then.ALLOW), ("approve", Then.APPROVE)):
        if key in fields and then not in (own, None):
            reader.error(
                fields[key],
                "envelope.no_meaning",
                f"`{path}.{key}` has no meaning beside `then: {then}`.",
                f"It belongs to `then: {own}`; here nothing would read it.",
                f"Remove it, or write `then: {own}`.",
            )


def _naming(when: Expression, facts: tuple[str, ...]) -> tuple[frozenset[str], Expression]:
    """Return the facts that a condition names, and the condition compiled with these alone.

    A fact is named if the condition does not compile without it: the engine itself tells, and a fact that stands in a
    text or a comment is never fetched.
    """
    used = frozenset(name for name in facts if name in when.text and not compiles(when.text, _without(facts, name)))
    return used, compile_expression(when.text, names_of(name for name in facts if name in used))


def _without(facts: tuple[str, ...], name: str) -> Names:
    """Return the names of a condition but for one fact."""
    return names_of(other for other in facts if other != name)
