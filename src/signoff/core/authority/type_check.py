# SPDX-License-Identifier: Apache-2.0
"""Compile a page's expressions a second time, typed by the schemas of the tools that they are about.

A published page runs with maps, since a run stays on its version while schemas may change. Where the pinned
descriptions are at hand, `args` is typed by the tool's input schema and each fact by its tool's output schema, so that
a misspelt field, or a text that is compared with a number, is an error at its line and column (contract, section 1).
"""

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from signoff.core.authority.description import ToolDescription
from signoff.core.authority.names import Fields, names_of
from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule import Names, typed_fields
from signoff.core.authority.rule_check import Places
from signoff.core.authority.terms import Envelope
from signoff.core.authority.tool import ToolContract
from signoff.core.authority.tool_reading import properties_of


def check_types(
    reader: Reader,
    envelope: Envelope,
    places: Places,
    contracts: Mapping[str, ToolContract],
    descriptions: Mapping[str, ToolDescription],
) -> None:
    """Find fields that the schemas do not have, and types that do not fit.

    Args:
        descriptions: the pinned tools by our names; what is missing here is told as a warning, once.
    """
    args = {name: _args(contracts[name], tool) for name, tool in descriptions.items() if name in contracts}
    results = {
        name: typed_fields(f"facts.{name}", descriptions[fact.tool].output_schema or {})
        for name, fact in envelope.facts.items()
        if fact.tool in descriptions
    }
    typed = {name: fields for name, fields in results.items() if fields is not None}
    for path, rule in places.rules.items():
        if rule.tool in args or rule.facts & typed.keys():
            names = names_of(sorted(rule.facts), args=args.get(rule.tool), results=typed)
            reader.expression(reader.nodes[f"{path}.when"], f"{path}.when", names, ("bool",))
    for path, limit in places.limits.items():
        if limit.tool in args:
            names = _only(args[limit.tool])
            reader.expression(reader.nodes[f"{path}.sum"], f"{path}.sum", names, ("int",))
            reader.expression(reader.nodes.get(f"{path}.per"), f"{path}.per", names, ("string",))
    for name in envelope.facts:
        _check_fact(reader, envelope, name, args, descriptions)
    for tool, rules in envelope.provenance.items():
        for argument in rules.arguments:
            _check_provenance(reader, reader.nodes[f"provenance {tool} {argument}"], tool, argument, descriptions)
    _tell_unchecked(reader, envelope, places, descriptions)


def _args(contract: ToolContract, tool: ToolDescription) -> Fields | None:
    """Return the typed arguments, without those that Signoff puts in after everybody has decided."""
    fields = typed_fields("args", tool.input_schema)
    if fields is None:
        return None
    put_in = {f"args.{contract.key_argument}"}
    if contract.precondition is not None:
        put_in.add(f"args.{contract.precondition.argument}")
    return tuple(field for field in fields if field[0] not in put_in)


def _only(args: Fields | None) -> Names:
    return Names(("args",)) if args is None else Names((), args)


def _check_fact(
    reader: Reader,
    envelope: Envelope,
    name: str,
    args: Mapping[str, Fields | None],
    descriptions: Mapping[str, ToolDescription],
) -> None:
    """Find a fact whose tool says nothing of its answers, or is asked with what it does not take."""
    fact, path = envelope.facts[name], f"facts.{name}"
    asked = descriptions.get(fact.tool)
    if asked is None:
        return
    at = reader.nodes[f"{path}.tool"]
    if not asked.output_schema:
        reader.error(
            at,
            "envelope.no_output_schema",
            f"{quoted(fact.tool)} does not say what it answers.",
            f"Without an output schema nobody can check what rules say of `{path}`.",
            "Give the tool an output schema on its server, and pin it anew; or ask another tool.",
        )
    known = properties_of(asked)
    for key in fact.args:
        _named(reader, reader.nodes[f"{path}.args.{key}"], f"{path}.args", fact.tool, key, known)
    needed = asked.input_schema.get("required")
    for key in needed if isinstance(needed, list) else ():
        if key not in fact.args:
            reader.error(
                reader.nodes.get(f"{path}.args", at),
                "envelope.argument",
                f"`{path}.args` lacks {quoted(str(key))}.",
                f"{quoted(fact.tool)} takes no call without it.",
                "Add it, as an expression over `args`.",
            )
    # The same fact may serve rules about several tools, whose arguments differ.
    for tool in sorted({rule.tool for rule in envelope.rules if name in rule.facts and rule.tool in args}):
        for key in fact.args:
            reader.expression(reader.nodes[f"{path}.args.{key}"], f"{path}.args.{key}", _only(args[tool]))


def _check_provenance(
    reader: Reader,
    sources: Node,
    tool: str,
    argument: str,
    descriptions: Mapping[str, ToolDescription],
) -> None:
    """Find an argument that the tool does not take, and a source that its tool does not answer."""
    if (own := descriptions.get(tool)) is not None:
        _named(reader, sources, f"provenance.{tool}", tool, argument, properties_of(own))
    for item in sources.items:
        name, _, field = item.text.removeprefix("tool:").rpartition(".")
        if name and (seen := descriptions.get(name)) is not None:
            fields = typed_fields("", seen.output_schema or {})
            known = None if fields is None else [dotted.removeprefix(".") for dotted, _ in fields]
            _named(reader, item, item.text, name, field, known, is_result=True)


def _named(
    reader: Reader,
    at: Node,
    where: str,
    tool: str,
    name: str,
    known: Collection[str] | None,
    *,
    is_result: bool = False,
) -> None:
    """Find a name that a schema does not list; None is a schema that takes others too."""
    if known is None or name in known:
        return
    near = get_close_matches(name, known, 1)
    reader.error(
        at,
        "envelope.argument",
        f"`{where}`: {quoted(tool)} has no {'field' if is_result else 'argument'} {quoted(name)}.",
        "Its schema lists others.",
        f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(sorted(known)[:12])}.",
    )


def _tell_unchecked(
    reader: Reader, envelope: Envelope, places: Places, descriptions: Mapping[str, ToolDescription]
) -> None:
    """Warn, once, of tools whose schemas were not at hand: a misspelt field of theirs is found only when it denies."""
    spoken: Iterable[str] = (
        *(rule.tool for rule in places.rules.values()),
        *(limit.tool for limit in places.limits.values()),
        *(fact.tool for fact in envelope.facts.values()),
    )
    missing = sorted(set(spoken) - descriptions.keys())
    said = [node for path in ("permissions.rules", "limits", "facts") if (node := reader.nodes.get(path)) is not None]
    if missing and said:
        reader.warn(
            min(said, key=lambda node: (node.line, node.column)),
            "envelope.fields_unchecked",
            f"The fields of {', '.join(missing[:5])} were not checked.",
            "The schemas of these tools are not at hand, so that a misspelt field is found only when it denies.",
            "Check the page where their servers can be asked: `signoff check --live`.",
        )
