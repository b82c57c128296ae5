# SPDX-License-Identifier: Apache-2.0
"""Who may do what, from a terminal: people, agents, keys, tokens, published pages, and the first contract of a system.

A secret is shown once: on standard output, or in a new file that only its owner can read.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from signoff.core.errors import Malformed
from signoff.surfaces.cli.ids import id_of
from signoff.surfaces.cli.names import called
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import YES, Shell

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client

Name = Annotated[str, typer.Argument(metavar="NAME")]
PersonId = Annotated[str, typer.Argument(metavar="PERSON", help="An id, or enough of it.")]
AgentId = Annotated[str, typer.Argument(metavar="AGENT", help="An id or enough of it, or the agent's name.")]
KeyFile = Annotated[
    Path | None, typer.Option("-o", "--key-file", help="Write the secret to this new file (0600), not to the screen.")
]
Pages = Annotated[list[Path], typer.Argument(metavar="FILE...")]


# --- people, agents, keys ------------------------------------------------------------------------------------------


def people(shell: Shell) -> int:
    """List people and their roles."""
    found = list(shell.client().items("/v1/people"))
    shell.answer(found)
    rows = [(one["person_id"], one["name"], one["email"], ", ".join(one["roles"]), one["is_active"]) for one in found]
    shell.table(("person", "name", "e-mail", "roles", "active"), rows)
    return YES


def add_person(
    shell: Shell,
    name: Name,
    role: Annotated[list[str] | None, typer.Option(help="A role; may be given several times.")] = None,
    email: Annotated[str, typer.Option(help="Where they are written to.")] = "",
    key_file: KeyFile = None,
) -> int:
    """Add a person; their API key is shown this once."""
    body = {"name": name, "email": email, "roles": role or []}
    return _issued(shell, key_file, "api_key", lambda: shell.client().post("/v1/people", body), "person_id")


def set_roles(
    shell: Shell, person: PersonId, roles: Annotated[list[str] | None, typer.Argument(metavar="ROLE...")] = None
) -> int:
    """Give a person exactly these roles; none takes all away."""
    return _change_person(shell, person, {"roles": roles or []})


def disable_person(shell: Shell, person: PersonId) -> int:
    """Switch a person off: their keys and votes no longer count."""
    return _change_person(shell, person, {"is_active": False})


def enable_person(shell: Shell, person: PersonId) -> int:
    """Switch a person on again."""
    return _change_person(shell, person, {"is_active": True})


def agents(shell: Shell) -> int:
    """List agents and their owners."""
    client = shell.client()
    found = list(client.items("/v1/agents"))
    shell.answer(found)
    name = called(shell, client)
    rows = [(one["agent_id"], one["name"], name(one["owner_id"]), one["is_active"]) for one in found]
    shell.table(("agent", "name", "owner", "active"), rows)
    return YES


def add_agent(
    shell: Shell,
    name: Name,
    owner: Annotated[str | None, typer.Option(help="The person it acts for; by default you.")] = None,
    key_file: KeyFile = None,
) -> int:
    """Register an agent; its API key is shown this once."""
    client = shell.client()
    body = {"name": name} | ({"owner_id": _person(client, owner)} if owner else {})
    return _issued(shell, key_file, "api_key", lambda: client.post("/v1/agents", body), "agent_id")


def disable_agent(shell: Shell, agent: AgentId) -> int:
    """Switch an agent off: its tokens no longer count, from its next call on."""
    return _change_agent(shell, agent, {"is_active": False})


def enable_agent(shell: Shell, agent: AgentId) -> int:
    """Switch an agent on again; tokens from before stay void."""
    return _change_agent(shell, agent, {"is_active": True})


def revoke_tokens(shell: Shell, agent: AgentId) -> int:
    """Void every token an agent holds; its key mints new ones."""
    return _change_agent(shell, agent, {"revoke_tokens": True})


def keys(shell: Shell, holder: Annotated[str | None, typer.Option(help="Whose; by default yours.")] = None) -> int:
    """List API keys; secrets are never kept."""
    client = shell.client()
    found = list(client.items("/v1/keys", holder=_holder(client, holder) if holder else None))
    shell.answer(found)
    name = called(shell, client)
    shell.table(
        ("key", "holder", "active", "issued"),
        [(one["key_id"], name(one["holder"]), one["is_active"], one["issued"]) for one in found],
    )
    return YES


def issue_key(
    shell: Shell,
    holder: Annotated[str | None, typer.Option(help="For whom; by default you.")] = None,
    key_file: KeyFile = None,
) -> int:
    """Issue another API key; it is shown this once."""
    client = shell.client()
    body = {"holder": _holder(client, holder)} if holder else {}
    return _issued(shell, key_file, "api_key", lambda: client.post("/v1/keys", body), "key_id")


def revoke_key(shell: Shell, key: Annotated[str, typer.Argument(metavar="KEY", help="The id of a key.")]) -> int:
    """Revoke an API key, from its next use on."""
    client = shell.client()
    found = client.delete(f"/v1/keys/{id_of(client, key, 'key', '/v1/keys', 'key_id')}")
    shell.answer(found)
    shell.line(f"Key {found.get('key_id', key)} is revoked.")
    return YES


def token(
    shell: Shell,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="By default whose key you use.")] = None,
    life: Annotated[int, typer.Option(min=1, max=300, help="Seconds.")] = 300,
    key_file: KeyFile = None,
) -> int:
    """Mint a short-lived token for an agent."""
    client = shell.client()
    body: dict[str, Any] = {"life_s": life} | ({"agent_id": _agent(client, agent)} if agent else {})
    if key_file is None and not shell.is_json:
        shell.line(client.post("/v1/tokens", body)["token"])  # alone on its line, for a shell's $(...)
        return YES
    return _issued(shell, key_file, "token", lambda: client.post("/v1/tokens", body), "expires")


# --- pages ---------------------------------------------------------------------------------------------------------


def publish_envelopes(shell: Shell, files: Pages) -> int:
    """Publish envelopes: a version never changes again."""
    from signoff.core.authority.envelope import load_envelope
    from signoff.surfaces.cli.check import read_page_file

    client, done = shell.client(), []
    for path in files:
        source = read_page_file(path)
        envelope, findings = load_envelope(source, str(path))
        if envelope is None:
            raise _unpublished(shell, path, source, findings)
        page = {"text": envelope.text, "file": path.name}
        found = client.put(f"/v1/envelopes/{quote(envelope.workflow, safe='')}", page)
        done.append(found)
        _told_published(shell, found)
        for one in found.get("inert", ()):
            shell.say(f"INERT: {one['control']} (line {one['line']}) is asked for and not kept. {one['consequence']}")
    shell.answer(done)
    return YES


def envelopes(shell: Shell) -> int:
    """List workflows with the newest version of their envelope, and what of it is inert."""
    found = list(shell.client().items("/v1/envelopes"))
    shell.answer(found)
    rows = [
        (one["name"], one["version"], one["mode"], one["published"], ", ".join(i["control"] for i in one["inert"]))
        for one in found
    ]
    shell.table(("workflow", "version", "mode", "published", "inert"), rows)
    return YES


def versions(shell: Shell, workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")]) -> int:
    """List every version of a workflow's envelope."""
    found = list(shell.client().items(f"/v1/envelopes/{quote(workflow, safe='')}/versions"))
    shell.answer(found)
    rows = [(one["version"], one["digest"], one["publisher"], one["published"], one["is_withdrawn"]) for one in found]
    shell.table(("version", "digest", "by", "at", "withdrawn"), rows)
    return YES


