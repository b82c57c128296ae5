# SPDX-License-Identifier: Apache-2.0
"""How a system lists its writes of a period, so that a write without a receipt is found.

A tool's contract names a read of the same system, what to ask it (`since` is the beginning of the period, RFC 3339),
where its answer has the list, and what of an `item` is the idempotency key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff.core.authority.rule import Expression, Names, typed_fields

SINCE: Final = Names((), (("since", "string"),))
_FIELD = re.compile(r"\s*result\s*\.\s*([A-Za-z_]\w*)\s*")


@dataclass(frozen=True, slots=True)
class Sweep:
    """The read that lists writes; `items` is over its `result`, and `key` over one `item`."""

    tool: str
    args: Mapping[str, Expression]
    items: Expression
    key: Expression


def names_of_item(items: str, schema: Mapping[str, Any] | None) -> Names:
    """Return the names of an expression over one item: typed where the list's schema says what is in it.

    Args:
        items: the text of the expression that yields the list.
        schema: of the listing tool's answer.
    """
    plain = _FIELD.fullmatch(items)
    properties = (schema or {}).get("properties")
    listed = properties.get(plain[1]) if plain and isinstance(properties, Mapping) else None
    inside = listed.get("items") if isinstance(listed, Mapping) else None
    fields = typed_fields("item", inside) if isinstance(inside, Mapping) else None
    return Names(("item",)) if fields is None else Names((), fields)
