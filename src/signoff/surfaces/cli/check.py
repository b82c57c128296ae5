# SPDX-License-Identifier: Apache-2.0
"""`signoff init` and `signoff check`: a small project to begin with, and everything there is to mend in a page.

Nothing here needs a server, but for `check --live`. A file is told to be an envelope or a contract by the keys at its
top.
"""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from signoff.core.errors import Conflict, Malformed
from signoff.surfaces.cli import render
from signoff.surfaces.cli.shell import NO, YES, Shell

if TYPE_CHECKING:
    from signoff.core.authority.contract import Contract, ToolContract
    from signoff.core.authority.envelope import Envelope, InertControl
    from signoff.core.authority.page import Finding

Kind = Literal["envelope", "contract", "roles"]
_FILE_MAX = 257 * 1024  # one KiB past what a page may have, so that its own message says so
_CONTRACT_KEYS = frozenset({"server", "tools"})

ENVELOPE = """\
# What the agents of this workflow may do. `signoff check` says what is wrong; publishing makes it count.
version: 2026-03-01
workflow: "invoice_reconcile"
budgets:
  max_tool_calls: 8
  hard_cost_cap_usd: 1.25
permissions:
  allowed_tools:
    - "erp.lookup_vendor"
    - "erp.match_po"
    - "erp.create_journal_entry"
  write_actions_require_approval: true
  approval_roles:
    - "FinanceAdmin"
"""
CONTRACT = """\
# What Signoff must know of your system. Replace this file by what your server says of itself, and then edit that:
#   signoff tools discover --command "signoff-sample erp" --system erp -o contract.yaml
format: 1
server: {mcp: {command: ["signoff-sample", "erp"]}}
tools:
  erp.lookup_vendor: {effect: read, risk: A}
  erp.match_po: {effect: read, risk: A}
  erp.create_journal_entry:
    effect: write                  # read | write | egress
    risk: C                        # A low | B medium | C high | D restricted
    reversibility: manual          # reversible | manual | irreversible
    reversal_note: Accounting reverses the entry by hand.
"""
README = """\
# A Signoff project

- `envelope.yaml`: what the agents of one workflow may do, on one page
- `contract.yaml`: what Signoff must know to govern the tools of one system

    signoff check envelope.yaml contract.yaml
    signoff serve --data var/signoff --contract contract.yaml --envelope envelope.yaml
    signoff login --key-file var/signoff/admin.key
    signoff doctor

Until `schema_digest` pins a tool, its calls are refused: `signoff tools discover` writes the pins.
"""
FILES: Mapping[str, str] = {"envelope.yaml": ENVELOPE, "contract.yaml": CONTRACT, "README.md": README}


def init(
    shell: Shell,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.")] = Path(),
) -> int:
    """Write a small project to begin with; nothing is ever overwritten."""
    directory.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in FILES if os.path.lexists(directory / name)]:
        raise Conflict(
            what=f"Nothing was written to {directory}.",
            why=f"{', '.join(taken)} is there already, and nothing is overwritten.",
            fix="Name another directory.",
            code="init.taken",
        )
    for name, text in FILES.items():
        with (directory / name).open("x", encoding="utf-8") as file:  # fails where one appeared meanwhile
            file.write(text)
    paths = [str(directory / name) for name in FILES]
    for path in paths:
        shell.line(render.visible(path))
    shell.line(f"Next: signoff check {render.visible(paths[0])} {render.visible(paths[1])}")
    shell.answer({"written": paths})
    return YES


def check(
    shell: Shell,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Envelopes and contracts.")],
    contracts: Annotated[list[Path] | None, typer.Option(help="Also known: contracts that are not checked.")] = None,
    one_page: Annotated[bool, typer.Option("--one-page", help="Warn of envelopes past 60 lines.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the servers too, and check fields by their schemas.")
    ] = False,
) -> int:
    """Say everything there is to mend in envelopes, contracts and the roles page, with file, line and column."""
    from signoff.core.authority.contract import load_contract
    from signoff.core.authority.envelope import inert_controls, load_envelope
    from signoff.core.authority.page import Severity
    from signoff.core.authority.role_reading import load_roles
    from signoff.surfaces.cli.live import descriptions_of

    sources = {path: read_page_file(path) for path in [*files, *(contracts or [])]}
    tools: dict[str, ToolContract] = {}
    is_known = True  # whether every contract given could be loaded; half the tools would make the rest look unknown
    found: dict[Path, list[Finding]] = {}
    systems: dict[Path, Contract] = {}
    described = {path for path in sources if path in (contracts or []) or kind_of(sources[path]) == "contract"}
    for path, source in sources.items():
        if path in described:
            contract, findings = load_contract(source, str(path))
            twice = _described_twice(path, contract, systems) if contract is not None else []
            if contract is not None:
                systems[path] = contract
            tools.update(contract.tools if contract else {})
            is_known = is_known and contract is not None
            if path in files or contract is None or twice:
                found[path] = [*(findings if path in files or contract is None else ()), *twice]
    offered = descriptions_of(shell, systems.values()) if live else None
    for path, contract in systems.items():
        if offered is not None and path in files:
            by_server = {tool.server_name: offered[name] for name, tool in contract.tools.items() if name in offered}
            found[path] += [
                one for one in load_contract(sources[path], str(path), by_server)[1] if one not in found[path]
            ]
    loaded: dict[Path, Envelope] = {}
    for path in files:
        if path not in described and kind_of(sources[path]) == "roles":
            found[path] = load_roles(sources[path], str(path), tools if described and is_known else None)[1]
        elif path not in described:
            envelope, found[path] = load_envelope(
                sources[path],
                str(path),
                tools if described and is_known else None,
                descriptions=offered,
                one_page=one_page,
            )
            if envelope is not None:
                loaded[path] = envelope
    inert = {path: inert_controls(envelope) for path, envelope in loaded.items()}
    errors = sum(one.severity is Severity.ERROR for findings in found.values() for one in findings)
    if shell.is_json:
        kinds = {path: "contract" if path in described else kind_of(sources[path]) for path in found}
        shell.answer(_as_json(found, kinds, inert, errors))
    else:
        _write(found, inert, sources)
        warnings = sum(map(len, found.values())) - errors
        shell.line(f"{len(found)} file(s): {errors} error(s), {warnings} warning(s).")
    return NO if errors else YES


