# SPDX-License-Identifier: Apache-2.0
"""What a decision is: checks with their outcomes, duties that add up, and a verdict.

A check may only add care. One that asks by default, as class C does, is lifted by an `allow` under an open tier; what
any other check asks stays owed, whatever allows (contract, section 1, "How a decision falls").
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from signoff.core.authority.hold import Hold


class Outcome(StrEnum):
    """What one check says. `inert`: the envelope asks for a control that this installation does not have."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    ASK = "ask"
    DENY = "deny"
    INERT = "inert"


class Verdict(StrEnum):
    """What all checks together say."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"
    SUGGEST = "suggest"


@dataclass(frozen=True, slots=True)
class Duty:
    """An approval that is owed: `count` different people, each holding one of `roles`.

    Fields may be added at the end only, with a default: what is owed is kept by name.
    """

    roles: tuple[str, ...]
    count: int
    distinct_from_requester: bool
    expires_us: int
    reason: str
    step_up: bool = False
    distinct_roles: bool = False  # each of the people under another role


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, what it said, a reason code, and a sentence for people (a payload)."""

    check: str
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    detail: str = ""
    duties: tuple[Duty, ...] = ()  # what it asks; none: one approval by the roles of the page
    is_default: bool = False  # it asks only as long as no `allow` under an open tier lifts it
    lifts: bool = False  # it is such an `allow`


@cache
def passed(name: str) -> Check:
    """Return the check that says nothing; the same value each time, for there are many."""
    return Check(name)


def deny(check: str, reason: str, detail: str) -> Check:
    """Return a check that ends the decision."""
    return Check(check, Outcome.DENY, reason, detail)


def ask(check: str, reason: str, detail: str, *duties: Duty) -> Check:
    """Return a check whose duties stay owed, whatever allows."""
    return Check(check, Outcome.ASK, reason, detail, duties)


def ask_by_default(check: str, reason: str, detail: str) -> Check:
    """Return a check that asks the roles of the page until an `allow` under an open tier lifts it."""
    return Check(check, Outcome.ASK, reason, detail, is_default=True)


def inert(check: str, reason: str, detail: str) -> Check:
    """Return a check that stands for a control which the page asks for and nothing keeps: a write asks instead."""
    return Check(check, Outcome.INERT, reason, detail, is_default=True)


@dataclass(frozen=True, slots=True)
class Decision:
    """Verdict, the checks in the order in which they ran, what is owed, and the money to set aside."""

    verdict: Verdict
    checks: tuple[Check, ...]
    duties: tuple[Duty, ...] = ()
    reserve_usd_micros: int = 0
    hold: Hold | None = None  # the review window owed, once every approval that is owed has been met

    @property
    def denial(self) -> Check | None:
        """The check that ended it."""
        return next((check for check in self.checks if check.outcome is Outcome.DENY), None)


STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.SUGGEST: 2, Verdict.DENY: 3}


def is_stricter(later: Decision, earlier_verdict: Verdict, earlier_duties: tuple[Duty, ...]) -> bool:
    """Tell whether a decision taken again owes more than the one that people approved."""
    if STRICTNESS[later.verdict] != STRICTNESS[earlier_verdict]:
        return STRICTNESS[later.verdict] > STRICTNESS[earlier_verdict]
    return not all(any(_covers(earlier, duty) for earlier in earlier_duties) for duty in later.duties)


def _covers(met: Duty, owed: Duty) -> bool:
    """Tell whether whoever met one duty has met the other: as many, of no other roles, as much apart."""
    is_apart = met.distinct_from_requester or not owed.distinct_from_requester
    is_as_sure = (met.step_up or not owed.step_up) and (met.distinct_roles or not owed.distinct_roles)
    return is_apart and is_as_sure and met.count >= owed.count and set(met.roles) <= set(owed.roles)
