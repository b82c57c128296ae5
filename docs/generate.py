# SPDX-License-Identifier: Apache-2.0
"""Write the parts of the documentation that follow from code: `make docs`, or `python -m docs.generate`.

A page marks its place with `<!-- generated: NAME -->` and `<!-- end: NAME -->`; what stands between is replaced.
`tests/docs/test_docs.py` fails where a page is not what this would write.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, cast

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = (
    "ARCHITECTURE.md",
    "reference/cli.md",
    "reference/http.md",
    "reference/metrics.md",
    "reference/pages.md",
    "reference/settings.md",
)
MARK: Final = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
COMMON: Final = ("--json", "--url", "--debug", "--help")


def states() -> str:
    """Return the table of states and moves, drawn from `MOVES`."""
    from signoff.core.action.lifecycle import CONCLUDED, FINAL, MOVES, State

    rows = []
    for state in State:
        kind = "final" if state in FINAL else "concluded" if state in CONCLUDED else ""
        rows.append((f"`{state}`", " ".join(f"`{after}`" for after in sorted(MOVES.get(state, ()))), kind))
    return _table(("State", "goes to", ""), rows)


def diagram() -> str:
    """Return the same as a diagram; states that only end are drawn as ends."""
    from signoff.core.action.lifecycle import FINAL, edges

    lines = ["```mermaid", "stateDiagram-v2", "  [*] --> proposed"]
    lines += [f"  {before} --> {after}" for before, after in edges()]
    lines += [f"  {state} --> [*]" for state in sorted(FINAL)]
    return "\n".join((*lines, "```"))


def checks() -> str:
    """Return the checks of a decision in their order: what each reads, what it can do, an example, when it is asked."""
    from docs.checks import EXAMPLES, does, name_of, reads
    from signoff.core.authority import policy

    rows = []
    for check in policy.PROPOSAL:
        asked = ["proposal"]
        asked += ["claim, edit"] if check in policy.CLAIM else []
        asked += ["reversal by a person"] if check in policy.REVERSAL else []
        name = name_of(check)
        example, reason = EXAMPLES[name]
        looked = ", ".join(f"`{one}`" for one in reads(check))
        told = f"{example}: [`{reason}`](errors.md#reason-{reason})"
        rows.append((f"`{name}`", _first_line(check.__doc__), looked, ", ".join(does(check)), told, ", ".join(asked)))
    return _table(("Check", "Holds when", "Reads", "Can", "Fires, for example, where", "Asked at"), rows)


def contracts() -> str:
    """Return the import contracts that the test run keeps."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return "\n".join(f"- {one['name']}." for one in project["tool"]["importlinter"]["contracts"])


def settings() -> str:
    """Return the options of `signoff serve`."""
    command = dict(commands())["serve"]
    rows = [(f"`{names}`", default, about) for names, default, about in _options(command)]
    return _table(("Option", "Default", "Meaning"), rows)


def node() -> str:
    """Return the fields of a node's settings, and what follows from them."""
    from signoff.settings import Settings

    rows = []
    for field in fields(Settings):
        default = "required" if field.default is MISSING and field.default_factory is MISSING else "computed"
        rows.append((f"`{field.name}`", default if field.default is MISSING else f"`{field.default}`"))
    example = Settings(data=Path("DATA"), failpoint="")
    rows += [(f"`{name}`", f"`{getattr(example, name)}`") for name in ("database", "keys", "mirror_directory")]
    return _table(("Setting", "Default"), rows)


def cli() -> str:
    """Return every command with its arguments and options."""
    lines = []
    for name, command in commands():
        if getattr(command, "hidden", False):
            continue
        arguments = " ".join(_shown(one) for one in command.params if _is_argument(one))
        lines.append(f"### `signoff {name}{' ' + arguments if arguments else ''}`\n\n{_first_line(command.help)}\n")
        if options := [f"| `{names}` | {default} | {about} |" for names, default, about in _options(command)]:
            lines += ["| Option | Default | |\n| --- | --- | --- |", *options, ""]
    return "\n".join(lines).rstrip()


def http() -> str:
    """Return every call of the HTTP API, by tag."""
    from signoff.app.world import World
    from signoff.surfaces.http.api import create_app

    described = create_app(cast("World", object())).description
    by_tag: dict[str, list[tuple[str, str, str]]] = {}
    for path, item in described["paths"].items():
        for method, operation in item.items():
            given = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "query"]
            about = " ".join(operation.get("description", "").split())
            row = (f"`{method.upper()} {path}`", " ".join(given), about)
            by_tag.setdefault(operation["tags"][0], []).append(row)
    parts = [f"### {tag}\n\n{_table(('Call', 'Query', 'Meaning'), rows)}" for tag, rows in by_tag.items()]
    return "\n\n".join(parts)


def metrics() -> str:
    """Return every metric."""
    from signoff.surfaces.http.metrics import Metrics

    rows = []
    for family in Metrics()._registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, family.documentation))
    return _table(("Metric", "Kind", "Meaning"), rows)


def envelope() -> str:
    """Return every key of an envelope, with an example that loads and one that is refused."""
    from docs.keys import KEYS
    from signoff.core.authority.envelope import INERT, NOT_ENFORCED

    rows = []
    for key in KEYS:
        meaning = key.meaning
        if key.path in INERT:
            meaning = f"**inert**: {INERT[key.path][1]}"
        elif key.path in NOT_ENFORCED:
            meaning = f"{meaning}; **refused** by this version, since nothing keeps it yet"
        rows.append((f"`{key.path}`", key.silent, meaning, f"`{key.good}`", f"`{key.bad}`"))
    return _table(("Key", "When silent", "Meaning", "Loads", "Refused"), rows)


def unkept() -> str:
    """Return the keys that are known and refused."""
    from signoff.core.authority.envelope import NOT_ENFORCED

    return "\n".join(f"- `{key}`: this version {why}." for key, why in NOT_ENFORCED.items())


BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    make.__name__: make
    for make in (states, diagram, checks, contracts, settings, node, cli, http, metrics, envelope, unkept)
}


def written(page: str) -> str:
    """Return a page with its generated parts made anew."""
    return MARK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", page)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command of the command line by its words, groups before their commands."""
    from typer.main import get_command

    from signoff.surfaces.cli import _app

    def below(group: Any, before: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            yield " ".join((*before, name)), command
            if hasattr(command, "commands"):
                yield from below(command, (*before, name))

    yield from below(get_command(_app(is_demo=True)), ())


def _options(command: Any) -> Iterator[tuple[str, str, str]]:
    for one in command.params:
        if _is_argument(one) or getattr(one, "hidden", False) or set(one.opts) & set(COMMON):
            continue
        default = "required" if one.required else _default(one.default)
        yield ", ".join(one.opts), default, (one.help or "").replace("|", "\\|")


def _default(value: Any) -> str:
    is_silent = value is None or value is False or value == "" or "UNSET" in repr(value).upper()
    return "" if is_silent else f"`{getattr(value, 'value', value)}`"


def _is_argument(one: Any) -> bool:
    return "Argument" in type(one).__name__


def _shown(one: Any) -> str:
    name = str(one.metavar or one.name.upper()).strip("[]{}")
    return name if one.required else f"[{name}]"


def _first_line(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> int:
    """Write every page; tells which changed."""
    for name in PAGES:
        path = ROOT / "docs" / name
        before = path.read_text(encoding="utf-8")
        if (after := written(before)) != before:
            path.write_text(after, encoding="utf-8")
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
