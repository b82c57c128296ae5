# SPDX-License-Identifier: Apache-2.0
"""Controls that a page asks for and this installation does not keep: shown wherever the page is (ADR 0011)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from signoff.core.authority.terms import Envelope


@dataclass(frozen=True, slots=True)
class InertControl:
    """A control that a page asks for and nothing keeps: shown on load, at start, in the panel and by `doctor`."""

    control: str
    asked_by: str
    line: int
    consequence: str


INERT: Mapping[str, tuple[str, str]] = {
    "budgets.max_tokens_per_task": ("token budget", "Nothing counts tokens: a task may use any number of them."),
    "models": ("model routing", "No model is called through Signoff: the agent chooses its models itself."),
    "downgrade": (
        "downgrade ladder",
        "Nothing walks the ladder: no smaller model, no less context, no confirmation; the caps themselves still stop.",
    ),
    "done.not_reopened_within": (
        "reopened tasks",
        "Nothing tells whether a task was reopened: it is done once what `requires` names has succeeded.",
    ),
    "safety.block_on_prompt_injection_score_gte": (
        "injection score",
        "There is no scorer: no text is scored and nothing is blocked for its score.",
    ),
}


def _step_up(envelope: Envelope) -> list[InertControl]:
    """Return the approvals that ask for a step-up: they cannot be given without a provider, of which there is none."""
    owed = {f"permissions.rules[{index}]": rule.duty for index, rule in enumerate(envelope.rules)}
    owed |= {f"limits[{index}]": limit.duty for index, limit in enumerate(envelope.limits)}
    asked = [f"{path}.approve.step_up" for path, duty in owed.items() if duty is not None and duty.step_up]
    why = "No provider is installed: each yes that it asks for is refused."
    return [InertControl("step-up", key, envelope.lines.get(key, 1), why) for key in asked]


def inert_controls(envelope: Envelope, active: Collection[str] = ()) -> tuple[InertControl, ...]:
    """Return the controls that `envelope` asks for and that are not kept, in the order of the page.

    Args:
        active: key paths of controls that this installation does keep, such as `safety.require_citations_for`.
    """
    found = _step_up(envelope)
    for key, (control, consequence) in INERT.items():
        if key in active or (line := envelope.lines.get(key)) is None:
            continue
        found.append(InertControl(control, key, line, consequence))
    return tuple(sorted(found, key=lambda inert: inert.line))
