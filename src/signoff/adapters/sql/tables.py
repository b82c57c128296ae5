# SPDX-License-Identifier: Apache-2.0
"""Every table, once. A table that authorises is its noun: one column a field, so that its fold can be compared.

Rules a test scans for: the tenant comes first in every key and index, no serial counters, no unique constraint
across tenants, and neither advisory locks nor notifications are needed; so that a sharded engine stays possible.
"""

import types
import typing
from dataclasses import MISSING, fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    literal_column,
)

from signoff.core.action.approval import Vote
from signoff.core.action.lifecycle import Action
from signoff.core.authority.clearance import Clearance
from signoff.core.authority.delegation import Delegation
from signoff.core.authority.halt import Halt
from signoff.core.authority.limit import Counted
from signoff.core.authority.publication import Publication
from signoff.core.principal import Agent, ApiKey, Person
from signoff.core.run import Run
from signoff.core.subject import Subject

SCHEMA_VERSION = 2
metadata = MetaData()
INTEGER = BigInteger().with_variant(Integer(), "sqlite")  # 64 bits on either engine


def _is_optional(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) and type(None) in typing.get_args(kind)


def _of(name: str, noun: type, *key: str) -> Table:
    """Return the table of a noun: text for text, enums and tuples; integers for integers and truth values."""
    hints = typing.get_type_hints(noun)
    columns = []
    for field in fields(noun):
        kind = hints[field.name]
        plain = (
            next((part for part in typing.get_args(kind) if part is not type(None)), kind)
            if _is_optional(kind)
            else kind
        )
        column_type = INTEGER if plain in (int, bool) else Text()
        nullable = _is_optional(kind)
        assert nullable or field.default is not None or field.default is MISSING
        columns.append(Column(field.name, column_type, primary_key=field.name in ("tenant", *key), nullable=nullable))
    return Table(name, metadata, *columns)


actions = _of("actions", Action, "action_id")
runs = _of("runs", Run, "run_id")
people = _of("people", Person, "person_id")
agents = _of("agents", Agent, "agent_id")
api_keys = _of("api_keys", ApiKey, "key_id")
halts = _of("halts", Halt, "halt_id")
subjects = _of("subjects", Subject, "subject_id")
publications = _of("publications", Publication, "publication_id")
clearances = _of("clearances", Clearance, "clearance_id")
delegations = _of("delegations", Delegation, "delegation_id")
votes = _of("votes", Vote, "action_id", "digest", "person_id")
impacts = _of("impacts", Counted, "action_id", "key")

