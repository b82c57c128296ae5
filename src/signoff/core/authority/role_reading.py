# SPDX-License-Identifier: Apache-2.0
"""Load the roles page: what each role permits its holders to have done in their name (ADR 0025).

format: 1
version: 2026-03-01
roles:
  Clerk:
    - tools: [erp.lookup_vendor, erp.get_invoice]
      environments: [sandbox, production]
    - tools: [erp.create_journal_entry]
      environments: [production]
      when: args.amount_cents <= 1000000
      usd_per_call: 0.05
"""

from collections.abc import Collection
from typing import Final

from signoff.core.authority.page import Finding, Node, quoted, read_page
from signoff.core.authority.permission import NAMES, Permission, Roles
from signoff.core.authority.reach import is_tools_word, means
from signoff.core.authority.reading import Reader
from signoff.core.money import MICROS

FORMAT: Final = 1
LINE: Final = ("tools", "environments", "when", "usd_per_call")
USD_MAX: Final = 1_000_000 * MICROS


def load_roles(
    text: str | bytes, file: str, tools: Collection[str] | None = None
) -> tuple[Roles | None, list[Finding]]:
    """Return the roles page that `text` says, and everything there is to mend in it; raises nothing.

    Args:
        file: its name in findings; nothing is read from it.
        tools: those that are under contract; a word that means none of them is a warning.

    Returns:
        No page if any finding is an error.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    top = reader.fields(page.root, "", ("format", "version", "roles"), required=("version", "roles"))
    number = reader.integer(top.get("format"), "format", 1, 10**6, FORMAT)
    if number > FORMAT:
        reader.error(
            top["format"],
            "page.format",
            f"The file is written in format {number}.",
            f"This version reads format {FORMAT}.",
            "Update Signoff, or write the file in the older format.",
        )
    version = reader.text(top.get("version"), "version", "", numbers=True)
    permits = _roles(reader, top.get("roles"), tools)
    roles = Roles(page.file, page.text, page.digest, version, permits)
    return (None if reader.has_errors else roles), reader.sorted_findings()


def _roles(reader: Reader, node: Node | None, tools: Collection[str] | None) -> dict[str, tuple[Permission, ...]]:
    found: dict[str, tuple[Permission, ...]] = {}
    if node is None:
        return found
    if node.kind != "map":
        reader.wrong(node, "roles", "roles by their names", "Write `Clerk: [{tools: [...], environments: [...]}]`.")
        return found
    for key, item in node.pairs:
        path = f"roles.{key.text}"
        reader.lines[path] = key.line
        if reader.name(key, "the name of a role") is None:
            continue
        if item.kind != "list" or not item.items:
            reader.wrong(item, path, "a list of what it permits", "Write `[{tools: [...], environments: [...]}]`.")
            continue
        lines = [_line(reader, one, f"{path}[{index}]", tools) for index, one in enumerate(item.items)]
        found[key.text] = tuple(line for line in lines if line is not None)
    return found


def _line(reader: Reader, node: Node, where: str, tools: Collection[str] | None) -> Permission | None:
    fields = reader.fields(node, where, LINE, required=("tools", "environments"))
    if node.kind != "map":
        return None
    words = reader.texts(fields.get("tools"), f"{where}.tools", names=False)
    for item in fields["tools"].items if "tools" in fields and fields["tools"].kind == "list" else ():
        _check_word(reader, item, f"{where}.tools", tools)
    environments = reader.texts(fields.get("environments"), f"{where}.environments")
    for name in ("tools", "environments"):
        if name in fields and fields[name].kind == "list" and not fields[name].items:
            reader.wrong(fields[name], f"{where}.{name}", "at least one", "Name what is permitted, or remove the line.")
    return Permission(
        words,
        environments,
        reader.expression(fields.get("when"), f"{where}.when", NAMES, ("bool",)),
        reader.money(fields.get("usd_per_call"), f"{where}.usd_per_call", USD_MAX),
    )


def _check_word(reader: Reader, item: Node, where: str, tools: Collection[str] | None) -> None:
    if item.kind != "scalar":
        return  # found already
    if not is_tools_word(item.text):
        reader.error(
            item,
            "roles.tools",
            f"{quoted(item.text)} in `{where}` names no tools.",
            "It is a tool's name, all tools of a system as `erp.*`, or `*` for every tool.",
            "Write one of these.",
        )
    elif tools is not None and not any(means(item.text, tool) for tool in tools):
        reader.warn(
            item,
            "roles.unknown_tool",
            f"{quoted(item.text)} in `{where}` means no tool that is known.",
            "No published tool contract has such a tool, so that the line permits nothing now.",
            "Correct the name, or publish its contract.",
        )
