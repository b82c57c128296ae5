# SPDX-License-Identifier: Apache-2.0
"""Queries over who may do what: people, agents, keys, halts, publications."""

from sqlalchemy import func, select

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.adapters.sql.known import Known
from signoff.adapters.sql.nouns import AGENTS, CLEARANCES, DELEGATIONS, HALTS, KEYS, PEOPLE, PUBLICATIONS
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.publication import Publication
from signoff.core.principal import Agent, ApiKey, Person

_person = PEOPLE.query(t.people.c.person_id == param("id"))
_people = PEOPLE.query(t.people.c.person_id > param("after"), order=t.people.c.person_id, most=True)
_agent = AGENTS.query(t.agents.c.agent_id == param("id"))
_agent_named = AGENTS.query(t.agents.c.name == param("name"))
_agents = AGENTS.query(t.agents.c.agent_id > param("after"), order=t.agents.c.agent_id, most=True)
_key = KEYS.query(t.api_keys.c.key_id == param("id"))
_keys_of = KEYS.query(t.api_keys.c.holder == param("holder"), order=t.api_keys.c.key_id)
_halt = HALTS.query(t.halts.c.halt_id == param("id"))
_halt_by_request = HALTS.query(t.halts.c.request_key == param("key"))
_in_force = HALTS.query(t.halts.c.is_lifted == 0, order=t.halts.c.halt_id)
_halts = HALTS.query(t.halts.c.halt_id < param("before"), order=t.halts.c.halt_id.desc(), most=True)
_d = t.delegations.c
_delegation = DELEGATIONS.query(_d.delegation_id == param("id"))
_delegation_by_request = DELEGATIONS.query(_d.request_key == param("key"))
_delegations = DELEGATIONS.query(_d.delegation_id < param("before"), order=_d.delegation_id.desc(), most=True)
_delegated = DELEGATIONS.query(_d.root_id == param("root"), order=_d.delegation_id)
_revoked = Statement(select(func.count()).select_from(t.delegations).where(_d.tenant == param("tenant"), t.REVOKED))
_c = t.clearances.c
_clearance = CLEARANCES.query(_c.clearance_id == param("id"))
_clearances = CLEARANCES.query(_c.workflow == param("workflow"), order=_c.clearance_id.desc())
_cleared = CLEARANCES.query(_c.workflow == param("workflow"), _c.is_withdrawn == 0, order=_c.clearance_id)
_p = t.publications.c
_publication = PUBLICATIONS.query(_p.digest == param("digest"), order=_p.publication_id.desc(), most=True)
_published = PUBLICATIONS.query(_p.kind == param("kind"), _p.name == param("name"), _p.version == param("version"))
_versions = PUBLICATIONS.query(_p.kind == param("kind"), _p.name == param("name"), order=_p.publication_id.desc())
_newest = PUBLICATIONS.query(
    _p.kind == param("kind"),
    _p.name == param("name"),
    _p.is_withdrawn == 0,
    order=_p.publication_id.desc(),
    most=True,
)
_current = (
    select(func.max(_p.publication_id))
    .where(_p.tenant == param("tenant"), _p.kind == param("kind"), _p.is_withdrawn == 0)
    .group_by(_p.name)
)
_withdrawn = Statement(
    select(_p.digest).where(_p.tenant == param("tenant"), _p.kind == param("kind"), _p.is_withdrawn == 1)
)
_mark = Statement(
    select(func.coalesce(func.sum(_p.seq), 0), func.coalesce(func.max(_p.publication_id), "")).where(
        _p.tenant == param("tenant")
    )
)
_current_of_each = PUBLICATIONS.query(_p.publication_id.in_(_current), order=_p.name)


