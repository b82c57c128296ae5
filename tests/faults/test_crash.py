# SPDX-License-Identifier: Apache-2.0
"""A node that is killed, at any edge and on either side of its commit, goes on as if nothing had been."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import books, checker, receipts
from benchmarks.faults.bench import MUST_BE_ZERO, random_round
from benchmarks.faults.plants import PLANTS
from benchmarks.faults.points import all_edges, edge_points, unreachable
from signoff.core.action.lifecycle import MOVES, State

ROOT = Path(__file__).parents[2]
WITHIN_S = 600


def bench(*options: str, work: Path) -> tuple[int, dict[str, Any], str]:
    """Run the bench as its user does; returns its exit code, its counts, and what it said of failing rounds."""
    command = [sys.executable, "-m", "benchmarks.faults", "--work", str(work), "--results", str(work / "results.jsonl")]
    ran = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S)
    return ran.returncode, json.loads(ran.stdout.splitlines()[-1]) if ran.stdout else {}, ran.stderr


@pytest.mark.faults
def test_a_node_killed_on_either_side_of_any_edge_goes_on_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    code, counts, said = bench("--edges-only", work=tmp_path)
    assert {name: counts[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0), said
    assert code == 0, said
    assert counts["edges_crossed"] == len(all_edges()) - len(unreachable())
    assert counts["kills"] >= len(edge_points())
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {point.name for point in edge_points()} <= {line["wanted"][0] for line in lines if line["wanted"]}


@pytest.mark.faults
@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_bug_makes_the_bench_fail(plant: str, tmp_path: Path) -> None:
    code, counts, said = bench("--plant", plant, work=tmp_path)
    assert code == 1, said
    assert any(counts[name] > 0 for name in PLANTS[plant].counts), (counts, said)


def test_every_edge_has_a_case() -> None:
    assert {point.name.split(":")[0] for point in edge_points()} == set(all_edges())
    assert unreachable() == {}


def test_the_checker_knows_of_signoff_only_the_ledger() -> None:
    own = ("signoff.ledger.", "benchmarks.faults.books", "benchmarks.faults.receipts")
    for module in (checker, books, receipts):
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            foreign = [name for name in names if name.split(".")[0] in ("signoff", "benchmarks")]
            assert all(name.startswith(own) for name in foreign)


def test_the_checker_s_own_table_of_states_is_that_of_the_product() -> None:
    """It is written twice on purpose; where the two part, one of them is wrong."""
    assert {state: set(after.split()) for state, after in checker.MOVES.items()} == {
        str(before): {str(after) for after in afters} for before, afters in MOVES.items()
    }
    assert checker.WRITTEN - {State.REVERSING} <= checker.CONCLUDED


def test_a_seed_draws_the_same_round_again() -> None:
    assert random_round(7, 3) == random_round(7, 3)
    assert random_round(7, 3) != random_round(7, 4)


def test_the_reference_names_every_count_every_planted_bug_and_every_edge_that_is_out_of_reach() -> None:
    text = (ROOT / "docs" / "reference" / "faults.md").read_text()
    for name in (*MUST_BE_ZERO, *PLANTS, *unreachable()):
        assert f"`{name}`" in text, name
    for name, plant in PLANTS.items():
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{count}`" in line for count in plant.counts), name
