# SPDX-License-Identifier: Apache-2.0
"""The downgrade ladder: what gives way as a task's budget runs out. Read and shown as inert; nothing walks it yet."""

from dataclasses import dataclass
from enum import StrEnum


class Relief(StrEnum):
    """What is done to spend less, the last resort at the end."""

    SMALLER_MODEL = "smaller_model"
    REDUCE_CONTEXT = "reduce_context"
    REQUIRE_CONFIRMATION = "require_confirmation"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Downgrade:
    """One rung: from `at_ppm` millionths of the task's budget on, do this."""

    at_ppm: int
    do: Relief
