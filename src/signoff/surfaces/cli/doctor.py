# SPDX-License-Identifier: Apache-2.0
"""`signoff doctor`: which controls are on, off or inert, and what is wrong with this installation.

Inert is what a page asks for and nothing keeps: it is shown loudly and is no error by itself, since nothing passes
silently. Exit 1 if something is wrong.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from signoff.core.errors import SignoffError
from signoff.surfaces.cli.shell import NO, YES, Data, Mirror, Shell

if TYPE_CHECKING:
    from signoff.app.world import World

CLOCK_SLACK_US: Final = 2_000_000
SHOWN_MAX: Final = 200
# What this version does not keep; where no page asks for one it is off, where one does it is inert.
NOT_KEPT: Final = ("token budget", "model routing", "injection score")
ONLY_ASKED: Final = "step-up"  # refused where a page asks for it, which it need not
KEPT: Final = (
    ("approvals", "each write asks unless its envelope says otherwise, bound to the digest of what was shown"),
    ("review windows", "what a page holds waits, and no timer stands in for an approval"),
    ("rules and facts", "conditions of a page, over what Signoff itself fetched; what cannot be told denies"),
    ("tool pins", "a tool that is not the one that was pinned is refused"),
    ("circuit breakers", "a tool whose last calls all failed is left alone for a while, and then tried once"),
    ("kill switch", "tenant, workflow, agent, tool"),
    ("delegations", "a run begun under one does what it covers, cut by what its grantor's roles permit now"),
    ("environments", "a call reaches the server of its run's environment and no other"),
    ("budgets", "money and tool calls of a task, reserved before a call is sent"),
    ("provenance", "where an envelope says so, values come from the task or from a trusted read of the run"),
    ("citations", "where an envelope asks for them, a claim quotes what the run has read"),
    ("redaction", "where an envelope says so, personal data and secrets are masked once nobody decides on them"),
    ("retention", "what is kept of a run goes when it reaches the days of its envelope, by its key"),
    ("erasure", "a subject that a tool contract names goes by its own key, and the log still verifies"),
    ("ledger", "state and its entry commit together; receipts are signed"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "on", "off", "inert", "wrong", "unknown"]
    note: str
    fix: str = ""


def doctor(shell: Shell, data: Data = None, mirror: Mirror = None) -> int:
    """Say which controls are on, off or inert, and what is wrong; exit 1 if anything is."""
    lines = _look_at_directory(shell, data, mirror) if data is not None else _look_at_server(shell)
    wrong = [line for line in lines if line.state == "wrong"]
    shell.answer({"ok": not wrong, "lines": [asdict(line) for line in lines]})
    shell.table(("what", "state", "note", "fix"), [(one.name, one.state, one.note, one.fix or None) for one in lines])
    shell.line(f"{len(wrong)} thing(s) are wrong." if wrong else "Nothing is wrong.")
    return NO if wrong else YES


# --- over HTTP -----------------------------------------------------------------------------------------------------


def _look_at_server(shell: Shell) -> list[Line]:
    from signoff.ledger.checkpoint import parse

    client = shell.client()
    client.get("/healthz")  # no answer at all ends the command with that
    lines = [Line("server", "ok", client.url)]
    try:
        client.get("/readyz")
        lines.append(Line("ready", "ok", "it takes work"))
    except SignoffError as error:
        lines.append(Line("ready", "wrong", f"{error.what} {error.why}", error.fix))
    try:
        me = client.get("/v1/me")
    except SignoffError as error:
        return [*lines, Line("your key", "wrong", f"{error.what} {error.why}", error.fix)]
    lines.append(Line("your key", "ok", f"{me['kind']} {me['id']}: {', '.join(me['roles']) or 'no roles'}"))
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("envelopes", "tools", "halts", "people"):
        try:
            found[name] = list(client.items(f"/v1/{name}"))
        except SignoffError as error:
            lines.append(Line(name, "unknown", error.why, error.fix))
    lines += controls(found.get("envelopes"))
    lines += cleared(found.get("envelopes"))
    lines += systems(found.get("envelopes"), found.get("tools"))
    lines += halted(found.get("halts"))
    lines += measured(client.raw)
    try:
        told = client.get("/v1/ledger/checkpoint")
        note = parse(told["note"])
        lines.append(Line("ledger head", "ok", f"{note.origin}: {note.size} entries are signed"))
        lines.append(_epoch_line(told["epoch"], [one["epoch"] for one in told["epochs"]]))
    except SignoffError as error:
        lines.append(Line("ledger head", "unknown", f"{error.what} {error.why}", error.fix))
    return lines


# --- in a data directory -------------------------------------------------------------------------------------------


def _look_at_directory(shell: Shell, data: Path, mirror: Path | None) -> list[Line]:
    import asyncio

    from signoff.settings import Settings
    from signoff.surfaces.cli.offline import installation_of, is_served

    settings = Settings(data=data, mirror=mirror, installation=installation_of(data))
    lines = [Line("data directory", "ok", f"{data}, {'served now' if is_served(data) else 'not served now'}")]
    lines += modes(data)
    if settings.failpoint:
        note = f"SIGNOFF_FAILPOINT={settings.failpoint} is set: a server started so ends itself there"
        lines.append(Line("failpoint", "wrong", note, "Unset it; it is for tests."))

    async def look() -> list[Line]:
        async with shell.doors.reading(settings) as world:
            return await _look_inside(world, settings.mirror_directory, data)

    try:
        lines += asyncio.run(look())
    except SignoffError as error:
        lines.append(Line("opening it", "wrong", f"{error.what} {error.why}", error.fix))
    return lines


async def _look_inside(world: "World", mirror: Path, data: Path) -> list[Line]:
    from signoff.app.action.circuits import open_circuits
    from signoff.app.authority import lists
    from signoff.app.epochs import loss
    from signoff.app.world import TENANT
    from signoff.surfaces.cli.offline import reader

    me = reader(TENANT)
    lines = [Line("keys and database", "ok", f"installation {world.installation}")]
    held, lacking = world.logs[TENANT], await loss(world, TENANT)
    lines.append(_epoch_line(held.current.number, [one.number for one in held.all]))
    origin = world.origin(TENANT)
    head, last = await world.storage.view(TENANT, lambda tx: (tx.ledger.head(origin), tx.ledger.last_at()))
    ahead = last - time.time_ns() // 1000
    if ahead > CLOCK_SLACK_US:
        fix = "Set the clock right before you serve; until then new entries carry the time of the last one."
        lines.append(
            Line("clock", "wrong", f"the last entry lies {ahead / 1e6:.0f} s ahead of this machine's clock", fix)
        )
    else:
        lines.append(Line("clock", "ok", "not behind the last entry"))
    size = head.size if head else 0
    kept = world.mirror.last(origin)
    if lacking is not None:
        known = f"{lacking.known.size} entries of {lacking.known.origin}"
        note = f"it knows {known}, the database {size} of {origin}: an old backup, or an altered database"
        fix = f"Keep both as they are, and run `signoff ledger verify --data {data}`; then `signoff ledger recover`."
        lines.append(Line("checkpoint mirror", "wrong", note, fix))
    elif kept is None:
        lines.append(Line("checkpoint mirror", "off", f"nothing is kept in {mirror}", "Serve with --mirror DIR."))
    elif os.path.realpath(data) == os.path.commonpath((os.path.realpath(data), os.path.realpath(mirror))):  # noqa: ASYNC240
        note = "it stands inside the data directory: a restored backup takes it along"
        lines.append(Line("checkpoint mirror", "inert", note, "Serve with --mirror on another disk."))
    else:
        lines.append(Line("checkpoint mirror", "on", f"{mirror}, {kept[0]} entries"))
    envelopes = (await lists.envelopes(world, me)).items
    lines += controls(envelopes)
    lines += cleared(envelopes)
    lines += systems(envelopes, (await lists.tools(world, me)).items)
    lines += halted((await lists.halts(world, me, None, 200, True)).items)
    people = (await lists.people(world, me, None, 1000)).items
    lines += approvers(await _roles_asked(world), people)
    states = await world.storage.view(TENANT, lambda tx: tx.actions.count_states())
    if waiting := states.get("needs_person", 0):
        fix = "Look into the target, then `signoff resolve ID`."
        lines.append(Line("doubt", "wrong", f"{waiting} write(s) that only a person can settle", fix))
    late = await world.storage.view(TENANT, lambda tx: tx.actions.late("", SHOWN_MAX))
    broken = list(await world.storage.view(TENANT, lambda tx: open_circuits(world, tx)))
    loud = await world.storage.view(TENANT, lambda tx: tx.actions.escalated("", SHOWN_MAX))
    return [
        *lines,
        *found_late(len(late), [action.action_id for action in late]),
        *silent(len(loud)),
        *broken_off(broken),
    ]


def _epoch_line(number: int, held: Sequence[int]) -> Line:
    note = str(number)
    if len(held) > 1:
        before = ", ".join(str(one) for one in held if one != number)
        note += f", opened by a recovery; the database also holds {before}"
    return Line("ledger epoch", "ok", note)


async def _roles_asked(world: "World") -> dict[str, tuple[str, ...]]:
    from signoff.app.world import TENANT

    def body(tx: Any) -> dict[str, tuple[str, ...]]:
        pages = tx.authority.publications("envelope")
        return {page.name: world.shelf.envelope(tx, page.digest).approval_roles for page in pages}

    return await world.storage.view(TENANT, body)


# --- what both look at ---------------------------------------------------------------------------------------------


def controls(envelopes: Iterable[Mapping[str, Any]] | None) -> list[Line]:
    """Return the controls: kept ones, and those not kept, inert where a page asks for them."""
    lines = [Line(name, "on", note) for name, note in KEPT]
    asked: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    for page in envelopes or ():
        for control in page["inert"]:
            asked.setdefault(control["control"], []).append(f"{page['name']} line {control['line']}")
            said[control["control"]] = control["consequence"]
    for name in dict.fromkeys((*NOT_KEPT, ONLY_ASKED, *asked)):
        if name in asked:
            lines.append(Line(name, "inert", f"asked for by {', '.join(asked[name])}. {said[name]}"))
        else:
            lines.append(Line(name, "off", "not kept by this version; no envelope asks for it"))
    return lines


def cleared(envelopes: Iterable[Mapping[str, Any]] | None) -> list[Line]:
    """Return which tiers are open, and which class D tools are reviewed."""
    lines = []
    for page in envelopes or ():
        name = page["name"]
        for tier in page.get("tiers", ()):
            state, note = _TIERS[tier["state"]]
            if tier["state"] == "open" and page["mode"] != "autonomous":
                note = f"open, and lifts nothing in mode {page['mode']}"
            fix = "" if state == "on" else f"signoff tiers open {name} {tier['name']} --reason ..."
            lines.append(Line(f"tier {tier['name']} of {name}", state, note, fix))
        for tool in page.get("class_d", ()):
            state, note = _REVIEWS[tool["state"]]
            fix = "" if state == "on" else f"signoff reviews add {name} {tool['name']} --reason ..."
            lines.append(Line(f"class D {tool['name']} of {name}", state, note, fix))
    return lines


_Clearance = Mapping[str, tuple[Literal["on", "off"], str]]
_TIERS: Final[_Clearance] = {
    "open": ("on", "open: what its rules allow goes unattended"),
    "changed": ("off", "closed: it was opened for another wording of its rules"),
    "closed": ("off", "closed: what its rules would allow asks"),
}
_REVIEWS: Final[_Clearance] = {
    "open": ("on", "reviewed: two people of different roles approve each call"),
    "changed": ("off", "denied: its review was of another wording"),
    "closed": ("off", "denied until somebody of the role compliance has reviewed it"),
}


def systems(envelopes: Iterable[Mapping[str, Any]] | None, tools: Iterable[Mapping[str, Any]] | None) -> list[Line]:
    """Return whether each system answers, and whether its tools are the ones that were pinned."""
    lines: list[Line] = []
    if envelopes is not None and not list(envelopes):
        lines.append(
            Line("workflows", "off", "no envelope is published: no run can begin", "signoff envelopes publish")
        )
    by_system: dict[str, list[Mapping[str, Any]]] = {}
    for tool in tools or ():
        by_system.setdefault(tool["system"], []).append(tool)
    for system, own in sorted(by_system.items()):
        bad = {state: [one["tool"] for one in own if one["state"] == state] for state in _PINS}
        for state, (what, fix) in _PINS.items():
            if bad[state]:
                lines.append(Line(f"system {system}", "wrong", f"{what}: {', '.join(bad[state])}", fix))
        if not any(bad.values()):
            lines.append(Line(f"system {system}", "ok", f"it answers, and {len(own)} tools are as pinned"))
    if tools is not None and not by_system:
        lines.append(Line("systems", "off", "no tool contract is published", "signoff tools publish"))
    return lines


_PINS: Final = {
    "unavailable": ("not offered, or its server cannot be reached", "Start the server; see its command or URL."),
    "unpinned": ("no schema_digest, so it is refused", "`signoff tools discover` writes the pins."),
    "changed": ("not the tool that was pinned", "Look at what changed; then pin and publish it anew."),
}


def halted(halts: Iterable[Mapping[str, Any]] | None) -> list[Line]:
    """Return the halts in force: meant by somebody, so not wrong, and never to be overlooked."""
    return [
        Line(
            f"halt {one['scope']}", "on", f"{one['halt_id']} since {one['requested']}", f"signoff lift {one['halt_id']}"
        )
        for one in halts or ()
        if not one["is_lifted"]
    ]


def approvers(asked: Mapping[str, Iterable[str]], people: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return workflows whose approvals nobody could give."""
    held = {role for one in people if one["is_active"] for role in one["roles"]}
    lines = []
    for workflow, roles in sorted(asked.items()):
        wanted = tuple(roles)
        if wanted and not held & set(wanted):
            note = f"{workflow} asks for {' or '.join(wanted)}, and no active person holds that"
            lines.append(Line("approvers", "wrong", note, "signoff people add NAME --role ROLE"))
    return lines


