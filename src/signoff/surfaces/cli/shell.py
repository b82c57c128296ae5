# SPDX-License-Identifier: Apache-2.0
"""What every command shares: its doors to the rest of the house, where it prints, and how it ends.

A command returns 0 for yes, 1 for no, 2 for misuse or "cannot tell". With `--json` it prints one JSON value on
standard output and nothing else there; messages go to standard error. No traceback reaches a user unless asked for.
"""

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from signoff.core.errors import Conflict, Forbidden, Malformed, SignoffError
from signoff.surfaces.cli import render

if TYPE_CHECKING:  # each costs a command's start; only those that use them import them
    from signoff.app.world import World
    from signoff.core.authority.contract import Server
    from signoff.ports.connector import Connector
    from signoff.settings import Settings
    from signoff.surfaces.cli.client import Client

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of its beginning or end as is unique.")]
Mirror = Annotated[Path | None, typer.Option(help="The mirror that the server keeps, if not the one in --data.")]
Data = Annotated[Path | None, typer.Option(help="Read this data directory instead of asking a server.")]
YES, NO, MISUSE, INTERRUPTED = 0, 1, 2, 130
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Doors:
    """What only the wiring can give. Each imports what it needs when it is called."""

    node: "Callable[[Settings], AbstractAsyncContextManager[World]]"
    reading: "Callable[[Settings], AbstractAsyncContextManager[World]]"
    owned: "Callable[[Settings], AbstractAsyncContextManager[World]]"
    connect: "Callable[[Server], Connector]"


@dataclass(slots=True)
class Shell:
    """One command's surroundings."""

    doors: Doors
    is_json: bool = False
    is_debug: bool = False
    url: str | None = None
    open: ExitStack = field(default_factory=ExitStack)  # closed as the command ends

    @property
    def is_interactive(self) -> bool:
        """Whether a person sits there who can be asked."""
        return not self.is_json and sys.stdin.isatty() and sys.stdout.isatty()

    def client(self) -> "Client":
        """Return a client for the server that was named or signed in to."""
        from signoff.surfaces.cli.credentials import find

        found = find(self.url)
        return self.client_of(found.url, found.key)

    def client_of(self, url: str, key: str | None) -> "Client":
        """Return a client for a server, with a key; it is closed as the command ends."""
        from signoff.surfaces.cli.client import Client

        client = Client(url, key)
        self.open.callback(client.close)
        return client

    def answer(self, value: Any) -> None:
        """Print the one JSON value of this command, with `--json`."""
        if self.is_json:
            # Surrogates and control characters are escaped: what reads this gets valid UTF-8 lines.
            sys.stdout.write(json.dumps(value, ensure_ascii=True, default=str) + "\n")
            sys.stdout.flush()

    def line(self, text: str = "") -> None:
        """Print a line for people, without `--json`."""
        if not self.is_json:
            sys.stdout.write(text + "\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
        """Print a table for people, without `--json`."""
        if not self.is_json:
            render.write_table(sys.stdout, render.Table(columns, list(rows), title))

    def say(self, text: str) -> None:
        """Print a message on standard error."""
        sys.stderr.write(render.visible(text) + "\n")

    def confirm(self, question: str, *, is_yes: bool) -> bool:
        """Ask a person yes or no; anything but a yes is a no.

        Raises:
            Malformed: there is nobody to ask, and no `--yes`.
        """
        if is_yes:
            return True
        if not self.is_interactive:
            raise Malformed(
                what="Nothing was done: there is nobody to ask.",
                why="This command asks before it acts, and this is no terminal.",
                fix="Give --yes, after looking at what it would do.",
                code="cli.not_asked",
            )
        return self.ask(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    def ask(self, question: str) -> str:
        """Return one line from the person at the terminal; the end of input is an empty one."""
        sys.stdout.write(question)
        sys.stdout.flush()
        return sys.stdin.readline()


def command(
    app: typer.Typer, name: str, *, panel: str | None = None, is_hidden: bool = False
) -> Callable[[Callable[Concatenate[Shell, P], int | None]], Callable[Concatenate[Shell, P], int | None]]:
    """Register a function as a command: it gets a `Shell`, and `--json`, `--url` and `--debug` are its options too."""

    def register(function: Callable[Concatenate[Shell, P], int | None]) -> Callable[Concatenate[Shell, P], int | None]:
        def run(ctx: typer.Context, **given: Any) -> None:
            shell = Shell(ctx.obj, given.pop("as_json"), given.pop("debug"), given.pop("url"))
            raise typer.Exit(guarded(shell, lambda: function(shell, **given)))  # type: ignore[call-arg]

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        _describe(run, own)
        run.__doc__ = function.__doc__
        app.command(name, rich_help_panel=panel, hidden=is_hidden)(run)
        return function

    return register


def default_command(group: typer.Typer, name: str, function: Callable[Concatenate[Shell, P], int | None]) -> None:
    """Register a command of a group that also runs where the group is called without one."""
    command(group, name)(function)
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    def run(ctx: typer.Context, **given: Any) -> None:
        if ctx.invoked_subcommand is None:
            shell = Shell(ctx.obj, given.pop("as_json"), given.pop("debug"), given.pop("url"))
            raise typer.Exit(guarded(shell, lambda: function(shell, **given)))  # type: ignore[call-arg]

    _describe(run, own)
    group.callback(invoke_without_command=True, help=group.info.help)(run)


def _describe(run: Callable[..., None], own: Sequence[inspect.Parameter]) -> None:
    """Give a wrapper the parameters of the function behind it and the common ones, as typer reads them."""
    first = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [first, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *_COMMON))]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}


