"""Reports of deaths: leased, then recorded as made, which removes them."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import NOW, SEQS, Row, Transaction, packed
from unlost.ledger.values import Report
from unlost.task import Micros, TaskError

# The payload as it was at the death: a later edit does not change what is reported.
REPORTS = f"""
WITH free AS MATERIALIZED (
  SELECT ctid AS place FROM unlost.report WHERE leased_until <= {NOW}
  ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), leased AS (
  UPDATE unlost.report AS it SET leased_until = {NOW} + %(lease)s FROM free
  WHERE it.ctid = free.place
  RETURNING it.*
)
SELECT leased.id, task.id, task.type,
       coalesce(
         (SELECT payload FROM unlost.act WHERE act.seq = leased.seq AND act.id = leased.edit),
         (SELECT text FROM unlost.payload WHERE payload.seq = leased.seq)),
       attempt.error_type, attempt.message, attempt.traceback, attempt.fingerprint,
       leased.attempt_count, task.submitted_at, leased.died_at
FROM leased
CROSS JOIN LATERAL {row("task", "leased.seq")} AS task
CROSS JOIN LATERAL (
  SELECT * FROM unlost.attempt
  WHERE attempt.seq = leased.seq AND attempt.number = leased.number OFFSET 0) AS attempt
ORDER BY leased.id
"""


async def claim_reports(transaction: Transaction, limit: int, lease: Micros) -> list[Report]:
    """Lease deaths that are still to be reported."""
    found = await transaction.last(REPORTS, {"limit": limit, "lease": lease})
    return [_report(row) for row in found]


def _report(row: Row) -> Report:
    report_id, task_id, task_type, payload, *why, attempt_count, submitted_at, died_at = row
    error = UNKNOWN if why[0] is None else TaskError(*why)
    return Report(
        report_id, task_id, task_type, payload, error, attempt_count, submitted_at, died_at
    )


async def reported(transaction: Transaction, report_ids: Collection[int]) -> None:
    """Record that these deaths were reported."""
    await transaction.do(
        f"DELETE FROM unlost.report WHERE id = {SEQS}",
        {"seqs": packed(sorted(set(report_ids)))},
    )
