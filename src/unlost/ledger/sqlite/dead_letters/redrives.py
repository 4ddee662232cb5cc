"""Redrives, one row each, with their letters under way."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import msgspec

from unlost.ledger.protocol import UnknownRedrive
from unlost.ledger.sqlite.connection.rows import first, rows, snapshot
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState, begun, moved, stopped
from unlost.task import Micros

_decode = msgspec.json.Decoder(Redrive).decode
_named = msgspec.json.Decoder(Named).decode


def find(db: apsw.Connection, redrive_id: str) -> Redrive | None:
    """The redrive as it is now."""
    row = first(db, "SELECT record FROM redrive WHERE id = ?", (redrive_id,))
    return None if row is None else _decode(row[0])


def listed(db: apsw.Connection, query: RedriveQuery) -> list[Redrive]:
    """Redrives, newest first."""
    sql, values = "SELECT record FROM redrive WHERE true", list[str | int]()
    if query.state is not None:
        sql += " AND state = ?"
        values.append(query.state)
    if query.after is not None:
        sql += " AND (started_at, id) < (?, ?)"
        values += query.after
    sql += " ORDER BY started_at DESC, id DESC LIMIT ?"
    return [_decode(row[0]) for row in rows(db, sql, (*values, query.limit))]


OPEN = """
SELECT started_at, id FROM redrive WHERE open = 1 AND (started_at, id) > (?, ?)
ORDER BY started_at, id LIMIT ?
"""


def open_ones(db: apsw.Connection, limit: int, after: RedrivePlace | None) -> list[RedrivePlace]:
    """Those that steps may still change, oldest first."""
    return rows(db, OPEN, (*(after or (-1, "")), limit))


def counts(db: apsw.Connection) -> dict[RedriveState, int]:
    """How many there are in each state."""
    found = rows(db, "SELECT state, count(*) FROM redrive GROUP BY state")
    return {RedriveState(state): count for state, count in found}


INSERT = """
INSERT INTO redrive (id, started_at, updated_at, state, open, record, named)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

UPDATE = "UPDATE redrive SET updated_at = ?, state = ?, open = ?, record = ? WHERE id = ?"


def add(transaction: Transaction, new: Redrive, named: Named) -> tuple[Redrive, bool]:
    """Begin a redrive, unless one has its id: that one."""
    known = find(transaction.db, new.id)
    if known is not None:
        return known, False
    redrive = begun(new, transaction.now)
    _insert(transaction.db, redrive, named)
    transaction.begun = True
    return redrive, True


def _insert(db: apsw.Connection, redrive: Redrive, named: Named) -> None:
    text = msgspec.json.encode(named).decode()
    updated_at, *rest = _columns(redrive)
    db.execute(INSERT, (redrive.id, redrive.started_at, updated_at, *rest, text))


def _columns(redrive: Redrive) -> tuple[Micros, str, int | None, str]:
    text = msgspec.json.encode(redrive).decode()
    return redrive.updated_at, redrive.state.value, 1 if redrive.open else None, text


def stop(transaction: Transaction, redrive_id: str, why: str) -> Redrive:
    """Let it take nothing more.  Raises UnknownRedrive."""
    known = find(transaction.db, redrive_id)
    if known is None:
        raise UnknownRedrive(redrive_id)
    return keep(transaction, known, stopped(known, why, transaction.now))


def keep(transaction: Transaction, before: Redrive, after: Redrive) -> Redrive:
    """Keep what has become of a redrive."""
    if after != before:
        transaction.db.execute(UPDATE, (*_columns(after), after.id))
    return after


def whole(db: apsw.Connection, redrive_id: str) -> tuple[int, Redrive, Named]:
    """The redrive with its number and what it names.  Raises UnknownRedrive."""
    row = first(db, "SELECT number, record, named FROM redrive WHERE id = ?", (redrive_id,))
    if row is None:
        raise UnknownRedrive(redrive_id)
    return row[0], _decode(row[1]), _named(row[2])


OLD = "SELECT id FROM redrive WHERE open IS NULL AND updated_at < ? ORDER BY updated_at LIMIT ?"


def purge(transaction: Transaction, before: Micros, limit: int) -> int:
    """Remove those that ended, and were last changed before `before`."""
    old = rows(transaction.db, OLD, (before, limit))
    transaction.db.executemany("DELETE FROM redrive WHERE id = ?", old)
    return len(old)


ABOVE = "SELECT number, record, named FROM redrive WHERE id > ? ORDER BY id LIMIT ?"

UNDER_WAY = """
SELECT task.id, redriven.redrive_count FROM redriven JOIN task USING (seq) WHERE redrive = ?
ORDER BY task.id
"""

PUT_UNDER_WAY = """
INSERT INTO redriven (redrive, seq, redrive_count)
SELECT redrive.number, task.seq, ? FROM redrive, task WHERE redrive.id = ? AND task.id = ?
"""


def copies(db: apsw.Connection, after: str, limit: int) -> list[RedriveCopy]:
    """Redrives by id, with all that is kept of them, in one snapshot."""
    with snapshot(db):
        return [
            RedriveCopy(_decode(record), _named(named), tuple(rows(db, UNDER_WAY, (number,))))
            for number, record, named in rows(db, ABOVE, (after, limit))
        ]


def restore(transaction: Transaction, copies: Sequence[RedriveCopy]) -> None:
    """Keep those that are new."""
    db = transaction.db
    for copy in copies:
        redrive = moved(copy.redrive)
        if find(db, redrive.id) is None:
            _insert(db, redrive, copy.named)
            under_way = [(count, redrive.id, task_id) for task_id, count in copy.under_way]
            db.executemany(PUT_UNDER_WAY, under_way)
