"""A database that holds every kind of task, made by SQL, and what the server believes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg

from tests.conformance.stage import LEASE, Clock
from tests.postgres.databases import MARKED
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.postgres.controls.parking import NEVER
from unlost.ledger.postgres.upkeep.purging import MAKE_INDEX
from unlost.limits.breaker import Breaker
from unlost.limits.control import Control
from unlost.schedule.schedule import KEPT_TICKS, Plan, Schedule
from unlost.schedule.stored import written
from unlost.task import Micros

LARGEST: Final = 3_000
"""The largest batch: as many tasks run on one worker, and as many are left behind by another."""

LATE: Final = 10
"""Of the attempts that were pulled, those whose time is over."""

KEYS: Final = 50
BUSY: Final = 40
"""Of the keys of a limited type, those that have no room."""

WORKERS: Final = LARGEST
FEW: Final = 200
"""Tasks in a database that is emptied again."""

LIMITED: Final = Control("limited", key_limit=30, breaker=Breaker(minimum=1_000_000))

SCHEDULE: Final = Schedule(
    "s",
    Plan("mail", "{}", b"d", every=10),
    0,
    0,
    None,
    "",
    1,
    due=KEPT_TICKS + 3,
    made=KEPT_TICKS + 3,
)
"""A schedule of which ticks are kept that are due to go."""

# The last digit of a task's number, where it does not run, says what it is.
DIGITS: Final = {
    "due": (0, 1, 2), "limited": (3,), "parked": (4,), "later": (5,), "dead": (6, 7),
    "over": (8, 9),
}  # fmt: skip

TASKS: Final = """
CREATE TEMP TABLE made AS
SELECT n AS seq, 't' || n AS id, kind, %(now)s - 10 * %(tasks)s + n AS at,
       CASE WHEN kind = 'due' THEN n %% 2 ELSE 0 END AS priority,
       CASE WHEN is_limited THEN 'limited' ELSE 'default' END AS type,
       CASE WHEN is_limited THEN
         'k' || n / 10 %% CASE kind WHEN 'mine' THEN %(busy)s ELSE %(keys)s END END AS key,
       CASE WHEN kind IN ('mine', 'due', 'dead') AND n %% 3 = 0 THEN n END AS edit,
       CASE kind WHEN 'dead' THEN 'dead' WHEN 'over' THEN 'succeeded' END AS state,
       CASE WHEN kind IN ('dead', 'later') THEN 1 END AS error_number
FROM (
  SELECT n, kind, kind IN ('limited', 'parked') OR kind = 'mine' AND n %% 2 = 0 AS is_limited
  FROM (
    SELECT n, CASE
      WHEN n <= %(largest)s THEN 'mine' WHEN n <= 2 * %(largest)s THEN 'left'
      WHEN n %% 10 <= 2 THEN 'due' WHEN n %% 10 = 3 THEN 'limited' WHEN n %% 10 = 4 THEN 'parked'
      WHEN n %% 10 = 5 THEN 'later' WHEN n %% 10 <= 7 THEN 'dead' ELSE 'over' END AS kind
    FROM generate_series(1, %(tasks)s) AS n) AS numbered) AS made
