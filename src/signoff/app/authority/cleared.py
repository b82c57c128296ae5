# SPDX-License-Identifier: Apache-2.0
"""What people are shown of tiers, class D reviews and the clearances that were given for them."""

from signoff.app.action.documents import Document, when
from signoff.app.authority.clearances import Clearable, Review, Tier
from signoff.core.authority.clearance import Clearance


def clearable_document(found: Clearable) -> Document:
    """Return everything there is to clear in a workflow's newest page, and all that ever was, newest first."""
    lifts = [{"control": one.control, "asked_by": one.asked_by, "consequence": one.consequence} for one in found.lifts]
    return {
        "workflow": found.envelope.workflow,
        "version": found.envelope.version,
        "mode": str(found.envelope.mode),
        "tiers": [_tier(tier) for tier in found.tiers],
        "class_d": [_review(review) for review in found.reviews],
        "lifts": lifts,
        "clearances": [clearance_document(given, reason) for given, reason in found.ever],
    }


def clearance_document(given: Clearance, reason: str | None) -> Document:
    """Return one clearance."""
    return {
        "clearance_id": given.clearance_id,
        "kind": str(given.kind),
        "workflow": given.workflow,
        "name": given.name,
        "digest": given.digest,
        "by": given.by,
        "at": when(given.at),
        "reason": reason,
        "is_withdrawn": given.is_withdrawn,
        "withdrawn_by": given.withdrawn_by,
        "withdrawn": when(given.withdrawn_at),
    }


def state_of(one: Tier | Review) -> str:
    """Return in one word how it stands: `open`, `changed` since it was cleared, or `closed`."""
    return "open" if one.given is not None else "changed" if one.had_other else "closed"


def _tier(tier: Tier) -> Document:
    rules = [{"id": rule.rule_id, "tool": rule.tool, "when": rule.when.text} for rule in tier.rules]
    return {"name": tier.name, "rules": rules} | _standing(tier)


def _review(review: Review) -> Document:
    return {"name": review.tool} | _standing(review)


def _standing(one: Tier | Review) -> Document:
    given = one.given.clearance_id if one.given is not None else None
    return {"digest": one.digest, "state": state_of(one), "clearance_id": given}
