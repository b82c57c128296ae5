# SPDX-License-Identifier: Apache-2.0
"""What people are shown of a run under `logging.redact_pii`: as it was said while they decide on it, masked afterwards.

Nothing is masked for whom it was said to: an approver of what waits, whoever settles a doubt or a late find, and the
agent, which works with it. What lies sealed is not touched, and neither is any digest.
"""

from typing import Any

from signoff.app.action.late import is_open
from signoff.core.action.lifecycle import Action
from signoff.core.authority.envelope import Envelope
from signoff.core.redaction import redacted
from signoff.core.run import CLOSED, Run
from signoff.ports.storage import Transaction

SAID = ("args", "preview", "approval", "result", "error", "resolution", "late_find", "facts", "claims")
"""Members of an action document that hold what somebody said, and its checks' details."""


def masks(tx: Transaction, envelope: Envelope, run: Run) -> bool:
    """Tell whether people are shown a run and its actions masked: it is closed, and nothing of it is to be decided.

    Not before: whoever decides on one call looks at what the run has read before it, such as the account on file.
    """
    return envelope.redact_pii and run.state in CLOSED and not tx.actions.tally(run.run_id, "", "").unconcluded


def masks_action(tx: Transaction, envelope: Envelope, run: Run, action: Action) -> bool:
    """Tell whether people are shown an action masked; not while a person has to say what they made of a late find."""
    return not is_open(action) and masks(tx, envelope, run)


def masked_action(shown: dict[str, Any]) -> dict[str, Any]:
    """Return an action document with what was said masked, and `is_redacted` set where anything was."""
    found = shown | {name: redacted(shown[name]) for name in SAID if name in shown}
    found["decision"] = shown["decision"] | {"checks": redacted(shown["decision"]["checks"])}
    return found | {"is_redacted": any(found[name] != shown[name] for name in shown)}


def may_leave(envelope: Envelope, value: Any) -> bool:
    """Tell whether the opening of a value rides along with a receipt: one that would have to be masked stays here."""
    return not envelope.redact_pii or bool(redacted(value) == value)
