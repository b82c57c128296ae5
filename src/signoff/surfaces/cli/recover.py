# SPDX-License-Identifier: Apache-2.0
"""`signoff ledger recover`: what an old backup has lost, and the next epoch of the log, once that is accepted."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.surfaces.cli.shell import MISUSE, YES, Mirror, Shell

if TYPE_CHECKING:
    from signoff.app.recover import Missing, Recovered

Owned = Annotated[Path, typer.Option(help="The data directory; no server may have it open.")]
REVIEW = (
    "Look again at what people changed after the backup: halts, revoked keys, people switched off and versions"
    " withdrawn since then are as they were before."
)


def recover(
    shell: Shell,
    data: Owned = Path("var/signoff"),
    mirror: Mirror = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Do it: what the backup lacks is given up for good.")
    ] = False,
) -> int:
    """Give up what an old backup lacks, and open the next epoch of its log; without --accept-loss, only say what."""
    import asyncio

    from signoff.app import recover as use_case
    from signoff.app.world import TENANT
    from signoff.settings import Settings
    from signoff.surfaces.cli.offline import installation_of

    settings = Settings(data=data, mirror=mirror, installation=installation_of(data))

    async def run() -> "Missing | Recovered":
        async with shell.doors.owned(settings) as world:
            if accept_loss:
                return await use_case.recover(world, TENANT)
            return await use_case.missing(world, TENANT) or use_case.nothing(world, TENANT)

    done = asyncio.run(run())
    if isinstance(done, use_case.Recovered):
        _tell_done(shell, done)
        return YES
    shell.answer({"recovered": False, "missing": _document(done)})
    _tell_missing(shell, done)
    shell.line("Nothing was changed. Look for the newer database first; --accept-loss gives up what it held.")
    return MISUSE


def _tell_missing(shell: Shell, missing: "Missing") -> None:
    from signoff.surfaces.cli.ledger import moment

    had, known = missing.had, missing.known
    shell.table(
        ("log", "entries", "of"),
        [
            (had.origin if had else "-", had.size if had else 0, "this database"),
            (known.origin, known.size, "the last checkpoint kept outside"),
        ],
    )
    if missing.is_diverged:
        shell.line("This database is no backup of what was published: from some entry on it tells another history.")
    elif had is not None and had.origin == known.origin:
        shell.line(f"Lost: the entries from {had.size} to {known.size - 1} of {known.origin}, {missing.lost} in all,")
        shell.line(f"and whatever else was done after {moment(missing.last_at)}, the time of the last entry here.")
    else:
        shell.line(f"Lost: the {missing.lost} entries of {known.origin}, and what was done after them.")
    shell.line(f"{missing.waiting} action(s) wait here or are approved: they end. {missing.sent} may have been sent:")
    shell.line("their targets are asked. No token counts any longer.")
    shell.line(REVIEW)


def _tell_done(shell: Shell, done: "Recovered") -> None:
    shell.answer(
        {
            "recovered": True,
            "missing": _document(done.missing),
            "log": done.head.origin,
            "epoch": done.missing.next_epoch,
            "actions": dict(done.actions),
            "agents": done.agents,
            "carried": done.carried,
        }
    )
    _tell_missing(shell, done.missing)
    shell.table(("actions now", "how many"), sorted(done.actions.items()))
    shell.line(
        f"Epoch {done.missing.next_epoch} is open: {done.head.origin}. Keep its checkpoints as you kept the others."
    )
    shell.line("Serve, and run `signoff ledger verify`.")


def _document(missing: "Missing") -> dict[str, Any]:
    had, known = missing.had, missing.known
    return {
        "had": {"origin": had.origin, "size": had.size, "root": had.root.hex()} if had else None,
        "known": {"origin": known.origin, "size": known.size, "root": known.root.hex()},
        "lost": missing.lost,
        "is_diverged": missing.is_diverged,
        "last_at": missing.last_at,
        "waiting": missing.waiting,
        "sent": missing.sent,
        "next_epoch": missing.next_epoch,
    }
