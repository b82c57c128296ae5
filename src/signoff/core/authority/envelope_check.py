# SPDX-License-Identifier: Apache-2.0
"""What the keys of an envelope must agree on, with one another and with the tools they name (contract, section 1)."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rules import Then
from signoff.core.authority.terms import Envelope, Mode
from signoff.core.authority.tool import Effect, Risk, ToolContract

PAGE_LINES_MAX = 60
_JUDGMENT = re.compile(r"use\s+(?:your\s+|good\s+|best\s+|common\s+)*judge?ment", re.IGNORECASE)


def check_wording(reader: Reader, one_page: bool) -> None:
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


def check_tools(reader: Reader, envelope: Envelope, contracts: Mapping[str, ToolContract] | None) -> None:
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
            continue
        _check_class_d(reader, item, envelope, contract)
        if not contract.has_reversal_story and not _always_asks(envelope, contract):
            reader.error(
                item,
                "envelope.no_way_back",
                f"{quoted(item.text)} writes without asking, and nobody said how to undo it.",
                "Its contract has neither `undo` nor `reversal_note`, and this page may let it go unasked.",
                "Say in the contract how it is taken back, or set `write_actions_require_approval: true`.",
            )


def _check_class_d(reader: Reader, at: Node, envelope: Envelope, contract: ToolContract) -> None:
    """Warn of a class D tool that two people of different roles could never approve."""
    if contract.risk is Risk.D and len(set(envelope.approval_roles)) < 2:
        reader.warn(
            at,
            "envelope.class_d_roles",
            f"{quoted(contract.name)} is of class D, and this page denies each call of it.",
            "Once it is reviewed, two people of different roles approve each call, and `approval_roles` names fewer.",
            "Name a second role in `permissions.approval_roles`, or leave the tool out.",
        )


def _always_asks(envelope: Envelope, contract: ToolContract) -> bool:
    """Tell whether each call of this tool asks, also when the tier of an `allow` is open."""
    is_allowed = any(rule.tool == contract.name and rule.then is Then.ALLOW for rule in envelope.rules)
    if is_allowed and envelope.mode is Mode.AUTONOMOUS and contract.risk is not Risk.D:
        return False
    return _asks(envelope, contract)


def _may_ask(envelope: Envelope, contract: ToolContract) -> bool:
    """Tell whether a call of this tool may come to ask the roles of the page."""
    sourcing = envelope.provenance.get(contract.name)
    if sourcing is not None and not sourcing.then_deny:
        return True
    is_inert = bool(
        envelope.citations_for or envelope.budgets.tokens_max or envelope.injection_threshold_ppm is not None
    )
    return (
        contract.name in envelope.holds
        or _asks(envelope, contract)
        or (is_inert and contract.effect is not Effect.READ and envelope.mode is not Mode.SUGGEST)
    )


def _asks(envelope: Envelope, contract: ToolContract) -> bool:
    """Tell whether a call of this tool asks by default under this page (contract, section 1, "Modes")."""
    if envelope.mode is Mode.WATCH:
        return True
    if envelope.mode is Mode.SUGGEST or contract.effect is Effect.READ:
        return False
    return envelope.writes_ask or envelope.mode is Mode.ASSIST or contract.risk in (Risk.C, Risk.D)


def check_approvals(reader: Reader, envelope: Envelope, contracts: Mapping[str, ToolContract] | None) -> None:
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
    if (
        known is not None
        and len(known) == len(envelope.allowed_tools)
        and not any(_may_ask(envelope, c) for c in known)
    ):
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