def withdraw(
    shell: Shell,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW")],
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Withdraw a version: no run begins under it, and what waits under it is void."""
    if not shell.confirm(f"Withdraw {visible(workflow)} {visible(version)}? What waits under it is void.", is_yes=yes):
        return 1
    found = shell.client().post(f"/v1/envelopes/{quote(workflow, safe='')}/withdraw", {"version": version})
    shell.answer(found)
    shell.line(f"{visible(found['name'])} {visible(found['version'])} is withdrawn.")
    return YES


def discover(
    shell: Shell,
    system: Annotated[str, typer.Option(help="A short name for the system, such as erp.")],
    command: Annotated[str | None, typer.Option(help="How its MCP server is started, as one text.")] = None,
    env: Annotated[list[str] | None, typer.Option(help="Names of variables that a started server may see.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write here; nothing is overwritten.")] = None,
) -> int:
    """Ask an MCP server, by --command or --url, for its tools; write a first contract under which every call asks."""
    import asyncio

    from signoff.core.authority.contract import Server
    from signoff.core.authority.discovery import first_contract

    if (command is None) == (shell.url is None):
        raise Malformed(
            what="Which server shall be asked?",
            why="One is reached by a command or by a URL.",
            fix='Give --command "signoff-sample erp", or --url URL.',
            code="cli.server",
        )
    if command is not None:
        words = _words(command)
        said: dict[str, Any] = {"command": words} | ({"env": env} if env else {})
        server = Server("mcp_stdio", command=tuple(words), env=tuple(env or ()))
    else:
        said, server = {"url": shell.url}, Server("mcp_http", url=shell.url)

    async def ask() -> Any:
        connector = shell.doors.connect(server)
        try:
            return await connector.describe()
        finally:
            await connector.close()

    tools = asyncio.run(ask())
    text = first_contract(system, {"mcp": said}, tools)
    shell.answer({"system": system, "tools": sorted(tools), "contract": text, "file": str(output) if output else None})
    if output is None:
        shell.line(text.rstrip("\n"))
        return YES
    with output.open("x", encoding="utf-8") as file:
        file.write(text)
    shell.line(f"{output}: {len(tools)} tools, each a write that asks. Edit it, then `signoff check {output}`.")
    return YES


def publish_tools(
    shell: Shell,
    files: Pages,
    system: Annotated[str | None, typer.Option(help="The system's name, if its tools' names do not tell.")] = None,
) -> int:
    """Publish tool contracts; the newest counts for every run at once."""
    from signoff.core.authority.contract import load_contract
    from signoff.surfaces.cli.check import read_page_file, system_of

    client, done = shell.client(), []
    for path in files:
        source = read_page_file(path)
        contract, findings = load_contract(source, str(path))
        if contract is None:
            raise _unpublished(shell, path, source, findings)
        name = quote(system or system_of(contract, path), safe="")
        found = client.put(f"/v1/tools/{name}", {"text": contract.text, "file": path.name})
        done.append(found)
        _told_published(shell, found)
    shell.answer(done)
    return YES


def tools(shell: Shell) -> int:
    """List tools under contract, and whether each is the one that was pinned."""
    found = list(shell.client().items("/v1/tools"))
    shell.answer(found)
    rows = [(one["tool"], one["effect"], one["class"], one["reversibility"], one["state"]) for one in found]
    shell.table(("tool", "effect", "class", "reversibility", "pin"), rows)
    return YES


# --- helpers -------------------------------------------------------------------------------------------------------


def _issued(shell: Shell, key_file: Path | None, secret: str, issue: Callable[[], dict[str, Any]], label: str) -> int:
    """Have something issued and tell its secret once: on the screen, or in a new file made before it is asked for."""
    if key_file is None:
        found = issue()
        shell.line(f"{visible(str(found.get('name') or ''))}  {found[label]}".strip())
        shell.line(f"{secret}: {found[secret]}")
        shell.line("It is shown this once; keep it where only its holder can read it.")
        shell.answer(found)
        return YES
    handle = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        try:
            found = issue()
        except BaseException:
            key_file.unlink()  # it is empty, and ours
            raise
        file.write(found.pop(secret) + "\n")
    shell.answer(found | {"file": str(key_file)})
    shell.line(f"{visible(str(found.get('name') or ''))}  {found[label]}  ({secret} in {key_file})".strip())
    return YES


def _told_published(shell: Shell, found: dict[str, Any]) -> None:
    shell.line(f"{visible(found['name'])} {visible(found['version'])} is published.  {found['digest']}")
    for one in found.get("findings", ()):
        place = f"{one['file']}:{one['line']}:{one['column']}: {one['severity']}"
        shell.say(f"{place}: {one['what']} {one['why']} {one['fix']}")


def _unpublished(shell: Shell, path: Path, source: bytes, findings: Any) -> Malformed:
    from signoff.surfaces.cli.check import write_findings

    if not shell.is_json:
        write_findings(findings, source)
    return Malformed(
        what=f"{path} was not published.",
        why="It does not load.",
        fix="Mend what `signoff check` names, and publish again.",
        code="page.refused",
    )


def _change_person(shell: Shell, person: str, change: dict[str, Any]) -> int:
    client = shell.client()
    found = client.patch(f"/v1/people/{_person(client, person)}", change)
    shell.answer(found)
    state = "active" if found["is_active"] else "switched off"
    shell.line(f"{found['person_id']}: {state}, roles: {', '.join(found['roles']) or 'none'}.")
    return YES


def _change_agent(shell: Shell, agent: str, change: dict[str, Any]) -> int:
    client = shell.client()
    found = client.patch(f"/v1/agents/{_agent(client, agent)}", change)
    shell.answer(found)
    shell.line(f"{found['agent_id']} {visible(found['name'])}: {'active' if found['is_active'] else 'switched off'}.")
    return YES


def _person(client: "Client", given: str) -> str:
    return id_of(client, given, "prs", "/v1/people", "person_id")


def _agent(client: "Client", given: str) -> str:
    named = [one["agent_id"] for one in client.items("/v1/agents") if one["name"] == given]
    return str(named[0]) if named else id_of(client, given, "agt", "/v1/agents", "agent_id")


def _holder(client: "Client", given: str) -> str:
    return _agent(client, given) if given.startswith("agt_") else _person(client, given)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        words = []
        why = f"{error}."
    else:
        why = "It is empty."
    if not words:
        raise Malformed("The command cannot be read.", why, "Write it as you would in a shell.", code="cli.server")
    return words
