# SPDX-License-Identifier: Apache-2.0
"""Queries over what lies sealed beside the log: payloads, the keys that open them, and whom they are about."""

from collections.abc import Iterator

from sqlalchemy import delete, insert, or_, select

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.adapters.sql.nouns import SUBJECTS
from signoff.core.subject import Subject
from signoff.ports.storage import SealedPayload
from signoff.ports.vault import WrappedKey

_p = t.payloads.c
_ADD = Statement(insert(t.payloads).values({column.name: param(column.name) for column in t.payloads.c}))
_GET = Statement(
    select(_p.key_id, _p.sealed).where(
        _p.tenant == param("tenant"), _p.owner == param("of"), _p.name == param("called")
    )
)
_ALL = Statement(select(_p.owner, _p.name, _p.key_id, _p.sealed).where(_p.tenant == param("tenant")))
_mine = _p.tenant == param("tenant")
_actions = t.actions.c
_of_run = select(_actions.action_id).where(_actions.tenant == param("tenant"), _actions.run_id == param("run"))
_of_subject = select(_actions.action_id).where(_actions.tenant == param("tenant"), _actions.subject == param("subject"))
_ERASE_RUN = Statement(delete(t.payloads).where(_mine, or_(_p.owner == param("run"), _p.owner.in_(_of_run))))
_ERASE_SUBJECT = Statement(delete(t.payloads).where(_mine, _p.owner.in_(_of_subject)))
_k = t.payload_keys.c
_ADD_KEY = Statement(insert(t.payload_keys).values({column.name: param(column.name) for column in t.payload_keys.c}))
_KEY = Statement(
    select(_k.key_id, _k.master_id, _k.sealed).where(_k.tenant == param("tenant"), _k.key_id == param("id"))
)

_DESTROY = Statement(delete(t.payload_keys).where(_k.tenant == param("tenant"), _k.key_id == param("id")))


class SqlPayloads:
    """Sealed payloads of one tenant."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def add(self, payload: SealedPayload) -> None:
        self._connection.run(
            _ADD,
            {
                "tenant": self._tenant,
                "owner": payload.owner,
                "name": payload.name,
                "key_id": payload.key_id,
                "sealed": payload.sealed,
            },
        )

    def get(self, owner: str, name: str) -> tuple[str, bytes] | None:
        return self._connection.run(_GET, {"tenant": self._tenant, "of": owner, "called": name}).fetchone()  # type: ignore[no-any-return]

    def add_key(self, key: WrappedKey) -> None:
        given = {"tenant": self._tenant, "key_id": key.key_id, "master_id": key.master_id, "sealed": key.sealed}
        self._connection.run(_ADD_KEY, given)

    def key(self, key_id: str) -> WrappedKey | None:
        row = self._connection.run(_KEY, {"tenant": self._tenant, "id": key_id}).fetchone()
        return None if row is None else WrappedKey(*row)

    def destroy_key(self, key_id: str) -> None:
        with self._connection.overwriting():
            self._connection.run(_DESTROY, {"tenant": self._tenant, "id": key_id})

    def erase_run(self, run_id: str) -> int:
        with self._connection.overwriting():
            return self._connection.run(_ERASE_RUN, {"tenant": self._tenant, "run": run_id}).rowcount

    def erase_subject(self, subject_id: str) -> int:
        with self._connection.overwriting():
            return self._connection.run(_ERASE_SUBJECT, {"tenant": self._tenant, "subject": subject_id}).rowcount

    def all(self) -> Iterator[tuple[str, str, str, bytes]]:
        yield from self._connection.run(_ALL, {"tenant": self._tenant})


_SUBJECT = SUBJECTS.query(t.subjects.c.subject_id == param("id"))
_PRESENT = SUBJECTS.query(t.UNERASED, t.subjects.c.tag == param("tag"))
_OF_TAG = SUBJECTS.query(t.subjects.c.tag == param("tag"), order=t.subjects.c.subject_id)
_UNSCRUBBED = SUBJECTS.query(t.UNSCRUBBED, order=t.subjects.c.subject_id, most=True)


class SqlSubjects:
    """Data subjects of one tenant."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def get(self, subject_id: str) -> Subject | None:
        return SUBJECTS.one(self._connection, _SUBJECT, tenant=self._tenant, id=subject_id)

    def present(self, tag: str) -> Subject | None:
        return SUBJECTS.one(self._connection, _PRESENT, tenant=self._tenant, tag=tag)

    def of_tag(self, tag: str) -> list[Subject]:
        return SUBJECTS.all(self._connection, _OF_TAG, tenant=self._tenant, tag=tag)

    def unscrubbed(self, limit: int) -> list[Subject]:
        return SUBJECTS.all(self._connection, _UNSCRUBBED, tenant=self._tenant, most=limit)