def _described_twice(path: Path, contract: "Contract", before: Mapping[Path, "Contract"]) -> "list[Finding]":
    """Return a finding for each tool that another contract describes too; only one of the two can be published."""
    from signoff.core.authority.page import Finding, Severity, read_page

    page, _ = read_page(contract.text, str(path))
    tops = page.root.pairs if page is not None else ()
    keys = {key.text: key for top, node in tops if top.text == "tools" for key, _ in node.pairs}
    return [
        Finding(
            str(path),
            keys[name].line,
            keys[name].column,
            Severity.ERROR,
            code="contract.tool_twice",
            what=f"`{name}` is described in {other} too.",
            why=f"There it is of the system {system_of(earlier, other)}, here of {system_of(contract, path)}; nobody "
            "could tell whose rules hold.",
            fix="Describe it once, or give one of them another name; `name` says the server's own.",
        )
        for other, earlier in before.items()
        for name in contract.tools
        if name in earlier.tools and contract.digest != earlier.digest
    ]


def read_page_file(path: Path) -> bytes:
    """Return the bytes of a page's file, `-` being standard input.

    Raises:
        Malformed: it cannot be read, or is no regular file: a pipe or a device may never end, or never begin.
    """
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(_FILE_MAX)
        # Asked of what was opened, not of the path, which may change its meaning; and opened without waiting for a
        # writer, as a named pipe else does.
        with open(path, "rb", opener=_at_once) as file:  # a `Path` takes no opener
            if kind := _irregular(os.fstat(file.fileno()).st_mode):
                raise Malformed(
                    what=f"{path} cannot be read.",
                    why=f"It is {kind} and no regular file.",
                    fix="Give a file; what a program writes is taken from standard input, as `-`.",
                    code="cli.file",
                )
            return file.read(_FILE_MAX)
    except (OSError, ValueError) as error:
        raise Malformed(
            what=f"{path} cannot be read.",
            why=f"The system says: {getattr(error, 'strerror', None) or 'this is no path'}.",
            fix="Check the path, and that this user may read it.",
            code="cli.file",
        ) from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _irregular(mode: int) -> str | None:
    """Return what a file is that is no regular one, None for one that is."""
    if stat.S_ISREG(mode):
        return None
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")


def kind_of(source: bytes) -> Kind:
    """Tell what a page is: a contract has `server` or `tools` at its top, a roles page `roles`, an envelope neither."""
    from signoff.core.authority.page import read_page

    page, _ = read_page(source, "")
    if page is None or page.root.kind != "map":
        return "envelope"
    keys = {key.text for key, _ in page.root.pairs}
    if "workflow" in keys or not keys & {"roles", *_CONTRACT_KEYS}:
        return "envelope"
    return "contract" if keys & _CONTRACT_KEYS else "roles"


def system_of(contract: "Contract", path: Path) -> str:
    """Return the name of a contract's system: what stands before the dot of all its tools, else the file's stem."""
    prefixes = {name.split(".", 1)[0] for name in contract.tools if "." in name}
    return prefixes.pop() if len(prefixes) == 1 else path.stem


def write_findings(findings: Sequence["Finding"], source: bytes) -> None:
    """Print findings, each with its line of the page and a caret under the place."""
    rows = source.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")
    out = sys.stdout
    for one in findings:
        place = f"{one.file}:{one.line}:{one.column}"
        _coloured(f"{render.visible(place)}: {one.severity}: {render.visible(one.what)}", str(one.severity))
        if 0 < one.line <= len(rows):
            out.write("\n".join(render.finding_lines(rows[one.line - 1], one.column)) + "\n")
        out.write(f"    why  {render.visible(one.why)}\n    fix  {render.visible(one.fix)}  [{one.code}]\n")


def _write(
    found: Mapping[Path, Sequence["Finding"]],
    inert: Mapping[Path, Sequence["InertControl"]],
    sources: Mapping[Path, bytes],
) -> None:
    for path, findings in found.items():
        write_findings(findings, sources[path])
        for control in inert.get(path, ()):
            name = f"{render.visible(str(path))}:{control.line}"
            _coloured(f"{name}: INERT: {control.control} (`{control.asked_by}`) is asked for and not kept.", "inert")
            sys.stdout.write(f"    {control.consequence}\n")


def _as_json(
    found: Mapping[Path, Sequence["Finding"]],
    kinds: Mapping[Path, Kind],
    inert: Mapping[Path, Sequence["InertControl"]],
    errors: int,
) -> dict[str, Any]:
    files = [
        {
            "file": str(path),
            "kind": kinds[path],
            "findings": [asdict(one) | {"severity": str(one.severity)} for one in findings],
            "inert": [asdict(one) for one in inert.get(path, ())],
        }
        for path, findings in found.items()
    ]
    return {"ok": not errors, "errors": errors, "files": files}


def _coloured(text: str, style: str) -> None:
    codes = {"error": "31", "warning": "33", "inert": "1;33"}
    is_plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    sys.stdout.write(text + "\n" if is_plain else f"\x1b[{codes[style]}m{text}\x1b[0m\n")
