# SPDX-License-Identifier: Apache-2.0
"""Load a system's tool contracts from their YAML file (contract, section 2).

A file names one server and its tools. What a tool needs to be governed is checked within the file: a preview, look-up
or check is a read of the same system, an undo is a write of it. `key` may be named only where Signoff puts one in.
"""

import re
from collections.abc import Mapping
from typing import Final

from signoff.core.authority.description import ToolDescription, schema_digest
from signoff.core.authority.page import Finding, Node, Page, quoted, read_page
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule import Expression
from signoff.core.authority.schema import argument_problems, result_problems, schema_problems
from signoff.core.authority.tool import (
    BY_ENVIRONMENT,
    Contract,
    DryRun,
    Effect,
    LookUp,
    OutputTrust,
    Precondition,
    ReadPreview,
    Risk,
    Server,
    ToolContract,
    Undo,
    UndoCheck,
    governs_alike,
)
from signoff.core.authority.tool_reading import ToolReader

__all__ = [
    "Contract",
    "DryRun",
    "Effect",
    "Expression",
    "LookUp",
    "OutputTrust",
    "Precondition",
    "ReadPreview",
    "Risk",
    "Server",
    "ToolContract",
    "ToolDescription",
    "Undo",
    "UndoCheck",
    "argument_problems",
    "governs_alike",
    "load_contract",
    "result_problems",
    "schema_digest",
    "schema_problems",
]

