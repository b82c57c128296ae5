# SPDX-License-Identifier: Apache-2.0
"""Broken pages: none raises, each that does not load says why and where, and none quietly means something else."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from signoff.core.authority.contract import load_contract
from signoff.core.authority.envelope import READABLE, Envelope, load_envelope
from signoff.core.authority.page import Finding, Severity
from tests.core.authority.bent import Fate
from tests.core.authority.bent import bend as bend_text
from tests.core.authority.test_rule_check import DESCRIPTIONS, tools

PAGES = Path(__file__).parent / "pages"
SEED = int(os.environ.get("SIGNOFF_FUZZ_SEED", "20260301"))
ROUNDS = 300
MUTATIONS = 2000 if "SIGNOFF_ROUNDS" in os.environ else 200  # all of them in `make prove`
CONTRACT, _ = load_contract((PAGES / "contract.yaml").read_bytes(), "contract.yaml")

JUNK: list[Any] = [
    None, True, -1, 0, 2**70, 1.5, float("nan"), "", " ", "x" * 5000, [], {}, [[]], {"a": {}}, ["a", "a"], "\u2028",
    "args.", "key", "sha256:", "60s", "-1s", "1e400", "0.0000001", "2026-13-99", "🦊", "null", "[", "!!x", "\x07",
]  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in the tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return ([path] if path else []) + [place for key, item in inner for place in places(item, (*path, key))]


def bend(chance: random.Random, tree: Any) -> str:
    """Return the page with one to three values dropped, retyped, renamed, doubled or buried, written as JSON."""
    for _ in range(chance.randint(1, 3)):
        path = chance.choice(places(tree) or [()])
        if not path:
            break
        parent = tree
        for step in path[:-1]:
            parent = parent[step]
        key = path[-1]
        match chance.randrange(5):
            case 0:
                del parent[key]
            case 1:
                parent[key] = chance.choice(JUNK)
            case 2 if isinstance(parent, dict):
                name = str(key)
                at = chance.randrange(len(name) + 1)
                parent[name[:at] + chance.choice("xX_ \u00e9\n") + name[at + 1 :]] = parent.pop(key)
            case 3:
                for _ in range(chance.choice([1, 5, 40])):
                    parent[key] = [parent[key]] if chance.random() < 0.5 else {"x": parent[key]}
            case _:
                parent[key] = chance.choice(JUNK) if isinstance(parent[key], dict | list) else [parent[key]] * 3
    return json.dumps(tree, default=str, ensure_ascii=chance.random() < 0.5)


def cut(chance: random.Random, source: bytes) -> bytes:
    """Return the bytes with one to four of them cut, doubled, replaced or swelled."""
    for _ in range(chance.randint(1, 4)):
        rows = source.split(b"\n")
        at, row = chance.randrange(len(source) or 1), chance.randrange(len(rows))
        match chance.randrange(8):
            case 0:
                source = source[:at]
            case 1:
                source = source[:at] + source[at + chance.randint(1, 30) :]
            case 2:
                source = source[:at] + bytes([chance.randrange(256)]) + source[at:]
            case 3:
                source = (
                    source[:at]
                    + chance.choice([b"\t", b"\x00", b"\xff", b"\r", b"\x85", b"&a ", b"*a", b"!!x "])
                    + source[at:]
                )
            case 4:
                rows.insert(chance.randrange(len(rows)), rows[row])
                source = b"\n".join(rows)
            case 5:
                del rows[row]
                source = b"\n".join(rows)
            case 6:
                rows[row] = chance.choice([b" ", b"   ", b"\t"]) + rows[row]
                source = b"\n".join(rows)
            case _:
                source = (
                    source[:at]
                    + chance.choice([b"[", b"{a: ", b"- ", b"? ", b"'", b'"', b"---\n"]) * chance.choice([1, 50, 3000])
                    + source[at:]
                )
    return source


def envelope(source: str | bytes) -> tuple[Any, list[Finding]]:
    assert CONTRACT is not None
    return load_envelope(source, "page.yaml", CONTRACT.tools, one_page=True)


def wide(source: str | bytes) -> tuple[Envelope | None, list[Finding]]:
    return load_envelope(source, "page.yaml", tools(), descriptions=DESCRIPTIONS, kept=READABLE)


def meaning(envelope: Envelope) -> Envelope:
    """Return what a page means, whatever its bytes are; how a condition is broken into rows means nothing."""
    rules = tuple(replace(one, when=replace(one.when, text=" ".join(one.when.text.split()))) for one in envelope.rules)
    return replace(envelope, text="", digest="", lines={}, rules=rules)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("short.yaml", envelope),
        ("long.yaml", envelope),
        ("wide.yaml", wide),
        ("contract.yaml", lambda source: load_contract(source, "page.yaml")),
    ],
)
def test_no_broken_page_raises_and_each_says_why_it_does_not_load(
    name: str, load: Callable[[str | bytes], tuple[Any, list[Finding]]]
) -> None:
    print(f"seed {SEED}; set SIGNOFF_FUZZ_SEED for another")
    chance = random.Random(f"{SEED}/{name}")
    whole = (PAGES / name).read_bytes()
    refused = 0
    rounds = ROUNDS // 3 if name == "wide.yaml" else ROUNDS
    for round_ in range(rounds):
        broken: str | bytes
        if round_ % 2:
            broken = cut(chance, whole)
        else:
            broken = bend(chance, YAML(typ="safe", pure=True).load(StringIO(whole.decode())))
        value, findings = load(broken)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        assert (value is None) is bool(errors), (round_, broken)
        refused += value is None
        for finding in findings:
            assert finding.line >= 1 and finding.column >= 1 and finding.file == "page.yaml"
            assert finding.code and finding.what and finding.why and finding.fix
            assert len(str(finding)) < 2000 and str(finding).isprintable(), (round_, finding)
    assert refused > rounds // 2


def test_a_mutated_page_loads_to_the_same_meaning_or_is_refused_with_a_line() -> None:
    """Slips, lookalikes, wrong types, lost marks, other forms: 2,000 of them where there is time."""
    print(f"seed {SEED}; set SIGNOFF_FUZZ_SEED for another")
    chance = random.Random(f"{SEED}/meaning")
    whole = (PAGES / "wide.yaml").read_text(encoding="utf-8")
    before, findings = wide(whole)
    assert before is not None, [str(one) for one in findings]
    assert [one.code for one in findings if one.code != "envelope.no_effect"] == []
    seen: Counter[tuple[str, bool]] = Counter()
    for round_ in range(MUTATIONS):
        bent = bend_text(chance, whole)
        after, findings = wide(bent.text)
        told = f"round {round_}, {bent.how}, line {bent.line}:\n{bent.text}\n" + "\n".join(map(str, findings))
        errors = [one for one in findings if one.severity is Severity.ERROR]
        seen[bent.how, after is not None] += 1
        if after is not None:
            assert bent.fate is not Fate.REFUSED, told
            assert meaning(after) == meaning(before), told
        else:
            assert bent.fate is not Fate.SAME, told
            assert all(1 <= one.line <= bent.text.count("\n") + 1 and one.column >= 1 for one in errors), told
            assert bent.line is None or bent.line in {one.line for one in errors}, told
    print(dict(sorted(seen.items())))
    assert len({how for how, _ in seen}) >= 15
