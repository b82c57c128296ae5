# SPDX-License-Identifier: Apache-2.0
"""Bend an envelope as people and editors do, and say of each bend what may come of it.

`SAME`: only the form changed, so that the page means what it meant. `REFUSED`: it cannot be meant, and is told.
`EITHER`: it is read as it was meant, or refused; what never happens is that it quietly means something else.

A page that is cut off between two keys is a page too, and is not here: nothing could tell it from one that ends there.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from signoff.core.authority.page import Node, Page, read_page


class Fate(Enum):
    """What may come of a bend."""

    SAME = "same"
    REFUSED = "refused"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Bent:
    """A bent page; `line` is where it was bent, and where an error has to be told, if any is known."""

    how: str
    text: str
    fate: Fate
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A key or a scalar of the page."""

    path: str
    node: Node
    is_key: bool
    in_flow: bool = False

    @property
    def name(self) -> str:
        return re.sub(r"\[\d+\]$", "", self.path).rpartition(".")[2]


FREE_KEYS: Final = re.compile(r"models\.|facts\.[^.]+$|facts\.\w+\.args\.|provenance\.")
WORDS: Final = {"mode", "then", "normal", "on_timeout", "per", "do", "redact_pii", "step_up"}
EXPRESSIONS: Final = {"when", "sum", "per", "vendor_id"}
DURATIONS: Final = {"window", "max_age", "expires", "not_reopened_within"}
NUMBERS: Final = {
    "format", "max_tokens_per_task", "max_tool_calls", "hard_cost_cap_usd", "count", "max", "max_identical_calls",
    "max_denials", "max_steps", "max_run_seconds", "store_transcripts_days", "usd", "at",
    "block_on_prompt_injection_score_gte",
}  # fmt: skip
LOOKS_LIKE: Final = {"a": "\u0430", "e": "\u0435", "o": "\u043e", "p": "\u0440", "c": "\u0441", "i": "\u0456"}
UNSEEN: Final = ["\u202e", "\u2066", "\x07", "\ufffe"]


def bend(chance: random.Random, text: str) -> Bent:
    """Return the page bent in one way."""
    page, _ = read_page(text, "page.yaml")
    assert page is not None
    while True:
        how = chance.choice(BENDS)
        if (bent := how(chance, page)) is not None and bent.text != text:
            return bent


def spots(node: Node, path: str = "", *, is_flow: bool = False) -> Iterator[Spot]:
    """Yield each key and each scalar value."""
    if node.kind == "scalar":
        yield Spot(path, node, is_key=False, in_flow=is_flow)
    for index, item in enumerate(node.items):
        yield from spots(item, f"{path}[{index}]", is_flow=is_flow)
    for key, value in node.pairs:
        inner = f"{path}.{key.text}" if path else key.text
        yield Spot(inner, key, is_key=True, in_flow=is_flow)
        yield from spots(value, inner, is_flow=is_flow or (value.kind != "scalar" and value.line == key.line))


def replaced(page: Page, node: Node, written: str) -> str | None:
    """Return the page with one scalar written otherwise; None if it does not stand on one row as it is."""
    rows = list(page.lines)
    row, at = rows[node.line - 1], node.column - 1
    mark = node.style if node.style in ("'", '"') else ""
    if node.style not in ("", "'", '"') or not row.startswith(f"{mark}{node.text}{mark}", at):
        return None
    rows[node.line - 1] = row[:at] + written + row[at + len(node.text) + 2 * len(mark) :]
    return "\n".join(rows)


def mistyped(chance: random.Random, word: str) -> str:
    """Return a word with one letter lost, doubled, swapped or of another case."""
    at = chance.randrange(len(word))
    rest = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] * 2 + word[at + 1 :],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        word[:at] + word[at].swapcase() + word[at + 1 :],
        word + chance.choice("sx_"),
    ]
    return chance.choice([one for one in rest if one != word and one.strip()] or [word + "x"])


def _pick(chance: random.Random, page: Page, keep: Callable[[Spot], bool]) -> Spot | None:
    found = [spot for spot in spots(page.root) if keep(spot)]
    return chance.choice(found) if found else None


