# SPDX-License-Identifier: Apache-2.0
"""Planted bugs: each is applied in the worker, and each must make the bench fail.

They stand for mistakes that such a system really makes. Each names the round that shows it, and the counts of which at
least one must then not be zero.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from signoff.app import record, setup, tick
from signoff.app.action import approve, execute, settle, undo
from signoff.app.authority import halts
from signoff.core.action.doubt import Answer, Judgement, Lost, Proof
from signoff.core.action.lifecycle import State


def _swap(module: ModuleType, name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` returns for the present function in its place; a name that is gone is an error."""
    setattr(module, name, make(getattr(module, name)))


def dispatch_before_commit() -> None:
    """Send first, and commit the claim once the answer is there."""
    answers: dict[str, Answer] = {}

    def hasty(execute_: Any) -> Any:
        async def run(world: Any, tenant: str, action_id: str) -> Any:
            case = await world.storage.view(tenant, lambda tx: vars(execute)["load"](world, tx, action_id))
            if case.action.state is State.APPROVED and action_id not in answers:
                sent = vars(execute)["completed"](case.tool, case.args, case.action.key)
                answers[action_id] = await world.systems.execute(case.contract, case.tool, sent)
            return await execute_(world, tenant, action_id)

        return run

    def known(sent: Any) -> Any:
        async def run(world: Any, action: Any, case: Any, live: Any) -> Answer:
            if action.action_id in answers:
                return answers[action.action_id]
            answer: Answer = await sent(world, action, case, live)
            return answer

        return run

    made = hasty(execute.execute)
    for module in (execute, approve, settle, tick, undo):
        _swap(module, "execute", lambda _: made)
    _swap(execute, "_sent", known)


def retry_on_timeout() -> None:
    """Take an answer that did not come for a write that was not sent."""

    def hopeful(judge: Any) -> Any:
        def run(tool: Any, answer: Answer, problems: Any) -> Any:
            if isinstance(answer, Lost):
                return Judgement(State.IN_DOUBT, "not_sent", Proof.NOT_SENT)
            return judge(tool, answer, problems)

        return run

    _swap(execute, "judge", hopeful)


def new_key_on_retry() -> None:
    """Retry on time-out without looking again, under a new key, so that the ERP cannot tell it is the same write."""
    retry_on_timeout()
    seen: set[str] = set()

    def fresh(completed: Any) -> Any:
        def run(tool: Any, args: Any, key: str) -> Any:
            used = key if key not in seen else f"{key}-again"
            seen.add(key)
            return completed(tool, args, used)

        return run

    _swap(execute, "completed", fresh)
    _swap(execute, "_drifted", lambda _: lambda *_: False)


def outcome_unrecorded() -> None:
    """Write the outcome into the row alone: no entry, no receipt."""

    def silent(conclude: Any) -> Any:
        async def run(world: Any, case: Any, action: Any, judgement: Judgement, *rest: Any) -> Any:
            if judgement.state is not State.SUCCEEDED:
                return await conclude(world, case, action, judgement, *rest)

            def body(tx: Any) -> Any:
                now = tx.actions.get(action.action_id)
                done = replace(now, state=State.SUCCEEDED, reserved_usd_micros=0, ended_at=tx.now)
                tx.update(now, done, ("state", "reserved_usd_micros", "ended_at"))
                return done

            return await world.storage.transact(action.tenant, body)

        return run

    _swap(execute, "conclude", silent)


def recovery_forgotten() -> None:
    """Leave what a dead node was sending as it is."""
    _swap(tick, "keep_leases", lambda _: _nothing)


def hasty_absence() -> None:
    """Believe a look-up that finds nothing, however early."""

    def early(judge: Any) -> Any:
        def run(tool: Any, answer: Any, is_found: Any, agrees: bool, now: int, last: int, since: int) -> Any:
            return judge(tool, answer, is_found, agrees, now, 0, since)

        return run

    _swap(settle, "judge_look_up", early)


def settled_twice() -> None:
    """Book the bill two times."""

    def doubled(move: Any) -> Any:
        def run(tx: Any, row: Any, type_: str, *rest: Any, **changes: Any) -> Any:
            if changes.get("settled_usd_micros"):
                changes["settled_usd_micros"] *= 2
            return move(tx, row, type_, *rest, **changes)

        return run

    _swap(record, "move", doubled)


