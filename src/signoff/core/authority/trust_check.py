# SPDX-License-Identifier: Apache-2.0
"""What the long page asks of the tools it names: facts and sources are trusted reads, bounds are on what writes."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule_check import Places
from signoff.core.authority.rules import Then
from signoff.core.authority.terms import Envelope
from signoff.core.authority.tool import Effect, OutputTrust, Risk, ToolContract

_LITERAL: Final = re.compile(
    r"""[bB]?[rR][bB]?('''.*?'''|\"\"\".*?\"\"\"|'[^']*'|"[^"]*")"""
    r"""|'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|//[^\n]*""",
    re.DOTALL,
)


def check_trust(reader: Reader, envelope: Envelope, places: Places, contracts: Mapping[str, ToolContract]) -> None:
    """Find facts and sources that nobody may trust, and bounds that bind nothing, by the contracts of the tools."""
    for name in envelope.facts:
        _check_fact(reader, envelope, name, contracts)
    _check_bounds(reader, places, contracts)
    for tool, rules in envelope.provenance.items():
        for argument in rules.arguments:
            _check_sources(reader, envelope, reader.nodes[f"provenance {tool} {argument}"], contracts)
    for path, rule in places.rules.items():
        if (contract := contracts.get(rule.tool)) is not None and rule.then is Then.ALLOW:
            _check_allow(reader, reader.nodes[f"{path}.then"], rule.rule_id, contract)


def selected(text: str, fact: str) -> frozenset[str] | None:
    """Return the fields of a fact that a condition selects; None if it takes the result as a whole somewhere."""
    plain = _LITERAL.sub("''", text)
    found = set()
    for match in re.finditer(rf"\bfacts\s*\.\s*{fact}\b(?:\s*\.\s*([A-Za-z_]\w*)(\s*\()?)?", plain):
        if not match[1] or match[2]:  # an index, a comparison, a function of the whole
            return None
        found.add(match[1])
    return frozenset(found)


def _check_fact(reader: Reader, envelope: Envelope, name: str, contracts: Mapping[str, ToolContract]) -> None:
    """Find a fact whose tool is no read, or of which rules use what is not trusted."""
    tool, at = envelope.facts[name].tool, reader.nodes[f"facts.{name}.tool"]
    contract = contracts.get(tool)
    if contract is None:
        _unknown(reader, at, tool, contracts)
        return
    if contract.effect is not Effect.READ:
        reader.error(
            at,
            "envelope.fact_tool",
            f"`facts.{name}` is asked of {quoted(tool)}, which is a {contract.effect}.",
            "Facts are fetched before anybody decides, so that fetching them must change nothing.",
            "Name a tool with `effect: read`.",
        )
        return
    uses = [selected(rule.when.text, name) for rule in envelope.rules if name in rule.facts]
    is_whole = any(fields is None for fields in uses)
    doubtful = sorted({field for fields in uses for field in fields or () if not contract.output.is_trusted(field)})
    if (is_whole and not _is_all_trusted(contract.output)) or doubtful or not _is_any_trusted(contract.output):
        what = f"the field {quoted(doubtful[0])} of `facts.{name}`" if doubtful else f"`facts.{name}`"
        reader.error(
            at,
            "envelope.fact_untrusted",
            f"Rules would stand on {what}, which nobody calls trusted.",
            f"The contract of {quoted(tool)} says of its output what is trusted, and this is not.",
            "Use a trusted field; or say in the contract that it is, if no stranger can write it.",
        )


def _is_all_trusted(output: OutputTrust) -> bool:
    return output.whole and all(output.fields.values())


def _is_any_trusted(output: OutputTrust) -> bool:
    return output.whole or any(output.fields.values())


def _check_bounds(reader: Reader, places: Places, contracts: Mapping[str, ToolContract]) -> None:
    """Find a limit or a review window on a read, and self-approval of what is restricted."""
    bounds = [(f"{path}.tool", "limit", limit.tool) for path, limit in places.limits.items()]
    bounds += [(f"{path}.tool", "review window", hold.tool) for path, hold in places.holds.items()]
    for path, kind, tool in bounds:
        if (contract := contracts.get(tool)) is not None and contract.effect is Effect.READ:
            reader.error(
                reader.nodes[path],
                "envelope.no_meaning",
                f"The {kind} on {quoted(tool)} has no meaning.",
                "It is a read, which changes nothing.",
                "Name the tool that writes.",
            )
    duties = [(path, rule.tool, rule.duty) for path, rule in places.rules.items()]
    duties += [(path, limit.tool, limit.duty) for path, limit in places.limits.items()]
    for path, tool, duty in duties:
        contract = contracts.get(tool)
        if duty is not None and not duty.distinct_from_requester and contract is not None and contract.risk is Risk.D:
            reader.error(
                reader.nodes[f"{path}.approve.distinct_from_requester"],
                "envelope.self_approval",
                f"Whoever asks for {quoted(tool)} could approve it.",
                "It is of class D, which takes two other people of different roles.",
                "Say `distinct_from_requester: true`.",
            )


def _check_sources(reader: Reader, envelope: Envelope, sources: Node, contracts: Mapping[str, ToolContract]) -> None:
    """Find sources that vouch for nothing: no read, not trusted, or not among the tools that an agent may call."""
    for item in sources.items:
        if not item.text.startswith("tool:"):
            continue
        tool, _, field = item.text.removeprefix("tool:").rpartition(".")
        contract = contracts.get(tool)
        if contract is None:
            _unknown(reader, item, tool, contracts)
        elif contract.effect is not Effect.READ or not contract.output.is_trusted(field):
            why = (
                f"The contract of {quoted(tool)} does not call its field {quoted(field)} trusted."
                if contract.effect is Effect.READ
                else f"It is a {contract.effect}; what an agent has written itself vouches for nothing."
            )
            reader.error(
                item,
                "envelope.source_untrusted",
                f"{quoted(item.text)} vouches for no value.",
                why,
                "Name a trusted field of a read; or say in the contract that it is, if no stranger can write it.",
            )
        elif tool not in envelope.allowed_tools:
            reader.warn(
                item,
                "envelope.source_unreachable",
                f"{quoted(item.text)} is never seen.",
                f"{quoted(tool)} is not among `permissions.allowed_tools`, so that no run reads it.",
                "List the tool, or remove the source.",
            )


def _check_allow(reader: Reader, at: Node, rule_id: str, contract: ToolContract) -> None:
    """Warn of an allow that lifts nothing: of a read, which runs anyway, and of class D, which always asks."""
    if contract.effect is not Effect.READ and contract.risk is not Risk.D:
        return
    reader.warn(
        at,
        "envelope.no_effect",
        f"Rule {quoted(rule_id)} allows what no rule can let through, or what runs anyway.",
        "A read runs without it." if contract.effect is Effect.READ else "Class D asks two people each time.",
        "Remove it.",
    )


def _unknown(reader: Reader, at: Node, tool: str, contracts: Mapping[str, ToolContract]) -> None:
    near = get_close_matches(tool, contracts, 1)
    reader.error(
        at,
        "envelope.unknown_tool",
        f"No contract describes the tool {quoted(tool)}.",
        "Without one, nobody can say whether it writes, nor what of its output is trusted.",
        f"Did you mean `{near[0]}`?" if near else "Describe it in the contract file of its system.",
    )
