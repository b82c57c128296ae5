# SPDX-License-Identifier: Apache-2.0
"""What people call the agents and people of whom an answer tells only ids; the id itself stays beside it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from signoff.core.errors import SignoffError
from signoff.surfaces.cli.ids import SEARCHED_MAX, first_of

if TYPE_CHECKING:
    from signoff.surfaces.cli.client import Client
    from signoff.surfaces.cli.shell import Shell


def called(shell: "Shell", client: "Client") -> Callable[[str | None], str | None]:
    """Return a function that puts a name beside an id, as far as the caller may know it; else it is the id alone.

    Nothing is asked for `--json`, which tells what the server told.
    """
    known: dict[str, str] = {}
    for path, id_, name in (("/v1/agents", "agent_id", "name"), ("/v1/people", "person_id", "name")):
        if shell.is_json:
            break
        try:
            known |= {one[id_]: one[name] for one in first_of(client, path, SEARCHED_MAX) if one[name]}
        except SignoffError:
            continue  # people's names are for those who administer, operate or audit

    def told(id_: str | None) -> str | None:
        return f"{known[id_]} ({id_})" if id_ in known else id_

    return told
