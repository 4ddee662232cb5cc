"""Fills a PostgreSQL ledger with tasks that are over, by the server itself: millions in minutes."""

from __future__ import annotations

from typing import Any, Final

import psycopg

AT_ONCE: Final = 250_000

MICROSECONDS: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

# As a task is left that succeeded at its first attempt; ids are in no order, as UUIDs are not.
TASKS: Final = f"""
INSERT INTO unlost.task (submitted_at, updated_at, timeout, max_retries, number, spent,
                         attempt_count, priority, state, id, type, digest)
SELECT {MICROSECONDS} - 86400000000 + number, {MICROSECONDS} - 86400000000 + number + 5000,
       60, 2, 1, 1, 1, 0, 'succeeded', md5(number::text), 'default', sha256(number::text::bytea)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
"""

PAYLOADS: Final = """
INSERT INTO unlost.payload (seq, text)
SELECT seq, %(payload)s FROM unlost.task WHERE seq > %(after)s
"""

ATTEMPTS: Final = """
INSERT INTO unlost.attempt (seq, number, started_at, finished_at, outcome)
SELECT seq, 1, submitted_at + 4000, updated_at, 'succeeded' FROM unlost.task WHERE seq > %(after)s
"""

COUNTED: Final = """
UPDATE unlost.tally SET accepted = accepted + %(many)s, settled = settled + %(many)s,
  succeeded = succeeded + %(many)s WHERE slot = 0
"""

LAST: Final = "SELECT coalesce(max(seq), 0) FROM unlost.task"


def fill(db: psycopg.Connection[tuple[Any, ...]], many: int, payload: str) -> None:
    """Add so many tasks that are over, each with payload and attempt, and count them.

    `db` is in autocommit; afterwards everything is vacuumed, analysed and on disk.
    """
    for first in range(0, many, AT_ONCE):
        last = min(first + AT_ONCE, many)
        with db.transaction():
            (after,) = db.execute(LAST).fetchone() or (0,)
            db.execute(TASKS, {"first": first, "last": last - 1})
            db.execute(PAYLOADS, {"payload": payload, "after": after})
            db.execute(ATTEMPTS, {"after": after})
            db.execute(COUNTED, {"many": last - first})
    db.execute("VACUUM (FREEZE, ANALYZE)")
    db.execute("CHECKPOINT")
