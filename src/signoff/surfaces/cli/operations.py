# SPDX-License-Identifier: Apache-2.0
"""Run the fleet from a terminal: serve, halt and lift, pause and resume."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.core.errors import Forbidden, SignoffError
from signoff.surfaces.cli.ids import run_id_of
from signoff.surfaces.cli.names import called
from signoff.surfaces.cli.render import visible
from signoff.surfaces.cli.shell import YES, Id, Shell

if TYPE_CHECKING:
    from signoff.app.world import World
    from signoff.settings import Settings

log = logging.getLogger("signoff.serve")


def serve(
    shell: Shell,
    data: Annotated[Path, typer.Option(help="Where everything is kept; made on the first start.")] = Path(
        "var/signoff"
    ),
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8470,
    mirror: Annotated[Path | None, typer.Option(help="Keep checkpoints here, not in DATA; best another disk.")] = None,
    contract: Annotated[list[Path] | None, typer.Option(help="Publish this contract on start, as the admin.")] = None,
    envelope: Annotated[list[Path] | None, typer.Option(help="Publish this envelope on start, as the admin.")] = None,
    installation: Annotated[str | None, typer.Option(help="The name its keys and logs carry.")] = None,
    open_runs: Annotated[int, typer.Option(min=1, help="How many runs of one agent may be open at once.")] = 1000,
    waiting: Annotated[int, typer.Option(min=1, help="How many calls of one agent may wait for people.")] = 200,
    waiting_per_run: Annotated[int, typer.Option(min=1, help="The same within one run.")] = 20,
    sweep_minutes: Annotated[int, typer.Option(min=0, help="How often writes without a receipt are looked for.")] = 60,
    circuit_sends: Annotated[
        int, typer.Option(min=2, max=100, help="After how many failed calls in a row a tool is left alone.")
    ] = 5,
    circuit_cool_s: Annotated[int, typer.Option(min=1, help="For how many seconds; then one call is tried.")] = 60,
    require_delegation: Annotated[
        bool, typer.Option("--require-delegation", help="Agents do only what a person has delegated to them.")
    ] = False,
    log_format: Annotated[str, typer.Option(help="json, text, or auto: text on a terminal.")] = "auto",
) -> int:
    """Run a server on a data directory until it is told to stop (SIGTERM, SIGINT)."""
    from signoff.core.authority.circuit import Circuits
    from signoff.core.authority.quota import Quotas
    from signoff.settings import Settings
    from signoff.surfaces.cli.offline import installation_of
    from signoff.surfaces.http.server import run

    _configure_logs(log_format)
    name = installation or (installation_of(data) if (data / "signoff.db").exists() else "signoff.local")
    quotas = Quotas(open_runs, waiting, waiting_per_run)
    circuits = Circuits(circuit_sends, cool_us=circuit_cool_s * 1_000_000)
    settings = Settings(
        data=data,
        host=host,
        port=port,
        mirror=mirror,
        installation=name,
        quotas=quotas,
        sweep_each_s=sweep_minutes * 60,
        requires_delegation=require_delegation,
        circuits=circuits,
    )
    run(_serve(shell, settings, contract or [], envelope or []))
    return YES


async def _serve(shell: Shell, settings: "Settings", contracts: Sequence[Path], envelopes: Sequence[Path]) -> None:
    from signoff.surfaces.http.server import run_server

    async with shell.doors.node(settings) as world:
        await publish(shell, world, settings.data, contracts, envelopes)
        facts = await _facts(world, settings)

        await run_server(
            world, settings.host, settings.port, ready=lambda url, _: _announce(shell, {"url": _callable(url), **facts})
        )
    log.info("stopped")


async def publish(
    shell: Shell, world: "World", data: Path, contracts: Sequence[Path], envelopes: Sequence[Path]
) -> None:
    """Publish pages with the admin key that stands in the data directory; contracts first.

    Raises:
        Forbidden: that key is gone or no longer counts; who serves is then not enough to publish.
    """
    if not contracts and not envelopes:
        return
    from signoff.app.authority.people import authenticate_key
    from signoff.app.authority.policies import publish_contract, publish_envelope
    from signoff.app.world import TENANT
    from signoff.core.api_key import read_key
    from signoff.core.authority.contract import load_contract
    from signoff.surfaces.cli.check import read_page_file, system_of

    try:
        key = (data / "admin.key").read_text("ascii").strip()
        caller = await authenticate_key(world, TENANT, *read_key(key))
    except (OSError, ValueError, SignoffError) as error:
        raise Forbidden(
            what="The pages were not published.",
            why=f"Publishing on start uses the key in {data / 'admin.key'}, and it is gone or no longer counts.",
            fix="Start without --contract and --envelope, sign in, and use `signoff tools publish` and "
            "`signoff envelopes publish`.",
            code="serve.no_admin_key",
        ) from error
    done = []
    for path in contracts:
        contract, _ = load_contract(read_page_file(path), str(path))
        system = system_of(contract, path) if contract else path.stem
        text = read_page_file(path).decode("utf-8", "replace")
        done.append(await publish_contract(world, caller, system, text, str(path)))
    for path in envelopes:
        text = read_page_file(path).decode("utf-8", "replace")
        done.append(await publish_envelope(world, caller, text, str(path)))
    for published in done:
        for finding in published.findings:
            shell.say(str(finding))


async def _facts(world: "World", settings: "Settings") -> dict[str, Any]:
    """Return what whoever starts a server wants to know at once."""
    from signoff.app.authority.lists import envelopes
    from signoff.app.world import TENANT
    from signoff.surfaces.cli.offline import reader

    page = await envelopes(world, reader(TENANT))
    inert = [
        {"workflow": one["name"], "version": one["version"], **control}
        for one in page.items
        for control in one["inert"]
    ]
    key = settings.data / "admin.key"
    return {
        "data": str(settings.data),
        "admin_key": str(key) if key.exists() else None,
        "mirror": str(settings.mirror_directory),
        "is_read_only": world.is_read_only,
        "inert": inert,
    }


def _announce(shell: Shell, facts: dict[str, Any]) -> None:
    shell.answer(facts)
    shell.line(f"Signoff listens on {facts['url']}  (data in {facts['data']})")
    if facts["admin_key"]:
        shell.line(f"Sign in with: signoff login --url {facts['url']} --key-file {facts['admin_key']}")
    if facts["is_read_only"]:
        shell.line("READ ONLY: the database is older than its mirror, or altered. Run `signoff doctor`.")
    for one in facts["inert"]:
        shell.line(
            f"INERT: {visible(one['control'])} ({visible(one['workflow'])} line {one['line']}): {one['consequence']}"
        )
    sys.stdout.flush()


def halt(
    shell: Shell,
    scope: Annotated[
        str, typer.Argument(metavar="SCOPE", help="tenant, workflow:NAME, agent:NAME (or its id), or tool:NAME.")
    ],
    reason: Annotated[str, typer.Option(help="Why; everyone who is stopped wants to know.")],
    stop_undo: Annotated[bool, typer.Option("--stop-undo", help="Stop reversals asked by people too.")] = False,
) -> int:
    """Stop at once whatever of a scope was not sent yet, and deny what comes, until the halt is lifted."""
    body = {"scope": scope, "reason": reason, "stop_undo": stop_undo}
    found = shell.client().post("/v1/halts", body, is_keyed=True)
    shell.answer(found)
    shell.line(
        f"Halted: {visible(found['scope'])}  ({found['halt_id']}). {found.get('stopped', 0)} actions were stopped."
    )
    _show_flying(shell, found["in_flight"])
    shell.line(f"Nothing stopped comes back by lifting: signoff lift {found['halt_id']}")
    return YES


def halts(shell: Shell) -> int:
    """List uses of the kill switch, newest first."""
    client = shell.client()
    found = list(client.items("/v1/halts"))
    shell.answer(found)
    name = called(shell, client)
    rows = [
        (
            one["halt_id"],
            _scope_named(one["scope"], name),
            "lifted" if one["is_lifted"] else "in force",
            one["reason"],
            name(one["by"]),
            one["requested"],
            len(one["in_flight"]),
        )
        for one in found
    ]
    shell.table(("halt", "scope", "state", "reason", "by", "since", "in flight"), rows)
    return YES


def _scope_named(scope: str, name: Callable[[str | None], str | None]) -> str:
    """Return a scope with the name beside the id, where it is an agent's."""
    kind, _, target = scope.partition(":")
    return f"{kind}:{name(target)}" if kind == "agent" else scope


