"""Fills a PostgreSQL ledger with tasks, by the server itself: millions in minutes."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from unlost.ledger.postgres.upkeep.milestones import EVERY

AT_ONCE: Final = 250_000

ERROR: Final = "the connection was refused"
TRACEBACK: Final = 'Traceback (most recent call last):\n  File "app.py", line 3, in work\n' * 5

MICROSECONDS: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

ID: Final = "md5((%(newest)s + n)::text)"

# Of a hundred tasks one is dead, one was cancelled, and all others succeeded at their first
# attempt, as the ledger leaves them.  Ids are in no order, as UUIDs are not.
TASKS: Final = f"""
INSERT INTO unlost.task (submitted_at, updated_at, timeout, max_retries, number, spent,
                         attempt_count, error_number, priority, state, id, type, digest)
SELECT %(at)s + n, %(at)s + n + 5000, 60, 0, ran, ran, ran, CASE n %% 100 WHEN 0 THEN 1 END, 0,
       CASE n %% 100 WHEN 0 THEN 'dead' WHEN 1 THEN 'cancelled' ELSE 'succeeded' END,
       {ID}, 'type' || (n / 100 %% 10), sha256(n::text::bytea)
FROM generate_series(0, %(many)s::bigint - 1) AS n
CROSS JOIN LATERAL (SELECT (n %% 100 <> 1)::integer AS ran) AS attempts
"""

PAYLOADS: Final = """
INSERT INTO unlost.payload (seq, text)
SELECT seq, %(payload)s FROM unlost.task WHERE seq > %(newest)s
"""

ATTEMPTS: Final = """
INSERT INTO unlost.attempt (seq, number, started_at, finished_at, outcome, error_type, message,
                            traceback, fingerprint)
SELECT task.seq, 1, task.submitted_at + 4000, updated_at,
       CASE state WHEN 'dead' THEN 'failed' ELSE state END, dead.error_type,
       CASE state WHEN 'dead' THEN %(error)s END, CASE state WHEN 'dead' THEN %(traceback)s END,
       dead.fingerprint
FROM unlost.task LEFT JOIN unlost.dead ON dead.seq = task.seq AND dead.seq > %(newest)s
WHERE task.seq > %(newest)s AND state <> 'cancelled'
"""

CANCELLED: Final = """
INSERT INTO unlost.act (seq, at, event)
SELECT seq, updated_at, 'cancel' FROM unlost.task WHERE seq > %(newest)s AND state = 'cancelled'
"""

DEAD: Final = """
INSERT INTO unlost.dead (seq, died_at, fingerprint, error_type)
SELECT seq, updated_at, 'f' || (seq / 1000 %% 10), 'Boom' || (seq / 1000 %% 5)
FROM unlost.task WHERE seq > %(newest)s AND state = 'dead'
"""

GROUPS: Final = """
INSERT INTO unlost.dead_group (fingerprint, slot, error_type, sample, count)
SELECT fingerprint, 0, min(error_type), %(error)s, count(*) FROM unlost.dead
WHERE seq > %(newest)s GROUP BY fingerprint
ON CONFLICT (fingerprint, slot) DO UPDATE SET count = dead_group.count + excluded.count
"""

OVER: Final = """
UPDATE unlost.tally SET accepted = accepted + %(many)s, settled = settled + %(many)s,
  succeeded = succeeded + %(many)s - gone.dead - gone.cancelled, dead = tally.dead + gone.dead,
  cancelled = tally.cancelled + gone.cancelled
FROM (SELECT count(*) FILTER (WHERE state = 'dead') AS dead,
             count(*) FILTER (WHERE state = 'cancelled') AS cancelled
      FROM unlost.task WHERE seq > %(newest)s) AS gone
WHERE slot = 0
"""

WAITING: Final = f"""
INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
SELECT %(at)s + n, %(at)s + n, 0, {ID}, 'type' || (n / 100 %% 10), sha256(n::text::bytea)
FROM generate_series(0, %(many)s::bigint - 1) AS n
"""

OPEN: Final = """
INSERT INTO unlost.open_task (seq, due_at, updated_at, rank, state, type)
SELECT seq, submitted_at, submitted_at, 0, 'queued', type FROM unlost.task WHERE seq > %(newest)s
"""

QUEUED: Final = """
UPDATE unlost.tally SET accepted = accepted + %(many)s, queued = queued + %(many)s WHERE slot = 0
"""

# As processes that submit set them.
MILESTONES: Final = f"""
INSERT INTO unlost.milestone (seq, submitted_at)
SELECT seq, submitted_at FROM unlost.task WHERE seq > %(newest)s AND seq %% {EVERY} = 0
"""

NEWEST: Final = """
SELECT coalesce(max(seq), 0), coalesce((SELECT submitted_at FROM unlost.task
  ORDER BY submitted_at DESC LIMIT 1), 0) FROM unlost.task
"""

OF_OVER: Final = (TASKS, DEAD, GROUPS, ATTEMPTS, CANCELLED, PAYLOADS, MILESTONES, OVER)
OF_WAITING: Final = (WAITING, OPEN, PAYLOADS, MILESTONES, QUEUED)

Db = psycopg.Connection[tuple[Any, ...]]


def fill(db: Db, over: int, payload: str, waiting: int = 0) -> None:
    """Add so many tasks that are over and so many that wait, with all that belongs to them, while
    nobody else submits.

    `db` is in autocommit; afterwards everything is vacuumed, analysed and on disk.
    """
    for many, statements in ((over, OF_OVER), (waiting, OF_WAITING)):
        for first in range(0, many, AT_ONCE):
            with db.transaction():
                _add(db, min(AT_ONCE, many - first), statements, payload)
    db.execute("VACUUM (FREEZE, ANALYZE)")
    db.execute("CHECKPOINT")


def _add(db: Db, many: int, statements: tuple[str, ...], payload: str) -> None:
    newest, last = db.execute(NEWEST).fetchone() or (0, 0)
    (now,) = db.execute(f"SELECT {MICROSECONDS}").fetchone() or (0,)
    values = {
        "newest": newest,
        "many": many,
        "at": max(last, now - many),
        "payload": payload,
        "error": ERROR,
        "traceback": TRACEBACK,
    }
    for sql in statements:
        db.execute(sql, {name: value for name, value in values.items() if f"%({name})s" in sql})
