# SPDX-License-Identifier: Apache-2.0
"""A published page: an envelope or a tool contract, immutable, with a digest and a publisher."""

from dataclasses import dataclass

from signoff.core.errors import Conflict


@dataclass(frozen=True, slots=True)
class Publication:
    """One published version. `text` is not in the log: it is recomputed against `digest`."""

    tenant: str
    publication_id: str
    seq: int
    head: str
    kind: str  # envelope | contract
    name: str  # the workflow, or the system
    version: str
    digest: str  # sha256 of the exact bytes
    publisher: str
    published_at: int
    text: str
    is_withdrawn: bool = False
    withdrawn_by: str | None = None


def same_version(earlier: Publication, digest: str) -> Publication:
    """Return the earlier publication if it has the same content.

    Raises:
        Conflict: the same version was published with other content.
    """
    if earlier.digest == digest:
        return earlier
    raise Conflict(
        what=f"{earlier.kind.capitalize()} {earlier.name} {earlier.version} is already published with other content.",
        why=f"A published version never changes: it has the digest {earlier.digest}, this text has {digest}.",
        fix="Give the page a new `version` and publish it again.",
        code="publication.version_taken",
        field="version",
    )