FORMAT: Final = 1
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:_-]+(/[^\s?#@]*)?")


def load_contract(
    text: str | bytes, file: str, descriptions: Mapping[str, ToolDescription] | None = None
) -> tuple[Contract | None, list[Finding]]:
    """Return the contract that `text` says, and everything there is to mend in it; raises nothing.

    Args:
        file: its name in findings; nothing is read from it.
        descriptions: the tools by the server's own names; with them, expressions over `args` and `result` are
            checked against the schemas, so that a misspelt field is found here, and a schema that is none.

    Returns:
        No contract if any finding is an error.
    """
    page, findings = read_page(text, file)
    if page is None:
        return None, findings
    reader = Reader(page, findings)
    contract = _read(reader, page, descriptions or {})
    return (None if reader.has_errors else contract), reader.sorted_findings()


def _read(reader: Reader, page: Page, descriptions: Mapping[str, ToolDescription]) -> Contract:
    top = reader.fields(page.root, "", ("format", "server", "tools"), required=("format", "server", "tools"))
    number = reader.integer(top.get("format"), "format", 1, 10**6, FORMAT)
    if number > FORMAT:
        reader.error(
            top["format"],
            "page.format",
            f"The file is written in format {number}.",
            f"This version reads format {FORMAT}.",
            "Update Signoff, or write the file in the older format.",
        )
    servers = _servers(reader, top.get("server"))
    server = BY_ENVIRONMENT if servers else _server(reader, top.get("server"))
    nodes: dict[str, Node] = {}
    tools = top.get("tools")
    if tools is not None and (tools.kind != "map" or not tools.pairs):
        reader.wrong(tools, "tools", "at least one tool by its name", "Write `erp.lookup_vendor: {effect: read}`.")
    for key, node in tools.pairs if tools is not None and tools.kind == "map" else ():
        if reader.name(key, "the name of a tool"):
            nodes[key.text] = node
            reader.lines[f"tools.{key.text}"] = key.line
    effects = {name: _effect(node) for name, node in nodes.items()}
    described = {name: descriptions.get(_server_name(name, node)) for name, node in nodes.items()}
    read = {name: ToolReader(reader, name, node, effects, described).read() for name, node in nodes.items()}
    _check_server_names(reader, read, nodes)
    _check_schemas(reader, described, nodes)
    return Contract(page.file, page.text, page.digest, number, server, read, servers)


def _effect(node: Node) -> Effect | None:
    """Return the effect a tool states, if it does; its absence is found when the tool itself is read."""
    for key, value in node.pairs:
        if key.text == "effect" and value.kind == "scalar" and value.text in tuple(Effect):
            return Effect(value.text)
    return None


def _server_name(name: str, node: Node) -> str:
    for key, value in node.pairs:
        if key.text == "name" and value.kind == "scalar":
            return value.text
    return name


def _check_server_names(reader: Reader, tools: Mapping[str, ToolContract], nodes: Mapping[str, Node]) -> None:
    """Find two contracts for one tool of the server: the milder one would be a way around the other."""
    seen: dict[str, str] = {}
    for name, contract in tools.items():
        if contract.server_name in seen:
            reader.error(
                nodes[name],
                "contract.same_tool",
                f"`{name}` and `{seen[contract.server_name]}` are one tool.",
                f"Both are {quoted(contract.server_name)} on the server, so that either could go around the other.",
                "Describe each tool of the server once.",
            )
        seen.setdefault(contract.server_name, name)


def _check_schemas(reader: Reader, described: Mapping[str, ToolDescription | None], nodes: Mapping[str, Node]) -> None:
    """Find tools whose schemas cannot be checked: whatever is sent to these is refused."""
    for name, tool in described.items():
        for problem in schema_problems(tool) if tool is not None else ():
            reader.warn(
                nodes[name],
                "contract.schema",
                f"{quoted(name)} will take no call: its {problem}.",
                "Arguments and results are checked against the schemas that its server gives, and this one cannot be.",
                "Mend the schema on the server, and pin the tool anew.",
            )


def _servers(reader: Reader, node: Node | None) -> dict[str, Server]:
    """Return the server of each environment; none where the file names one server for all."""
    if node is None or node.kind != "map" or not any(key.text == "environments" for key, _ in node.pairs):
        return {}
    by_name = reader.fields(node, "server", ("environments",)).get("environments")
    if by_name is None or by_name.kind != "map" or not by_name.pairs:
        wanted = "environments by their names, each with its server"
        reader.wrong(by_name or node, "server.environments", wanted, "Write `{sandbox: {mcp: {url: ...}}}`.")
        return {"": BY_ENVIRONMENT}
    found: dict[str, Server] = {}
    for key, item in by_name.pairs:
        if reader.name(key, "the name of an environment") is None:
            continue
        server = _server(reader, item, f"server.environments.{key.text}", ("mcp", "http", "python"))
        if twin := next((name for name, other in found.items() if other == server), None):
            reader.error(
                item,
                "contract.same_server",
                f"The environments {quoted(twin)} and {quoted(key.text)} have one server.",
                "What is tried in one would be done in the other.",
                "Name another server, or other variables for its credentials; or leave one environment out.",
            )
        found[key.text] = server
    return found


def _server(
    reader: Reader,
    node: Node | None,
    where: str = "server",
    known: tuple[str, ...] = ("mcp", "http", "python", "environments"),
) -> Server:
    """Return how the system is reached; with a finding, a server that reaches nothing."""
    nowhere = Server("python")
    fields = reader.fields(node, where, known)
    if node is not None and node.kind == "map" and len(fields) != 1:
        reader.error(
            node,
            "contract.server",
            f"`{where}` takes one of {', '.join(f'`{one}`' for one in known[:-1])} and `{known[-1]}`.",
            "A file describes one system, reached in one way in each environment.",
            'Write `server: {mcp: {command: ["signoff-sample", "erp"]}}`, for instance.',
        )
        return nowhere
    if "mcp" in fields:
        return _mcp_server(reader, fields["mcp"], f"{where}.mcp")
    if "http" in fields:
        inner = reader.fields(fields["http"], f"{where}.http", ("base_url",), required=("base_url",))
        return Server("http", url=_url(reader, inner.get("base_url"), f"{where}.http.base_url"))
    if "python" in fields:
        module = reader.text(fields["python"], f"{where}.python")
        if module is not None and not _MODULE.fullmatch(module):
            reader.error(
                fields["python"],
                "contract.server",
                f"`{where}.python` is {quoted(module)}.",
                "It takes the dotted name of a module.",
                "Write it like `package.module`.",
            )
        return Server("python", module=module)
    return nowhere


def _mcp_server(reader: Reader, node: Node, where: str) -> Server:
    inner = reader.fields(node, where, ("command", "url", "env"))
    if node.kind == "map" and ("command" in inner) == ("url" in inner):
        reader.error(
            node,
            "contract.server",
            f"`{where}` takes either `command` or `url`.",
            "A server is started here, or reached where it runs.",
            'Write `{command: ["signoff-sample", "erp"]}`.',
        )
    env, env_as = _env(reader, inner.get("env"), f"{where}.env")
    if "url" in inner:
        if "env" in inner:
            reader.error(
                inner["env"],
                "contract.no_meaning",
                f"`{where}.env` has no meaning with `url`.",
                "Only a server that is started here is given variables.",
                "Remove it.",
            )
        return Server("mcp_http", url=_url(reader, inner["url"], f"{where}.url"))
    return Server("mcp_stdio", command=_command(reader, inner.get("command"), where), env=env, env_as=env_as)


def _env(reader: Reader, node: Node | None, where: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the variables a started server may see: by the same names, or each by its own name and ours."""
    if node is not None and node.kind == "map":
        pairs = [(key, value) for key, value in node.pairs if reader.text(value, f"{where}.{key.text}") is not None]
        for one in (part for pair in pairs for part in pair):
            _check_variable(reader, one, where)
        return (), tuple((key.text, value.text) for key, value in pairs)
    names = reader.texts(node, where, names=False)
    for item in node.items if node is not None else ():
        if item.kind == "scalar" and item.text in names:
            _check_variable(reader, item, where)
    return names, ()


def _check_variable(reader: Reader, node: Node, where: str) -> None:
    if not _ENV.fullmatch(node.text):
        reader.error(
            node,
            "contract.env",
            f"`{where}` takes names of environment variables only.",
            "Values would put secrets into a file that people read and sign.",
            "Write the variable's name, and set its value where Signoff is started.",
        )


def _command(reader: Reader, node: Node | None, where: str) -> tuple[str, ...]:
    """Return program and arguments in order; the same word may stand twice."""
    if node is None:
        return ()
    if node.kind != "list" or not node.items:
        reader.wrong(
            node, f"{where}.command", "a list: the program and its arguments", 'Write `["signoff-sample", "erp"]`.'
        )
        return ()
    words = [reader.text(item, f"{where}.command[{index}]", numbers=True) for index, item in enumerate(node.items)]
    return tuple(word for word in words if word is not None)


def _url(reader: Reader, node: Node | None, where: str) -> str | None:
    text = reader.text(node, where)
    if text is not None and node is not None and not _URL.fullmatch(text):
        reader.error(
            node,
            "contract.url",
            f"`{where}` is no address of a server.",
            "It begins with http:// or https:// and has no user, password, query or fragment.",
            "Write it like `https://erp.example/mcp`.",
        )
        return None
    return text
