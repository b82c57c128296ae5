# SPDX-License-Identifier: Apache-2.0
"""Queries along the path of one action: actions and votes, runs, receipts, leases."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from sqlalchemy import and_, delete, func, insert, or_, select, tuple_, update

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.adapters.sql.known import Known
from signoff.adapters.sql.nouns import ACTIONS, RUNS, VOTES
from signoff.adapters.sql.sends import KEPT, ToolSends
from signoff.adapters.sql.tally import Line, RunTally
from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import CONCLUDED, Action, State
from signoff.core.authority.circuit import Sent
from signoff.core.run import Run, Tally
from signoff.ports.storage import Lease, Receipt

_a = t.actions.c
_GET = ACTIONS.query(_a.action_id == param("id"))
_BY_REQUEST = ACTIONS.query(_a.request_key == param("key"))
_BY_APPROVAL = ACTIONS.query(_a.approval_id == param("id"))
_ON_RESOURCE = ACTIONS.query(
    _a.resource == param("resource"),
    _a.action_id != param("besides"),
    t.BUSY,
    most=True,
)
_OF_RUN = ACTIONS.query(_a.run_id == param("run"), order=_a.action_id)
_OF_SUBJECT = ACTIONS.query(_a.subject == param("subject"), order=_a.action_id)
_NEWEST = ACTIONS.query(_a.action_id < param("before"), order=_a.action_id.desc(), most=True)
_EXPIRED = ACTIONS.query(t.EXPIRING, _a.expires_at <= param("now"), order=_a.expires_at, most=True)
_TO_LOOK = ACTIONS.query(_a.look_at <= param("now"), order=_a.look_at, most=True)
_ESCALATED = ACTIONS.query(t.ESCALATED, _a.action_id > param("after"), order=_a.action_id, most=True)
_HELD_OVER = ACTIONS.query(
    t.HELD, _a.hold_until <= param("now"), _a.action_id > param("after"), order=_a.action_id, most=True
)
_FOUND_LATE = ACTIONS.query(t.LATE, _a.action_id > param("after"), order=_a.action_id, most=True)
_SENDS = ACTIONS.query(_a.tool == param("tool"), t.SENT, order=_a.claimed_at.desc(), most=True)
_LINES = Statement(
    select(
        _a.action_id,
        _a.by,
        _a.content_tag,
        _a.effect,
        _a.reverses,
        _a.fence,
        _a.state,
        _a.reason,
        _a.waited_us,
        _a.waiting_since,
        _a.settled_usd_micros + _a.reserved_usd_micros,
    ).where(_a.tenant == param("tenant"), _a.run_id == param("run"))
)
_COUNT = Statement(select(_a.state, func.count()).where(_a.tenant == param("tenant")).group_by(_a.state))
_WAITING_OF = Statement(
    select(func.count()).select_from(t.actions).where(_a.tenant == param("tenant"), _a.by == param("by"), t.WAITING)
)
_v = t.votes.c
_VOTES = VOTES.query(_v.action_id == param("action"), order=(_v.at, _v.person_id))
_RUN = RUNS.query(t.runs.c.run_id == param("id"))
_RUN_BY_REQUEST = RUNS.query(t.runs.c.request_key == param("key"))
_RUNS = RUNS.query(t.runs.c.run_id < param("before"), order=t.runs.c.run_id.desc(), most=True)
_OPEN_RUNS = Statement(
    select(func.count())
    .select_from(t.runs)
    .where(t.runs.c.tenant == param("tenant"), t.runs.c.agent_id == param("agent"), t.OPEN_RUN)
)
_UNERASED_PAGES = Statement(select(t.runs.c.envelope).distinct().where(t.runs.c.tenant == param("tenant"), t.UNERASED))
_UNERASED = RUNS.query(
    t.UNERASED,
    t.runs.c.envelope == param("envelope"),
    t.runs.c.started_at <= param("until"),
    tuple_(t.runs.c.started_at, t.runs.c.run_id) > tuple_(param("after_at"), param("after_id")),
    order=(t.runs.c.started_at, t.runs.c.run_id),
    most=True,
)
OPEN = frozenset(State) - CONCLUDED | {State.REVERSING}
LAST_ID = "~"  # sorts after every id


@cache
def _in_states(states: tuple[State, ...]) -> Statement:
    return ACTIONS.query(
        *((t.OPEN,) if OPEN.issuperset(states) else ()),
        _a.state.in_([str(state) for state in states]),
        _a.action_id > param("after"),
        order=_a.action_id,
        most=True,
    )


class SqlActions:
    """Actions of one tenant."""

    def __init__(self, connection: Connection, known: Known, tenant: str, now: int) -> None:
        self._connection, self._known, self._tenant, self._now = connection, known, tenant, now

    def get(self, action_id: str) -> Action | None:
        def read() -> Action | None:
            return ACTIONS.one(self._connection, _GET, tenant=self._tenant, id=action_id)

        return self._known.get(Action, self._tenant, action_id, read)

    def by_request(self, request_key: str) -> Action | None:
        return ACTIONS.one(self._connection, _BY_REQUEST, tenant=self._tenant, key=request_key)

    def by_approval(self, approval_id: str) -> Action | None:
        return ACTIONS.one(self._connection, _BY_APPROVAL, tenant=self._tenant, id=approval_id)

    def by_content(self, run_id: str, content_tag: str) -> Action | None:
        newest = self._of_run(run_id).newest_write(content_tag)
        return None if newest is None else self.get(newest)

    def on_resource(self, resource: str, besides: str) -> Action | None:
        return ACTIONS.one(
            self._connection, _ON_RESOURCE, tenant=self._tenant, resource=resource, besides=besides, most=1
        )

    def of_run(self, run_id: str) -> list[Action]:
        return ACTIONS.all(self._connection, _OF_RUN, tenant=self._tenant, run=run_id)

    def of_subject(self, subject_id: str) -> list[Action]:
        return ACTIONS.all(self._connection, _OF_SUBJECT, tenant=self._tenant, subject=subject_id)

    def in_states(self, states: Sequence[State], after: str, limit: int) -> list[Action]:
        statement = _in_states(tuple(states))
        return ACTIONS.all(self._connection, statement, tenant=self._tenant, after=after, most=limit)

    def newest(self, before: str | None, limit: int) -> list[Action]:
        return ACTIONS.all(self._connection, _NEWEST, tenant=self._tenant, before=before or LAST_ID, most=limit)

    def due(self, now: int, limit: int) -> list[Action]:
        late = ACTIONS.all(self._connection, _EXPIRED, tenant=self._tenant, now=now, most=limit)
        return late + ACTIONS.all(self._connection, _TO_LOOK, tenant=self._tenant, now=now, most=limit)

    def escalated(self, after: str, limit: int) -> list[Action]:
        return ACTIONS.all(self._connection, _ESCALATED, tenant=self._tenant, after=after, most=limit)

    def held_over(self, now: int, after: str, limit: int) -> list[Action]:
        return ACTIONS.all(self._connection, _HELD_OVER, tenant=self._tenant, now=now, after=after, most=limit)

    def late(self, after: str, limit: int) -> list[Action]:
        return ACTIONS.all(self._connection, _FOUND_LATE, tenant=self._tenant, after=after, most=limit)

    def tally(self, run_id: str, content_tag: str, besides: str) -> Tally:
        return self._of_run(run_id).tally(content_tag, besides, self._now)

    def same_calls(self, run_id: str, content_tag: str) -> list[str]:
        return self._of_run(run_id).same_calls(content_tag)

    def sends_of(self, tool: str) -> Iterator[Sent]:
        def read() -> ToolSends:
            newest = ACTIONS.all(self._connection, _SENDS, tenant=self._tenant, tool=tool, most=KEPT)
            return ToolSends(reversed(newest))

        return self._known.get(ToolSends, self._tenant, tool, read).newest_first()

    def votes(self, action_id: str) -> list[Vote]:
        return VOTES.all(self._connection, _VOTES, tenant=self._tenant, action=action_id)

    def add_vote(self, vote: Vote) -> None:
        if vote.tenant != self._tenant:
            raise AssertionError("a transaction is opened for one tenant and cannot name another")
        VOTES.insert(self._connection, vote)

    def count_states(self) -> dict[str, int]:
        return dict(self._connection.run(_COUNT, {"tenant": self._tenant}).fetchall())

    def waiting_of(self, by: str) -> int:
        return int(self._connection.run(_WAITING_OF, {"tenant": self._tenant, "by": by}).fetchone()[0])

    def _of_run(self, run_id: str) -> RunTally:
        def read() -> RunTally:
            rows = self._connection.run(_LINES, {"tenant": self._tenant, "run": run_id})
            return RunTally(
                Line(action_id, by, tag, effect != "read" and reverses is None, fence, State(state), *rest)
                for action_id, by, tag, effect, reverses, fence, state, *rest in rows
            )

        return self._known.get(RunTally, self._tenant, run_id, read)


class SqlRuns:
    """Runs of one tenant."""

    def __init__(self, connection: Connection, known: Known, tenant: str) -> None:
        self._connection, self._known, self._tenant = connection, known, tenant

    def get(self, run_id: str) -> Run | None:
        def read() -> Run | None:
            return RUNS.one(self._connection, _RUN, tenant=self._tenant, id=run_id)

        return self._known.get(Run, self._tenant, run_id, read)

    def by_request(self, request_key: str) -> Run | None:
        return RUNS.one(self._connection, _RUN_BY_REQUEST, tenant=self._tenant, key=request_key)

    def newest(self, before: str | None, limit: int) -> list[Run]:
        return RUNS.all(self._connection, _RUNS, tenant=self._tenant, before=before or LAST_ID, most=limit)

    def open_of(self, agent_id: str) -> int:
        return int(self._connection.run(_OPEN_RUNS, {"tenant": self._tenant, "agent": agent_id}).fetchone()[0])

    def unerased_pages(self) -> list[str]:
        return [row[0] for row in self._connection.run(_UNERASED_PAGES, {"tenant": self._tenant})]

    def unerased(self, envelope: str, until: int, beyond: tuple[int, str], limit: int) -> list[Run]:
        given = {"envelope": envelope, "until": until, "after_at": beyond[0], "after_id": beyond[1], "most": limit}
        return RUNS.all(self._connection, _UNERASED, tenant=self._tenant, **given)


_r = t.receipts.c
_R_COLUMNS = (_r.tenant, _r.receipt_id, _r.action_id, _r.seq, _r.log, _r.key_id, _r.signature)
_R_INSERT = Statement(insert(t.receipts).values({column.name: param(column.name) for column in t.receipts.c}))
_R_GET = Statement(select(*_R_COLUMNS).where(_r.tenant == param("tenant"), _r.receipt_id == param("id")))
_R_UNSIGNED = Statement(
    select(*_R_COLUMNS)
    .where(_r.tenant == param("tenant"), _r.signature.is_(None))
    .order_by(_r.receipt_id)
    .limit(param("most"))
)
_R_SIGN = Statement(
    update(t.receipts)
    .where(_r.tenant == param("tenant"), _r.receipt_id == param("id"), _r.signature.is_(None))
    .values(key_id=param("new_key"), signature=param("new_signature"))
)
_R_ALL = Statement(select(*_R_COLUMNS).where(_r.tenant == param("tenant")).order_by(_r.receipt_id))


class SqlReceipts:
    """Receipts of one tenant."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def add(self, receipt: Receipt) -> None:
        self._connection.run(
            _R_INSERT,
            {
                "tenant": self._tenant,
                "receipt_id": receipt.receipt_id,
                "action_id": receipt.action_id,
                "seq": receipt.seq,
                "log": receipt.log,
                "key_id": receipt.key_id,
                "signature": receipt.signature,
            },
        )

    def get(self, receipt_id: str) -> Receipt | None:
        row = self._connection.run(_R_GET, {"tenant": self._tenant, "id": receipt_id}).fetchone()
        return None if row is None else Receipt(*row)

    def unsigned(self, limit: int) -> list[Receipt]:
        return [Receipt(*row) for row in self._connection.run(_R_UNSIGNED, {"tenant": self._tenant, "most": limit})]

    def sign(self, signed: Iterable[tuple[str, str, bytes]]) -> None:
        rows = (
            {"tenant": self._tenant, "id": receipt_id, "new_key": key_id, "new_signature": signature}
            for receipt_id, key_id, signature in signed
        )
        self._connection.run_all(_R_SIGN, rows)

    def all(self) -> Iterator[Receipt]:
        for row in self._connection.run(_R_ALL, {"tenant": self._tenant}):
            yield Receipt(*row)


