"""What processes measured: a row each, and one for all that have ended (see `ledger.measured`)."""

from __future__ import annotations

import apsw

from unlost.ledger.measured import SILENT
from unlost.ledger.sqlite.connection.rows import first, rows, value
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.telemetry import measures as m
from unlost.telemetry.measures import Measures

ENDED = "SELECT measures FROM measured WHERE process = ''"


def open_row(transaction: Transaction, process: str) -> None:
    """Make an empty row; those of the silent go into the sum."""
    db, now = transaction.db, transaction.now
    sql = "DELETE FROM measured WHERE process != '' AND at <= ? RETURNING measures"
    silent = [m.decode(row[0]) for row in rows(db, sql, (now - SILENT,))]
    if silent:
        _put(db, m.total([_ended(db), *silent]))
    db.execute("INSERT INTO measured VALUES (?, ?, '{}') ON CONFLICT DO NOTHING", (process, now))


def publish(transaction: Transaction, process: str, measures: Measures) -> bool:
    """Put these totals in place of the last ones; False where there is no row."""
    db = transaction.db
    ended = _ended(db)
    known, told = m.admitted(ended, measures)
    sql = "UPDATE measured SET at = ?, measures = ? WHERE process = ? RETURNING 1"
    if not first(db, sql, (transaction.now, m.encode(told), process)):
        return False
    if known != ended:
        _put(db, known)
    return True


def close_row(transaction: Transaction, process: str, measures: Measures) -> None:
    """Add the last totals to the sum."""
    db = transaction.db
    if first(db, "DELETE FROM measured WHERE process = ? RETURNING 1", (process,)):
        known, told = m.admitted(_ended(db), measures)
        _put(db, known.plus(told))


def published(db: apsw.Connection) -> Measures:
    """The sum of all rows."""
    return m.total(m.decode(row[0]) for row in rows(db, "SELECT measures FROM measured"))


def _ended(db: apsw.Connection) -> Measures:
    return m.decode(value(db, ENDED) or "{}")


def _put(db: apsw.Connection, ended: Measures) -> None:
    db.execute("INSERT OR REPLACE INTO measured VALUES ('', 0, ?)", (m.encode(ended),))
