"""Counting: the sums of what was counted, and what waits for nobody."""

from __future__ import annotations

from functools import partial
from typing import Final

from unlost.ledger.postgres.attempts.marks import PAIRS, TOOK, Learnt, Marks, Seen
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

# Every kind of task that waits, with the one that is due first, and known ones without any.
WAITING: Final = f"""
WITH RECURSIVE {PAIRS}
SELECT pair.type, pair.rank, first.due_at,
       (SELECT coalesce(pull, false) FROM unlost.control
        WHERE control.type = pair.type OFFSET 0), {TOOK}
FROM pair LEFT JOIN LATERAL (
  SELECT due_at FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
    AND open_task.type = pair.type AND open_task.rank = pair.rank AND due_at >= pair.since
  ORDER BY due_at LIMIT 1) AS first ON true
WHERE NOT EXISTS (
  SELECT FROM unlost.control WHERE control.type = pair.type AND paused OFFSET 0)
"""

# Where it is a rate that they wait for, no claim may come to bring them back: they wait too.
PARKED: Final = """
WITH RECURSIVE parked (type) AS (
  (SELECT type FROM unlost.open_task WHERE parked IS NOT NULL ORDER BY type LIMIT 1)
  UNION ALL
  SELECT following.type FROM parked CROSS JOIN LATERAL (
    SELECT type FROM unlost.open_task WHERE parked IS NOT NULL AND open_task.type > parked.type
    ORDER BY type LIMIT 1) AS following
)
SELECT type, coalesce(pull, false) FROM parked LEFT JOIN unlost.control USING (type)
WHERE paused IS NOT TRUE
"""

TAKEN: Final = f"""
SELECT types, coalesce(pull, false) FROM unlost.worker WHERE lease_until > {NOW} AND NOT alone
"""

LIKE_A_SUBMIT: Final = """
LOCK TABLE unlost.task, unlost.open_task, unlost.payload IN ROW EXCLUSIVE MODE
"""

PING: Final = f"UPDATE unlost.tally SET pinged = pinged + 1 WHERE slot = {SLOT}"


async def exact_counts(transaction: Transaction, marks: Marks) -> Counts:
    """The counters, in one snapshot, in which no submit is half done.

    So every task up to the position is there for good, and was counted: submits hold a lock
    together from before they take a position until they are committed, and this takes it alone,
    for the time that one statement needs.
    """
    return await counts(transaction, marks, lock(COUNTING))


async def counts(transaction: Transaction, marks: Marks, first: str | None = None) -> Counts:
    """The counters, in one snapshot; a statement may come `first`."""
    due = await _due(transaction, marks)
    parked, taken = await transaction.ask(PARKED), await transaction.ask(TAKEN)
    if first is not None:
        await transaction.do(first)
    ((accepted, settled, *numbers, position),) = await transaction.last(SUMS)
    served = [(types, pull) for types, pull in await transaction.read(taken)]
    pulled = {name: pull for name, _, pull in due} | dict(await transaction.read(parked))
    unhandled = unserved(pulled, served, {name for name, pull in pulled.items() if pull})
    states = dict(zip(State, numbers, strict=True))
    oldest: Micros | None = min((row[1] for row in due), default=None)
    workers = sum(types != [] for types, _ in served)
    return Counts(accepted, settled, states, position, unhandled, oldest, workers)


async def _due(transaction: Transaction, marks: Marks) -> list[tuple[str, Micros, bool]]:
    """Type, due time and whether it is for workers that claim by the API: of each kind that is due,
    what was due first."""
    due: list[tuple[str, Micros, bool]] = []
    for alone in (False, True):
        look = marks.look(None, alone=alone)
        transaction.at_end.append(partial(marks.end, look))
        found = await transaction.rows(WAITING, {"alone": alone, "known": look.known})
        now = transaction.now
        seen = {
            (name, rank): Seen(
                now if at is None else min(at, now),
                waited=at is not None and at <= now,
                parked=pull is not None,
            )
            for name, rank, at, pull, _ in found
        }
        look.learnt = Learnt(now, max((row[-1] for row in found), default=0.0), seen)
        due += [
            (row[0], row[2], bool(row[3])) for row in found if row[2] is not None and row[2] <= now
        ]
    return due


async def ping(transaction: Transaction) -> None:
    """Write something, where a submit could be written: with its locks, and with all rights."""
    await transaction.do(LIKE_A_SUBMIT)
    await transaction.do(PING)
    if why := await rights.to_use(transaction.rows):
        raise LedgerUnfit(f"PostgreSQL: the role lacks rights; {why}", words=LACKS_A_RIGHT)
