# SPDX-License-Identifier: Apache-2.0
"""Gather what a decision needs from the outside world, always outside a transaction: the preview of the real change.

The facts that its rules stand on are fetched beside it, by `facts.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signoff.app.action.case import as_named, evaluated
from signoff.app.answers import NOTHING, Facts
from signoff.app.world import World
from signoff.core.action.doubt import Answer, Answered, Errored, NotSent
from signoff.core.action.preview import Preview, from_dry_run, from_read
from signoff.core.authority.contract import Contract, DryRun, Expression, ReadPreview, ToolContract, result_problems
from signoff.core.errors import SignoffError

OUTAGE = "gather.outage"
FRESH_US = 5_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What was gathered: a preview, or why there is none; facts; whether a natural key shows the write done already.

    `is_outage`: the system gave no answer at all, which says nothing against the write. `at` is when it was asked,
    microseconds; None where there was nothing to ask.
    """

    preview: Preview | None = None
    problem: str = ""
    is_duplicate: bool = False
    is_outage: bool = False
    at: int | None = None
    facts: Facts = NOTHING

    def is_fresh(self, now: int) -> bool:
        """Tell whether a claim may still stand on it: a claim decides on what is at most 5 s old."""
        return all(at is None or now < at + FRESH_US for at in (self.at, self.facts.at))


def needs_gathering(tool: ToolContract) -> bool:
    """Tell whether the outside world must be asked before a write of this tool is decided."""
    return tool.preview is not None or bool(tool.natural_key and tool.look_up)


async def gather(world: World, contract: Contract, tool: ToolContract, args: Mapping[str, Any], key: str) -> Seen:
    """Return what a write would change now. Never raises for the target's doing: that is a `problem`."""
    await world.systems.look(contract.server)
    at = world.clock.now()
    args = as_named(world, contract, tool, args)
    try:
        if tool.natural_key and tool.look_up and await _is_done(world, contract, tool, args, key):
            return Seen(is_duplicate=True, at=at)
        if isinstance(tool.preview, DryRun):
            answer = await _read(world, contract, tool.preview.tool, tool.preview.args, {"args": args})
            return Seen(from_dry_run(answer), at=at)
        if isinstance(tool.preview, ReadPreview):
            before = await _read(world, contract, tool.preview.read, tool.preview.args, {"args": args})
            after = {path: value.value({"args": args, "result": before}) for path, value in tool.preview.after.items()}
            return Seen(from_read(before, after), at=at)
    except SignoffError as error:
        return Seen(problem=f"{error.what} {error.why}", is_outage=error.code == OUTAGE, at=at)
    return Seen(at=at)


async def read_back(
    world: World, contract: Contract, tool: str, args: Mapping[str, Expression], names: Mapping[str, Any]
) -> tuple[Mapping[str, Any] | None, str, bool]:
    """Return what a read tool answers for arguments given as expressions, or None, why not, and if for an outage."""
    try:
        return await _read(world, contract, tool, args, names), "", False
    except SignoffError as error:
        return None, f"{error.what} {error.why}", error.code == OUTAGE


async def look_up(
    world: World, contract: Contract, tool: ToolContract, args: Mapping[str, Any], key: str
) -> tuple[Answer, bool | None]:
    """Ask the target whether a write is there; the truth value is None where the answer does not tell."""
    assert tool.look_up is not None
    names = {"args": as_named(world, contract, tool, args), "key": key}
    reader = contract.tools[tool.look_up.tool]
    try:
        asked = evaluated(tool.look_up.args, names)
        answer = await world.systems.read(contract, reader, asked)
        if not isinstance(answer, Answered) or _problems(world, contract, reader, answer.result):
            return answer if not isinstance(answer, Answered) else Errored("answer_invalid", ""), None
        return answer, tool.look_up.found.holds({**names, "result": answer.result})
    except SignoffError as error:
        return Errored("look_up_failed", error.why), None


async def _is_done(world: World, contract: Contract, tool: ToolContract, args: Mapping[str, Any], key: str) -> bool:
    answer, is_found = await look_up(world, contract, tool, args, key)
    if is_found is None:
        raise _unanswered(tool.look_up.tool if tool.look_up else "", answer)
    return is_found


async def _read(
    world: World, contract: Contract, name: str, args: Mapping[str, Expression], names: Mapping[str, Any]
) -> Mapping[str, Any]:
    return await ask(world, contract, contract.tools[name], evaluated(args, names))


async def ask(world: World, contract: Contract, reader: ToolContract, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a read tool answers.

    Raises:
        SignoffError: it gave no answer (code `OUTAGE`), an error, or one that does not fit its pinned schema.
    """
    name = reader.name
    answer = await world.systems.read(contract, reader, args)
    if not isinstance(answer, Answered):
        raise _unanswered(name, answer)
    if problems := _problems(world, contract, reader, answer.result):
        raise _unanswered(name, Errored("answer_invalid", problems[0]))
    return answer.result


def _problems(world: World, contract: Contract, reader: ToolContract, result: Mapping[str, Any]) -> list[str]:
    live = world.systems.live(contract.server, reader)
    if live is None or (reader.schema_digest and live[1] != reader.schema_digest):
        return ["the tool is not the one that was pinned"]
    return list(result_problems(live[0], result))


def _unanswered(name: str, answer: Answer) -> SignoffError:
    code = OUTAGE
    match answer:
        case Errored(said, message):
            code = "gather.unanswered"
            why = f"It answered with the error {said or 'without a code'}: {message[:200]}"
        case NotSent(reason):
            why = f"It could not be reached: {reason[:200]}"
        case _:
            why = "It gave no answer in time."
    return SignoffError(f"{name} gave no usable answer.", why, "Propose again when the system answers.", code=code)
