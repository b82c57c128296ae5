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

    def tool(self, name: str, environment: str | None = None) -> tuple[ToolContract, Contract] | None:
        """Return a tool with its contract as it holds in an environment; None where its system is not there.

        Without an environment no server may be reached through it, where there is one for each.
        """
        known = self.tools.get(name)
        if known is None or environment is None or not known[1].servers:
            return known
        contract = known[1].within(environment)
        return (known[0], contract) if contract is not None else None


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

    def contract(self, tx: Transaction, digest: str, environment: str | None = None) -> Contract:
        """Return a contract file by digest, also one that a newer version has replaced, as it holds in an environment.

        Raises:
            NotFound: no such contract is published here, or its system is not in that environment.
            Corrupt: its stored text no longer loads, or has another digest.
        """
        known = self._contract(tx, digest)
        bound = known if environment is None else known.within(environment)
        if bound is not None:
            return bound
        raise NotFound(
            what=f"The system of this tool is not in the environment {str(environment)[:64]!r}.",
            why="Its contract names a server for each environment, and none for this one.",
            fix="Begin the run in another environment, or publish the contract with a server for it.",
            code="contract.other_environment",
        )

    def _contract(self, tx: Transaction, digest: str) -> Contract:
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
            contract = self._contract(tx, published.digest)
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
