"""An outbox in PostgreSQL.

Each step is one statement in a transaction of its own.  Rows are taken with SKIP LOCKED and marked
with the time until which they are the taker's (`waits_until`), so that nothing is locked while they
are submitted.  The database's clock is the only one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.faults import first_line
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

CHANNEL: Final = "unlost_outbox"

HERE: Final = "SELECT " + ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in (
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_mergejoin",
        "enable_hashjoin",
        "jit",
    )
)
"""For a transaction: rows are looked up by the indexes, whatever the planner believes of a table
that fills and empties all the time."""

_TABLES: Final[LiteralString] = """
CREATE TABLE IF NOT EXISTS unlost_outbox (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  task_id text,
  type text,
  payload text NOT NULL,
  options text,
  tries integer NOT NULL DEFAULT 0,
  waits_until timestamptz,
  answer text
);
CREATE INDEX IF NOT EXISTS unlost_outbox_new ON unlost_outbox (created_at)
  WHERE waits_until IS NULL;
CREATE INDEX IF NOT EXISTS unlost_outbox_waiting ON unlost_outbox (waits_until)
  WHERE waits_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS unlost_outbox_rejected (
  id uuid PRIMARY KEY,
  created_at timestamptz NOT NULL,
  task_id text,
  type text,
  payload text NOT NULL,
  options text,
  status integer NOT NULL,
  reason text NOT NULL,
  rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS unlost_outbox_rejected_at ON unlost_outbox_rejected (rejected_at);
"""

_TRIGGER: Final[LiteralString] = """
CREATE OR REPLACE FUNCTION unlost_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('unlost_outbox', ''); RETURN NULL; END $$;
DROP TRIGGER IF EXISTS unlost_outbox_wake ON unlost_outbox;
CREATE TRIGGER unlost_outbox_wake AFTER INSERT ON unlost_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION unlost_outbox_wake();
"""

_HAS_TRIGGER: Final = """
SELECT 1 FROM pg_trigger
WHERE tgrelid = to_regclass('unlost_outbox') AND tgname = 'unlost_outbox_wake'
"""

# How large texts are is told without fetching them.
_TOO_LARGE: Final = f"""(octet_length(payload) > {MAX_PAYLOAD} OR octet_length(payload)
  + coalesce(octet_length(options), 0) + coalesce(octet_length(task_id), 0)
  + coalesce(octet_length(type), 0) > {MAX_TASK})"""

_SIZED: Final = f"""SELECT id, created_at, CASE WHEN {_TOO_LARGE} THEN 0 ELSE
  octet_length(payload) + coalesce(octet_length(options), 0) END AS size FROM unlost_outbox"""

# The statement's own time: by one that moves on while it runs no index can be asked.
_TAKE: Final = f"""
WITH waited AS MATERIALIZED (
  {_SIZED} WHERE waits_until <= statement_timestamp()
  ORDER BY waits_until LIMIT {MOST_ROWS} FOR UPDATE SKIP LOCKED
), misdated AS MATERIALIZED (
  {_SIZED} WHERE waits_until > statement_timestamp() + interval '{LONGEST_WAIT} s'
  ORDER BY waits_until LIMIT {MOST_ROWS} FOR UPDATE SKIP LOCKED
), new AS MATERIALIZED (
  {_SIZED} WHERE waits_until IS NULL
  ORDER BY created_at LIMIT {MOST_ROWS} FOR UPDATE SKIP LOCKED
), weighed AS (
  SELECT id, row_number() OVER oldest AS place, sum(size) OVER oldest - size AS before
  FROM (SELECT * FROM waited UNION ALL SELECT * FROM misdated UNION ALL SELECT * FROM new) AS due
  WINDOW oldest AS (ORDER BY created_at, id)
), taken AS (
  UPDATE unlost_outbox SET waits_until = clock_timestamp() + make_interval(secs => %(lease)s)
  FROM weighed WHERE unlost_outbox.id = weighed.id
    AND weighed.place <= {MOST_ROWS} AND weighed.before < {MOST_BYTES}
  RETURNING unlost_outbox.*, weighed.place
)
SELECT id::text, {_TOO_LARGE},
  CASE WHEN NOT {_TOO_LARGE} THEN task_id END, CASE WHEN NOT {_TOO_LARGE} THEN type END,
  CASE WHEN NOT {_TOO_LARGE} THEN payload END, CASE WHEN NOT {_TOO_LARGE} THEN options END, tries
FROM taken ORDER BY place
"""

_REMOVE: Final = "DELETE FROM unlost_outbox WHERE id = ANY(%s::uuid[])"

_REJECT: Final = """
WITH told AS (
  SELECT * FROM unnest(%s::uuid[], %s::int[], %s::text[]) AS told (id, status, reason)
), gone AS (
  DELETE FROM unlost_outbox AS o USING told WHERE o.id = told.id
  RETURNING o.id, o.created_at, o.task_id, o.type, o.payload, o.options, told.status, told.reason
)
INSERT INTO unlost_outbox_rejected
  (id, created_at, task_id, type, payload, options, status, reason)
SELECT * FROM gone
ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at, task_id = excluded.task_id,
  type = excluded.type, payload = excluded.payload, options = excluded.options,
  status = excluded.status, reason = excluded.reason, rejected_at = excluded.rejected_at
"""

_DELAY: Final = """
UPDATE unlost_outbox AS o SET tries = o.tries + 1, answer = told.answer,
  waits_until = clock_timestamp() + make_interval(secs => told.seconds)
FROM unnest(%s::uuid[], %s::float8[], %s::text[]) AS told (id, seconds, answer)
WHERE o.id = told.id
"""

_RETRY: Final = """
WITH back AS (
  DELETE FROM unlost_outbox_rejected WHERE %(all)s OR id::text = ANY(%(ids)s)
  RETURNING id, created_at, task_id, type, payload, options
)
INSERT INTO unlost_outbox (id, created_at, task_id, type, payload, options) SELECT * FROM back
"""

_COUNTS: Final = """
SELECT count(*) FILTER (WHERE answer IS NULL), count(answer),
  (SELECT count(*) FROM unlost_outbox_rejected),
  coalesce(greatest(extract(epoch FROM clock_timestamp() - min(created_at)), 0), 0)::float8
FROM unlost_outbox
"""

_ANSWERS: Final = f"""
SELECT answer, count(*) FROM unlost_outbox WHERE answer IS NOT NULL
GROUP BY answer ORDER BY count(*) DESC, answer LIMIT {LISTED}
"""

_NEWEST: Final = f"""
SELECT id::text, coalesce(left(task_id, 1000), 'outbox:' || id), status, reason,
  to_char(rejected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
FROM unlost_outbox_rejected ORDER BY rejected_at DESC LIMIT {LISTED}
"""

T = TypeVar("T")

Db = psycopg.Connection[tuple[Any, ...]]


class _Bytes(Loader):
    """Texts as they are, whatever encoding they should have been in."""

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


class PostgresOutbox:
    """See `Outbox`.  Raises WrongSetting for a URL that names no database."""

    def __init__(self, url: str) -> None:
        self._place = Place(url)
        self._db: Db | None = None
        self._listens = False

    def __str__(self) -> str:
        return str(self._place)

    def create(self, *, notify: bool = False) -> None:
        def make(db: Db) -> None:
            with db.transaction():
                db.execute("SELECT pg_advisory_xact_lock(hashtext('unlost_outbox'))")
                db.execute(_TABLES)
                if notify:
                    db.execute(_TRIGGER)

        self._do(make)
        self.close()  # a new connection hears what the trigger tells

    def check(self) -> None:
        self._do(lambda db: db.execute("SELECT FROM unlost_outbox, unlost_outbox_rejected LIMIT 0"))

    def take(self, lease: float = LEASE) -> list[Row]:
        def taken(db: Db) -> list[Row]:
            with db.transaction(), db.cursor() as cursor:
                cursor.execute(HERE)
                cursor.adapters.register_loader("text", _Bytes)
                cursor.execute(_TAKE, {"lease": lease})
                return [_row(*values) for values in cursor]

        return self._do(taken)

    def settle(self, settled: Settled) -> None:
        def write(db: Db) -> None:
            with db.transaction():
                db.execute(HERE)
                _settle(db, settled)

        self._do(write)

    def status(self) -> Status:
        def seen(db: Db) -> Status:
            with db.transaction():
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                [(waiting, delayed, rejected, oldest)] = db.execute(_COUNTS).fetchall()
                answers = [Waiting(*values) for values in db.execute(_ANSWERS)]
                newest = [Rejected(*values) for values in db.execute(_NEWEST)]
            return Status(waiting, delayed, rejected, oldest, answers, newest)

        return self._do(seen)

    def retry(self, ids: Sequence[str] = ()) -> int:
        chosen = {"all": not ids, "ids": [one.lower() for one in ids]}
        return self._do(lambda db: db.execute(_RETRY, chosen).rowcount)

    def wait(self, seconds: float, stop: Event) -> None:
        if stop.is_set():
            return
        try:
            if self._db is not None and self._listens:
                for _ in self._db.notifies(timeout=seconds, stop_after=1):
                    pass
                return
        except psycopg.Error:
            self.close()  # the next step says what is wrong
        stop.wait(seconds)

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                db.close()

    def _do(self, step: Callable[[Db], T]) -> T:
        try:
            return step(self._connected())
        except psycopg.errors.UndefinedTable:
            raise NoOutbox(
                f"{self} has no outbox; `unlost outbox create --database URL` makes one"
            ) from None
        except psycopg.Error as fault:
            if self._db is None or self._db.closed or self._db.broken:
                self.close()
                raise OutboxUnavailable(f"{self} cannot be reached: {first_line(fault)}") from fault
            raise OutboxUnavailable(f"{self}: {first_line(fault)}") from fault

    def _connected(self) -> Db:
        if self._db is None:
            try:
                # Behind a pooler the server's process is another at any time: no plans are kept.
                db = psycopg.connect(self._place.conninfo, autocommit=True, prepare_threshold=None)
            except UnicodeError:  # a host's name that cannot be one
                raise psycopg.OperationalError("the host's name cannot be resolved") from None
            self._db = db
            self._listens = db.execute(_HAS_TRIGGER).fetchone() is not None
            if self._listens:
                db.execute(f"LISTEN {CHANNEL}")
        return self._db


def _settle(db: Db, settled: Settled) -> None:
    if settled.removed:
        db.execute(_REMOVE, [list(settled.removed)])
    if settled.rejected:
        ids = [one for one, _ in settled.rejected]
        answers = [answer for _, answer in settled.rejected]
        told = [[one.status for one in answers], [one.shown for one in answers]]
        db.execute(_REJECT, [ids, *told])
    if settled.waiting:
        names, waits, why = zip(*settled.waiting, strict=True)
        shown = [f"{one.status} {one.shown}" for one in why]
        db.execute(_DELAY, [list(names), list(waits), shown])


def _row(
    row_id: bytes,
    too_large: bool,
    task_id: bytes | None,
    task_type: bytes | None,
    payload: bytes | None,
    options: bytes | None,
    tries: int,
) -> Row:
    return Row(row_id.decode(), task_id, task_type, payload, options, tries, too_large)
