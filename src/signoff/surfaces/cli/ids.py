# SPDX-License-Identifier: Apache-2.0
"""Find the one id of which a person typed the beginning or the end."""

import re
from typing import TYPE_CHECKING, Any, Final

from signoff.core.errors import Malformed, NotFound

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client

SEARCHED_MAX: Final = 1000
_WHOLE: Final = re.compile(r"[a-z]{3}_[0-9a-f]{32}")


def action_id_of(client: "Client", given: str) -> str:
    """Return the whole id of an action of which the beginning or the end was given, or of its approval."""
    if given.startswith("apr_"):
        wanted = {one["action_id"] for one in client.items("/v1/approvals") if one["approval_id"].startswith(given)}
        return _only(sorted(wanted), given, "action")
    return id_of(client, given, "act", "/v1/actions", "action_id")


def run_id_of(client: "Client", given: str) -> str:
    """Return the whole id of a run of which the beginning or the end was given."""
    return id_of(client, given, "run", "/v1/runs", "run_id")


def id_of(client: "Client", given: str, prefix: str, path: str, name: str) -> str:
    """Return the one id in the list at `path` that begins or ends with `given`; a whole id is taken as it is.

    Raises:
        NotFound: none of the newest thousand does.
        Malformed: several do.
    """
    given = given.strip().lower()
    if _WHOLE.fullmatch(given):
        return given
    if not re.fullmatch(rf"(?:{prefix}_)?[0-9a-f]{{0,32}}", given) or len(given) < 2:
        raise Malformed(
            what="This is no id.",
            why=f"Ids here are `{prefix}_` and 32 hexadecimal digits; some of the first or last will do.",
            fix="Copy it from a list.",
            code="cli.id",
        )
    bare = given.removeprefix(f"{prefix}_")
    found = [one[name] for one in first_of(client, path, SEARCHED_MAX)]
    whole = [one for one in found if one.startswith(f"{prefix}_{bare}") or ("_" not in given and one.endswith(bare))]
    return _only(whole, given, path.rsplit("/", 1)[-1])


def first_of(client: "Client", path: str, limit: int) -> list[dict[str, Any]]:
    """Return at most `limit` items of a list."""
    found: list[dict[str, Any]] = []
    for one in client.items(path):
        found.append(one)
        if len(found) >= limit:
            break
    return found


def _only(found: list[str], given: str, kind: str) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise NotFound(
            what=f"Nothing among {kind} has an id like {given!r}.",
            why=f"The newest {SEARCHED_MAX} that you may see were looked through.",
            fix="Give the whole id, or list them first.",
            code="cli.id_unknown",
        )
    raise Malformed(
        what=f"{given!r} is not unique.",
        why=f"{len(found)} ids fit: {', '.join(found[:4])}{', ...' if len(found) > 4 else ''}.",
        fix="Give more of it.",
        code="cli.id_ambiguous",
    )
