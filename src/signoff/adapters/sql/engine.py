# SPDX-License-Identifier: Apache-2.0
"""The one file that knows the dialect: how to connect, begin, commit, and how a statement is spelled.

Statements are written in SQLAlchemy Core and compiled once; the hot path then talks to the driver, which is some
three times faster than executing them through SQLAlchemy (`docs/adr/0005`).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import BindParameter, ClauseElement, bindparam
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from signoff.adapters.sql.tables import SCHEMA_VERSION, WIDE, metadata
from signoff.core.errors import Accident, Corrupt, Unavailable

_DIALECT = sqlite.dialect(paramstyle="qmark")
WAL_PAGES_MAX = 2000


def param(name: str) -> BindParameter[Any]:
    """Return a place in a statement that is filled at each execution."""
    return bindparam(name, None, required=False)


class Statement:
    """One compiled statement: its text, and its parameters in the order in which the driver wants them."""

    __slots__ = ("_fixed", "names", "text")

    def __init__(self, clause: ClauseElement) -> None:
        compiled = clause.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        self.text = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the positional parameters: those given, else those written into the clause."""
        fixed = self._fixed
        return [given[name] if name in given else fixed.get(name) for name in self.names]


class Connection:
    """One connection to the embedded database."""

    def __init__(self, path: str, *, read_only: bool = False, is_durable: bool = True) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        run = self._db.execute
        run("PRAGMA busy_timeout=5000")
        if not read_only:
            run("PRAGMA journal_mode=WAL")
            run(f"PRAGMA synchronous={'FULL' if is_durable else 'OFF'}")
            # A checkpoint inside COMMIT is a stall of milliseconds: it runs between batches instead.
            run("PRAGMA wal_autocheckpoint=0")
        run("PRAGMA foreign_keys=ON")
        run("PRAGMA temp_store=MEMORY")
        # Pages of its own, in KiB. There are several readers, and what they miss is in the system's cache.
        run(f"PRAGMA cache_size=-{8192 if read_only else 32768}")
        if read_only:
            run("PRAGMA query_only=ON")
        self.execute = self._db.execute

    def run(self, statement: Statement, given: Mapping[str, Any]) -> sqlite3.Cursor:
        """Execute a compiled statement."""
        return self.execute(statement.text, statement.arguments(given))

    def run_all(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute a compiled statement once for each row of parameters."""
        self._db.executemany(statement.text, [statement.arguments(row) for row in rows])

    def begin(self, *, to_write: bool) -> None:
        self.execute("BEGIN IMMEDIATE" if to_write else "BEGIN")

    def version_of_others(self) -> int:
        """Return a number that is another one once any other connection has committed; asked within a transaction."""
        return int(self.execute("PRAGMA data_version").fetchone()[0])

    def changes(self) -> int:
        """Return how many rows this connection has written so far."""
        return self._db.total_changes

    def commit(self) -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self.execute("ROLLBACK")

    def keep_log_small(self) -> None:
        """Move what the write-ahead log holds into the database, if it has grown; between two batches."""
        self.execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def overwriting(self) -> Iterator[None]:
        """Have what is deleted within overwritten with zeros, in the pages where it lay."""
        self.execute("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            self.execute("PRAGMA secure_delete=OFF")

    def rewrite(self) -> None:
        """Build the database anew from its living rows: pages that were split or freed keep old bytes otherwise.

        As large as the database is what this takes for a while, so that it goes to a file and not to memory.
        """
        self.execute("PRAGMA temp_store=FILE")
        try:
            self.execute("VACUUM")
        finally:
            self.execute("PRAGMA temp_store=MEMORY")

    def empty_log(self) -> bool:
        """Move the whole write-ahead log into the database and cut it to nothing; False while someone reads in it."""
        self.execute("PRAGMA busy_timeout=250")
        try:
            return not self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self.execute("PRAGMA busy_timeout=5000")

    def close(self) -> None:
        self._db.close()


EngineError = sqlite3.Error  # what undoes a whole batch, as opposed to one body's own error


_OWN_ERRORS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)


def is_engine_error(error: BaseException) -> bool:
    """Tell whether the engine itself failed, so that no savepoint of the batch can be trusted.

    A row that is there already, or a value that no column takes, is the doing of the body that wrote it.
    """
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _OWN_ERRORS)


def engine_failed(error: BaseException) -> Unavailable | Corrupt:
    """Return what callers are told of an error of the engine: to come back later, or that the file itself is broken."""
    if isinstance(error, sqlite3.OperationalError | sqlite3.InternalError):
        return Unavailable(
            what="The database cannot take this now; nothing was lost or half done.",
            why=f"The engine says: {error}.",
            fix="Send the same request again with the same idempotency key in a few seconds.",
            code="storage.unavailable",
            retry_after_s=2,
        )
    return Corrupt(
        what="The database cannot be read.",
        why=f"The engine says: {error}.",
        fix="Stop, keep the files as they are, and run `signoff ledger verify`.",
    )


def create_or_check(path: Path) -> None:
    """Create the tables in an empty database, or refuse one of another schema.

    Raises:
        Accident: code `database.schema`, naming both versions.
        Unavailable: the file cannot be opened or written.
    """
    try:
        _create_or_check(path)
    except sqlite3.Error as error:
        raise Unavailable(
            what=f"The database {path.name} cannot be opened.",
            why=f"SQLite says: {error}.",
            fix="Check that it is a Signoff database, that the disk is not full, and that this user may write to it.",
            code="database.unopened",
        ) from error


@cache
def schema() -> dict[str, str]:
    """Return the text that makes each table and index, by name, in the order in which they are made."""
    made = {}
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=_DIALECT)).strip()
        made[table.name] = f"{text} STRICT" if table.name in WIDE else f"{text} STRICT, WITHOUT ROWID"
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            made[str(index.name)] = str(CreateIndex(index).compile(dialect=_DIALECT))
    return made


def _create_or_check(path: Path) -> None:
    connection = Connection(str(path))
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, SCHEMA_VERSION):
            raise Accident(
                what=f"The database {path.name} has schema {found}.",
                why=f"This version of Signoff knows schema {SCHEMA_VERSION} only.",
                fix="Start the version of Signoff that wrote it, or restore a database of this version.",
                code="database.schema",
            )
        if found == 0:
            connection.begin(to_write=True)
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise Accident(
                    what=f"The database {path.name} is not Signoff's.",
                    why="It holds tables, and not the mark that Signoff leaves in its own.",
                    fix="Give Signoff a database of its own, or move this file away.",
                    code="database.not_ours",
                )
            for text in schema().values():
                connection.execute(text)
            _tell_planner(connection)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.commit()
    finally:
        connection.close()


def _tell_planner(connection: Connection) -> None:
    """Tell the planner what it would learn only after a million rows: the tenant alone selects next to nothing.

    Every index begins with the tenant. Without statistics SQLite takes any of them for as good as any other, and then
    scans a tenant where it could have looked up a run.
    """
    connection.execute("ANALYZE")
    whole, part = 1_000_000, 1_000  # a partial index holds what is under way, which is little
    for table in metadata.sorted_tables:
        key = f"sqlite_autoindex_{table.name}_1" if table.name in WIDE else table.name
        keys = [(key, len(table.primary_key), whole)]
        for index in table.indexes:
            is_partial = index.dialect_options["sqlite"]["where"] is not None
            keys.append((str(index.name), len(index.columns), part if is_partial else whole))
        for name, width, rows in keys:
            spread = [rows, *(max(1, 20 // 5**depth) for depth in range(width - 2)), 1][:width]
            stat = " ".join(str(count) for count in (rows, *spread))
            connection.execute("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", (table.name, name, stat))
