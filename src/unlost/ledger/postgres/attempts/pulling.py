"""Workers that claim by the API: enlisted by their claims, which may come twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from unlost.ledger.postgres.attempts.claiming import EVERY_PAIR, UNCONTROLLED, claim
from unlost.ledger.postgres.attempts.marks import Marks
from unlost.ledger.postgres.attempts.workers import HELD_COLUMNS, ITS_TASK, STRIKE_OFF
from unlost.ledger.postgres.connection.transaction import NOW, Row, Transaction, packed
from unlost.ledger.postgres.controls import limiting
from unlost.ledger.postgres.controls.limiting import Limited
from unlost.ledger.postgres.schema import BEGINS_AS_PULLED, PULLED_TOKEN
from unlost.ledger.postgres.steps.recording import read_effects
from unlost.ledger.protocol import AnotherCall, AnothersWorker, LeaseOver
from unlost.ledger.values import Claimed, Held, Pull, Pulled
from unlost.limits.control import Claimant
from unlost.task import Micros

AT_ONCE: Final = 1_000
"""Attempts that are timed out in one pass."""

MOST: Final = 100_000
"""More than one claim gives.  With a limit the rows come in the order of their index, and no other
index has that order."""

# One that is new has no lease yet.  Its row is there to be locked: claims of one worker that race
# come one after the other.
ENTER = f"""
INSERT INTO unlost.worker (id, lease_until, types, alone, pull, owner)
VALUES (%(worker)s, {NOW}, '{{}}', false, true, %(owner)s) ON CONFLICT (id) DO NOTHING
RETURNING id
"""

WORKER = f"""
SELECT owner, lease_until > {NOW} FROM unlost.worker WHERE id = %(worker)s FOR UPDATE
"""

LEAVE = "DELETE FROM unlost.worker WHERE id = %(worker)s"

# Of those that run alone a worker holds no more than one, and nothing beside it.
HOLDS = """
SELECT alone FROM unlost.open_task WHERE token IS NOT NULL AND open_task.worker = %(worker)s
ORDER BY open_task.worker LIMIT 1
"""

AGAIN = f"""
SELECT it.worker, it.alone, task.id, it.token, it.type, coalesce(
         (SELECT payload FROM unlost.act WHERE act.seq = it.seq AND act.id = task.edit),
         (SELECT text FROM unlost.payload WHERE payload.seq = it.seq)),
       it.number, it.spent, it.max_retries, it.timeout, it.deadline, task.redrive_count,
       task.submitted_at, it.started_at, task.carried, task.effects, coalesce(it.excused, 0), it.key
FROM (SELECT * FROM unlost.open_task
      WHERE {PULLED_TOKEN} AND open_task.token >= %(start)s AND open_task.token < %(end)s
      ORDER BY open_task.token LIMIT {MOST}) AS it {ITS_TASK}
