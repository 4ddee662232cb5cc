"""Counting: the sums of what was counted, and what waits for nobody."""

from __future__ import annotations

from typing import Final

from unlost.ledger.postgres.connection import rights
from unlost.ledger.postgres.connection.faults import LACKS_A_RIGHT
from unlost.ledger.postgres.connection.locks import COUNTING, lock
from unlost.ledger.postgres.connection.lookup import LAST_SEQ
from unlost.ledger.postgres.connection.transaction import NOW, Transaction
from unlost.ledger.postgres.schema import SLOT
from unlost.ledger.protocol import LedgerUnfit
from unlost.ledger.unserved import unserved
from unlost.ledger.values import Counts
from unlost.task import Micros, State

SUMS: Final = f"""
SELECT {", ".join(f"sum({name})::bigint" for name in ("accepted", "settled", *State))},
       coalesce({LAST_SEQ}, 0)
FROM unlost.tally
"""

# Every kind of task that waits, one probe of the index each, with the one that is due first.
WAITING: Final = """
WITH RECURSIVE kind (alone, type, rank) AS (
  (SELECT alone, type, rank FROM unlost.open_task WHERE token IS NULL
   ORDER BY alone, type, rank LIMIT 1)
  UNION ALL
  SELECT following.* FROM kind CROSS JOIN LATERAL (
    SELECT alone, type, rank FROM unlost.open_task WHERE token IS NULL
      AND (open_task.alone, open_task.type, open_task.rank) > (kind.alone, kind.type, kind.rank)
    ORDER BY alone, type, rank LIMIT 1) AS following
)
SELECT kind.type, min(first.due_at),
       coalesce((SELECT pull FROM unlost.control WHERE control.type = kind.type OFFSET 0), false)
FROM kind CROSS JOIN LATERAL (
  SELECT due_at FROM unlost.open_task WHERE token IS NULL AND open_task.alone = kind.alone
    AND open_task.type = kind.type AND open_task.rank = kind.rank
  ORDER BY due_at LIMIT 1) AS first
WHERE NOT EXISTS (
  SELECT FROM unlost.control WHERE control.type = kind.type AND paused OFFSET 0)
GROUP BY kind.type
"""

TAKEN: Final = f"""
SELECT types, coalesce(pull, false) FROM unlost.worker WHERE lease_until > {NOW} AND NOT alone
"""

LIKE_A_SUBMIT: Final = """
LOCK TABLE unlost.task, unlost.open_task, unlost.payload IN ROW EXCLUSIVE MODE
"""

PING: Final = f"UPDATE unlost.tally SET pinged = pinged + 1 WHERE slot = {SLOT}"


async def exact_counts(transaction: Transaction) -> Counts:
    """The counters, in one snapshot, in which no submit is half done.

    So every task up to the position is there for good, and was counted: submits hold a lock
    together from before they take a position until they are committed, and this takes it alone,
    for the time that one statement needs.
    """
    return await counts(transaction, lock(COUNTING))


async def counts(transaction: Transaction, first: str | None = None) -> Counts:
    """The counters, in one snapshot; a statement may come `first`."""
    asked = await transaction.ask(WAITING)
    taken = await transaction.ask(TAKEN)
    if first is not None:
        await transaction.do(first)
    ((accepted, settled, *numbers, position),) = await transaction.last(SUMS)
    due = [row for row in await transaction.read(asked) if row[1] <= transaction.now]
    served = [(types, pull) for types, pull in await transaction.read(taken)]
    unhandled = unserved([row[0] for row in due], served, {name for name, _, pull in due if pull})
    states = dict(zip(State, numbers, strict=True))
    oldest: Micros | None = min((row[1] for row in due), default=None)
    workers = sum(types != [] for types, _ in served)
    return Counts(accepted, settled, states, position, unhandled, oldest, workers)


async def ping(transaction: Transaction) -> None:
    """Write something, where a submit could be written: with its locks, and with all rights."""
    await transaction.do(LIKE_A_SUBMIT)
    await transaction.do(PING)
    if why := await rights.to_use(transaction.rows):
        raise LedgerUnfit(f"PostgreSQL: the role lacks rights; {why}", words=LACKS_A_RIGHT)
