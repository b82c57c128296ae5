# SPDX-License-Identifier: Apache-2.0
"""Lay changes and arguments side by side, row by row, with the very characters marked that differ."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from signoff.surfaces.web.hostile import (
    ABSENT,
    CLIP,
    CONTEXT,
    LINES,
    NOTHING,
    Absent,
    details,
    gap,
    shown,
    text,
    written,
)
from signoff.surfaces.web.models import Change

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORD: Final = 24  # characters; a difference is marked out to the ends of words of up to this length


def arguments(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the three records side by side: `names` of those that exist, and a row for every value in any."""
    names = [name for name in ("proposed", "approved", "effective") if args.get(name) is not None]
    flat = [dict(leaves(args[name])) if args[name] else {} for name in names]
    made = []
    for path in dict.fromkeys(path for record in flat for path in record):
        found = [record.get(path, ABSENT) for record in flat]
        made.append({"path": path, "cells": found, "differs": any(not _same(found[0], other) for other in found)})
    return {"names": names, "rows": made, "differing": sum(row["differs"] for row in made)}


def rows(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return the rows of a diff: what kind of change, and both sides ready to show."""
    made: list[dict[str, Any]] = []
    for change in changes:
        before, after = (dict(leaves(change[side])) if change[side] is not None else {} for side in ("before", "after"))
        for path in dict.fromkeys([*before, *after]) or [""]:
            was, new = before.get(path), after.get(path)
            is_same = _same(was, new)
            kind = "same" if is_same else "added" if was is None else "removed" if new is None else "changed"
            shown_was, shown_new = (shown(NOTHING if side is None else side) for side in (was, new))
            if kind == "changed" and isinstance(was, str) and isinstance(new, str):
                shown_was, shown_new = pair(written(was), written(new))
            joint = "." if path and not path.startswith("[") and change["path"] else ""
            made.append({"path": change["path"] + joint + path, "kind": kind, "before": shown_was, "after": shown_new})
    return made


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its path; a key that is no plain name is quoted, so that none can pose as a path."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            plain = _PLAIN_KEY.fullmatch(str(key)) is not None
            step = (f".{key}" if path else str(key)) if plain else f"[{json.dumps(str(key), ensure_ascii=False)}]"
            yield from leaves(item, path + step)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}[{place}]")
    else:
        yield path, value


def _same(one: Any, other: Any) -> bool:
    # 1 equals True in Python; in a target it does not.
    return (
        type(one) is type(other) and one == other
        if isinstance(one, bool | Absent) or isinstance(other, bool | Absent)
        else bool(one == other)
    )


def pair(before: str, after: str) -> tuple[Markup, Markup]:
    """Return two texts with what differs marked; a long common part is cut, never the difference's place."""
    size = min(len(before), len(after))
    head = next((i for i in range(size) if before[i] != after[i]), size)
    tail = next((i for i in range(size - head) if before[-1 - i] != after[-1 - i]), size - head)
    # Whole words are marked, as people read them.
    head -= _word_end(before[:head][::-1])
    tail -= _word_end(before[len(before) - tail :])
    return _marked(before, head, tail), _marked(after, head, tail)


def _word_end(common: str) -> int:
    """Return how far a word reaches into what both texts share; 0 where it is longer than a word."""
    reach = next((i for i, char in enumerate(common) if not char.isalnum()), len(common))
    return reach if reach <= _WORD else 0


def _marked(whole: str, head: int, tail: int) -> Markup:
    end = len(whole) - tail
    lead, middle, trail = whole[:head], whole[head:end], whole[end:]
    if len(whole) <= CLIP and whole.count("\n") < LINES:
        return Markup('<bdi class="val">{}<mark>{}</mark>{}</bdi>').format(text(lead), text(middle), text(trail))
    near, far = lead[-CONTEXT:], trail[:CONTEXT]
    cut = gap(len(middle) - CLIP)
    core = text(middle) if not cut else text(middle[: CLIP // 2]) + cut + text(middle[-CLIP // 2 :])
    parts = (gap(len(lead) - len(near)), text(near), core, text(far), gap(len(trail) - len(far)))
    return details(Markup("{}{}<mark>{}</mark>{}{}").format(*parts), whole)
