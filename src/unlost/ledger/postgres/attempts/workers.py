"""Who is alive, and what each one runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec

from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import NOW, Transaction, packed
from unlost.ledger.values import MOST_SHOWN, Enlisted, Held, Running, Worker
from unlost.limits.control import NAMED_FOR
from unlost.task import Micros

IDLE = """
NOT EXISTS (SELECT FROM unlost.open_task AS it
            WHERE it.token IS NOT NULL AND it.worker = worker.id OFFSET 0)
"""

# `pull` says how it claims: true by the API, false as a stand-in (see `Claimant`), else NULL.

# It holds nothing, and what it named by the API counts no more.
FORGOTTEN = f"{IDLE} AND (pull IS NOT TRUE OR lease_until <= {NOW} - {NAMED_FOR})"

STRIKE_OFF = f"""
DELETE FROM unlost.worker WHERE id = ANY (ARRAY(
  SELECT id FROM unlost.worker
  WHERE lease_until <= {NOW} - %(lease)s AND {FORGOTTEN} FOR UPDATE SKIP LOCKED))
"""

ENLIST = f"""
INSERT INTO unlost.worker (id, lease_until, types, alone, slots, pull)
VALUES (%(id)s, {NOW} + %(lease)s, %(types)s::text[], %(alone)s, %(slots)s, %(pull)s)
ON CONFLICT (id) DO UPDATE
SET lease_until = excluded.lease_until, alone = excluded.alone,
    pull = CASE WHEN excluded.types = '{{}}' THEN worker.pull ELSE excluded.pull END,
    types = CASE WHEN excluded.types = '{{}}' THEN worker.types ELSE excluded.types END,
    slots = CASE WHEN excluded.types = '{{}}' THEN worker.slots ELSE excluded.slots END
"""

# Locked in the order of the ids, as they come.
EXTEND = f"""
UPDATE unlost.worker SET lease_until = {NOW} + %(lease)s WHERE id = ANY (ARRAY(
  SELECT known.id FROM json_array_elements_text(%(ids)s::json) AS mine (id) CROSS JOIN LATERAL (
    SELECT id FROM unlost.worker WHERE worker.id = mine.id FOR UPDATE) AS known))
RETURNING id
"""

HELD_COLUMNS = f"""
task.id, it.token, it.worker, it.spent, it.max_retries, it.timeout, it.deadline - {NOW},
it.type, it.number, task.carried, coalesce(it.excused, 0)
"""

ITS_TASK = f"CROSS JOIN LATERAL {row('task', 'it.seq')} AS task"

HELD = f"""
SELECT {HELD_COLUMNS} FROM unlost.open_task AS it {ITS_TASK}
WHERE it.token IS NOT NULL AND it.worker = %(worker)s
"""

# After every name of a worker.
LAST = "repeat(chr(1114111), 300)"

BETWEEN = """
SELECT worker FROM unlost.open_task
WHERE token IS NOT NULL AND open_task.worker > {0}.worker AND open_task.worker < {0}.before
ORDER BY worker LIMIT 1
"""

# The workers that run something and are not alive: one probe of the index for each that is, and for
# each of them, however much they run, and whatever those that are alive have left in the index.
LEFT_BEHIND = f"""
WITH RECURSIVE alive AS MATERIALIZED (
  SELECT worker, lead(worker, 1, {LAST}) OVER (ORDER BY worker) AS before FROM (
    SELECT '' AS worker
    UNION ALL SELECT id FROM unlost.worker WHERE lease_until > {NOW}) AS known
), gone (worker, before) AS (
  SELECT first.worker, alive.before
  FROM alive CROSS JOIN LATERAL ({BETWEEN.format("alive")}) AS first
  UNION ALL
  SELECT following.worker, gone.before
  FROM gone CROSS JOIN LATERAL ({BETWEEN.format("gone")}) AS following
)
SELECT {HELD_COLUMNS} FROM gone CROSS JOIN LATERAL (
  SELECT * FROM unlost.open_task
  WHERE open_task.token IS NOT NULL AND open_task.worker = gone.worker OFFSET 0) AS it {ITS_TASK}
