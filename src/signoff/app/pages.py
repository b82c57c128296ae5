# SPDX-License-Identifier: Apache-2.0
"""The published pages as values: parsed once by digest, and looked up anew in each transaction by one small query."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from signoff.core.authority.contract import Contract, ToolContract, load_contract
from signoff.core.authority.envelope import Envelope, read_published
from signoff.core.authority.permission import Roles
from signoff.core.authority.role_reading import load_roles
from signoff.core.errors import Corrupt, NotFound
from signoff.ports.storage import Transaction

log = logging.getLogger("signoff.pages")


@dataclass(frozen=True, slots=True)
class Pages:
    """What is published in one tenant, as of one mark."""

    mark: tuple[int, str]
    tools: Mapping[str, tuple[ToolContract, Contract]]
    withdrawn: frozenset[str]  # digests of envelopes
    roles: Roles | None = None  # the newest page of what people's roles permit; None before the first

    def tool(self, name: str) -> tuple[ToolContract, Contract] | None:
        return self.tools.get(name)


@dataclass(slots=True)
class Shelf:
    """Parsed pages by the digest of their bytes, which never change; and the present pages of each tenant."""

    _envelopes: dict[str, Envelope] = field(default_factory=dict)
    _contracts: dict[str, Contract] = field(default_factory=dict)
    _pages: dict[str, Pages] = field(default_factory=dict)

    def pages(self, tx: Transaction) -> Pages:
        """Return the pages in force in this transaction."""
        mark = tx.authority.pages_mark()
        known = self._pages.get(tx.tenant)
        if known is None or known.mark != mark:
            known = self._pages[tx.tenant] = self._read(tx, mark)
        return known

    def present(self, tenant: str) -> Pages | None:
        """Return the pages as last seen; good enough to know which server to ask, never to decide by."""
        return self._pages.get(tenant)

    def envelope(self, tx: Transaction, digest: str) -> Envelope:
        """Return an envelope by digest, withdrawn or not: a run stays on the version with which it began.

        Raises:
            NotFound: no such envelope is published here.
            Corrupt: its stored text no longer loads, or has another digest.
        """
        if known := self._envelopes.get(digest):
            return known
        published = tx.authority.publication(digest)
        if published is None or published.kind != "envelope":
            raise NotFound(
                what="There is no such envelope.",
                why=f"No envelope with the digest {digest[:80]} is published.",
                fix="Publish it with `signoff envelopes publish FILE`.",
            )
        envelope, findings = read_published(published.text, f"{published.name}.yaml")
        if envelope is None or envelope.digest != digest:
            raise _corrupt("envelope", published.name, str(findings[0]) if findings else "its digest differs")
        self._envelopes[digest] = envelope
        return envelope

    def contract(self, tx: Transaction, digest: str) -> Contract:
        """Return a contract file by digest, also one that a newer version has replaced."""
        if known := self._contracts.get(digest):
            return known
        published = tx.authority.publication(digest)
        if published is None or published.kind != "contract":
            raise NotFound(
                what="There is no such tool contract.",
                why=f"No contract with the digest {digest[:80]} is published.",
                fix="Publish it with `signoff tools publish FILE`.",
            )
        contract, findings = load_contract(published.text, f"{published.name}.yaml")
        if contract is None or contract.digest != digest:
            raise _corrupt("contract", published.name, str(findings[0]) if findings else "its digest differs")
        self._contracts[digest] = contract
        return contract

    def _roles(self, tx: Transaction) -> Roles | None:
        """Return the newest roles page.

        Raises:
            Corrupt: its stored text no longer loads, or has another digest: then nobody is permitted anything.
        """
        published = tx.authority.newest_publication("roles", "roles")
        if published is None:
            return None
        roles, findings = load_roles(published.text, "roles.yaml")
        if roles is None or roles.digest != published.digest:
            raise _corrupt("page", published.name, str(findings[0]) if findings else "its digest differs")
        return roles

    def _read(self, tx: Transaction, mark: tuple[int, str]) -> Pages:
        tools: dict[str, tuple[ToolContract, Contract]] = {}
        twice: set[str] = set()
        for published in tx.authority.publications("contract"):
            contract = self.contract(tx, published.digest)
            for name, tool in contract.tools.items():
                twice |= {name} & tools.keys()
                tools[name] = tool, contract
        for name in twice:  # a withdrawal may bring back a version from before another system took the name
            log.warning("the tool %s is published by two systems, so that no call of it is allowed", name)
            del tools[name]
        return Pages(mark, tools, frozenset(tx.authority.withdrawn("envelope")), self._roles(tx))


def _corrupt(kind: str, name: str, why: str) -> Corrupt:
    return Corrupt(
        what=f"The stored {kind} {name} is not what was published.",
        why=why,
        fix="Run `signoff ledger verify`; it names what was altered.",
    )