class SqlAuthority:
    """Who may do what, in one tenant."""

    def __init__(self, connection: Connection, known: Known, tenant: str) -> None:
        self._connection, self._known, self._tenant = connection, known, tenant

    def person(self, person_id: str) -> Person | None:
        def read() -> Person | None:
            return PEOPLE.one(self._connection, _person, tenant=self._tenant, id=person_id)

        return self._known.get(Person, self._tenant, person_id, read)

    def people(self, after: str, limit: int) -> list[Person]:
        return PEOPLE.all(self._connection, _people, tenant=self._tenant, after=after, most=limit)

    def agent(self, agent_id: str) -> Agent | None:
        def read() -> Agent | None:
            return AGENTS.one(self._connection, _agent, tenant=self._tenant, id=agent_id)

        return self._known.get(Agent, self._tenant, agent_id, read)

    def agent_named(self, name: str) -> Agent | None:
        return AGENTS.one(self._connection, _agent_named, tenant=self._tenant, name=name)

    def agents(self, after: str, limit: int) -> list[Agent]:
        return AGENTS.all(self._connection, _agents, tenant=self._tenant, after=after, most=limit)

    def key(self, key_id: str) -> ApiKey | None:
        return KEYS.one(self._connection, _key, tenant=self._tenant, id=key_id)

    def keys_of(self, holder: str) -> list[ApiKey]:
        return KEYS.all(self._connection, _keys_of, tenant=self._tenant, holder=holder)

    def halt(self, halt_id: str) -> Halt | None:
        return HALTS.one(self._connection, _halt, tenant=self._tenant, id=halt_id)

    def halt_by_request(self, request_key: str) -> Halt | None:
        return HALTS.one(self._connection, _halt_by_request, tenant=self._tenant, key=request_key)

    def halts_in_force(self) -> tuple[Halt, ...]:
        def read() -> tuple[Halt, ...]:
            return tuple(HALTS.all(self._connection, _in_force, tenant=self._tenant))

        return self._known.get(Halt, self._tenant, "in force", read)

    def halts(self, before: str | None, limit: int) -> list[Halt]:
        return HALTS.all(self._connection, _halts, tenant=self._tenant, before=before or "~", most=limit)

    def delegation(self, delegation_id: str) -> Delegation | None:
        return DELEGATIONS.one(self._connection, _delegation, tenant=self._tenant, id=delegation_id)

    def delegation_by_request(self, request_key: str) -> Delegation | None:
        return DELEGATIONS.one(self._connection, _delegation_by_request, tenant=self._tenant, key=request_key)

    def delegations(self, before: str | None, limit: int) -> list[Delegation]:
        return DELEGATIONS.all(self._connection, _delegations, tenant=self._tenant, before=before or "~", most=limit)

    def delegated_from(self, root_id: str) -> tuple[Delegation, ...]:
        def read() -> tuple[Delegation, ...]:
            return tuple(DELEGATIONS.all(self._connection, _delegated, tenant=self._tenant, root=root_id))

        return self._known.get(Delegation, self._tenant, root_id, read)

    def revoked_delegations(self) -> int:
        def read() -> int:
            return int(self._connection.run(_revoked, {"tenant": self._tenant}).fetchone()[0])

        return self._known.get(Delegation, self._tenant, "revoked", read)

    def clearance(self, clearance_id: str) -> Clearance | None:
        return CLEARANCES.one(self._connection, _clearance, tenant=self._tenant, id=clearance_id)

    def clearances(self, workflow: str) -> list[Clearance]:
        return CLEARANCES.all(self._connection, _clearances, tenant=self._tenant, workflow=workflow)

    def clearances_in_force(self, workflow: str) -> tuple[Clearance, ...]:
        def read() -> tuple[Clearance, ...]:
            return tuple(CLEARANCES.all(self._connection, _cleared, tenant=self._tenant, workflow=workflow))

        return self._known.get(Clearance, self._tenant, workflow, read)

    def publication(self, digest: str) -> Publication | None:
        return PUBLICATIONS.one(self._connection, _publication, tenant=self._tenant, digest=digest, most=1)

    def published(self, kind: str, name: str, version: str) -> Publication | None:
        return PUBLICATIONS.one(
            self._connection, _published, tenant=self._tenant, kind=kind, name=name, version=version
        )

    def newest_publication(self, kind: str, name: str) -> Publication | None:
        return PUBLICATIONS.one(self._connection, _newest, tenant=self._tenant, kind=kind, name=name, most=1)

    def publications(self, kind: str) -> list[Publication]:
        return PUBLICATIONS.all(self._connection, _current_of_each, tenant=self._tenant, kind=kind)

    def versions(self, kind: str, name: str) -> list[Publication]:
        return PUBLICATIONS.all(self._connection, _versions, tenant=self._tenant, kind=kind, name=name)

    def withdrawn(self, kind: str) -> list[str]:
        return [row[0] for row in self._connection.run(_withdrawn, {"tenant": self._tenant, "kind": kind})]

    def pages_mark(self) -> tuple[int, str]:
        def read() -> tuple[int, str]:
            # Each publication has one entry and a withdrawal adds one, so that the sum moves with either.
            return self._connection.run(_mark, {"tenant": self._tenant}).fetchone()  # type: ignore[no-any-return]

        return self._known.get(Publication, self._tenant, "mark", read)