def released_in_doubt() -> None:
    """Give the money back as soon as an answer is missing."""

    def early(move: Any) -> Any:
        def run(tx: Any, row: Any, type_: str, *rest: Any, **changes: Any) -> Any:
            if changes.get("state") is State.IN_DOUBT:
                changes["reserved_usd_micros"] = 0
            return move(tx, row, type_, *rest, **changes)

        return run

    _swap(record, "move", early)


LATER_S = 1.0  # so that the thanks are surely on the voter's own record before the node dies


def vote_told_early() -> None:
    """Thank the voter first, and commit the vote afterwards."""
    later: set[asyncio.Task[Any]] = set()

    def polite(vote: Any) -> Any:
        async def count_later(*given: Any) -> None:
            await asyncio.sleep(LATER_S)
            await vote(*given)

        async def run(world: Any, caller: Any, action_id: str, *rest: Any) -> Any:
            later.add(asyncio.create_task(count_later(world, caller, action_id, *rest)))
            return await world.storage.view(caller.tenant, lambda tx: tx.actions.get(action_id))

        return run

    _swap(approve, "vote", polite)


def lift_revives() -> None:
    """Let what a halt stopped move on once it is lifted."""

    def generous(lift: Any) -> Any:
        async def run(world: Any, caller: Any, halt_id: str) -> Any:
            halt = await lift(world, caller, halt_id)

            def revive(tx: Any) -> None:
                for action in tx.actions.newest(None, 50):
                    if action.state is State.STOPPED:
                        record.move(tx, action, "action.revived", state=State.EXPIRED)

            await world.storage.transact(caller.tenant, revive)
            return halt

        return run

    _swap(record, "check_move", lambda _: lambda before, after: None)
    _swap(halts, "lift", generous)


def receipts_unsigned() -> None:
    """Never sign a receipt."""
    _swap(tick, "sign_receipts", lambda _: _nothing)


def old_backup_trusted() -> None:
    """Do not ask the mirror at start."""
    _swap(setup, "_notice_old_backup", lambda _: _nothing)


async def _nothing(*_: Any) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Plant:
    """A bug, the case and point that show it, and the counts it must raise."""

    apply: Callable[[], None]
    case: str
    point: str
    counts: tuple[str, ...]
    faults: tuple[tuple[str, str, int, float | None], ...] = ()


_TWICE = (("erp.create_journal_entry", "duplicates_pass", 0, None),)
PLANTS: dict[str, Plant] = {
    "dispatch_before_commit": Plant(
        dispatch_before_commit, "post", "send:answered", ("second_dispatches", "writes_without_record")
    ),
    "retry_on_timeout": Plant(retry_on_timeout, "pay-time-out", "dispatching->in_doubt:after", ("second_dispatches",)),
    "new_key_on_retry": Plant(new_key_on_retry, "time-out", "", ("double_writes",), _TWICE),
    "outcome_unrecorded": Plant(outcome_unrecorded, "post", "", ("writes_without_record", "ledger_unsound")),
    "recovery_forgotten": Plant(recovery_forgotten, "post", "approved->dispatching:after", ("stuck_actions",)),
    "hasty_absence": Plant(hasty_absence, "late-write", "", ("second_dispatches",)),
    "settled_twice": Plant(settled_twice, "post", "", ("reservations_wrong",)),
    "released_in_doubt": Plant(released_in_doubt, "answer-lost", "", ("reservations_wrong",)),
    "vote_told_early": Plant(vote_told_early, "post", "pending_approval->approved:before", ("lost_approvals",)),
    "lift_revives": Plant(lift_revives, "halt", "", ("illegal_moves",)),
    "receipts_unsigned": Plant(receipts_unsigned, "post", "", ("receipts_false", "writes_without_record")),
    "old_backup_trusted": Plant(old_backup_trusted, "old-backup", "", ("old_backups_missed",)),
}


def apply(name: str) -> None:
    """Apply a planted bug to this process."""
    PLANTS[name].apply()
