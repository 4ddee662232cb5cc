"""Settling what most attempts end with: a success that nothing else hangs on, in one statement."""

from __future__ import annotations

from collections.abc import Sequence

from unlost.ledger.postgres.connection.arrays import Texts
from unlost.ledger.postgres.connection.transaction import NOW_ONCE, Transaction
from unlost.ledger.postgres.schema import SLOT
from unlost.ledger.values import Settlement
from unlost.task import Event, Outcome, State

# Rows are found and locked as by `settling.RUNNING`, and written as there.  One snapshot is enough
# for all of it: of a task that runs, nobody writes a row but who holds the lock of its open row,
# and then it runs no longer.  Where something is set for any type, attempts' ends may matter to it.
# All else hangs on the tasks' rows that were written, so that nothing is written by halves, and the
# counters' row, which many want, is locked last: what hangs on nothing is begun from behind.
# Rows go on as they are found, and open rows are deleted by an array of their places: whatever is
# kept or joined in between is copied for each task.
SUCCEED = f"""
WITH ended AS (
  UPDATE unlost.task
  SET state = 'succeeded', updated_at = held.at, number = held.number, spent = held.spent,
      attempt_count = held.attempt_count, max_retries = held.max_retries, timeout = held.timeout,
      alone = false, error_number = held.error_number, excused = held.excused
  FROM (
    SELECT wanted.turn, wanted.result, it.*, greatest({NOW_ONCE}, it.started_at) AS at
    FROM unnest(%(ids)s, %(tokens)s, %(results)s) WITH ORDINALITY
      AS wanted (id, token, result, turn)
    CROSS JOIN LATERAL (
      SELECT seq, ctid AS place FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
    CROSS JOIN LATERAL (
      SELECT seq, type, number, spent, attempt_count, max_retries, timeout, error_number, excused,
             started_at, ctid AS place, task.place AS task
      FROM unlost.open_task
      WHERE open_task.seq = task.seq AND open_task.token IS NOT DISTINCT FROM wanted.token
      FOR UPDATE OF open_task) AS it
    WHERE NOT EXISTS (SELECT FROM unlost.control) OFFSET 0) AS held
  WHERE task.ctid = held.task
  RETURNING held.turn, held.result, held.seq, held.place, held.type, held.number, held.started_at,
            held.at
), closed AS (
  DELETE FROM unlost.open_task WHERE ctid = ANY (ARRAY(SELECT place FROM ended))
), recorded AS (
  INSERT INTO unlost.attempt (seq, number, started_at, finished_at, outcome)
  SELECT seq, number, started_at, at, 'succeeded' FROM ended
), kept AS (
  INSERT INTO unlost.result (seq, text) SELECT seq, result FROM ended WHERE result IS NOT NULL
), counted AS (
  UPDATE unlost.tally
  SET running = running - ends, succeeded = succeeded + ends, settled = settled + ends
  FROM (SELECT count(*) AS ends FROM ended) AS counting WHERE slot = {SLOT} AND ends > 0
)
SELECT turn, type, number FROM ended
"""


def plain(settlement: Settlement) -> bool:
    """Whether it is a success that brings nothing but a result."""
    return (
        settlement.event is Event.SUCCEED
        and settlement.outcome is Outcome.SUCCEEDED
        and settlement.error is None
        and settlement.follow is None
        and not settlement.submit
    )


async def succeed(transaction: Transaction, settlements: Sequence[Settlement]) -> list[bool]:
    """End attempts by plain successes, and commit: whether that was done, for each.

    Those that it was not done for are to be settled as any others: what they say is stale, or
    something is set for a type.
    """
    turns = {done.token: turn for turn, done in reversed(list(enumerate(settlements)))}
    wanted = sorted((settlements[turn].task_id, turn) for turn in turns.values())
    ends = [settlements[turn] for _, turn in wanted]
    values = {
        "ids": Texts([done.task_id for done in ends]),
        "tokens": Texts([done.token for done in ends]),
        "results": Texts([done.result for done in ends]),
    }
    rows = await transaction.last(SUCCEED, values)
    transaction.tell_all(
        (wanted[number - 1][0], task_type, State.SUCCEEDED, attempt)
        for number, task_type, attempt in rows
    )
    succeeded = [False] * len(settlements)
    for number, _, _ in rows:
        succeeded[wanted[number - 1][1]] = True
    return succeeded
