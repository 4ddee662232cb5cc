"""An outbox in an SQLite file.

Taking and settling are short transactions, with nothing locked between.  A look that finds nothing
only reads, so that an application is not held up by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar

import apsw

from unlost.outbox.rows import Row
from unlost.outbox.store import (
    LEASE,
    LISTED,
    LONGEST_WAIT,
    MOST_BYTES,
    MOST_ROWS,
    NoOutbox,
    OutboxUnavailable,
    Rejected,
    Settled,
    Status,
    Waiting,
)
from unlost.task import MAX_PAYLOAD, MAX_TASK

BUSY: Final = 5_000
"""Milliseconds to wait for an application that writes."""

# The table's defaults run in whatever SQLite an application has: nothing in them is new.
_UUID: Final = """lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4'
    || substr(hex(randomblob(2)), 2) || '-' || substr('89AB', 1 + (random() & 3), 1)
    || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))"""

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS unlost_outbox (
  id TEXT NOT NULL PRIMARY KEY DEFAULT ({_UUID})
    CHECK (typeof(id) = 'text' AND length(id) IN (32, 36) AND id NOT GLOB '*[^0-9A-Fa-f-]*'),
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  task_id TEXT,
  type TEXT,
  payload TEXT NOT NULL,
  options TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  waits_until REAL,
  answer TEXT
);
CREATE INDEX IF NOT EXISTS unlost_outbox_new ON unlost_outbox (created_at)
  WHERE waits_until IS NULL;
CREATE INDEX IF NOT EXISTS unlost_outbox_waiting ON unlost_outbox (waits_until)
  WHERE waits_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS unlost_outbox_rejected (
  id TEXT NOT NULL PRIMARY KEY,
  created_at TEXT NOT NULL,
  task_id TEXT,
  type TEXT,
  payload TEXT NOT NULL,
  options TEXT,
  status INTEGER NOT NULL,
  reason TEXT NOT NULL,
  rejected_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX IF NOT EXISTS unlost_outbox_rejected_at ON unlost_outbox_rejected (rejected_at);
"""

_HAS: Final = """
SELECT count(*) FROM sqlite_schema
WHERE type = 'table' AND name IN ('unlost_outbox', 'unlost_outbox_rejected')
"""

_NOW: Final = "unixepoch('subsec')"

_IS_DUE: Final = f"""SELECT EXISTS (SELECT 1 FROM unlost_outbox WHERE waits_until IS NULL)
  OR EXISTS (SELECT 1 FROM unlost_outbox WHERE waits_until <= {_NOW})
  OR EXISTS (SELECT 1 FROM unlost_outbox WHERE waits_until > {_NOW} + {LONGEST_WAIT})"""

# How large texts are is told without reading them.
_SIZE: Final = """octet_length(payload) + coalesce(octet_length(options), 0)
  + coalesce(octet_length(task_id), 0) + coalesce(octet_length(type), 0)"""

_SIZED: Final = f"""SELECT rowid AS place, created_at, octet_length(payload) > {MAX_PAYLOAD}
  OR {_SIZE} > {MAX_TASK} AS too_large, {_SIZE} AS size FROM unlost_outbox"""

_DUE: Final = f"""
SELECT place, too_large, size FROM (
  SELECT * FROM ({_SIZED} WHERE waits_until <= {_NOW} ORDER BY waits_until LIMIT {MOST_ROWS})
  UNION ALL
  SELECT * FROM ({_SIZED} WHERE waits_until > {_NOW} + {LONGEST_WAIT}
    ORDER BY waits_until LIMIT {MOST_ROWS})
  UNION ALL
  SELECT * FROM ({_SIZED} WHERE waits_until IS NULL ORDER BY created_at LIMIT {MOST_ROWS})
) ORDER BY created_at LIMIT {MOST_ROWS}
"""

_TAKE: Final = f"""
UPDATE unlost_outbox SET waits_until = {_NOW} + ?1 WHERE rowid = ?2
RETURNING id, CAST(iif(?3, NULL, task_id) AS BLOB), CAST(iif(?3, NULL, type) AS BLOB),
  CAST(iif(?3, NULL, payload) AS BLOB), CAST(iif(?3, NULL, options) AS BLOB), tries
"""

_REMOVE: Final = "DELETE FROM unlost_outbox WHERE id = ?"

_REJECT: Final = """
INSERT OR REPLACE INTO unlost_outbox_rejected
  (id, created_at, task_id, type, payload, options, status, reason)
SELECT id, created_at, task_id, type, payload, options, ?2, ?3 FROM unlost_outbox WHERE id = ?1
"""

_DELAY: Final = f"""
UPDATE unlost_outbox SET tries = tries + 1, waits_until = {_NOW} + ?2, answer = ?3 WHERE id = ?1
"""

_BACK: Final = """
INSERT INTO unlost_outbox (id, created_at, task_id, type, payload, options)
SELECT id, created_at, task_id, type, payload, options FROM unlost_outbox_rejected
"""

_COUNTS: Final = """
SELECT count(*) - count(answer), count(answer), (SELECT count(*) FROM unlost_outbox_rejected),
  coalesce(max((julianday('now') - julianday(min(created_at))) * 86400.0, 0.0), 0.0)
FROM unlost_outbox
"""