"""

FILL: Final = (
    TASKS,
    """
    INSERT INTO unlost.task (seq, submitted_at, updated_at, edit, number, spent, attempt_count,
                             error_number, priority, state, id, type, key, digest)
    SELECT seq, at, at + 1, edit, 1, 1, 1, error_number, priority, state, id, type, key, 'digest'
    FROM made ORDER BY seq
    """,
    "SELECT setval('unlost.task_seq_seq', %(tasks)s)",
    """
    INSERT INTO unlost.open_task (seq, due_at, updated_at, started_at, deadline, timeout,
      max_retries, number, spent, attempt_count, error_number, rank, state, type, worker, token,
      key, parked)
    SELECT seq, CASE kind WHEN 'parked' THEN %(never)s WHEN 'later' THEN %(now)s + seq ELSE at END,
           at, CASE WHEN runs THEN at END, CASE
             WHEN kind = 'left' AND seq %% (%(largest)s / %(late)s) > 0 THEN %(now)s + %(lease)s
             WHEN runs THEN at END,
           60, 2, runs::integer, runs::integer, runs::integer, error_number, -priority,
           CASE WHEN runs THEN 'running' WHEN kind = 'later' THEN 'retrying' ELSE 'queued' END,
           type, CASE WHEN runs THEN kind END,
           CASE WHEN runs THEN CASE kind WHEN 'left' THEN 'pulled' ELSE 'token' END || seq END, key,
           CASE WHEN kind = 'parked' THEN at END
    FROM (SELECT *, kind IN ('mine', 'left') AS runs FROM made) AS made
    WHERE state IS NULL ORDER BY seq
    """,
    "INSERT INTO unlost.payload SELECT seq, '{}' FROM made ORDER BY seq",
    "INSERT INTO unlost.result SELECT seq, '1' FROM made WHERE state = 'succeeded' ORDER BY seq",
    """
    INSERT INTO unlost.attempt (seq, number, started_at, finished_at, outcome, error_type, message,
                                fingerprint)
    SELECT seq, 1, at, at + 1, CASE WHEN error_number = 1 THEN 'failed' ELSE 'succeeded' END,
           CASE WHEN error_number = 1 THEN 'Boom' END, CASE WHEN error_number = 1 THEN 'it' END,
           CASE WHEN error_number = 1 THEN 'common' END
    FROM made WHERE kind IN ('later', 'dead', 'over') ORDER BY seq
    """,
    """
    INSERT INTO unlost.act (id, seq, at, event, payload) OVERRIDING SYSTEM VALUE
    SELECT edit, seq, at, 'redrive', '{}' FROM made WHERE edit IS NOT NULL ORDER BY edit
    """,
    "SELECT setval(pg_get_serial_sequence('unlost.act', 'id'), %(tasks)s)",
    """
    INSERT INTO unlost.dead (seq, died_at, fingerprint, error_type)
    SELECT seq, at + 1, name, initcap(name) FROM (
      SELECT seq, at, CASE
        WHEN seq < 2 * %(largest)s + 50 THEN 'rare'
        WHEN seq %% 100 = 17 THEN 'f' || seq / 100 %% 100 ELSE 'common' END AS name
      FROM made WHERE kind = 'dead') AS made ORDER BY seq
    """,
    """
    INSERT INTO unlost.dead_group (fingerprint, slot, error_type, sample, count)
    SELECT fingerprint, mod(seq, 2), min(error_type), '', count(*) FROM unlost.dead GROUP BY 1, 2
    """,
    """
    INSERT INTO unlost.report (id, seq, died_at, number, attempt_count) OVERRIDING SYSTEM VALUE
    SELECT seq, seq, at + 1, 1, 1 FROM made WHERE kind = 'dead' ORDER BY seq
    """,
    "SELECT setval(pg_get_serial_sequence('unlost.report', 'id'), %(tasks)s)",
    """
    INSERT INTO unlost.step (seq, name, attempt, at, forgotten_at, size, result)
    SELECT seq, 'n' || n, 1, at, CASE WHEN n = 1 THEN at END, 9, '{"id": 1}'
    FROM made, generate_series(1, 3) AS n WHERE kind IN ('mine', 'left', 'dead') ORDER BY seq, n
    """,
    """
    INSERT INTO unlost.effect (seq, attempt, turn, name, at)
    SELECT seq, 1, n, 'charged', at
    FROM made, generate_series(1, 2) AS n WHERE kind IN ('mine', 'left', 'dead') ORDER BY seq, n
    """,
    "INSERT INTO unlost.brought SELECT seq, 2 FROM made WHERE kind = 'over' ORDER BY seq",
    """
    INSERT INTO unlost.follow_up (parent, submitted_at, seq)
    SELECT 'parent' || seq / 1000, at, seq FROM made WHERE seq %% 25 = 3 ORDER BY seq
    """,
    "DROP TABLE made",
)  # fmt: skip

BESIDE: Final = (
    """
    INSERT INTO unlost.worker (id, lease_until, alone)
    VALUES ('mine', %(now)s + %(lease)s, false), ('left', %(now)s - 1, false)
    """,
    """
    INSERT INTO unlost.worker (id, lease_until, alone)
    SELECT 'w' || n, %(now)s + CASE WHEN n %% 100 = 0 THEN -1 ELSE %(lease)s END, false
    FROM generate_series(1, %(workers)s) AS n
    """,
    """
    INSERT INTO unlost.control (type, paused, told, settings, rate, key_rate)
    VALUES ('limited', false, true, %(control)s, 9e4, 9e4)
    """,
    """
    INSERT INTO unlost.pace (type, key, rate, at, waits, look_at)
    SELECT 'limited', CASE WHEN n <= %(keys)s THEN 'k' || n - 1 ELSE 'other' || n END, 9e4,
           1000 * (%(now)s - n), n %% 3 = 0, %(now)s + (n %% 7 - 3) * 1000
    FROM generate_series(1, %(workers)s) AS n
    """,
    "INSERT INTO unlost.pace VALUES ('limited', '', 9e4, 0, false, %(now)s)",
    "INSERT INTO unlost.measured SELECT 'p' || n, %(now)s, '{}' FROM generate_series(1, 9) AS n",
    "INSERT INTO unlost.watcher SELECT 'x' || n, clock_timestamp() FROM generate_series(1, 9) AS n",
    """
    INSERT INTO unlost.schedule (id, next, revision, schedule, payload)
    SELECT 's' || n, CASE WHEN n %% 2 = 0 THEN NULL ELSE %(now)s - n END, 1, %(schedule)s, '{}'
    FROM generate_series(1, 3 * %(largest)s) AS n
    """,
    "INSERT INTO unlost.schedules (number) VALUES (1000)",
    """
    INSERT INTO unlost.tick (schedule, number, time, task)
    SELECT 's' || n, number, %(now)s, 't' || n
    FROM generate_series(1, 3 * %(largest)s) AS n, generate_series(1, 2) AS number
    """,
    """
    INSERT INTO unlost.redrive (id, started_at, updated_at, state, open, record, named)
    SELECT 'r' || n, %(now)s - 2000000 - n, %(now)s - 2000000,
           CASE WHEN n %% 300 = 1 THEN 'running' ELSE 'done' END, CASE WHEN n %% 300 = 1 THEN 1 END,
           '{"id":"r' || n || '","counting":null,"selected":0}', '{}'
    FROM generate_series(1, 3 * %(largest)s) AS n
    """,
    """
    INSERT INTO unlost.redriven (redrive, seq, redrive_count)
    SELECT 1 + n %% 2, n, 0 FROM generate_series(1, 100) AS n
    """,
    """
    UPDATE unlost.tally
    SET (accepted, settled, queued, running, retrying, succeeded, dead, cancelled) = (
      SELECT count(*), count(*) - count(it.state), count(*) FILTER (WHERE it.state = 'queued'),
             count(*) FILTER (WHERE it.state = 'running'),
             count(*) FILTER (WHERE it.state = 'retrying'),
             count(*) FILTER (WHERE task.state = 'succeeded'),
             count(*) FILTER (WHERE task.state = 'dead'),
             count(*) FILTER (WHERE task.state = 'cancelled')
      FROM unlost.task LEFT JOIN unlost.open_task AS it USING (seq))
    WHERE slot = 0
    """,
)  # fmt: skip

TABLES: Final = """
SELECT 'unlost.' || relname FROM pg_class
WHERE relnamespace = 'unlost'::regnamespace AND relkind = 'r' ORDER BY relname
"""


def numbers(kind: str, count: int, tasks: int) -> list[int]:
    """The numbers of so many tasks of a kind, from all over the table; as ids, with a `t`."""
    if kind in ("mine", "left"):
        first = 1 if kind == "mine" else LARGEST + 1
        return list(range(first, first + count))
    digits = DIGITS[kind]
    first = 2 * LARGEST // 10 + 1
    there = (tasks // 10 - first) * len(digits)
    places = range(0, there, max(1, there // count))[:count]
    return [10 * (first + place // len(digits)) + digits[place % len(digits)] for place in places]


async def make(url: str, tasks: int, *, emptied: bool) -> None:
    """An empty ledger in this database, filled with tasks.  Where it was `emptied`, it had some,
    which are gone, and it was vacuumed and analysed then: every table is believed to be empty.

    The server learns nothing by itself afterwards.
    """
    await (await PostgresLedger.open(url, Clock())).close()
    with psycopg.connect(url, autocommit=True) as db:
        tables = names(db)
        for table in tables:
            db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        db.execute(MAKE_INDEX)  # the last one: what is believed empty goes by it, if it can
        if emptied:
            _fill(db, FEW)
            db.execute(MARKED)
            for table in tables:
                if table not in ("unlost.ledger", "unlost.tally", "unlost.effect_secret"):
                    db.execute(f"DELETE FROM {table}")
            db.execute(f"VACUUM (ANALYZE, TRUNCATE OFF) {', '.join(tables)}")
        _fill(db, tasks)


def _fill(db: psycopg.Connection[Any], tasks: int) -> None:
    now: Micros = Clock().now
    values = {
        "tasks": tasks, "largest": LARGEST if tasks > FEW else FEW // 10, "now": now,
        "keys": KEYS, "late": LATE, "busy": BUSY, "never": NEVER, "workers": WORKERS,
        "lease": LEASE,
        "control": msgspec.json.encode(LIMITED).decode(), "schedule": written(SCHEDULE),
    }  # fmt: skip
    with db.transaction():
        for sql in FILL + BESIDE:
            db.execute(sql, values)


def names(db: psycopg.Connection[Any]) -> Sequence[str]:
    """The ledger's tables."""
    return [row[0] for row in db.execute(TABLES)]
