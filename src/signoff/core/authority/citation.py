# SPDX-License-Identifier: Apache-2.0
"""Citations: a claim of a kind that the page lists quotes what a read of the same run has answered.

An agent cites `{read: ACTION, quote}`, and may say for which `kind`. A claim of a kind is made where its word stands in
the rationale, in a text that the call would send, or as the kind of a citation. A list that does not verify is no
citation, however long.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from signoff.core.authority.normal import Told, folded_text, stands_in
from signoff.core.authority.provenance import Seen, Shown
from signoff.core.authority.said import leaves

QUOTE_MIN: Final = 16  # characters, white space as single spaces: less is found anywhere
QUOTE_MAX: Final = 4000
CITATIONS_MAX: Final = 50  # of one call; more are not looked at, and so not proved
_MEMBERS: Final = frozenset({"read", "quote", "kind"})


@dataclass(frozen=True, slots=True)
class Cited:
    """What a call claims and what it cites for it: `kinds` are claimed, `missing` have no citation that holds."""

    kinds: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unproved: int = 0  # citations that do not verify
    why: str = ""  # for people: what is wrong with them; or where what is cited was read
    is_barred: bool = False


def cite(kinds: Collection[str], args: Mapping[str, Any], claims: Mapping[str, Any], seen: Seen) -> Cited:
    """Return which of the page's kinds a call claims, and whether each is cited.

    Args:
        kinds: that the page lists.
        claims: the agent's rationale and citations, as they came.
    """
    given = claims.get("citations")
    given = given if isinstance(given, list) else [] if given is None else [given]
    told: list[str] = []
    served: set[str] = set()
    named: set[str] = set()
    serves_all, unproved = False, 0
    for place, one in enumerate(given, start=1):
        kind = one.get("kind") if isinstance(one, Mapping) else None
        problem, where = _verified(one, seen) if place <= CITATIONS_MAX else ("too many are given", "")
        if isinstance(kind, str):
            named.add(folded_text(kind))
        if problem:
            unproved += 1
            told.append(f"Citation {place} does not hold: {problem}.")
            continue
        told.append(f"Citation {place} stands in {where}.")
        if kind is None:
            serves_all = True
        else:
            served.add(folded_text(kind))
    texts = list(_texts(args, claims.get("rationale"), seen))
    claimed = tuple(kind for kind in kinds if (plain := folded_text(kind)) in named or _is_claimed(plain, texts))
    missing = tuple(kind for kind in claimed if not serves_all and folded_text(kind) not in served)
    told[:0] = [f"It speaks of {kind} and cites nothing for it." for kind in missing]
    return Cited(claimed, missing, unproved, "\n".join(told[: CITATIONS_MAX + len(missing)]), seen.is_barred)


def _texts(args: Mapping[str, Any], rationale: Any, seen: Seen) -> Iterator[str]:
    """Yield what the agent says in words; what a person has put there is not its claim."""
    if isinstance(rationale, str):
        yield rationale
    for name, value in args.items():
        if name not in seen.edited:
            yield from (leaf for leaf in leaves(value) if isinstance(leaf, str))


def _is_claimed(kind: str, texts: Sequence[str]) -> bool:
    """Tell whether the word of a kind stands in any text; a text that is nothing else is a value, and no claim."""
    for text in texts:
        folded = Told(text).folded
        if folded != kind and stands_in(folded, kind):
            return True
    return False


def _verified(one: Any, seen: Seen) -> tuple[str, str]:
    """Return what is wrong with a citation, or '' and where it stands."""
    if not isinstance(one, Mapping) or not set(one) <= _MEMBERS or not isinstance(one.get("kind", ""), str | None):
        return "it is not {read, quote, kind?}", ""
    read, quote = one.get("read"), one.get("quote")
    if not isinstance(read, str) or not isinstance(quote, str) or len(quote) > QUOTE_MAX:
        return f"`read` is the id of an action and `quote` a text of at most {QUOTE_MAX} characters", ""
    shown = next((found for found in seen.shown if found.action_id == read and found.is_read), None)
    if shown is None or shown.is_error:
        return "it names no read of this run that succeeded before", ""
    plain = " ".join(quote.split())
    found = _found(plain, shown)
    if found is None:
        return f"the quote is not in that answer, or has fewer than {QUOTE_MIN} characters", ""
    if shown.is_written or seen.had_said(plain, shown):
        return "the agent had sent the same words, or written there, before it read them", ""
    trust = "trusted" if shown.trust.is_trusted(found) else "untrusted"
    return "", f"{shown.tool} {found} of {read} ({trust})"


def _found(quote: str, shown: Shown) -> str | None:
    """Return the field of a result in which a quote stands, or which as `name: value` is the quote."""
    for name, item in shown.content.items():
        if quote == f"{name}: {item}" and isinstance(item, int | float | str):
            return name
        if len(quote) < QUOTE_MIN:
            continue
        for leaf in leaves(item):
            if isinstance(leaf, str) and stands_in(" ".join(leaf.split()), quote):
                return name
    return None
