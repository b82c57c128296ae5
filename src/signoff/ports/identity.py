# SPDX-License-Identifier: Apache-2.0
"""Short-lived signed tokens of agents, and the secrets of API keys."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a token says once its signature is verified; whether it still holds is asked of the database.

    `epoch` is the agent's epoch at minting: raising it voids every token before. Times are microseconds since 1970,
    ends excluded.
    """

    tenant: str
    agent_id: str
    person_id: str  # the owner on whose authority it was minted
    token_id: str
    epoch: int
    issued_at: int
    expires_at: int


class Tokens(Protocol):
    """Mints and verifies agents' tokens: JWT of type `at+jwt` (RFC 9068), signed with Ed25519 (RFC 8037)."""

    def mint(self, claims: TokenClaims) -> str:
        """Return the compact serialisation."""

    def verify(self, token: str, now: int) -> TokenClaims:
        """Return the claims of a token whose signature, type, audience and times hold at `now` (microseconds).

        A signature is verified once in a token's life; its end is looked at on every call.

        Raises:
            Unauthenticated: anything about it is wrong; the message names what, never the token.
        """