_l = t.leases.c
CLAIM_US = 15_000_000  # what a claim holds by itself
_L_DROP = Statement(delete(t.leases).where(_l.tenant == param("tenant"), _l.action_id == param("id")))
_L_TAKE = Statement(insert(t.leases).values({column.name: param(column.name) for column in t.leases.c}))
_L_AGED = Statement(
    select(_a.action_id, _a.fence, _a.claimed_by, func.coalesce(_l.until, _a.claimed_at + CLAIM_US))
    .select_from(
        t.actions.outerjoin(t.leases, and_(_l.tenant == _a.tenant, _l.action_id == _a.action_id, _l.fence == _a.fence))
    )
    .where(
        _a.tenant == param("tenant"),
        t.OPEN,
        _a.state == param("sent"),
        _a.effect != param("read"),
        or_(_a.claimed_at <= param("latest"), _a.claimed_by != func.coalesce(param("alone"), _a.claimed_by)),
    )
)


class SqlLeases:
    """Leases of one tenant."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant

    def aged(self, latest: int, dead_node_but: str | None) -> list[Lease]:
        given = {"sent": "dispatching", "read": "read", "latest": latest, "alone": dead_node_but}
        return [Lease(*row) for row in self._connection.run(_L_AGED, given | {"tenant": self._tenant})]

    def renew(self, action_id: str, fence: int, until: int) -> None:
        self.drop(action_id)
        given = {"tenant": self._tenant, "action_id": action_id, "fence": fence, "until": until}
        self._connection.run(_L_TAKE, given)

    def drop(self, action_id: str) -> None:
        self._connection.run(_L_DROP, {"tenant": self._tenant, "id": action_id})