def guarded(shell: Shell, body: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; whatever it raises becomes a message."""
    from signoff.ledger.errors import Refused

    try:
        with shell.open:
            return body() or YES
    except typer.Exit as done:
        return done.exit_code
    except (SignoffError, Refused) as error:
        if shell.is_debug:
            _show_traceback()
        return failed(shell, error)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has gone, which is no error; the descriptor is replaced so that closing it later stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO
    except FileExistsError as error:
        return failed(
            shell,
            Conflict(
                what=f"{error.filename} was not written.",
                why="It is there already, and nothing is overwritten.",
                fix="Name another file, or move that one away.",
                code="cli.file_exists",
            ),
        )
    except OSError as error:
        return failed(
            shell,
            Malformed(
                what=f"{error.filename or 'A file'} cannot be used.",
                why=f"The system says: {error.strerror or type(error).__name__}.",
                fix="Check the path, and that this user may read or write it.",
                code="cli.file",
            ),
        )
    except Exception as error:  # noqa: BLE001  # the last door: no traceback reaches a user
        if shell.is_debug:
            _show_traceback()
        return failed(
            shell,
            SignoffError(
                what="Signoff stumbled; this is a defect of ours.",
                why=f"An unexpected {type(error).__name__} was raised.",
                fix="Run the same command with --debug, and report what it prints, after taking secrets out.",
                code="cli.unexpected",
            ),
        )


def failed(shell: Shell, error: Any) -> int:
    """Print an error in its three parts and return its exit code: a refusal is a no, all else misuse or doubt."""
    shell.answer({"error": {"code": error.code, "what": error.what, "why": error.why, "fix": error.fix}})
    sys.stderr.write(render.problem(error.what, error.why, error.fix))
    return NO if isinstance(error, Conflict | Forbidden) or error.status in (403, 409) else MISUSE


def _show_traceback() -> None:
    import traceback

    sys.stderr.write(traceback.format_exc())


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_COMMON = (
    _option(
        "as_json",
        Annotated[bool, typer.Option("--json", help="One JSON value on standard output.", rich_help_panel="Common")],
        False,
    ),
    _option(
        "url",
        Annotated[str | None, typer.Option(help="The server, if not the one signed in to.", rich_help_panel="Common")],
        None,
    ),
    _option(
        "debug",
        Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel="Common")],
        False,
    ),
)
