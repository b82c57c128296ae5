# SPDX-License-Identifier: Apache-2.0
"""The checks of a decision on one line, as an action keeps them in the clear: most pass, and a name says so.

    agent halt run tool args writes:ask:write_asks

A check that passed is its name; any other is `name:outcome:reason`. Names and reasons are words of this product,
never of an agent, and hold neither spaces nor colons.
"""

from collections.abc import Iterable

from signoff.core.authority.decision import Check, Outcome


def line(checks: Iterable[Check]) -> str:
    """Return checks, in the order in which they were made, as one line."""
    return " ".join(
        check.check
        if check.outcome is Outcome.PASS and not check.reason
        else f"{check.check}:{check.outcome}:{check.reason}"
        for check in checks
    )


def read(text: str | None) -> list[tuple[str, str, str]]:
    """Return name, outcome and reason of each check of a line; none of None."""
    return [_one(word) for word in text.split(" ")] if text else []


def _one(word: str) -> tuple[str, str, str]:
    name, _, rest = word.partition(":")
    outcome, _, reason = rest.partition(":")
    return name, outcome or str(Outcome.PASS), reason