def measured(read: Callable[[str], bytes]) -> list[Line]:
    """Return what the server's own measurements say is wrong: its clock, and writes that were found late."""
    try:
        found = dict(
            line.rsplit(" ", 1) for line in read("/metrics").decode().splitlines() if line[:1] not in ("#", "")
        )
        late, jump = int(float(found["signoff_actions_found_late"])), float(found["signoff_clock_jump_seconds"])
        escalated = int(float(found["signoff_approvals_escalated"]))
        past, unswept = (
            int(float(found[f"signoff_{name}"])) for name in ("writes_without_receipt", "sweeps_unanswered")
        )
        broken = [name.split('"')[1] for name in found if name.startswith("signoff_circuit_open{")]
    except SignoffError as error:
        return [Line("measurements", "unknown", error.why, error.fix)]
    except (ValueError, KeyError, UnicodeDecodeError):
        return [Line("measurements", "unknown", "the server's metrics are not those of this version")]
    lines = [clock_line(jump), *found_late(late, ()), *silent(escalated), *broken_off(broken)]
    return [*lines, *unreceipted(past, unswept)]


def clock_line(jump: float) -> Line:
    """Return whether the server's machine tells the time that its node decides by.

    Args:
        jump: how far the machine is ahead of the node, in seconds.
    """
    if abs(jump) * 1_000_000 < CLOCK_SLACK_US:
        return Line("clock", "ok", "the server's machine and its node tell the same time")
    note = f"its machine is {abs(jump):.1f} s {'ahead of' if jump > 0 else 'behind'} the node, which decides"
    return Line("clock", "wrong", note, "Set the machine's clock right; if it is right now, restart the server.")


