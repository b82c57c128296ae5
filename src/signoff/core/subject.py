# SPDX-License-Identifier: Apache-2.0
"""A data subject: whom the payloads of some actions are about, and whose erasure takes them all at once.

The contract of a tool says who that is, as a text over the arguments; here stands a keyed digest of that text only. One
that was erased is not brought back: if it is met again, that is another row with a key of its own.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject as it stands. Times are microseconds since 1970."""

    tenant: str
    subject_id: str
    seq: int
    head: str
    tag: str  # keyed digest of its text
    payload_key: str  # seals the payloads of its actions; once it is erased, the reason of that alone
    met_at: int
    erased_at: int | None = None
    erased_by: str | None = None
    reason: str | None = None  # commitment to why it was erased
    erased_actions: int = 0
    erased_payloads: int = 0
    scrubbed_at: int | None = None  # when nothing of it was left in the database's files