def _is_word(spot: Spot) -> bool:
    return not spot.is_key and spot.name in WORDS and spot.node.text.replace("_", "").isalpha()


def _is_tool(spot: Spot) -> bool:
    return not spot.is_key and spot.node.text.startswith("erp.")


def _is_fixed_key(spot: Spot) -> bool:
    return spot.is_key and not FREE_KEYS.match(spot.path)


def _is_expression(spot: Spot) -> bool:
    text = spot.node.text
    return not spot.is_key and bool(re.search(r"\b(args|facts|principal|action|run)\.", text))


def _written(spot: Spot, text: str) -> str:
    mark = spot.node.style if spot.node.style in ("'", '"') else ""
    return f"{mark}{text}{mark}"


def mistyped_name(chance: random.Random, page: Page) -> Bent | None:
    """A key, a word of a list of words, or a tool, with a slip of the finger."""
    spot = _pick(chance, page, lambda one: _is_fixed_key(one) or _is_word(one) or _is_tool(one))
    if spot is None:
        return None
    text = mistyped(chance, spot.node.text)
    if text.lower() in ("true", "false") and text in ("True", "TRUE", "False", "FALSE", "true", "false"):
        return None
    changed = replaced(page, spot.node, _written(spot, text))
    return Bent("mistyped", changed, Fate.REFUSED, spot.node.line) if changed else None


def mistyped_field(chance: random.Random, page: Page) -> Bent | None:
    """A name inside an expression, with a slip of the finger."""
    spot = _pick(chance, page, _is_expression)
    if spot is None:
        return None
    names = list(re.finditer(r"(?<!['\w.])(?:args|facts|principal|action|run)(?:\.\w+)+", spot.node.text))
    found = chance.choice(names)
    parts = found[0].split(".")
    at = chance.randrange(len(parts))
    parts[at] = mistyped(chance, parts[at])
    text = spot.node.text[: found.start()] + ".".join(parts) + spot.node.text[found.end() :]
    if spot.node.style == ">":
        return Bent("field", page.text.replace(found[0], ".".join(parts), 1), Fate.REFUSED)
    changed = replaced(page, spot.node, _written(spot, text))
    return Bent("field", changed, Fate.REFUSED, spot.node.line) if changed else None


def disguised(chance: random.Random, page: Page) -> Bent | None:
    """A letter that looks like another, or that is not seen at all."""
    spot = _pick(chance, page, lambda one: _is_fixed_key(one) or _is_word(one) or _is_tool(one))
    if spot is None:
        return None
    word = spot.node.text
    alike = [at for at, letter in enumerate(word) if letter in LOOKS_LIKE]
    if alike and chance.random() < 0.6:
        at = chance.choice(alike)
        word = word[:at] + LOOKS_LIKE[word[at]] + word[at + 1 :]
    else:
        at = chance.randrange(len(word) + 1)
        word = word[:at] + chance.choice([*UNSEEN, "\u200b", "\u00ad", "\u0301"]) + word[at:]
    changed = replaced(page, spot.node, _written(spot, word))
    return Bent("disguised", changed, Fate.REFUSED) if changed else None


def retyped(chance: random.Random, page: Page) -> Bent | None:
    """A value in a list, in a map, or in quotes where a number is meant."""
    spot = _pick(chance, page, lambda one: not one.is_key and one.name != "version")
    if spot is None:
        return None
    written = _written(spot, spot.node.text)
    forms = [f"[{written}]", f"{{a: {written}}}"]
    forms += [f'"{spot.node.text}"'] if spot.name in NUMBERS else []
    changed = replaced(page, spot.node, chance.choice(forms))
    return Bent("retyped", changed, Fate.REFUSED, spot.node.line) if changed else None


def marked(chance: random.Random, page: Page) -> Bent | None:
    """An anchor, a tag or an alias before a value."""
    spot = _pick(chance, page, lambda one: not one.is_key)
    if spot is None:
        return None
    written = _written(spot, spot.node.text)
    mark = chance.choice([f"&a {written}", f"!!str {written}", f"!mine {written}", "*a"])
    changed = replaced(page, spot.node, mark)
    return Bent("marked", changed, Fate.REFUSED, spot.node.line) if changed else None