entries = Table(
    "entries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("seq", INTEGER, primary_key=True),
    Column("at", INTEGER, nullable=False),
    Column("idx", INTEGER),
    Column("entry", LargeBinary, nullable=False),
    Column("mark", LargeBinary),
)
nodes = Table(
    "nodes",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("level", INTEGER, primary_key=True),
    Column("position", INTEGER, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("size", INTEGER, primary_key=True),
    Column("note", Text, nullable=False),
)
receipts = Table(
    "receipts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("receipt_id", Text, primary_key=True),
    Column("action_id", Text, nullable=False),
    Column("seq", INTEGER, nullable=False),
    Column("log", Text, nullable=False),
    Column("key_id", Text),
    Column("signature", LargeBinary),
)
payloads = Table(
    "payloads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
payload_keys = Table(
    "payload_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("master_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
leases = Table(
    "leases",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("action_id", Text, primary_key=True),
    Column("fence", INTEGER, nullable=False),
    Column("until", INTEGER, nullable=False),
)

# A row past a quarter of a page would leave its key's tree for a page of its own, and be half empty there: these tables
# keep their rows in the order of arrival instead, with the key as an index beside them.
WIDE = frozenset({"actions", "entries", "payloads", "publications"})

Index("actions_run", actions.c.tenant, actions.c.run_id, actions.c.action_id)
Index(
    "actions_request",
    actions.c.tenant,
    actions.c.request_key,
    sqlite_where=actions.c.request_key.isnot(None),
    unique=True,
)
# An engine uses a partial index only where the query repeats its condition to the letter, so each has one spelling.
OPEN: ColumnElement[bool] = literal_column(
    "state IN ('proposed', 'held', 'pending_approval', 'approved',"
    " 'dispatching', 'in_doubt', 'needs_person', 'reversing')"
)
EXPIRING: ColumnElement[bool] = literal_column("state IN ('pending_approval', 'approved')")
BUSY: ColumnElement[bool] = literal_column(
    "resource IS NOT NULL AND state IN ('dispatching', 'in_doubt', 'needs_person')"
)
WAITING: ColumnElement[bool] = literal_column("state IN ('held', 'pending_approval')")
ESCALATED: ColumnElement[bool] = literal_column("escalated_at IS NOT NULL AND state = 'pending_approval'")
HELD: ColumnElement[bool] = literal_column("state = 'held'")
SENT: ColumnElement[bool] = literal_column("claimed_at IS NOT NULL")
OPEN_RUN: ColumnElement[bool] = literal_column("state IN ('open', 'paused')")
UNDER: ColumnElement[bool] = literal_column("delegation_id IS NOT NULL")
REVOKED: ColumnElement[bool] = literal_column("is_revoked = 1")
UNERASED: ColumnElement[bool] = literal_column("erased_at IS NULL")
UNSCRUBBED: ColumnElement[bool] = literal_column("erased_at IS NOT NULL AND scrubbed_at IS NULL")
LATE: ColumnElement[bool] = literal_column("reason IN ('found_late', 'late_look_unanswered')")
SPENT: ColumnElement[bool] = literal_column("settled_usd_micros + reserved_usd_micros > 0")
Index("actions_open", actions.c.tenant, actions.c.state, actions.c.action_id, sqlite_where=OPEN)
Index("actions_expiring", actions.c.tenant, actions.c.expires_at, sqlite_where=EXPIRING)
Index("actions_look", actions.c.tenant, actions.c.look_at, sqlite_where=actions.c.look_at.isnot(None))
Index("actions_approval", actions.c.tenant, actions.c.approval_id, sqlite_where=actions.c.approval_id.isnot(None))
Index("actions_resource", actions.c.tenant, actions.c.resource, sqlite_where=BUSY)
Index("actions_escalated", actions.c.tenant, actions.c.action_id, sqlite_where=ESCALATED)
Index("actions_held", actions.c.tenant, actions.c.hold_until, sqlite_where=HELD)
Index("actions_sent", actions.c.tenant, actions.c.tool, actions.c.claimed_at, sqlite_where=SENT)
Index("actions_late", actions.c.tenant, actions.c.action_id, sqlite_where=LATE)
Index("actions_waiting", actions.c.tenant, actions.c.by, actions.c.state, sqlite_where=WAITING)
Index(
    "actions_subject",
    actions.c.tenant,
    actions.c.subject,
    actions.c.action_id,
    sqlite_where=actions.c.subject.isnot(None),
)
Index("runs_unerased", runs.c.tenant, runs.c.envelope, runs.c.started_at, runs.c.run_id, sqlite_where=UNERASED)
Index("subjects_present", subjects.c.tenant, subjects.c.tag, sqlite_where=UNERASED, unique=True)
Index("subjects_tag", subjects.c.tenant, subjects.c.tag, subjects.c.subject_id)
Index("subjects_unscrubbed", subjects.c.tenant, subjects.c.subject_id, sqlite_where=UNSCRUBBED)
# It covers: what a period has spent is read off it alone, for all scopes at once (ADR 0021).
Index(
    "actions_spent",
    actions.c.tenant,
    actions.c.proposed_at,
    actions.c.run_id,
    actions.c.settled_usd_micros,
    actions.c.reserved_usd_micros,
    sqlite_where=SPENT,
)
Index("impacts_window", impacts.c.tenant, impacts.c.key, impacts.c.at, impacts.c.amount)
Index("runs_delegation", runs.c.tenant, runs.c.delegation_id, sqlite_where=UNDER)
Index(
    "delegations_request",
    delegations.c.tenant,
    delegations.c.request_key,
    sqlite_where=delegations.c.request_key.isnot(None),
    unique=True,
)
Index("delegations_root", delegations.c.tenant, delegations.c.root_id, delegations.c.delegation_id)
Index("delegations_revoked", delegations.c.tenant, delegations.c.is_revoked, sqlite_where=REVOKED)
Index("runs_open", runs.c.tenant, runs.c.agent_id, runs.c.state, sqlite_where=OPEN_RUN)
Index("runs_request", runs.c.tenant, runs.c.request_key, sqlite_where=runs.c.request_key.isnot(None), unique=True)
Index("halts_request", halts.c.tenant, halts.c.request_key, sqlite_where=halts.c.request_key.isnot(None), unique=True)
Index("halts_active", halts.c.tenant, halts.c.is_lifted)
Index("clearances_workflow", clearances.c.tenant, clearances.c.workflow, clearances.c.is_withdrawn)
Index("agents_name", agents.c.tenant, agents.c.name, unique=True)
Index("keys_holder", api_keys.c.tenant, api_keys.c.holder)
Index("publications_digest", publications.c.tenant, publications.c.digest)
Index(
    "publications_version",
    publications.c.tenant,
    publications.c.kind,
    publications.c.name,
    publications.c.version,
    unique=True,
)
Index("entries_idx", entries.c.tenant, entries.c.idx, sqlite_where=entries.c.idx.isnot(None), unique=True)
Index("entries_pending", entries.c.tenant, entries.c.at, sqlite_where=entries.c.idx.is_(None))
Index("checkpoints_size", checkpoints.c.tenant, checkpoints.c.size)
Index("receipts_unsigned", receipts.c.tenant, receipts.c.receipt_id, sqlite_where=receipts.c.signature.is_(None))
