# SPDX-License-Identifier: Apache-2.0
"""One sentence for a person about an action: where it stands, and why."""

from signoff.core.action.approval import duties_of
from signoff.core.action.lifecycle import NOT_SENT, Action, State
from signoff.core.authority.hold import HoldEnd
from signoff.core.run import Run, RunState


def explain(action: Action, run: Run | None = None) -> str:
    """Return a sentence for a person: where the action stands, and why; one more where a pause keeps it there."""
    is_kept = run is not None and run.state is RunState.PAUSED and action.state in NOT_SENT
    return _stands(action) + (" Its run is paused until a person resumes it." if is_kept else "")


def _stands(action: Action) -> str:
    if action.state is State.PENDING_APPROVAL:
        return f"Waits for approval by {_owed(action)}."
    if action.state is State.HELD:
        return _holds(action)
    if action.plan_id is not None and (turn := _TURNS.get((action.state, action.verdict))):
        return turn
    if action.state is State.SUCCEEDED and action.effect == "read":
        return "Read."
    return (
        _STANDS.get(action.state)
        or f"{str(action.state).capitalize()}: {REASONS.get(action.reason or '', action.reason or 'no reason given')}."
    )


_TURNS: dict[tuple[State, str | None], str] = {
    (State.PROPOSED, "allow"): "Allowed; sent when its turn in its plan has come.",
    (State.APPROVED, "ask"): "Approved with its plan; sent after a last look when its turn has come.",
}
_STANDS = {
    State.PROPOSED: "Proposed; being decided.",
    State.APPROVED: "Approved; about to be sent after a last look.",
    State.DISPATCHING: "Being sent now.",
    State.IN_DOUBT: "Sent, and the outcome is not known yet; the target is being asked.",
    State.NEEDS_PERSON: "Nobody but a person can find out whether it was done.",
    State.SUCCEEDED: "Done, and receipted.",
    State.REVERSING: "Being undone.",
    State.REVERSED: "Done, and then undone.",
    State.REVERSAL_FAILED: "Done; an undo was tried and took nothing back.",
}
REASONS = {
    "expired": "nobody decided in time",
    "rejected": "a person said no",
    "hold_cancelled": "a person stopped it within its review window",
    "hold_over": "its review window was over, and then a person decides",
    "hold_unanswered": "its review window was over, and nobody released it in time",
    "now_owed": "a last look after its review window owed an approval",
    "cancelled": "it was withdrawn before it was sent",
    "plan_broken": "another step of its plan was refused, departed or failed",
    "halted": "the kill switch covers it",
    "log_recovered": "an old backup had to be put in the place of the newest database",
    "drift": "the target changed after it was approved",
    "stricter_decision": "a last look owed more than was approved",
    "vote_withdrawn": "an approver no longer holds the role",
    "version_withdrawn": "its envelope was withdrawn",
    "not_permitted": "no role of the person in whose name it runs permits it",
    "delegation_required": "no person has delegated anything to its run",
    "delegation_revoked": "the delegation of its run was revoked",
    "delegation_expired": "the time of its delegation is over, or has not begun",
    "delegation_narrower": "the delegation of its run does not cover it",
    "delegation_used_up": "as much as its delegation allows was done under it",
    "grantor_lost": "whoever delegated it may not do it themselves now",
    "contract_changed": "the tool's contract was changed after it was decided",
    "conflict": "what the write left has changed since",
    "duplicate": "the target has this write already",
    "preview_failed": "the change could not be previewed",
    "preview_unavailable": "the system did not answer when the change was previewed",
    "target_unavailable": "the system did not answer when it was asked what has changed",
    "newer_not_undone": "a newer write on the same resource was not undone",
    "resource_unknown": "the resource it would write to cannot be told",
    "not_sent_again": "its attempts or its key are used up",
    "tool_not_allowed": "the envelope does not list the tool",
    "tool_unregistered": "no tool contract knows the tool",
    "tool_unavailable": "the system cannot be reached",
    "tool_changed": "the tool is not the one that was pinned",
    "tool_unpinned": "its contract pins no schema",
    "args_invalid": "the arguments do not fit the tool",
    "argument_reserved": "it sent an argument that Signoff puts in",
    "rule_denied": "a rule of the page denies it",
    "rule_unevaluable": "a rule of the page cannot be evaluated for it",
    "fact_unavailable": "a fact that a rule stands on could not be had",
    "calls_exhausted": "the run has used up its tool calls",
    "steps_exhausted": "the run has used up its steps",
    "spend_exhausted": "the task's money is used up",
    "circuit_open": "the last calls of the tool all failed or got no clear answer, so that none is sent for a while;"
    " go on with something else, or ask again in a minute",
    "identical_calls": "the same call was made too often and told nothing new; wait for what is under way with `?wait=`"
    " on its action, or go on with what is known",
    "too_many_waiting": "too much of the agent's waits for people already",
    "denials_exhausted": "too many proposals of the run were denied",
    "time_exhausted": "the run has used up its time",
    "run_closed": "the run is closed",
    "run_paused": "the run is paused",
    "token_revoked": "the agent's token was revoked",
    "agent_inactive": "the agent is switched off",
    "principal_inactive": "the person it runs for is no longer active",
    "provenance_unproved": "a value does not come from where the page wants it",
    "provenance_intent": "the task does not ask for this kind of act",
    "provenance_barred": "after a refusal for its origins the run is not asked about again",
    "class_d_unreviewed": "class D needs a policy review on record",
    "answer_lost": "no answer came",
    "proved_absent": "the target has no such write",
    "found_late": "it was proved absent, and a day later the target has it after all; undo it there, or propose its"
    " reversal, and then say so with `signoff resolve`",
    "late_look_unanswered": "it was proved absent, and a day later the target could not be asked once more; look there,"
    " and say what you found with `signoff resolve`",
    "late_find_settled": "it was proved absent and found a day later, and a person has settled that",
    "resolved_not_done": "a person found that it was not done",
    "not_sent": "the system could not be reached",
}


def _holds(action: Action) -> str:
    if action.released_by is not None:
        return "Released from its review window; about to be sent after a last look."
    said = "Approved" if action.args_approved is not None else "Allowed"
    if action.hold_end == HoldEnd.PROCEED:
        return f"{said}; it is sent when its review window is over, unless a person stops it before."
    if action.args_approved is not None:
        return f"{said}; it waits out its review window, and then until a person releases it."
    return f"{said}; it waits out its review window, and then a person decides."


def _owed(action: Action) -> str:
    return " and ".join(f"{duty.count} of {' or '.join(duty.roles)}" for duty in duties_of(action))