def doubled_key(chance: random.Random, page: Page) -> Bent | None:
    """A key with its value a second time."""
    rows = list(page.lines)
    plain = [at for at, row in enumerate(rows) if re.match(r"\s*[\w.]+: [^>\[{]*$", row)]
    if not plain:
        return None
    at = chance.choice(plain)
    rows.insert(at + 1, rows[at])
    return Bent("doubled", "\n".join(rows), Fate.REFUSED, at + 2)


def doubled_entry(chance: random.Random, page: Page) -> Bent | None:
    """An entry of a list a second time."""
    rows = list(page.lines)
    entries = [
        at for at, row in enumerate(rows) if re.match(r"\s+- ([\"'\w{].*[\"'\w}])$", row) and ": " not in row[:9]
    ]
    if not entries:
        return None
    at = chance.choice(entries)
    rows.insert(at + 1, rows[at])
    return Bent("entry", "\n".join(rows), Fate.EITHER)


def renumbered(chance: random.Random, page: Page) -> Bent | None:
    """The same number as others write it."""
    spot = _pick(chance, page, lambda one: not one.is_key and one.name in NUMBERS)
    if spot is None:
        return None
    text = spot.node.text
    forms = [f"+{text}", f"0{text}", f"{text}.0", f"{text}e0", f"{text}_0", f"'{text}'", f"{text},0", f"0x{text}",
             f"{text} USD", f"{text}0e-1", f".{text}", f"{text}.", "~", "", ".inf", f"-{text}"]  # fmt: skip
    changed = replaced(page, spot.node, chance.choice(forms))
    return Bent("number", changed, Fate.EITHER) if changed else None


def rescaled(chance: random.Random, page: Page) -> Bent | None:
    """The same time as others write it."""
    spot = _pick(chance, page, lambda one: not one.is_key and one.name in DURATIONS)
    if spot is None:
        return None
    text = spot.node.text
    number, unit = text[:-1], text[-1]
    forms = [f"{number} {unit}", text.upper(), f"P{text.upper()}", number, f"{text}rs", f"0{text}", f'"{text}"',
             "1d12h", f"-{text}", f"{number}.0{unit}", f"{number}{unit}{unit}"]  # fmt: skip
    if unit == "h":
        forms.append(f"{int(number) * 60}m")
    changed = replaced(page, spot.node, chance.choice(forms))
    return Bent("time", changed, Fate.EITHER) if changed else None


def moved(chance: random.Random, page: Page) -> Bent | None:
    """A row further in or out, or behind a tab."""
    rows = list(page.lines)
    at = chance.randrange(len(rows))
    if not rows[at].strip() or rows[at].lstrip().startswith("#"):
        return None
    by = chance.choice([" ", "  ", "    ", "\t", None])
    if by is None and not rows[at].startswith(" "):
        return None
    rows[at] = rows[at].removeprefix(chance.choice([" ", "  "])) if by is None else by + rows[at]
    return Bent("moved", "\n".join(rows), Fate.EITHER)


def unpunctuated(chance: random.Random, page: Page) -> Bent | None:
    """A mark of YAML's own lost or doubled; never one inside a text."""
    taken: set[tuple[int, int]] = set()
    for spot in spots(page.root):
        long = len(spot.node.text) + 2 * (spot.node.style in ("'", '"'))
        taken |= {(spot.node.line, spot.node.column + at) for at in range(long)}
        if spot.node.style == ">":
            taken |= {(spot.node.line + down, at) for down in (1, 2) for at in range(1, 200)}
    marks = [
        (line, at)
        for line, row in enumerate(page.lines, start=1)
        for at, char in enumerate(row, start=1)
        if char in "[]{},:" and (line, at) not in taken and not row.lstrip().startswith("#")
    ]
    line, at = chance.choice(marks)
    rows = list(page.lines)
    row = rows[line - 1]
    rows[line - 1] = row[: at - 1] + chance.choice(["", row[at - 1] * 2, chance.choice("[]{},:")]) + row[at:]
    return Bent("mark", "\n".join(rows), Fate.EITHER)


