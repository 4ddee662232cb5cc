"""Fills a SQLite ledger by bulk inserts: ten million tasks that are over, in minutes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from bench.filling import AT_ONCE, ERROR, TRACEBACK
from unlost.ledger.opening import wall_clock
from unlost.ledger.sqlite.schema import ATTEMPT_BITS

# Of a hundred tasks one is dead, one was cancelled, and all others succeeded at their first
# attempt.  Ids are in no order, as UUIDs are not.
NUMBERS: Final = """
WITH RECURSIVE one (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM one WHERE n < :last)
"""

TASKS: Final = f"""
{NUMBERS}
INSERT INTO task (seq, id, type, state, priority, digest, submitted_at, updated_at, due_at,
  max_retries, timeout, number, spent, attempt_count, error_number, open, started_at, deadline)
SELECT n, lower(hex(randomblob(16))), 'type' || (n / 100 % 10),
  CASE n % 100 WHEN 0 THEN 'dead' WHEN 1 THEN 'cancelled' ELSE 'succeeded' END, 0, randomblob(32),
  :at + n, :at + n + 5000, :at + n, 0, 60.0, n % 100 <> 1, n % 100 <> 1, n % 100 <> 1,
  CASE n % 100 WHEN 0 THEN 1 END, NULL, CASE WHEN n % 100 <> 1 THEN :at + n + 4000 END,
  CASE WHEN n % 100 <> 1 THEN :at + n + 60004000 END
FROM one
"""

ATTEMPTS: Final = f"""
{NUMBERS}
INSERT INTO attempt (key, started_at, finished_at, outcome, error_type, message, traceback,
  fingerprint)
SELECT (n << {ATTEMPT_BITS}) | 1, :at + n + 4000, :at + n + 5000,
  iif(n % 100, 'succeeded', 'failed'), iif(n % 100, NULL, 'Boom' || (n / 1000 % 5)),
  iif(n % 100, NULL, :error), iif(n % 100, NULL, :traceback),
  iif(n % 100, NULL, 'f' || (n / 1000 % 10))
FROM one WHERE n % 100 <> 1
"""

WAITING: Final = f"""
{NUMBERS}
INSERT INTO task (seq, id, type, state, priority, digest, submitted_at, updated_at, due_at, ready)
SELECT n, lower(hex(randomblob(16))), 'type' || (n / 100 % 10), 'queued', 0, randomblob(32),
  :at + n, :at + n, :at + n, 1
FROM one
"""

PAYLOADS: Final = f"{NUMBERS} INSERT INTO payload (seq, text) SELECT n, :payload FROM one"

AROUND: Final = (
    f"{NUMBERS} INSERT INTO act (seq, at, event) SELECT n, :at + n + 5000, 'cancel' FROM one"  # noqa: ISC004
    " WHERE n % 100 = 1",
    f"{NUMBERS} INSERT INTO dead (seq, died_at, fingerprint, error_type) SELECT n,"  # noqa: ISC004
    " :at + n + 5000, 'f' || (n / 1000 % 10), 'Boom' || (n / 1000 % 5) FROM one WHERE n % 100 = 0",
    f"{NUMBERS} INSERT INTO dead_group (fingerprint, error_type, sample, count)"  # noqa: ISC004
    " SELECT 'f' || (n / 1000 % 10), 'Boom' || (n / 1000 % 5), :error, 1 FROM one WHERE n % 100 = 0"
    " ON CONFLICT (fingerprint) DO UPDATE SET count = count + 1",
)

ENDED: Final = """
UPDATE tally SET accepted = accepted + :many, settled = settled + :many,
  succeeded = succeeded + :many - :dead - :cancelled, dead = dead + :dead,
  cancelled = cancelled + :cancelled
"""

QUEUED: Final = "UPDATE tally SET accepted = accepted + :many, queued = queued + :many"

LAST: Final = "SELECT coalesce(max(seq), 0), coalesce(max(submitted_at), 0) FROM task"

CACHE: Final = 2_000_000
"""KiB of the file that are kept meanwhile: the index of ids is filled all over."""


def fill(file: Path, over: int, waiting: int, payload: str) -> None:
    """Add so many tasks to a ledger that nobody has open; they are on disk afterwards."""
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE}"):
            db.execute("PRAGMA " + pragma)
        for first in range(0, over, AT_ONCE):
            _add(
                db, min(AT_ONCE, over - first), (TASKS, ATTEMPTS, PAYLOADS, *AROUND, ENDED), payload
            )
        for first in range(0, waiting, AT_ONCE):
            _add(db, min(AT_ONCE, waiting - first), (WAITING, PAYLOADS, QUEUED), payload)
    finally:
        db.close()
    with file.open("rb") as written:
        os.fsync(written)


def _add(db: apsw.Connection, many: int, statements: tuple[str, ...], payload: str) -> None:
    [(newest, at)] = db.execute(LAST)
    first, last = newest + 1, newest + many
    values: Mapping[str, Any] = {
        "first": first,
        "last": last,
        "many": many,
        "at": max(at, wall_clock() - many) - newest,
        "dead": last // 100 - newest // 100,
        "cancelled": (last + 99) // 100 - (newest + 99) // 100,
        "payload": payload,
        "error": ERROR,
        "traceback": TRACEBACK,
    }
    with db:
        for sql in statements:
            db.execute(sql, values)
