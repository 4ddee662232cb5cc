"""Pacing: how far ahead the starts of a type or key are of its rate, moved by the claims that start
them, while they hold the lock on what is set for the type.

As long as tasks of a key are parked that wait for its rate, its pace says so (`waits`) and when it
lets one start: claims find it by that time and bring it back.  Where none waits it is dropped once
it says nothing any more: by claims, and where no rate is set any more by upkeep.  Only types that
have a rate cost a claim these statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.transaction import NOW, Transaction, packed
from unlost.ledger.postgres.controls import parking
from unlost.limits import rate
from unlost.limits.control import Paced, Rooms
from unlost.limits.rate import Pace
from unlost.task import Micros

LOOKED_AT: Final = 100
"""Keys of a type that one step looks at."""

PACES: Final = """
SELECT wanted.type, wanted.key, it.rate, it.at
FROM json_to_recordset(%(wanted)s::json) AS wanted (type text, key text)
CROSS JOIN LATERAL (
  SELECT rate, at FROM unlost.pace
  WHERE (pace.type, pace.key) >= (wanted.type, wanted.key)
    AND (pace.type, pace.key) <= (wanted.type, wanted.key)
  ORDER BY pace.type, pace.key LIMIT 1) AS it
"""

# What is further ahead than any start can have brought it: the clock was set back.
LATE: Final = f"""
UPDATE unlost.pace SET waits = false, look_at = (at + 999) / 1000 WHERE ctid = ANY (ARRAY(
  SELECT it.place FROM json_to_recordset(%(types)s::json) AS wanted (type text, beyond bigint)
  CROSS JOIN LATERAL (
    SELECT place FROM (
      SELECT ctid AS place FROM unlost.pace
      WHERE pace.type = wanted.type AND waits AND look_at <= {NOW}
      ORDER BY look_at LIMIT %(limit)s FOR UPDATE) AS free
    UNION ALL
    SELECT place FROM (
      SELECT ctid AS place FROM unlost.pace
      WHERE pace.type = wanted.type AND waits AND look_at > wanted.beyond
      ORDER BY look_at LIMIT %(limit)s FOR UPDATE) AS too_far) AS it))
RETURNING type, key, rate, at
"""

NONE_WAITS: Final = """
UPDATE unlost.pace SET waits = false, look_at = (at + 999) / 1000 WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM unlost.pace WHERE pace.type = %(type)s AND waits
  ORDER BY look_at LIMIT %(limit)s FOR UPDATE))
RETURNING 1
"""

DROP: Final = f"""
DELETE FROM unlost.pace WHERE ctid = ANY (ARRAY(
  SELECT it.place FROM json_to_recordset(%(types)s::json) AS wanted (type text, beyond bigint)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM unlost.pace
    WHERE pace.type = wanted.type AND NOT waits AND look_at <= {NOW}
    ORDER BY look_at LIMIT {LOOKED_AT} FOR UPDATE) AS it))
"""

FORGET_IDLE: Final = f"""
WITH RECURSIVE paced (type) AS (
  (SELECT type FROM unlost.pace WHERE NOT waits ORDER BY type LIMIT 1)
  UNION ALL
  SELECT following.type FROM paced CROSS JOIN LATERAL (
    SELECT type FROM unlost.pace WHERE NOT waits AND pace.type > paced.type
    ORDER BY type LIMIT 1) AS following
)
DELETE FROM unlost.pace WHERE ctid = ANY (ARRAY(
  SELECT it.place FROM paced CROSS JOIN LATERAL (
    SELECT ctid AS place FROM unlost.pace
    WHERE pace.type = paced.type AND NOT waits AND look_at <= {NOW}
    ORDER BY look_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED) AS it
  LIMIT %(limit)s))
RETURNING 1
"""

KEEP: Final = f"""
INSERT INTO unlost.pace AS it (type, key, rate, at, waits, look_at)
SELECT new.type, new.key, new.rate, new.at, also.waits,
       CASE WHEN also.waits THEN new.following ELSE new.until END
FROM json_to_recordset(%(paces)s::json) AS new (
  type text, key text, rate double precision, at bigint, following bigint, until bigint)
CROSS JOIN LATERAL (
  SELECT new.key <> '' AND new.following > {NOW} AND EXISTS (
    SELECT FROM unlost.open_task
    WHERE parked IS NOT NULL AND open_task.type = new.type AND open_task.key = new.key) AS waits
  OFFSET 0) AS also
