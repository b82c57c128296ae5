# SPDX-License-Identifier: Apache-2.0
"""The decision: one pure call over values, all checks on, in this process.

What it is asked is what a node asks: the values are read by `app.action.bearing` from a real database, once. The plain
loop of ten comparisons beside it is what no engine can beat; the one CEL expression is what a written condition costs.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.peers import Peers
from benchmarks.row import Row, median, quantile, timed
from benchmarks.world import bench_node
from signoff.app.action.bearing import bearing
from signoff.app.action.runs import begin_run
from signoff.core.authority.bearing import Bearing
from signoff.core.authority.decision import Verdict
from signoff.core.authority.envelope import DAY_US
from signoff.core.authority.limit import Impact, Limit
from signoff.core.authority.names import names_of
from signoff.core.authority.policy import decide
from signoff.core.authority.rule import Names, compile_expression
from signoff.core.authority.rules import Rule, Then
from signoff.core.authority.spend import Scope, SpendCap, Spent

P50_US, P99_US = 12, 40
ARGS: Mapping[str, Any] = {"customer": "C-1", "text": "note", "amount_cents": 4000}
PEERS = ("cedarpy", "casbin", "agt_strings")


async def rows(*, quick: bool, peers: Peers | None) -> list[Row]:
    """Measure the decision, interleaved with a plain loop and one expression."""
    asked = await _asked()
    assert decide(asked, ARGS).verdict is Verdict.ALLOW
    more = frozenset({f"other.tool_{n}" for n in range(999)} | asked.envelope.allowed_tools)
    wide = replace(asked, envelope=replace(asked.envelope, allowed_tools=more))
    bounded = _bounded(asked)
    assert decide(bounded, ARGS).verdict is Verdict.ALLOW
    ruled, ruled_wide = _ruled(asked, 0), _ruled(asked, 990)
    assert decide(ruled, ARGS).verdict is decide(ruled_wide, ARGS).verdict is Verdict.ALLOW
    names = Names(roots=("args",))
    expression = compile_expression("args.amount_cents < 10000 && args.customer.startsWith('C-')", names)
    subjects: dict[str, Callable[[], object]] = {
        "ours": lambda: decide(asked, ARGS),
        "wide": lambda: decide(wide, ARGS),
        "bounded": lambda: decide(bounded, ARGS),
        "ruled": lambda: decide(ruled, ARGS),
        "ruled_wide": lambda: decide(ruled_wide, ARGS),
        "loop": lambda: _loop(ARGS),
        "cel": lambda: expression.holds({"args": ARGS}),
    }
    rounds, times = (3, 1000) if quick else (9, 4000)
    p50s: dict[str, list[float]] = {name: [] for name in subjects}
    p99s: dict[str, list[float]] = {name: [] for name in subjects}
    for call in subjects.values():
        timed(call, 500)
    for _ in range(rounds):
        for name, call in subjects.items():
            each = timed(call, times)
            p50s[name].append(quantile(each, 0.5) * 1e6)
            p99s[name].append(quantile(each, 0.99) * 1e6)
    p50 = {name: median(values) for name, values in p50s.items()}
    p99 = {name: median(values) for name, values in p99s.items()}
    count = len(decide(asked, ARGS).checks)
    loop, cel = "plain Python, ten comparisons", "one CEL expression"
    found = [
        Row("decision, p50", "µs", p50["ours"], P50_US, versus=cel, theirs=p50["cel"], note=f"{count} checks"),
        Row("decision, p99", "µs", p99["ours"], P99_US, versus=cel, theirs=p99["cel"]),
        Row("decision, p50, beside a plain loop", "µs", p50["ours"], versus=loop, theirs=p50["loop"]),
        Row("decision, p50, 999 other tools allowed", "µs", p50["wide"], P50_US, versus="one tool", theirs=p50["ours"]),
        Row("decision, p50, two limits, four caps", "µs", p50["bounded"], P50_US, versus="none", theirs=p50["ours"]),
    ]
    found += [
        Row("decision, ten rules, p50", "µs", p50["ruled"], P50_US, versus=cel, theirs=p50["cel"]),
        Row("decision, ten rules, p99", "µs", p99["ruled"], P99_US, versus=cel, theirs=p99["cel"]),
        Row("decision, ten rules of 1,000, p50", "µs", p50["ruled_wide"], versus="of ten", theirs=p50["ruled"]),
    ]
    for peer in PEERS if peers is not None else ():
        assert peers is not None
        theirs = peers.figure(f"{peer}_p50_us")
        name, note = f"decision, ten rules, p50, beside {peer}", peers.why(f"{peer}_p50_us")
        found.append(Row(name, "µs", p50["ruled"], theirs, versus=f"{peer}, ten rules", theirs=theirs, note=note))
    return found


def _bounded(asked: Bearing) -> Bearing:
    """Return the same under a page with limits and caps, summed as a transaction sums them, with room in each."""
    amount = compile_expression("args.amount_cents", Names(roots=("args",)))
    limits = tuple(Limit(f"day-{n}", asked.tool, amount, None, DAY_US, 10**6, Then.DENY) for n in range(2))
    caps = tuple(SpendCap(scope, DAY_US, 10**9) for scope in Scope)
    return replace(
        asked,
        envelope=replace(asked.envelope, limits=limits, spend=caps),
        impacts=tuple(Impact(limit, 4000, 1000) for limit in limits),
        spent=tuple(Spent(cap, 1000) for cap in caps),
    )


def _ruled(asked: Bearing, others: int) -> Bearing:
    """Return the same under a page with ten rules about the tool, none of which matches, and `others` about others."""
    names = names_of(())
    when = [
        compile_expression(f"args.amount_cents > {10_000 + nth} && run.environment != 'x'", names) for nth in range(10)
    ]
    mine = [Rule(f"mine-{nth}", asked.tool, condition, Then.APPROVE) for nth, condition in enumerate(when)]
    more = [Rule(f"other-{nth}", f"other.tool_{nth}", when[0], Then.DENY) for nth in range(others)]
    return replace(asked, envelope=replace(asked.envelope, rules=(*mine, *more)))


async def _asked() -> Bearing:
    """Return what bears on a note, read as a proposal reads it."""
    async with bench_node() as bench:
        world, agent = bench.world, bench.agent
        run, _ = await begin_run(world, agent, "notes", "bench")
        pages = await world.storage.view("default", world.shelf.pages)
        known = pages.tool("book.note")
        assert known is not None
        await world.systems.look(known[1].server)
        return await world.storage.view(
            "default", lambda tx: bearing(world, tx, run, "book.note", "tag", "", agent.epoch, None)
        )


TOOLS = [f"book.tool_{n}" for n in range(9)]


def _loop(args: Mapping[str, Any]) -> bool:
    """Answer the peers' question as ten comparisons in a row."""
    for nth, tool in enumerate(TOOLS):
        if tool == "book.note" and args["amount_cents"] > nth:
            return False
    return bool(args["amount_cents"] < 10000)
