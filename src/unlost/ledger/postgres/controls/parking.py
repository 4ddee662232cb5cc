"""Parking: tasks that are due while their key has no room are out of the way of claims.

A claim that meets one parks it: it is due `NEVER`, and `parked` says when it was.  So no tenant's
backlog is walked again and again.  As long as any task of a key is parked, as many of its attempts
run as may, or one more is ready (for each kind, alone or not): so whatever ends an attempt or a
wait brings one back.  One too many costs a claim a look; one too few, which older code at work on
the same tables can leave, is found by claims that have time (`stray`).  Where it is the key's rate
that they wait for, its pace says so and claims bring one back in time (`pacing`): then ends do not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.transaction import Transaction, packed

NEVER: Final = 2**62

PARK: Final = f"""
UPDATE unlost.open_task SET parked = due_at, due_at = {NEVER} WHERE seq = ANY (ARRAY(
  SELECT it.seq FROM json_array_elements_text(%(seqs)s::json) AS one (seq) CROSS JOIN LATERAL (
    SELECT seq FROM unlost.open_task
    WHERE open_task.seq = one.seq::bigint AND state <> 'running' AND parked IS NULL
    FOR UPDATE SKIP LOCKED) AS it))
"""

# Of each kind, as many as left, those whose turn it is.
BRING_BACK: Final = """
UPDATE unlost.open_task SET due_at = parked, parked = NULL WHERE seq = ANY (ARRAY(
  SELECT chosen.seq FROM json_to_recordset(%(left)s::json) AS gone (
    type text, key text, alone boolean, number integer)
  CROSS JOIN LATERAL (
    SELECT seq FROM unlost.open_task AS it
    WHERE it.parked IS NOT NULL AND it.type = gone.type AND it.key = gone.key
      AND it.alone = gone.alone
    ORDER BY it.rank, it.parked, it.seq LIMIT gone.number FOR UPDATE SKIP LOCKED) AS chosen
  WHERE NOT EXISTS (SELECT FROM (
    SELECT waits FROM unlost.pace
    WHERE (pace.type, pace.key) >= (gone.type, gone.key)
      AND (pace.type, pace.key) <= (gone.type, gone.key)
    ORDER BY pace.type, pace.key LIMIT 1) AS its_pace WHERE waits)))
"""

BRING_ALL_BACK: Final = """
UPDATE unlost.open_task SET due_at = parked, parked = NULL WHERE seq = ANY (ARRAY(
  SELECT seq FROM unlost.open_task WHERE parked IS NOT NULL AND type = %(type)s
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING 1
"""

# The next keys of which some are parked: one probe of the index each.
NEXT_KEYS: Final = """
WITH RECURSIVE following (key) AS (
  (SELECT key FROM unlost.open_task WHERE parked IS NOT NULL AND type = %(type)s
     AND key > %(after)s ORDER BY key LIMIT 1)
  UNION ALL
  SELECT later.key FROM following CROSS JOIN LATERAL (
    SELECT key FROM unlost.open_task WHERE parked IS NOT NULL AND type = %(type)s
      AND open_task.key > following.key ORDER BY key LIMIT 1) AS later
)
SELECT key FROM following LIMIT %(limit)s
"""

KEYS_AT_ONCE: Final = 20

Left = tuple[str, str | None]
"""Type and key of a task that runs or is ready no more."""


class _Gone(msgspec.Struct, frozen=True):
    type: str
    key: str
    alone: bool
    number: int


async def park(transaction: Transaction, seqs: Collection[int]) -> None:
    """Take tasks that are ready out of the way; those that somebody has locked are left."""
    if seqs:
        await transaction.do(PARK, {"seqs": packed(sorted(seqs))})


async def bring_back(transaction: Transaction, left: Iterable[Left]) -> None:
    """For each of these tasks, bring back another of its key.  Their types are locked."""
    numbers: dict[tuple[str, str], int] = {}
    for name, key in left:
        if key is not None:
            numbers[name, key] = numbers.get((name, key), 0) + 1
    gone = [
        _Gone(name, key, alone, number)
        for (name, key), number in sorted(numbers.items())
        for alone in (False, True)
    ]
    if gone:
        await transaction.do(BRING_BACK, {"left": packed(gone)})


async def bring_all_back(transaction: Transaction, task_type: str, limit: int) -> int:
    """Bring back tasks of this type, at most `limit`; how many."""
    transaction.wake = True
    found = await transaction.rows(BRING_ALL_BACK, {"type": task_type, "limit": limit})
    if found:
        transaction.due(0, task_type)  # or whenever: they are due as long as they were before
    return len(found)


async def stray(transaction: Transaction, task_type: str, after: str) -> list[str]:
    """Some keys of which tasks are parked, in order from `after` on; none at the end."""
    values = {"type": task_type, "after": after, "limit": KEYS_AT_ONCE}
    return [row[0] for row in await transaction.rows(NEXT_KEYS, values)]
