# SPDX-License-Identifier: Apache-2.0
"""Whose word counts for what, from a terminal: delegations, and the roles page."""

from pathlib import Path
from typing import Annotated, Any

import typer

from signoff.core.errors import Malformed
from signoff.core.money import dollars, usd_micros
from signoff.surfaces.cli.ids import id_of
from signoff.surfaces.cli.names import called
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import NO, YES, Shell

DelegationId = Annotated[str, typer.Argument(metavar="DELEGATION", help="An id, or enough of it.")]


def delegations(shell: Shell) -> int:
    """List delegations, newest first: who lets which agent do what in their name, until when."""
    client = shell.client()
    found = list(client.items("/v1/delegations"))
    shell.answer(found)
    name = called(shell, client)
    rows = [
        (
            one["delegation_id"],
            name(one["agent_id"]),
            name(one["grantor_id"]),
            " ".join(one["tools"]),
            " ".join(one["environments"]),
            one["state"],
            one["not_after"],
            _of(one["used"], one["uses_max"]),
            _of(dollars(one["spent_usd_micros"]), one["usd_micros_max"] and dollars(one["usd_micros_max"])),
        )
        for one in found
    ]
    columns = ("delegation", "agent", "in the name of", "tools", "environments", "state", "until", "uses", "usd")
    shell.table(columns, rows)
    return YES


def show(shell: Shell, delegation: DelegationId) -> int:
    """Show one delegation, and what was done under it."""
    client = shell.client()
    found = client.get(f"/v1/delegations/{_delegation(client, delegation)}")
    shell.answer(found)
    _tell(shell, found)
    return YES


def grant(
    shell: Shell,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An id or enough of it, or the agent's name.")],
    tool: Annotated[list[str], typer.Option(help="A tool, or `erp.*`; may be given several times.")],
    environment: Annotated[list[str], typer.Option(help="An environment; may be given several times.")],
    purpose: Annotated[str, typer.Option(help="What it is for.")],
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 8h or 30d.")] = "8h",
    when: Annotated[str | None, typer.Option(help="Only where this CEL over `args` holds.")] = None,
    uses: Annotated[int | None, typer.Option(min=0, help="At most so many calls that do something.")] = None,
    usd: Annotated[str | None, typer.Option(help="At most so many dollars in all.")] = None,
) -> int:
    """Let an agent act in your name, no further than your own roles go."""
    from signoff.core.authority.reading import duration_us

    us = duration_us(lasts)
    if us is None or us < 1_000_000:
        raise Malformed(
            what=f"{lasts[:40]!r} is no time that it could last.",
            why="It takes a whole number and s, m, h or d, and at least a second.",
            fix="Write 8h, or 30d.",
            path="--for",
        )
    client = shell.client()
    body: dict[str, Any] = {
        "agent_id": _agent_of(client, agent),
        "tools": tool,
        "environments": environment,
        "purpose": purpose,
        "lasts_s": us // 1_000_000,
        "condition": when,
        "uses_max": uses,
        "usd_micros_max": usd_micros(usd) if usd is not None else None,
    }
    found = client.post("/v1/delegations", body)
    shell.answer(found)
    _tell(shell, found)
    return YES


def revoke(
    shell: Shell,
    delegation: DelegationId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Revoke a delegation with all its parts: from the next call on, and what waits under it is void."""
    client = shell.client()
    delegation_id = _delegation(client, delegation)
    if not shell.confirm(f"Revoke {delegation_id}, and void what waits under it?", is_yes=yes):
        return NO
    found = client.delete(f"/v1/delegations/{delegation_id}")
    shell.answer(found)
    shell.line(f"{delegation_id} is revoked.")
    return YES


def publish_roles(shell: Shell, file: Annotated[Path, typer.Argument(metavar="FILE")]) -> int:
    """Publish what people's roles permit; from then on a call needs a role that permits it."""
    from signoff.core.authority.role_reading import load_roles
    from signoff.surfaces.cli.check import read_page_file, write_findings

    source = read_page_file(file)
    roles, findings = load_roles(source, str(file))
    if roles is None:
        if not shell.is_json:
            write_findings(findings, source)
        raise Malformed(
            what=f"{file} was not published.",
            why="It does not load.",
            fix="Mend what is named, and publish again.",
            code="page.refused",
        )
    found = shell.client().put("/v1/roles", {"text": roles.text, "file": str(file)})
    shell.answer(found)
    shell.line(f"Roles {visible(found['version'])} are in force.  {found['digest']}")
    for one in found["findings"]:
        place = f"{one['file']}:{one['line']}:{one['column']}: {one['severity']}"
        shell.say(f"{place}: {one['what']} {one['why']} {one['fix']}")
    return YES


def show_roles(shell: Shell) -> int:
    """Show the roles page in force; exit 1 before the first is published."""
    found = shell.client().get("/v1/roles")
    shell.answer(found)
    if found["text"] is None:
        shell.line("No roles page is published: nothing is asked of roles.")
        return NO
    for line in found["text"].splitlines():
        shell.line(visible(line))
    return YES


def _tell(shell: Shell, one: dict[str, Any]) -> None:
    shell.line(f"{one['delegation_id']}  {one['state']}, until {one['not_after']}")
    shell.line(f"  {one['agent_id']} in the name of {one['grantor_id']}: {visible(one['purpose'] or 'erased')}")
    shell.line(f"  {' '.join(one['tools'])} in {' '.join(one['environments'])}")
    if one["condition"]:
        shell.line(f"  where {visible(one['condition'])}")
    cap = one["usd_micros_max"]
    shell.line(
        f"  uses {_of(one['used'], one['uses_max'])}, usd {_of(dollars(one['spent_usd_micros']), cap and dollars(cap))}"
    )


def _of(done: object, most: object) -> str:
    return f"{done} of {most}" if most is not None else f"{done}"


def _agent_of(client: Any, given: str) -> str:
    named = [one["agent_id"] for one in client.items("/v1/agents") if one["name"] == given]
    return str(named[0]) if named else id_of(client, given, "agt", "/v1/agents", "agent_id")


def _delegation(client: Any, text: str) -> str:
    return id_of(client, text, "dlg", "/v1/delegations", "delegation_id")
