# SPDX-License-Identifier: Apache-2.0
"""Clearances: a named person opens a tier of a workflow's page, or puts the review of a class D tool on record.

Each is bound to a digest of what was cleared: of a tier, its rules with the facts they stand on; of a class D tool,
what its contract says of it and how the page treats it. Whatever of that changes closes it again (ADR 0020).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from signoff.core.authority.rule import Expression
from signoff.core.authority.rules import Rule, Then
from signoff.core.authority.terms import Envelope
from signoff.core.authority.tool import Risk, ToolContract
from signoff.core.errors import Forbidden
from signoff.core.principal import Person
from signoff.ledger.canonical import canonical, sha256_hex

COMPLIANCE: Final = "compliance"
"""The role whose holders review class D; no permission stands in for it, admin neither."""


class Cleared(StrEnum):
    """What is cleared."""

    TIER = "tier"
    CLASS_D = "class_d"


@dataclass(frozen=True, slots=True)
class Clearance:
    """One clearance of one workflow. It holds until it is withdrawn, for whatever still has its digest."""

    tenant: str
    clearance_id: str
    seq: int
    head: str
    kind: Cleared
    workflow: str
    name: str  # of the tier, or the tool
    digest: str  # of what was cleared
    by: str
    at: int
    reason: str  # commitment
    payload_key: str
    is_withdrawn: bool = False
    withdrawn_by: str | None = None
    withdrawn_at: int | None = None


def tiers_of(envelope: Envelope) -> dict[str, tuple[Rule, ...]]:
    """Return the tiers of a page with their rules, in the order in which they are first named."""
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in envelope.rules:
        if rule.then is Then.ALLOW and rule.tier is not None:
            found[rule.tier] = (*found.get(rule.tier, ()), rule)
    return found


def tier_digest(envelope: Envelope, tier: str) -> str:
    """Return the digest of a tier: its rules, word for word, and what the facts are that they stand on."""
    rules = sorted(tiers_of(envelope).get(tier, ()), key=lambda rule: rule.rule_id)
    facts = sorted({name for rule in rules for name in rule.facts})
    return _digest({
        "type": "signoff.tier/v1",
        "workflow": envelope.workflow,
        "tier": tier,
        "rules": [_plain(rule) for rule in rules],
        "facts": [_plain(envelope.facts[name]) for name in facts if name in envelope.facts],
    })  # fmt: skip


def review_digest(envelope: Envelope, tool: ToolContract) -> str:
    """Return the digest of what a class D review is about: the tool's contract, and how the page treats the tool."""
    rules = [rule for rule in envelope.rules if rule.tool == tool.name]
    facts = sorted({name for rule in rules for name in rule.facts})
    return _digest({
        "type": "signoff.review/v1",
        "workflow": envelope.workflow,
        "tool": _plain(tool),
        "mode": str(envelope.mode),
        "approval_roles": sorted(envelope.approval_roles),
        "rules": [_plain(rule) for rule in rules],
        "facts": [_plain(envelope.facts[name]) for name in facts if name in envelope.facts],
        "limits": [_plain(limit) for limit in envelope.limits if limit.tool == tool.name],
        "provenance": _plain(envelope.provenance.get(tool.name)),
        "hold": _plain(envelope.holds.get(tool.name)),
    })  # fmt: skip


def open_tiers(envelope: Envelope, tool: str, in_force: Iterable[Clearance]) -> frozenset[str]:
    """Return the tiers that are open now, of those whose rules are about a tool."""
    asked = {rule.tier for rule in envelope.rules if rule.tool == tool and rule.then is Then.ALLOW and rule.tier}
    cleared = {(one.name, one.digest) for one in in_force if one.kind is Cleared.TIER and not one.is_withdrawn}
    named = asked & {name for name, _ in cleared}
    return frozenset(tier for tier in named if (tier, tier_digest(envelope, tier)) in cleared)


def is_reviewed(envelope: Envelope, tool: ToolContract, in_force: Iterable[Clearance]) -> bool:
    """Tell whether the review of a class D tool, as it is contracted and treated now, is on record."""
    mine = [one for one in in_force if one.kind is Cleared.CLASS_D and one.name == tool.name and not one.is_withdrawn]
    return bool(mine) and review_digest(envelope, tool) in {one.digest for one in mine}


def asks_clearance(envelope: Envelope, tool: ToolContract) -> bool:
    """Tell whether a clearance could make a difference for a call of this tool under this page."""
    return tool.risk is Risk.D or any(rule.tool == tool.name and rule.then is Then.ALLOW for rule in envelope.rules)


def require_may_clear(kind: Cleared, person: Person | None) -> Person:
    """Return the person, if they may give a clearance of this kind: always a named one, and never an agent.

    Raises:
        Forbidden: a tier takes author or admin; a class D review takes the role `compliance`, which nothing replaces.
    """
    roles = set(person.roles) if person is not None and person.is_active else set()
    if person is not None and kind is Cleared.TIER and roles & {"author", "admin"}:
        return person
    if person is not None and kind is Cleared.CLASS_D and COMPLIANCE in roles:
        return person
    takes = "the permission author or admin" if kind is Cleared.TIER else f"the role `{COMPLIANCE}`, also from an admin"
    what = "open a tier" if kind is Cleared.TIER else "put a class D review on record"
    raise Forbidden(
        what=f"You cannot {what}.",
        why=f"It takes an active person who holds {takes}.",
        fix="Ask someone who holds it, or an admin to give it to you.",
        code="clearance.forbidden",
    )


def _digest(value: dict[str, Any]) -> str:
    return "sha256:" + sha256_hex(canonical(value))


def _plain(value: Any) -> Any:
    """Return a value of a page or contract as JSON.

    A field that has its default is left out, so that a field which a later version adds changes no digest.
    """
    if isinstance(value, Expression):
        return {"cel": value.text}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: _plain(told)
            for one in dataclasses.fields(value)
            if (told := getattr(value, one.name)) != _default(one)
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, StrEnum) else value


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