ON CONFLICT (type, key) DO UPDATE
SET rate = excluded.rate, at = excluded.at, waits = excluded.waits, look_at = excluded.look_at
"""

# Keys of which tasks wait for their rate, those first that start first, and whether any is of this
# kind.
NEXT: Final = f"""
SELECT wanted.name, it.key, it.look_at, EXISTS (
  SELECT FROM unlost.open_task WHERE parked IS NOT NULL AND open_task.type = wanted.name
    AND open_task.key = it.key AND open_task.alone = %(alone)s OFFSET 0)
FROM json_array_elements_text(%(names)s::json) AS wanted (name)
CROSS JOIN LATERAL (
  SELECT key, look_at FROM unlost.pace WHERE pace.type = wanted.name AND waits
  ORDER BY look_at LIMIT {LOOKED_AT}) AS it
"""


class _Key(msgspec.Struct, frozen=True):
    type: str
    key: str


class _Type(msgspec.Struct, frozen=True):
    type: str
    beyond: Micros


class _New(msgspec.Struct, frozen=True):
    type: str
    key: str
    rate: float
    at: int
    following: Micros
    until: Micros


async def know(transaction: Transaction, room: Rooms, some: Iterable[Paced]) -> None:
    """Have the rooms know the paces of types and keys that have a rate."""
    asked = [one for one in dict.fromkeys(some) if room.asks(*one)]
    if not asked:
        return
    wanted = packed([_Key(name, key or "") for name, key in asked])
    rows = await transaction.rows(PACES, {"wanted": wanted})
    found = {(name, key or None): Pace(*pace) for name, key, *pace in rows}
    for one in asked:
        room.know(one, found.get(one))


async def let_start(
    transaction: Transaction, room: Rooms, names: Collection[str], most: int
) -> None:
    """Of these types, which have room, bring back what waits for its key's rate and may start now:
    of each key as many as may, at most so many."""
    rates = {name: limit for name in names if (limit := room.key_rate(name)) is not None}
    if not rates:
        return
    now = transaction.now
    types = packed([_Type(name, now + rate.longest_wait(rates[name])) for name in sorted(rates)])
    await transaction.do(DROP, {"types": types})
    late = await transaction.rows(LATE, {"types": types, "limit": LOOKED_AT + most})
    for name, key, *pace in late:
        room.know((name, key), Pace(*pace))
    await parking.bring_back(
        transaction,
        (
            (name, key)
            for name, key, *_ in late
            for _ in range(max(1, int(min(most, room.of_type(name), room.of_key(name, key)))))
        ),
    )


async def keep(transaction: Transaction, paces: Mapping[Paced, Pace]) -> None:
    """Keep paces, of keys whose tasks were started or parked by this transaction."""
    now = transaction.now
    new = [
        _New(
            name, key or "", pace.rate, pace.at, rate.next_start(pace.rate, pace.at, now),
            rate.full(pace.at),
        )
        for (name, key), pace in sorted(paces.items(), key=lambda one: (one[0][0], one[0][1] or ""))
    ]  # fmt: skip
    if new:
        await transaction.do(KEEP, {"paces": packed(new)})
    may_go_on = [(one.type, one.key) for one in new if one.key and one.following <= now]
    await parking.bring_back(transaction, may_go_on)


async def dues(
    transaction: Transaction, room: Rooms, names: Collection[str], *, alone: bool
) -> list[Micros]:
    """When keys may start of which tasks of this kind wait for their rate."""
    wanted = sorted(name for name in names if room.key_rate(name) is not None)
    if not wanted:
        return []
    rows = await transaction.rows(NEXT, {"names": packed(wanted), "alone": alone})
    await know(transaction, room, ((name, key) for name, key, *_ in rows))
    found = [room.when(name, key) for name, key, _, suits in rows if suits]
    if not any(found) and len(rows) >= LOOKED_AT:  # what follows them may suit
        found.append(max(look_at for _, _, look_at, _ in rows))
    return [when for when in found if when is not None]


async def bring_all_back(transaction: Transaction, task_type: str, limit: int) -> int:
    """Bring back parked tasks of this type, whatever they wait for, at most `limit`; how much of
    this there was to do."""
    count = await parking.bring_all_back(transaction, task_type, limit)
    values = {"type": task_type, "limit": limit}
    return count + len(await transaction.rows(NONE_WAITS, values))


async def forget_idle(transaction: Transaction, limit: int) -> int:
    """Drop paces that say nothing any more, whatever is set for their types, at most `limit`; how
    many."""
    return len(await transaction.rows(FORGET_IDLE, {"limit": limit}))
