# SPDX-License-Identifier: Apache-2.0
"""What impact limits and spend caps add up, over all runs of a tenant."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, case, delete, func, literal_column, select

from signoff.adapters.sql import tables as t
from signoff.adapters.sql.engine import Connection, Statement, param
from signoff.adapters.sql.known import Known
from signoff.adapters.sql.nouns import IMPACTS
from signoff.adapters.sql.spending import Spending
from signoff.core.action.lifecycle import MAY_BE_DONE, WITHOUT_EFFECT, State
from signoff.core.authority.limit import Counted
from signoff.core.authority.spend import Period


def _listed(words: frozenset[str] | frozenset[State]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


COUNTS: ColumnElement[bool] = literal_column(
    f"(state NOT IN ({_listed(WITHOUT_EFFECT | {State.FAILED})}) OR (state = 'failed' AND"
    f" (reason IN ({_listed(MAY_BE_DONE)}) OR (effect = 'egress' AND coalesce(reason, '') <> 'not_sent'))))"
)
"""`Action.may_have_effect`; a test holds the two against each other."""
_i, _a = t.impacts.c, t.actions.c
_OF = IMPACTS.query(_i.action_id == param("action"), order=_i.key)
_DROP = Statement(delete(t.impacts).where(_i.tenant == param("tenant"), _i.action_id == param("action")))
_LAST = Statement(select(func.max(_i.at)).where(_i.tenant == param("tenant"), _i.key == param("of")))
_r = t.runs.c
_UNDER = select(_r.run_id).where(_r.tenant == param("tenant"), _r.delegation_id == param("of"), t.UNDER)
_DELEGATED = Statement(
    select(
        func.coalesce(func.sum(case((and_(_a.effect != "read", _a.by.startswith("agt_"), COUNTS), 1), else_=0)), 0),
        func.coalesce(func.sum(_a.settled_usd_micros + _a.reserved_usd_micros), 0),
    ).where(_a.tenant == param("tenant"), _a.run_id.in_(_UNDER), _a.action_id != param("besides"))
)
_by_run = (
    select(
        _a.run_id.label("of_run"),
        func.sum(_a.settled_usd_micros).label("settled"),
        func.sum(_a.reserved_usd_micros).label("reserved"),
    )
    .where(_a.tenant == param("tenant"), t.SPENT, _a.proposed_at >= param("since"), _a.proposed_at < param("until"))
    .group_by(_a.run_id)
    .subquery()
)
_SPENT = Statement(
    select(_r.principal_id, _r.agent_id, _r.workflow, func.sum(_by_run.c.settled), func.sum(_by_run.c.reserved))
    .select_from(_by_run.join(t.runs, and_(_r.tenant == param("tenant"), _r.run_id == _by_run.c.of_run)))
    .group_by(_r.principal_id, _r.agent_id, _r.workflow)
)
_HALF = 20  # amounts are added up in two halves of their bits, so that no sum of them overflows
_COUNTED = Statement(
    select(
        func.coalesce(func.sum(_i.amount.op(">>")(literal_column(str(_HALF)))), 0),
        func.coalesce(func.sum(_i.amount.op("&")(literal_column(str((1 << _HALF) - 1)))), 0),
    )
    .select_from(t.impacts.join(t.actions, and_(_a.tenant == _i.tenant, _a.action_id == _i.action_id)))
    .where(
        _i.tenant == param("tenant"),
        _i.key == param("of"),
        _i.at > param("since"),
        _i.at <= param("until"),
        _i.action_id != param("besides"),
        COUNTS,
    )
)


class SqlSums:
    """Sums of one tenant."""

    def __init__(self, connection: Connection, known: Known, tenant: str) -> None:
        self._connection, self._known, self._tenant = connection, known, tenant

    def spent(self, window_us: int, began: int) -> Period:
        def read() -> Spending:
            given = {"tenant": self._tenant, "since": began, "until": began + window_us}
            return Spending(began, began + window_us, self._connection.run(_SPENT, given))

        return self._known.get(Spending, self._tenant, (window_us, began), read).sums

    def counted_of(self, action_id: str) -> list[Counted]:
        return IMPACTS.all(self._connection, _OF, tenant=self._tenant, action=action_id)

    def count(self, action_id: str, counted: Sequence[Counted]) -> None:
        self._connection.run(_DROP, {"tenant": self._tenant, "action": action_id})
        for one in counted:
            if (one.tenant, one.action_id) != (self._tenant, action_id):
                raise AssertionError("a transaction is opened for one tenant and cannot name another")
            IMPACTS.insert(self._connection, one)

    def last_counted(self, impact_key: str) -> int:
        return self._connection.run(_LAST, {"tenant": self._tenant, "of": impact_key}).fetchone()[0] or 0

    def counted(self, impact_key: str, since: int, until: int, besides: str) -> int:
        given = {"tenant": self._tenant, "of": impact_key, "since": since, "until": until, "besides": besides}
        high, low = self._connection.run(_COUNTED, given).fetchone()
        return (int(high) << _HALF) + int(low)

    def delegated(self, delegation_id: str, besides: str) -> tuple[int, int]:
        given = {"tenant": self._tenant, "of": delegation_id, "besides": besides}
        used, spent = self._connection.run(_DELEGATED, given).fetchone()
        return int(used), int(spent)