def requoted(chance: random.Random, page: Page) -> Bent | None:
    """A text in other quotes, or in none."""
    spot = _pick(
        chance,
        page,
        lambda one: (
            not re.search(r"['\"\\]", one.node.text)
            and one.name
            not in NUMBERS | {"redact_pii", "step_up", "distinct_from_requester", "write_actions_require_approval"}
        ),
    )
    if spot is None:
        return None
    marks = ["'", '"'] + ([""] if re.fullmatch(r"[A-Za-z][\w.@-]*", spot.node.text) else [])
    mark = chance.choice(marks)
    changed = replaced(page, spot.node, f"{mark}{spot.node.text}{mark}")
    return Bent("quotes", changed, Fate.SAME) if changed else None


def commented(chance: random.Random, page: Page) -> Bent | None:
    """An empty row or a note before a key of the top, or other ends of rows."""
    if chance.random() < 0.2:
        return chance.choice([Bent("bom", "\ufeff" + page.text, Fate.SAME),
                              Bent("crlf", page.text.replace("\n", "\r\n"), Fate.SAME)])  # fmt: skip
    rows = list(page.lines)
    tops = [at for at, row in enumerate(rows) if re.match(r"[a-z]", row)]
    at = chance.choice(tops)
    rows.insert(at, chance.choice(["", "# mode: suggest", "   ", "# - {id: x, then: deny}"]))
    return Bent("comment", "\n".join(rows), Fate.SAME)


def reordered(chance: random.Random, page: Page) -> Bent | None:
    """The keys of the top in another order; also `facts` after the rules that name them."""
    blocks: list[list[str]] = []
    for row in page.lines:
        if re.match(r"[a-z]", row) or not blocks:
            blocks.append([])
        blocks[-1].append(row)
    chance.shuffle(blocks)
    return Bent("order", "\n".join(row for block in blocks for row in block if row) + "\n", Fate.SAME)


def restyled(chance: random.Random, page: Page) -> Bent | None:
    """The whole page as one flow map, or every map and list on rows of their own."""
    text = _flow(page.root) if chance.random() < 0.5 else _block(page.root, "")
    return Bent("style", text + "\n", Fate.SAME)


def appended(chance: random.Random, page: Page) -> Bent | None:
    """Something behind the end."""
    tail = chance.choice(["---\nworkflow: other\n", "...\n---\n", "%YAML 1.1\n---\n", "mode: suggest\n", "<<: {a: b}\n",
                          "limits: []\n", "]\n", "- x\n", "exceptions: all\n"])  # fmt: skip
    return Bent("tail", page.text + tail, Fate.REFUSED)


def _scalar(node: Node) -> str:
    if node.style == "" and re.fullmatch(r"[\w.@/:-]+", node.text):
        return node.text
    return '"' + node.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flow(node: Node) -> str:
    if node.kind == "list":
        return f"[{', '.join(map(_flow, node.items))}]"
    if node.kind == "map":
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(value)}" for key, value in node.pairs) + "}"
    return _scalar(node)


def _block(node: Node, indent: str) -> str:
    if node.kind == "scalar":
        return _scalar(node)
    lead = "\n" if indent else ""
    if node.kind == "list":
        return lead + "\n".join(f"{indent}-{_after(item, indent + '  ')}" for item in node.items)
    return lead + "\n".join(f"{indent}{_scalar(key)}:{_after(value, indent + '  ')}" for key, value in node.pairs)


def _after(node: Node, indent: str) -> str:
    written = _block(node, indent)
    return written if written.startswith("\n") else f" {written}"


BENDS: Final[tuple[Callable[[random.Random, Page], Bent | None], ...]] = (
    mistyped_name, mistyped_name, mistyped_name, mistyped_field, mistyped_field, disguised, retyped, retyped, marked,
    doubled_key, doubled_entry, renumbered, rescaled, moved, moved, unpunctuated, unpunctuated, requoted, requoted,
    commented, reordered, restyled, appended,
)  # fmt: skip
