# SPDX-License-Identifier: Apache-2.0
"""Read `provenance` off the long page: for each tool, where the values of its arguments must come from.

    provenance:
      erp.schedule_payment:
        iban: [tool:erp.lookup_vendor.iban]                           # one field of a trusted read's result
        amount_cents: {from: [user, tool:erp.get_invoice.payable_cents], normal: number}
        intents: [pay, settle]                                        # the task must hold one of these words
        then: deny                                                    # what fails is denied, not asked

A word beside `then` and a plain list under `intents` are about the tool; an argument that is called `then` or `intents`
is written with `{from: [...]}`.
"""

import re
from typing import Final

from signoff.core.authority.page import Node, quoted
from signoff.core.authority.provenance import Normal, Provenance, Source, Sourcing
from signoff.core.authority.reading import NAME, Reader

SOURCING: Final = ("from", "normal")
WORDS: Final = ("then", "intents")
_TOOL: Final = "tool:"
_FIELD: Final = re.compile(r"[^\s.]{1,200}")


def read_provenance(reader: Reader, node: Node | None) -> dict[str, Provenance]:
    """Return the provenance rules by tool."""
    found: dict[str, Provenance] = {}
    if node is not None and node.kind != "map":
        reader.wrong(node, "provenance", "tools and their arguments", "Write `erp.pay: {iban: [user]}`.")
    for key, item in node.pairs if node is not None and node.kind == "map" else ():
        path = f"provenance.{key.text}"
        reader.lines[path] = key.line
        reader.nodes[f"provenance {key.text}"] = key  # names have no spaces, and arguments may have points
        if not reader.name(key, "the name of a tool under `provenance`"):
            continue
        if item.kind != "map" or not item.pairs:
            reader.wrong(item, path, "arguments and where they come from", "Write `{iban: [user]}`.")
            continue
        found[key.text] = _tool(reader, key.text, item, path)
    return found


def _tool(reader: Reader, tool: str, node: Node, path: str) -> Provenance:
    arguments: dict[str, Sourcing] = {}
    then_deny, intents = False, tuple[str, ...]()
    for key, value in node.pairs:
        where = f"{path}.{key.text}"
        reader.lines[where] = key.line
        if key.text == "then" and value.kind == "scalar":
            then_deny = reader.word(value, where, ("approve", "deny"), "approve") == "deny"
        elif key.text == "intents" and value.kind == "list":
            intents = reader.texts(value, where, names=False)
            if not value.items:
                reader.wrong(value, where, "at least one word", "Write `[pay, settle]`, or leave it out.")
        elif not key.text.strip() or len(key.text) > 200:
            reader.error(
                key,
                "page.name",
                f"A name in `{path}` is empty or longer than 200.",
                "It names an argument.",
                "Write the argument's name.",
            )
        else:
            sources, normal = _form(reader, value, where)
            found = _sources(reader, sources, where)
            if sources is not None and found:
                arguments[key.text] = Sourcing(key.text, found, normal)
                reader.nodes[f"provenance {tool} {key.text}"] = sources
    if [(key.text, value.kind) for key, value in node.pairs] == [("then", "scalar")]:
        reader.wrong(
            node, path, "an argument or `intents` beside `then`", "Say where a value comes from, or remove it."
        )
    return Provenance(tool, arguments, then_deny, intents)


def _form(reader: Reader, node: Node, where: str) -> tuple[Node | None, Normal]:
    """Return the list of sources and how to compare, from a plain list or the form `{from: [...], normal: ...}`."""
    if node.kind != "map":
        return node, Normal.EXACT
    fields = reader.fields(node, where, SOURCING, required=("from",))
    return fields.get("from"), Normal(reader.word(fields.get("normal"), f"{where}.normal", tuple(Normal), Normal.EXACT))


def _sources(reader: Reader, node: Node | None, where: str) -> tuple[Source, ...]:
    """Return the sources, each once."""
    if node is None:
        return ()
    if node.kind != "list" or not node.items:
        reader.wrong(node, where, "a list of sources", "Write `[user]`, or `[tool:erp.get_invoice.payable_cents]`.")
        return ()
    found: list[Source] = []
    for index, item in enumerate(node.items):
        source = _source(reader, item, f"{where}[{index}]")
        if source in found:
            reader.warn(
                item,
                "page.twice",
                f"{quoted(item.text)} stands twice in `{where}`.",
                "It counts once.",
                "Remove one.",
            )
        elif source is not None:
            found.append(source)
    return tuple(found)


def _source(reader: Reader, node: Node, where: str) -> Source | None:
    """Return one source: what stands behind the last point is the field, before it the tool."""
    text = node.text if node.kind == "scalar" else ""
    if text == "user":
        return Source()
    tool, _, field = text.removeprefix(_TOOL).rpartition(".")
    if text.startswith(_TOOL) and NAME.fullmatch(tool) and _FIELD.fullmatch(field):
        return Source(tool, field)
    reader.wrong(
        node,
        where,
        "`user`, or `tool:`, the name of a tool, a point and one field of its result",
        "Write `user`, or `tool:erp.get_invoice.payable_cents`.",
    )
    return None
