# SPDX-License-Identifier: Apache-2.0
"""A provider by which people prove anew who they are before they approve. None comes with this version."""

from typing import Protocol

from signoff.core.principal import Caller


class StepUp(Protocol):
    """Asked once a vote, outside of any transaction; without a provider nothing is ever shown."""

    async def is_shown(self, caller: Caller, digest: str) -> bool:
        """Tell whether a person proved anew, for the digest they approve and after they saw it, who they are.

        What is not known for sure is not shown. Never raises for a person's or a provider's doing.
        """
