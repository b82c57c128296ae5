# SPDX-License-Identifier: Apache-2.0
"""Text for a terminal: tables, problems, and values that cannot pretend to be anything else.

Whatever an agent, a person or a target said is hostile here: it could move the cursor, reorder letters, or be read as
markup. Every value passes `visible` and is printed as plain text. Off a terminal, tables are aligned columns without
colour, so that a pipe gets lines.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, TypeVar

T = TypeVar("T")

# Printable by category, yet drawn as nothing or as a blank.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ID: Final = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
_MARKS_MAX: Final = 3  # no script stacks more on one letter; a pile of them paints over the lines around it

_COLOURS: Final = {
    "succeeded": "green", "approved": "green", "pending_approval": "yellow", "held": "yellow", "in_doubt": "yellow",
    "needs_person": "bold yellow", "dispatching": "cyan", "denied": "red", "rejected": "red", "failed": "red",
    "stopped": "red", "voided": "red", "error": "red", "warning": "yellow", "wrong": "red", "inert": "bold yellow",
    "on": "green", "ok": "green", "off": "dim", "reversed": "magenta", "open": "green", "in force": "bold red",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under headings; cells are any values, and shown by `cell`."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""


def visible(text: str) -> str:
    """Return `text` as one line in which every character is drawn as itself, or named as `⟨U+202E⟩`.

    What controls the terminal, reorders, hides, joins or breaks lines is named, and so is a blank that is no space
    (Unicode Standard Annex 9 on reordering, general categories C* and Z* on the rest).
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], 0
    for mark in text:
        category = unicodedata.category(mark)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        is_strange = category in _HIDDEN or (category == "Zs" and mark != " ") or _BLANK.match(mark) is not None
        shown.append(f"⟨U+{ord(mark):04X}⟩" if is_strange or marks > _MARKS_MAX else mark)
    return "".join(shown)


def cell(value: Any) -> str:
    """Return a value for one cell: text as it is, anything else as JSON; nothing is cut."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))


def exact(value: Any) -> str:
    """Return a value as JSON, so that the text "1" and the number 1 differ; for what is to be approved."""
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and value of every leaf; empty maps and lists are leaves."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path or "value", value


def write_table(out: IO[str], table: Table) -> None:
    """Write a table: with rules and colour on a terminal, else as aligned columns."""
    rows = [[cell(value) for value in row] for row in table.rows]
    if out.isatty():
        _write_rich(out, table, rows)
        return
    if table.title:
        out.write(f"{table.title}\n")
    lines = [[heading.upper() for heading in table.columns], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(table.columns))]
    for line in lines:
        out.write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n")


def _write_rich(out: IO[str], table: Table, rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    # Text objects throughout: a string would be read as markup, and `[red]` from an agent is six characters.
    console = Console(file=out, markup=False, highlight=False, emoji=False)
    if table.title:
        console.print(Text(table.title, style="bold"))
    shown = RichTable(box=box.SIMPLE_HEAD)
    for at, heading in enumerate(table.columns):
        whole = max((len(row[at]) for row in rows if _ID.fullmatch(row[at])), default=None)  # an id is copied whole
        shown.add_column(Text(heading, style="bold"), overflow="fold", min_width=whole)
    for row in rows:
        shown.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in row))
    console.print(shown)


@contextmanager
def progress(err: IO[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Show bars on a terminal; yields what is told, from any thread, the part, how much of it is done, and of what."""
    if not err.isatty():
        yield lambda part, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=err), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(part: str, done: int, total: int) -> None:
            if part not in tasks:
                tasks[part] = bar.add_task(part, total=total or None)
            bar.update(tasks[part], completed=done, total=total or None)

        yield tell


def progress_over(items: Iterable[T], total: int | None, label: str, err: IO[str]) -> Iterator[T]:
    """Yield `items`, with a bar on a terminal."""
    with progress(err) as tell:
        for number, item in enumerate(items):
            if number % 256 == 0:
                tell(label, number, total or 0)
            yield item


def problem(what: str, why: str, fix: str) -> str:
    """Return the three parts of an error as lines."""
    lines = [visible(what), *(f"  {name}  {visible(text)}" for name, text in (("why", why), ("fix", fix)) if text)]
    return "\n".join(lines) + "\n"


def finding_lines(row: str, column: int) -> list[str]:
    """Return a line of a page and a caret line under its `column` (from 1), both within 100 characters."""
    start = max(0, min(column - 1 - 60, len(row) - 100))
    part = row[start : start + 100]
    shown = [visible(mark) for mark in part]
    before = "".join(shown[: max(0, column - 1 - start)])
    return [f"    {''.join(shown)}", f"    {' ' * _width(before)}^"]


def _width(text: str) -> int:
    """Return how many cells a terminal gives `text`."""
    wide = sum(unicodedata.east_asian_width(mark) in ("W", "F") for mark in text)
    return len(text) + wide - sum(unicodedata.category(mark) in ("Mn", "Me") for mark in text)
