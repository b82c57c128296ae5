# SPDX-License-Identifier: Apache-2.0
"""Open the ERP's SQLite database and run transactions on it, from any number of processes at once.

WAL, `synchronous=FULL` and foreign keys; a writer waits for another one up to `BUSY_S`. A write transaction takes
the write lock at its beginning, so that what it read still holds when it writes.
"""

import json
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signoff_sample.erp import tables

BUSY_S = 10.0
MICROS = 1_000_000


class NotAnErp(Exception):
    """The file is no database of this ERP, or is of another format."""


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1000


def canonical(value: Any) -> str:
    """Return JSON text that is equal exactly when the values are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def name_key(name: str) -> str:
    """Return what two spellings of one name share: case and spaces do not count."""
    return " ".join(name.casefold().split())


def number_key(number: str) -> str:
    """Return what two spellings of one document's number share: letters and digits count, in any case and width."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", number).casefold() if sign.isalnum())


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction; `at_us` is later than that of every write before it (0 in a transaction that only reads)."""

    connection: sqlite3.Connection
    at_us: int

    def one(self, sql: str, *values: Any) -> dict[str, Any] | None:
        """Return the first row by column name, or `None`."""
        row = self.connection.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def all(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return every row by column name."""
        return [dict(row) for row in self.connection.execute(sql, values)]

    def run(self, sql: str, *values: Any) -> int:
        """Run a statement and return how many rows it touched."""
        return self.connection.execute(sql, values).rowcount

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert one row; names of tables and columns come from this package only, values are bound."""
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        self.connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608

    def next_id(self, prefix: str) -> str:
        """Return the next document number, such as `JE-000101`."""
        row = self.one("UPDATE state SET next_number = next_number + 1 RETURNING next_number - 1 AS number")
        assert row is not None, "the state row is made with the database"
        return f"{prefix}-{row['number']:06d}"


class Store:
    """A connection that the threads of one process share; other processes open their own."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self.path = connection, path
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """Read one consistent picture."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield Tx(self._connection, 0)
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """Write, durably once the block has ended; an exception undoes the block."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                sql = "UPDATE state SET last_us = max(last_us + 1, ?) RETURNING last_us"
                yield Tx(self._connection, int(self._connection.execute(sql, (now_us(),)).fetchone()[0]))
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has undone it already
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Give up the connection."""
        with self._lock:
            self._connection.close()


def open_store(path: Path, *, create: bool = True) -> Store:
    """Open the database at `path`; with `create`, make it with its reference data if it is absent.

    Raises:
        FileNotFoundError: there is none, and `create` is false.
        NotAnErp: the file is something else, or of another format.
    """
    if not create and not path.exists():
        raise FileNotFoundError(str(path))
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,  # `Store` holds a lock over each transaction
    )
    try:
        connection.row_factory = sqlite3.Row
        _into_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _ensure_tables(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise NotAnErp(f"{path} is no SQLite database.") from error
    except BaseException:
        connection.close()
        raise
    return Store(connection, path)


def _into_wal(connection: sqlite3.Connection) -> None:
    # Two processes that turn a new file to WAL at once: one is told "locked" without the busy time-out's help.
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _ensure_tables(connection: sqlite3.Connection) -> None:
    if _format(connection) == tables.FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if (found := _format(connection)) == 0:
            if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                raise NotAnErp("The file is a database of something else.")
            for statement in tables.TABLES:
                connection.execute(statement)
            _fill(connection)
            connection.execute(f"PRAGMA user_version={tables.FORMAT}")
        elif found != tables.FORMAT:
            raise NotAnErp(f"The file has format {found}; this version reads format {tables.FORMAT}.")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _fill(connection: sqlite3.Connection) -> None:
    tx, at = Tx(connection, 0), 0  # the opening's instants lie at the epoch: before any write, and in their order

    def opening() -> dict[str, Any]:
        nonlocal at
        at += 1
        return {"idempotency_key": f"opening-{at}", "written_us": at, "origin": "opening"}

    tx.run("INSERT INTO state VALUES (1, ?, ?, ?)", tables.FIRST_NUMBER, tables.FIRST_NUMBER, tables.CLOSED_THROUGH)
    for vendor in tables.VENDORS:
        row = _row("vendor_id name tax_id currency known note", vendor)
        tx.insert("vendors", row | {"name_key": name_key(vendor[1])})
    for account in tables.BANK_ACCOUNTS:
        tx.insert("bank_accounts", _row("vendor_id iban verified", account))
    for order in tables.ORDERS:
        tx.insert("purchase_orders", _row("po_number vendor_id currency ordered_on total_cents open_cents", order))
    columns = "entry_id vendor_id invoice_no po_number amount_cents currency memo status"
    for entry in tables.ENTRIES[:2]:
        tx.insert("journal_entries", _row(columns, entry) | opening())
    for reversal in tables.REVERSALS:  # it lies between the entry and the one that was posted anew
        tx.insert("reversals", _row("reversal_id entry_id reason", reversal) | opening())
    for entry in tables.ENTRIES[2:]:
        tx.insert("journal_entries", _row(columns, entry) | opening())
    columns = "payment_id vendor_id invoice_no iban amount_cents currency memo status"
    for payment in tables.PAYMENTS:
        tx.insert("payments", _row(columns, payment) | opening())
    for cancellation in tables.CANCELLATIONS:
        tx.insert("cancellations", _row("cancellation_id payment_id reason", cancellation) | opening())
    for note_change in tables.NOTE_CHANGES:
        tx.insert("note_changes", _row("change_id vendor_id note_before note version", note_change) | opening())


def _row(columns: str, values: Sequence[object]) -> dict[str, object]:
    return dict(zip(columns.split(), values, strict=True))
