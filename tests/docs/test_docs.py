# SPDX-License-Identifier: Apache-2.0
"""The documentation says what the code does: links lead somewhere, commands exist, and no code is left out."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs import codes, generate
from signoff.core.authority import envelope, tool_reading
from signoff.core.authority.contract import load_contract
from signoff.core.authority.envelope import load_envelope
from signoff.core.authority.page import Severity
from signoff.surfaces.cli.check import CONTRACT, ENVELOPE
from signoff_sample.invoices import __file__ as invoices_file

ROOT = generate.ROOT
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAMPLE = Path(invoices_file).parent / "agent-execution-policy.yaml"


def text_of(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def headings(page: Path) -> list[str]:
    """Return the headings of a page, without those in fenced blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the fragment under which a heading is linked."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A link into another page names a heading that is there."""
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        known = [anchor(one) for one in headings(there)] if there.suffix == ".md" and there.is_file() else []
        if not there.exists() or (fragment and fragment not in known):
            broken.append(target)
    assert broken == []


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    """Whoever follows links from the README finds every page."""
    found, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in found or not page.exists():
            continue
        found.add(page)
        if page.is_dir():
            left += page.glob("*.md")
        elif page.suffix == ".md":
            names = [one.partition("#")[0] for one in LINK.findall(page.read_text(encoding="utf-8"))]
            left += [(page.parent / name).resolve() for name in names if name and ":" not in name]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in found] == []


# --- what follows from code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_parts_are_what_the_code_says_now(name: str) -> None:
    """After a change of code, `make docs` brings the pages up to date."""
    page = text_of("docs", name)
    assert page == generate.written(page), "run `make docs`"


def test_every_generated_part_stands_in_one_page() -> None:
    """None is written twice or forgotten."""
    found = [block for name in generate.PAGES for _, block, _ in generate.MARK.findall(text_of("docs", name))]
    assert sorted(found) == sorted(generate.BLOCKS)


def test_every_error_code_has_its_heading_and_no_heading_is_stale() -> None:
    """So that the `type` of a problem document leads to what it means."""
    errors, findings = codes.error_codes()
    assert len(errors) > 60 and len(findings) > 30, "the collection itself is broken"
    said = re.findall(r"^### `([a-z_.0-9]+)`$", text_of("docs", "errors.md"), re.MULTILINE)
    assert sorted(said) == sorted(errors | findings)


def test_every_reason_has_its_heading_and_no_heading_is_stale() -> None:
    """A refusal is data, and each word of it is explained."""
    said = re.findall(r"^### reason `([a-z_]+)`$", text_of("docs", "errors.md"), re.MULTILINE)
    assert sorted(said) == sorted(codes.reasons())


def test_every_entry_on_errors_says_when_and_how_to_mend() -> None:
    """A heading alone explains nothing."""
    parts = re.split(r"^### ", text_of("docs", "errors.md"), flags=re.MULTILINE)[1:]
    bare = [part.split("\n")[0] for part in parts if not re.search(r"\n\n\S.+\n\*(Mend|Then):\* \S", part)]
    assert bare == []


def test_a_code_that_is_put_together_must_be_spelled_out() -> None:
    """The collection refuses what it cannot read."""
    value = ast.parse("f'{kind}.unknown'", mode="eval").body
    with pytest.raises(ValueError, match="spell out"):
        codes._spelled(value, {}, codes.SOURCE / "core" / "errors.py")


def test_every_file_and_function_that_the_architecture_names_is_there() -> None:
    """The path of an action is told with real names."""
    source, missing = ROOT / "src" / "signoff", []
    for path, name in re.findall(r"`((?:\w+/)+\w*(?:\.py)?)(?:::(\w+))?`", text_of("docs", "ARCHITECTURE.md")):
        file = source / path if (source / path).exists() else ROOT / path
        if not file.exists():
            missing.append(path)
        elif name:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            if name not in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}:
                missing.append(f"{path}::{name}")
    assert missing == []


def test_every_variable_of_the_environment_is_documented() -> None:
    """And none that is not read."""
    read = set()
    for path in (ROOT / "src").rglob("*.py"):
        read.update(re.findall(r"\"(SIGNOFF_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    said = set(re.findall(r"^\| `(SIGNOFF_[A-Z_]+)`", text_of("docs", "reference", "settings.md"), re.MULTILINE))
    assert said == read


def test_every_key_of_an_envelope_and_a_contract_is_documented() -> None:
    """Kept, inert or refused: each stands on the page of pages."""
    page = text_of("docs", "reference", "pages.md")
    keys = {*envelope.NAMED, *envelope.NOT_ENFORCED, *envelope.INERT, *tool_reading.KEYS}
    said = set(re.findall(r"`([\w.]+)`", page))
    assert {key for key in keys if key not in said and not any(one.startswith(f"{key}.") for one in said)} == set()
    inert = set(re.findall(r"^\| `([\w.]+)` \|[^|]*\| \*\*inert\*\*", page, re.MULTILINE))
    assert inert == set(envelope.INERT)


# --- decisions -----------------------------------------------------------------------------------------------------


ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))


