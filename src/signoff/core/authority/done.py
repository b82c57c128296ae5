# SPDX-License-Identifier: Apache-2.0
"""What a completed task is: the tools that must have succeeded in its run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """What `complete` requires; `not_reopened_us` is the time within which a reopened task was not done."""

    requires: tuple[str, ...] = ()
    not_reopened_us: int = 0
