# SPDX-License-Identifier: Apache-2.0
"""Read review windows, spend caps, the downgrade ladder and what "done" means off the long page."""

from typing import Final

from signoff.core.authority.done import Done
from signoff.core.authority.downgrade import Downgrade, Relief
from signoff.core.authority.hold import Hold
from signoff.core.authority.page import Node, quoted
from signoff.core.authority.reading import Reader
from signoff.core.authority.rule_reading import listed
from signoff.core.authority.spend import Scope, SpendCap
from signoff.core.money import MICROS

HOLD: Final = ("tool", "window", "on_timeout")
SPEND: Final = ("per", "window", "usd")
DOWNGRADE: Final = ("at", "do")
DONE: Final = ("requires", "not_reopened_within")
CAP_MAX: Final = 1_000_000_000 * MICROS


def read_holds(reader: Reader, node: Node | None) -> dict[str, Hold]:
    """Return the review windows by path."""
    found: dict[str, Hold] = {}
    seen: dict[str, int] = {}
    for path, item in listed(reader, node, "holds", "{tool: erp.schedule_payment, window: 4h, on_timeout: hold}"):
        fields = reader.fields(item, path, HOLD, required=("tool", "window"))
        tool = reader.name(fields.get("tool"), f"{path}.tool")
        window = reader.duration(fields.get("window"), f"{path}.window", "1s", "30d")
        ends = reader.word(fields.get("on_timeout"), f"{path}.on_timeout", ("hold", "proceed"), "hold")
        if tool is not None and tool in seen:
            reader.error(
                fields["tool"],
                "envelope.twice",
                f"{quoted(tool)} has two review windows.",
                f"The first stands on line {seen[tool]}; which of the two counts would be a guess.",
                "Keep one of them.",
            )
        elif tool is not None:
            seen[tool] = item.line
            if window is not None:
                found[path] = Hold(tool, window, ends == "proceed")
    return found


def read_spend(reader: Reader, node: Node | None) -> tuple[SpendCap, ...]:
    """Return the caps in the order of the page."""
    found: dict[tuple[str, int], SpendCap] = {}
    for path, item in listed(reader, node, "spend", "{per: user, window: 1d, usd: 20}"):
        fields = reader.fields(item, path, SPEND, required=SPEND)
        per = reader.word(fields.get("per"), f"{path}.per", tuple(Scope))
        window = reader.duration(fields.get("window"), f"{path}.window", "1m", "366d")
        usd = reader.money(fields.get("usd"), f"{path}.usd", CAP_MAX)
        if per is None or window is None or usd is None:
            continue
        if (per, window) in found:
            reader.error(
                item,
                "envelope.twice",
                f"`{path}` is a second cap per {per} over the same window.",
                "Which of the two was meant would be a guess.",
                "Keep one of them.",
            )
            continue
        found[per, window] = SpendCap(Scope(per), window, usd)
    return tuple(found.values())


def read_downgrade(reader: Reader, node: Node | None) -> tuple[Downgrade, ...]:
    """Return the rungs, which rise: of two that change places nobody could say which gives way first."""
    found: list[Downgrade] = []
    for path, item in listed(reader, node, "downgrade", "{at: 0.7, do: smaller_model}"):
        fields = reader.fields(item, path, DOWNGRADE, required=DOWNGRADE)
        at = reader.fraction_ppm(fields.get("at"), f"{path}.at")
        relief = reader.word(fields.get("do"), f"{path}.do", tuple(Relief))
        if at is None or relief is None:
            continue
        if found and at <= found[-1].at_ppm:
            reader.error(
                fields["at"],
                "envelope.order",
                f"`{path}.at` is not above the rung before it.",
                "The ladder is walked upwards as a budget runs out.",
                "Put the rungs in rising order, each with a share of its own.",
            )
        found.append(Downgrade(at, Relief(relief)))
    return tuple(found)


def read_done(reader: Reader, node: Node | None) -> Done | None:
    """Return what a completed task is."""
    if node is None:
        return None
    fields = reader.fields(node, "done", DONE, required=("requires",))
    if (requires := fields.get("requires")) is not None and requires.kind == "list" and not requires.items:
        reader.wrong(requires, "done.requires", "at least one tool", "Name what must have succeeded, or leave it out.")
    return Done(
        reader.texts(fields.get("requires"), "done.requires"),
        reader.duration(fields.get("not_reopened_within"), "done.not_reopened_within", "0s", "366d", 0),
    )