def lift(
    shell: Shell, halt_id: Annotated[str, typer.Argument(metavar="HALT", help="The halt's id, or enough of it.")]
) -> int:
    """Lift a halt; what it stopped stays stopped."""
    from signoff.surfaces.cli.ids import id_of

    client = shell.client()
    found = client.post(f"/v1/halts/{id_of(client, halt_id, 'hlt', '/v1/halts', 'halt_id')}/lift")
    shell.answer(found)
    shell.line(f"Lifted: {visible(found['scope'])}. What was stopped stays stopped.")
    return YES


Why = Annotated[str, typer.Option("--reason", help="Why; whoever looks at the run wants to know.")]


def budgets(shell: Shell) -> int:
    """Show each cap beyond the task: what its period has settled, set aside and left."""
    from signoff.core.money import dollars

    client = shell.client()
    found = list(client.items("/v1/budgets", of="caps"))
    shell.answer(found)
    name = called(shell, client)
    rows = [
        (
            f"{one['scope']} {name(one['who'])}" if one["who"] else one["scope"],
            *(dollars(one[f"{amount}_usd_micros"]) for amount in ("cap", "settled", "reserved", "left")),
            one["period_end"],
            f"{one['workflow']} {one['version']}",
        )
        for one in found
    ]
    shell.table(("scope", "cap", "settled", "reserved", "left", "period ends", "page"), rows)
    return YES


def pause(shell: Shell, run: Id, reason: Why = "") -> int:
    """Keep a run at its next step; what was sent goes on."""
    return _set_paused(shell, run, "pause", reason)


def resume(shell: Shell, run: Id, reason: Why = "") -> int:
    """Let a paused run go on."""
    return _set_paused(shell, run, "resume", reason)


def _set_paused(shell: Shell, run: str, verb: str, reason: str) -> int:
    client = shell.client()
    found = client.post(f"/v1/runs/{run_id_of(client, run)}/{verb}", {"reason": reason})
    shell.answer(found)
    shell.line(f"Run {found['run_id']} is {found['state']}.")
    return YES


def _show_flying(shell: Shell, flying: Sequence[str]) -> None:
    if flying:
        shell.line(f"{len(flying)} were sent before and are in flight; their outcome is looked up:")
        for one in flying:
            shell.line(f"  {one}")


def _configure_logs(log_format: str) -> None:
    if log_format == "text" or (log_format == "auto" and sys.stderr.isatty()):
        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
        )
        for name in ("uvicorn", "mcp", "httpx2", "asyncio"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return
    from signoff.surfaces import logs

    logs.configure()


def _callable(url: str) -> str:
    """Return an address that can be called: all addresses of a machine are none."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