ORDER BY it.token
"""

ENLIST = f"""
UPDATE unlost.worker
SET lease_until = greatest(lease_until, {NOW} + %(lease)s), types = %(types)s::text[]
WHERE id = %(worker)s
"""

PROLONG = f"UPDATE unlost.worker SET lease_until = {NOW} + %(lease)s WHERE id = %(worker)s"

# Not `=`: see settling.RUNNING.
STANDING = f"""
SELECT wanted.token, it.worker
FROM json_to_recordset(%(wanted)s::json) AS wanted (id text, token text)
CROSS JOIN LATERAL (SELECT seq FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
CROSS JOIN LATERAL (
  SELECT worker FROM unlost.open_task AS it
  WHERE it.seq = task.seq AND it.token IS NOT DISTINCT FROM wanted.token AND it.deadline > {NOW}
  OFFSET 0) AS it
"""

LONE = f"""
WITH RECURSIVE {EVERY_PAIR}
SELECT pair.type, first.due_at FROM pair CROSS JOIN LATERAL (
  SELECT due_at FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
    AND open_task.type = pair.type AND open_task.rank = pair.rank
  ORDER BY due_at LIMIT 1) AS first
WHERE {UNCONTROLLED} AND first.due_at <= {NOW}
"""

OVERTIME = f"""
SELECT {HELD_COLUMNS} FROM (
  SELECT * FROM unlost.open_task WHERE {BEGINS_AS_PULLED} AND open_task.deadline <= {NOW}
  ORDER BY open_task.deadline LIMIT {AT_ONCE}) AS it {ITS_TASK}
"""


async def pull(
    transaction: Transaction, wanted: Pull, limited: Limited | None = None, *, marks: Marks
) -> Pulled:
    """Enlist the worker, and start attempts, or give again those of an earlier call."""
    name = wanted.claim.worker
    mine = {"worker": name, "owner": wanted.owner}
    entered = await transaction.ask(ENTER, mine)
    locked = await transaction.ask(WORKER, mine)
    holding = await transaction.ask(HOLDS, mine)
    start, end = _from(wanted.known_by)
    again = await transaction.rows(AGAIN, {"start": start, "end": end})
    is_new = bool(await transaction.read(entered))
    found = await transaction.read(locked)
    held = await transaction.read(holding)
    if not found:  # it was struck off just now
        raise LeaseOver(name)
    ((owner, alive),) = found
    if owner != wanted.owner:
        raise AnothersWorker(name)
    over = not alive and (held or wanted.waits)
    own = all(row[0] == name and row[3].startswith(wanted.prefix) for row in again)
    if over or not own:
        if is_new:  # or its name would be this key's, which was given nothing
            await transaction.do(LEAVE, mine)
        raise LeaseOver(name) if over else AnotherCall
    if is_new:
        await transaction.do(STRIKE_OFF, {"lease": wanted.lease})
    if not wanted.waits:
        await _enlist(transaction, wanted)
    if again:
        return Pulled(tuple(_again(row) for row in again), again[0][1], again=True)
    pulled = await _started(transaction, wanted, held, limited, marks)
    if wanted.waits and pulled.attempts:
        await _enlist(transaction, wanted)
    return pulled


async def _enlist(transaction: Transaction, wanted: Pull) -> None:
    types = list(wanted.claim.types or ())
    values = {"worker": wanted.claim.worker, "lease": wanted.lease, "types": types}
    await transaction.do(ENLIST, values)


async def _started(
    transaction: Transaction,
    wanted: Pull,
    held: Sequence[Row],
    limited: Limited | None,
    marks: Marks,
) -> Pulled:
    if held and (held[0][0] or wanted.empties):
        return Pulled()
    if not held:
        solo = replace(wanted.claim, tokens=wanted.claim.tokens[:1], alone=True)
        if lonely := await claim(transaction, solo, limited, marks=marks, more=True):
            return Pulled(tuple(lonely), alone=True)
    found = await claim(transaction, wanted.claim, limited, marks=marks, more=wanted.waits)
    return Pulled(tuple(found))


def _from(start: str) -> tuple[str, str]:
    """Between what all lies that starts so."""
    return start, start[:-1] + chr(ord(start[-1]) + 1)


def _again(row: Row) -> Claimed:
    """An attempt as it was claimed; when its task was due is not known any more."""
    *known, carried, effects, excused, key = row[2:]
    return Claimed(*[*known, None, carried, read_effects(effects), excused, key])


async def prolong(transaction: Transaction, worker: str, owner: str, lease: Micros) -> None:
    """Prolong the worker's lease, unless it is over."""
    found = await transaction.rows(WORKER, {"worker": worker})
    if found and found[0][0] != owner:
        raise AnothersWorker(worker)
    if not found or not found[0][1]:
        raise LeaseOver(worker)
    await transaction.do(PROLONG, {"worker": worker, "lease": lease})


async def standing(transaction: Transaction, tokens: Mapping[str, str]) -> dict[str, str]:
    """The tokens whose attempts run, in time, and their workers."""
    wanted = [{"id": task_id, "token": token} for token, task_id in tokens.items()]
    return dict(await transaction.last(STANDING, {"wanted": packed(wanted)}))


async def lone(transaction: Transaction, *, limited: bool) -> dict[str, Micros]:
    """For how long tasks have been due that must run alone and have room, by type."""
    nobody = {"alone": True, "left": packed([])}
    if not limited:
        return _overdue(await transaction.last(LONE, nobody), transaction.now)
    dues = await limiting.startable(transaction, Claimant.PULL, alone=True)
    return _overdue([*await transaction.last(LONE, nobody), *dues], transaction.now)


def _overdue(dues: Iterable[Row], now: Micros) -> dict[str, Micros]:
    found: dict[str, Micros] = {}
    for name, due_at in dues:
        if due_at <= now:
            found[name] = max(found.get(name, 0), now - due_at)
    return found


async def overtime(transaction: Transaction) -> list[Held]:
    """The pulled attempts that run, and whose time is over."""
    return [Held(*row) for row in await transaction.last(OVERTIME)]
