# SPDX-License-Identifier: Apache-2.0
"""Who acts: people with roles, agents with owners, and the keys by which they are known.

A principal is on whose behalf something is done; an agent is what does it. An agent can never approve and never
holds a role or permission; `tests/core/test_principal.py` states this.
"""

from dataclasses import dataclass

from signoff.core.errors import Forbidden

PERMISSIONS = frozenset({"admin", "author", "operator", "auditor"})


@dataclass(frozen=True, slots=True)
class Person:
    """A human. `roles` is a sorted tuple of names; the four of `PERMISSIONS` also grant administration."""

    tenant: str
    person_id: str
    seq: int
    head: str
    roles: tuple[str, ...]
    profile: str  # commitment to name and e-mail
    payload_key: str
    is_active: bool = True
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Agent:
    """A program that proposes; tokens minted before `epoch` was raised no longer count."""

    tenant: str
    agent_id: str
    seq: int
    head: str
    name: str
    owner_id: str
    epoch: int = 1
    is_active: bool = True
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The digest of a secret that only its holder has."""

    tenant: str
    key_id: str
    seq: int
    head: str
    holder: str  # a person or an agent
    secret_digest: str
    is_active: bool = True
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes this call, once the proof was verified: a person, or an agent by its token.

    Whether the proof still holds is asked again inside each transaction that acts on it.
    """

    tenant: str
    id: str
    roles: tuple[str, ...] = ()
    epoch: int = 0
    credential: str = ""  # id of the key or token that was shown

    @property
    def is_agent(self) -> bool:
        return self.id.startswith("agt_")

    def may(self, permission: str) -> bool:
        """Tell whether this caller holds a built-in permission; `admin` holds the others, an agent holds none."""
        return not self.is_agent and (permission in self.roles or "admin" in self.roles)


def require(caller: Caller, *permissions: str) -> None:
    """Refuse a caller who holds none of `permissions`.

    Raises:
        Forbidden: it names the permissions, any of which would do.
    """
    if not any(caller.may(permission) for permission in permissions):
        raise Forbidden(
            what="This call is not yours to make.",
            why=f"It takes the permission {' or '.join(permissions)}; agents hold none.",
            fix="Ask an admin for the role, or make the call with the key of a person who holds it.",
        )


def require_person(caller: Caller) -> None:
    """Refuse an agent.

    Raises:
        Forbidden: agents propose; people decide.
    """
    if caller.is_agent:
        raise Forbidden(
            what="An agent cannot do this.",
            why="Agents propose; deciding, settling and undoing by hand are for people.",
            fix="Make the call with a person's API key.",
            code="forbidden.agent",
        )