def found_late(count: int, ids: Sequence[str]) -> list[Line]:
    """Return the alarm of failed writes that the target has after all, or could not be asked about."""
    if not count:
        return []
    named = f": {', '.join(ids[:3])}{' and more' if count > 3 else ''}" if ids else ""
    note = f"{count} failed write(s) that the target has after all, or could not be asked about a day later{named}"
    fix = "See it with `signoff show ID`; undo it in the target, or propose its reversal; then `signoff resolve ID`."
    return [Line("late finds", "wrong", note, fix)]


def silent(count: int) -> list[Line]:
    """Return the alarm of approvals at which nobody has looked in time."""
    if not count:
        return []
    note = f"{count} approval(s) at which nobody has looked by half of their time"
    return [Line("approvals", "wrong", note, "See them with `signoff inbox`; they stand first.")]


def unreceipted(count: int, unswept: int) -> list[Line]:
    """Return the alarm of writes that no receipt stands for, and of tools whose writes could not be listed."""
    lines = []
    if count:
        note = f"{count} write(s) in the systems that no receipt stands for: something writes past Signoff"
        fix = "See them with `signoff sweep`; take them back in the system, and change the credentials that wrote them."
        lines.append(Line("writes without a receipt", "wrong", note, fix))
    if unswept:
        note = f"the writes of {unswept} tool(s) could not be listed at the last sweep"
        lines.append(Line("sweep", "unknown", note, "See why with `signoff sweep`; start the system's server."))
    return lines


def broken_off(tools: Sequence[str]) -> list[Line]:
    """Return which tools are left alone for a while."""
    if not tools:
        return []
    note = f"the last calls of {', '.join(tools)} all failed or got no clear answer; none is sent for a while"
    return [Line("circuits", "wrong", note, "See whether the system is well; one call is tried after each pause.")]


def modes(data: Path) -> list[Line]:
    """Return what others than the owner could read or change."""
    lines = []
    for path in (data, data / "keys", data / "admin.key", data / "signoff.db", *sorted((data / "keys").glob("*.json"))):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        mode = stat.S_IMODE(found.st_mode)
        is_secret = path.name == "admin.key" or "keys" in (path.name, path.parent.name)
        if mode & (0o077 if is_secret else 0o022):
            note = f"{path} has mode {mode:04o}"
            fix = f"chmod {'700' if path.is_dir() else '600'} {path}"
            lines.append(Line("file modes", "wrong", note, fix))
    return lines or [Line("file modes", "ok", "keys can be read by their owner only")]