@pytest.mark.parametrize("page", ADRS, ids=[page.stem for page in ADRS])
def test_a_decision_is_one_page_with_its_options_and_what_would_reopen_it(page: Path) -> None:
    """Context, options with good and bad, decision, and when to look again."""
    text = page.read_text(encoding="utf-8")
    assert headings(page)[1:] == ["Context", "Options", "Decision", "We reopen this when"]
    assert text.startswith(f"# {page.stem[:4]}. ")
    assert text.count("- Good, because") >= 2 and text.count("- Bad, because") >= 2
    assert len(text.split("\n")) <= 80


def test_decisions_are_numbered_without_gaps_and_every_mention_exists() -> None:
    """Code and pages name decisions by number."""
    numbers = [page.stem[:4] for page in ADRS]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    sources = [*(ROOT / "src").rglob("*.py"), ROOT / "pyproject.toml", *PAGES]
    mentioned = {one for path in sources for one in re.findall(r"(?:ADR |adr/)(\d{4})", path.read_text("utf-8"))}
    assert mentioned <= set(numbers)


def test_every_direct_dependency_has_its_reason() -> None:
    """What is installed is what somebody decided on."""
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    listed = project["dependencies"] + project["optional-dependencies"]["fast"]
    page = text_of("docs", "adr", "0009-locked-requirements.md")
    names = [re.split(r"[<>=\[]", one)[0] for one in listed]
    assert [name for name in names if f"`{name}`" not in page] == []


# --- examples ------------------------------------------------------------------------------------------------------


@cache
def known_commands() -> dict[str, Any]:
    return dict(generate.commands())


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield where a command line of ours stands, and its words."""
    for page in PAGES:
        for kind, block in FENCE.findall(page.read_text(encoding="utf-8")):
            for line in block.split("\n") if kind in ("sh", "console") else ():
                for part in line.removeprefix("$ ").split(" && "):
                    if part.startswith(("signoff ", "make ")):
                        yield f"{page.relative_to(ROOT)}: {part}", shlex.split(part, comments=True)


LINES = list(command_lines())


@pytest.mark.parametrize("words", [words for _, words in LINES], ids=[where for where, _ in LINES])
def test_every_command_in_the_documentation_exists_with_its_options(words: list[str]) -> None:
    """A line that is copied into a terminal is understood there."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", text_of("Makefile"), re.MULTILINE)
        return
    own = words[1:]
    size = next(size for size in (2, 1, 0) if " ".join(own[:size]) in known_commands() or size == 0)
    assert size, f"there is no command {own[0]}"
    command = known_commands()[" ".join(own[:size])]
    options = {name: one for one in command.params for name in one.opts if name.startswith("-")}
    rest, given, arguments = list(own[size:]), set(), 0
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            arguments += 1
            continue
        assert word in options, f"{word} is no option of {' '.join(own[:size])}"
        given.update(options[word].opts)
        if not options[word].is_flag:
            assert rest, f"{word} takes a value"
            rest.pop(0)
    takes = [one for one in command.params if "Argument" in type(one).__name__]
    most = sum(one.nargs if one.nargs > 0 else 1000 for one in takes)
    assert sum(one.required for one in takes) <= arguments <= most
    required = [one for one in command.params if one.required and one not in takes]
    assert [one.opts for one in required if not given & set(one.opts)] == []


def test_the_documentation_has_commands_to_check() -> None:
    """The check above looks at something."""
    assert len(LINES) > 40


@pytest.mark.parametrize("name", ["envelope", "contract"])
def test_the_examples_of_the_pages_load(name: str) -> None:
    """What is shown can be copied: the short envelope byte for byte as it ships."""
    yamls = [block for kind, block in FENCE.findall(text_of("docs", "reference", "pages.md")) if kind == "yaml"]
    shown = next(block for block in yamls if ("workflow:" in block) == (name == "envelope"))
    if name == "envelope":
        assert shown == SAMPLE.read_text(encoding="utf-8")
        loaded: object = load_envelope(shown, "shown.yaml")[0]
    else:
        loaded, findings = load_contract(shown, "shown.yaml")
        assert [str(one) for one in findings] == []
    assert loaded is not None


def test_what_ships_loads_together_and_so_does_what_init_writes() -> None:
    """The sample's envelope with the sample's contract, and the two files of `signoff init`."""
    contract = (SAMPLE.parents[1] / "erp" / "contract.yaml").read_text(encoding="utf-8")
    for page, system in ((SAMPLE.read_text(encoding="utf-8"), contract), (ENVELOPE, CONTRACT)):
        tools, findings = load_contract(system, "contract.yaml")
        assert tools is not None, findings
        _, findings = load_envelope(page, "envelope.yaml", tools.tools)
        assert [str(one) for one in findings if one.severity is Severity.ERROR] == []


def test_python_examples_parse_and_use_what_the_sdk_offers() -> None:
    """An example imports only what is there."""
    import signoff_sdk

    blocks = [block for page in PAGES for kind, block in FENCE.findall(page.read_text("utf-8")) if kind == "python"]
    assert blocks
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "signoff_sdk":
                assert {one.name for one in node.names} <= set(signoff_sdk.__all__)


def test_each_fragment_of_a_change_is_named_by_its_kind() -> None:
    """`changes/README.md` says how."""
    kinds = ("added", "changed", "fixed", "removed", "security")
    wrong = [
        page.name
        for page in (ROOT / "changes").iterdir()
        if page.name != "README.md" and not re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(kinds)})\.md", page.name)
    ]
    assert wrong == []