_ANSWERS: Final = f"""
SELECT answer, count(*) FROM unlost_outbox WHERE answer IS NOT NULL
GROUP BY answer ORDER BY count(*) DESC, answer LIMIT {LISTED}
"""

_NEWEST: Final = f"""
SELECT id, CAST(coalesce(substr(task_id, 1, 1000), 'outbox:' || id) AS BLOB), status, reason,
  rejected_at
FROM unlost_outbox_rejected ORDER BY rejected_at DESC LIMIT {LISTED}
"""

T = TypeVar("T")


class SqliteOutbox:
    """See `Outbox`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: apsw.Connection | None = None
        self._file: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"sqlite:///{self._path}"

    def create(self, *, notify: bool = False) -> None:
        """Make the tables, and the file where there is none; nothing can be told of rows here, so
        `notify` changes nothing."""
        self.close()
        self._open(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        self._do(lambda db: db.execute(_TABLES), write=True)

    def check(self) -> None:
        def seen(db: apsw.Connection) -> None:
            if db.execute(_HAS).get != 2:
                raise NoOutbox(
                    f"{self} has no outbox; `unlost outbox create --database URL` makes one"
                )

        self._do(seen)

    def take(self, lease: float = LEASE) -> list[Row]:
        if not self._do(lambda db: db.execute(_IS_DUE).get):
            return []

        def taken(db: apsw.Connection) -> list[Row]:
            rows, weight = [], 0
            for place, too_large, size in _rows(db, _DUE):
                if weight >= MOST_BYTES:
                    break
                weight += 0 if too_large else size
                [(one, task_id, kind, payload, options, tries)] = _rows(
                    db, _TAKE, (lease, place, too_large)
                )
                rows.append(Row(one, task_id, kind, payload, options, tries, bool(too_large)))
            return rows

        return self._do(taken, write=True)

    def settle(self, settled: Settled) -> None:
        def write(db: apsw.Connection) -> None:
            db.executemany(_REMOVE, [(one,) for one in settled.removed])
            rejected = [(one, answer.status, answer.shown) for one, answer in settled.rejected]
            db.executemany(_REJECT, rejected)
            db.executemany(_REMOVE, [(one,) for one, _ in settled.rejected])
            db.executemany(
                _DELAY,
                [(one, wait, f"{why.status} {why.shown}") for one, wait, why in settled.waiting],
            )

        self._do(write, write=True)

    def status(self) -> Status:
        def seen(db: apsw.Connection) -> Status:
            [(waiting, delayed, rejected, oldest)] = _rows(db, _COUNTS)
            answers = [Waiting(*values) for values in _rows(db, _ANSWERS)]
            newest = [
                Rejected(one, task_id.decode("utf-8", "replace"), *rest)
                for one, task_id, *rest in _rows(db, _NEWEST)
            ]
            return Status(waiting, delayed, rejected, oldest, answers, newest)

        return self._do(seen)

    def retry(self, ids: Sequence[str] = ()) -> int:
        def back(db: apsw.Connection) -> int:
            if not ids:
                db.execute(_BACK)
                db.execute("DELETE FROM unlost_outbox_rejected")
                return db.changes()
            number = 0
            for one in ids:
                db.execute(f"{_BACK} WHERE id = ?", (one,))
                db.execute("DELETE FROM unlost_outbox_rejected WHERE id = ?", (one,))
                number += db.changes()
            return number

        return self._do(back, write=True)

    def wait(self, seconds: float, stop: Event) -> None:
        stop.wait(seconds)

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(apsw.Error):
                db.close()

    def _do(self, step: Callable[[apsw.Connection], T], *, write: bool = False) -> T:
        """Do a step in a transaction."""
        try:
            db = self._connected()
            db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                found = step(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return found
        except apsw.SQLError as fault:
            if "no such table" in str(fault):
                raise NoOutbox(
                    f"{self} has no outbox; `unlost outbox create --database URL` makes one"
                ) from None
            raise OutboxUnavailable(f"{self}: {_words(fault)}") from fault
        except apsw.Error as fault:
            self.close()
            raise OutboxUnavailable(f"{self}: {_words(fault)}") from fault

    def _connected(self) -> apsw.Connection:
        if self._db is not None and _identity(self._path) == self._file:
            return self._db
        self.close()  # the file was removed or replaced
        return self._open(apsw.SQLITE_OPEN_READWRITE)

    def _open(self, flags: int) -> apsw.Connection:
        try:
            db = apsw.Connection(str(self._path), flags=flags)
        except apsw.Error as fault:
            why = _words(fault)
            if not self._path.exists():
                why = "there is no such file; `unlost outbox create --database URL` makes one"
            raise OutboxUnavailable(f"{self} cannot be opened: {why}") from fault
        db.set_busy_timeout(BUSY)
        self._db, self._file = db, _identity(self._path)
        return db


def _rows(db: apsw.Connection, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return db.execute(sql, values).fetchall()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _words(fault: apsw.Error) -> str:
    return str(fault).partition(": ")[2] or str(fault)
