# SPDX-License-Identifier: Apache-2.0
"""What an answer proves about a write: done, provably not done, or in doubt.

The proofs of a non-write are a closed list: no connection was made, the target's own error code is one that
its contract names in `not_done`, or a look-up finds nothing once `settles_after` has passed since the last
moment at which a send or its time-out could fall. Everything else, cancellation and `isError` included, is doubt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from signoff.core.action.lifecycle import State
from signoff.core.action.preview import same
from signoff.core.authority.contract import Effect, ToolContract


@dataclass(frozen=True, slots=True)
class Answered:
    """The target answered with a structured result."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Errored:
    """The target answered with an error; `code` is its own error code, if it gave one."""

    code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """No connection was made, so that nothing can have been written."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Sent, or perhaps sent, and no usable answer came: time-out, cut connection, cancellation."""

    why: str


Answer = Answered | Errored | NotSent | Lost


class Proof(StrEnum):
    """Why a write is known not to have happened."""

    NOT_SENT = "not_sent"
    NOT_DONE = "not_done"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer to a call proves.

    `state` is `succeeded`, `failed` or `in_doubt`; `proof` is set where nothing can have been written.
    """

    state: State
    reason: str = ""
    proof: Proof | None = None
    result: Mapping[str, Any] | None = None


ATTEMPTS_MAX = 3
RECOVERED = "log_recovered"  # it was in doubt, or not sent, in a backup that had to take the newest database's place
GIVE_UP_US = 3600 * 1_000_000
LATE_LOOK_US = 24 * 3600 * 1_000_000
LATE_RETRY_US = 3600 * 1_000_000
LATE_GIVE_UP_US = 24 * 3600 * 1_000_000


def judge(contract: ToolContract, answer: Answer, problems: Sequence[str]) -> Judgement:
    """Return what an answer proves.

    Args:
        problems: what is wrong with a result under the tool's pinned output schema; after a write that is doubt.
    """
    is_write = contract.effect is Effect.WRITE
    match answer:
        case Answered(result) if not problems:
            return Judgement(State.SUCCEEDED, result=result)
        case Answered():
            return Judgement(State.IN_DOUBT if is_write else State.FAILED, "answer_invalid")
        case Errored(code, _) if code is not None and code in contract.not_done:
            return Judgement(State.FAILED, code, Proof.NOT_DONE)
        case Errored(code, _):
            return Judgement(State.IN_DOUBT if is_write else State.FAILED, code or "target_error")
        case NotSent():
            return Judgement(State.IN_DOUBT if is_write else State.FAILED, "not_sent", Proof.NOT_SENT)
        case _:
            # An egress may have left; it knows no doubt all the same (contract, section 3).
            return Judgement(State.IN_DOUBT if is_write else State.FAILED, "answer_lost")


def judge_look_up(
    contract: ToolContract,
    answer: Answer,
    is_found: bool | None,
    agrees: bool,
    now: int,
    last_send: int,
    doubt_since: int,
) -> Judgement:
    """Return what a look-up proves.

    Args:
        is_found: what the contract's `found` says of the answer; None where it could not be evaluated.
        agrees: whether what was found fits the arguments that were sent.
        now: when the target was asked, not when it answered: what is not there yet may land in between.
        last_send: the last moment at which a send or its time-out could fall, microseconds.
        doubt_since: when the doubt began, microseconds; after an hour without an answer a person is needed.
    """
    assert contract.look_up is not None
    if isinstance(answer, Answered) and is_found is True:
        if not agrees:
            return Judgement(State.NEEDS_PERSON, "found_differs", result=answer.result)
        return Judgement(State.SUCCEEDED, "found", result=answer.result)
    # "Not found" too early proves nothing: a late write may still land.
    settled = now >= last_send + contract.look_up.settles_after_us
    if isinstance(answer, Answered) and is_found is False and settled:
        return Judgement(State.FAILED, "proved_absent", Proof.ABSENT)
    is_told = isinstance(answer, Answered) and is_found is False
    if not is_told and now >= doubt_since + GIVE_UP_US:
        return Judgement(State.NEEDS_PERSON, "look_up_unanswered")
    return Judgement(State.IN_DOUBT, "look_up_inconclusive")


def next_look(now: int, looks: int, settles_at: int) -> int:
    """Return when to look again: pauses grow from 0.5 s to a minute, with a look right when absence can be proved."""
    pause = min(500_000 << min(looks, 7), 60_000_000)
    return min(now + pause, max(settles_at, now + 250_000)) if now < settles_at else now + pause


def agrees(answer: Answer, args: Mapping[str, Any]) -> bool:
    """Tell whether what was found is a write with these arguments: none that it repeats may differ."""
    if not isinstance(answer, Answered):
        return False
    return all(same(answer.result[name], value) for name, value in args.items() if name in answer.result)


def late_look_at(contract: ToolContract, judgement: Judgement, now: int) -> int | None:
    """Return when to look once more for a write that has failed as absent; None where no other look is owed.

    Under a natural key nothing but the target's own say tells a late write from none, so that the proof is tried again
    a day on (contract, section 3, "look-up").
    """
    is_owed = judgement.state is State.FAILED and judgement.proof is Proof.ABSENT and bool(contract.natural_key)
    return now + LATE_LOOK_US if is_owed else None


def judge_late_look(answer: Answer, is_found: bool | None, now: int, due: int) -> str | None:
    """Return the reason with which a look a day later leaves a failed write, None where it has to look again.

    Args:
        due: when that look was first due, microseconds; a day without an answer after it, a person has to look.
    """
    if isinstance(answer, Answered) and is_found is not None:
        return "found_late" if is_found else "proved_absent"
    return "late_look_unanswered" if now >= due + LATE_GIVE_UP_US else None