"""

# Not `=`: see settling.RUNNING.
STILL_RUNNING = """
SELECT wanted.token FROM json_to_recordset(%(wanted)s::json) AS wanted (id text, token text)
CROSS JOIN LATERAL (SELECT seq FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
CROSS JOIN LATERAL (
  SELECT 1 FROM unlost.open_task AS it
  WHERE it.seq = task.seq AND it.token IS NOT DISTINCT FROM wanted.token
  OFFSET 0) AS it
"""


class _Wanted(msgspec.Struct, frozen=True):
    id: str
    token: str


async def enlist(transaction: Transaction, worker: Worker, lease: Micros) -> None:
    """Let this worker claim.  Those that have been gone for a lease, and that nobody struck off,
    go now."""
    await transaction.do(STRIKE_OFF, {"lease": lease})
    types = None if worker.types is None else list(worker.types)
    values = {
        "id": worker.id, "lease": lease, "types": types, "alone": worker.alone,
        "slots": worker.slots, "pull": True if worker.pull else False if worker.stand_in else None,
    }  # fmt: skip
    await transaction.do(ENLIST, values)


async def extend(transaction: Transaction, workers: Collection[str], lease: Micros) -> set[str]:
    """Extend leases; those of workers that were struck off stay so."""
    values = {"lease": lease, "ids": packed(sorted(set(workers)))}
    return {row[0] for row in await transaction.last(EXTEND, values)}


async def dismiss(transaction: Transaction, worker: str, *, expired: bool) -> None:
    """Strike a worker off; with `expired` only one whose lease is over and that holds nothing."""
    condition = f" AND lease_until <= {NOW} AND {FORGOTTEN}" if expired else ""
    await transaction.do(f"DELETE FROM unlost.worker WHERE id = %(id)s{condition}", {"id": worker})


async def held(transaction: Transaction, worker: str | None) -> list[Held]:
    """What this worker runs; None: what all workers run whose lease is over."""
    sql, values = (LEFT_BEHIND, None) if worker is None else (HELD, {"worker": worker})
    return [Held(*row) for row in await transaction.last(sql, values)]


async def dropped(transaction: Transaction, tokens: Mapping[str, str]) -> list[str]:
    """Of these tokens (each with its task id), those that no longer run."""
    wanted = [_Wanted(task_id, token) for token, task_id in tokens.items()]
    found = await transaction.last(STILL_RUNNING, {"wanted": packed(wanted)})
    running = {row[0] for row in found}
    return [token for token in tokens if token not in running]


ALIVE = f"""
SELECT id, types, alone, slots, pull IS TRUE, pull IS FALSE, lease_until FROM unlost.worker
WHERE lease_until > {NOW} ORDER BY id
"""

RUNNING = f"""
SELECT worker.id, one.* FROM unlost.worker CROSS JOIN LATERAL (
  SELECT task.id AS task, it.type, it.number, it.started_at, it.count FROM (
    SELECT seq, type, number, started_at, count(*) OVER () AS count FROM unlost.open_task
    WHERE token IS NOT NULL AND open_task.worker = worker.id) AS it {ITS_TASK}
  ORDER BY it.started_at, task.id LIMIT {MOST_SHOWN}) AS one
WHERE lease_until > {NOW}
"""


async def workers(transaction: Transaction) -> list[Enlisted]:
    """The workers whose leases hold, and what they run."""
    asked = await transaction.ask(ALIVE)
    running: dict[str, list[Running]] = defaultdict(list)
    counts: dict[str, int] = {}
    for worker, task_id, task_type, number, started_at, count in await transaction.rows(RUNNING):
        running[worker].append(Running(task_id, task_type, number, started_at))
        counts[worker] = count
    return [
        Enlisted(
            Worker(name, None if types is None else tuple(types), alone, slots, pull, stand_in),
            until,
            tuple(running[name]),
            counts.get(name, 0),
        )
        for name, types, alone, slots, pull, stand_in, until in await transaction.read(asked)
    ]
