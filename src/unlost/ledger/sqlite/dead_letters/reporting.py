"""Reports of deaths: leased, then recorded as made, which removes them."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.sqlite.connection.rows import rows
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.values import Report
from unlost.task import Micros, TaskError

# The payload as it was at the death: a later edit does not change what is reported.
REPORTS = f"""
SELECT report.id, task.id, task.type, coalesce(act.payload, payload.text),
       attempt.error_type, attempt.message, attempt.traceback, attempt.fingerprint,
       report.attempt_count, task.submitted_at, report.died_at
FROM report JOIN task USING (seq) JOIN payload USING (seq)
LEFT JOIN act ON act.id = report.edit
JOIN attempt ON attempt.key = (report.seq << {ATTEMPT_BITS}) | report.number
WHERE report.leased_until <= ? ORDER BY report.id LIMIT ?
"""


def claim_reports(transaction: Transaction, limit: int, lease: Micros) -> list[Report]:
    """Lease deaths that are still to be reported."""
    found = rows(transaction.db, REPORTS, (transaction.now, limit))
    until = transaction.now + lease
    transaction.db.executemany(
        "UPDATE report SET leased_until = ? WHERE id = ?", [(until, row[0]) for row in found]
    )
    return [_report(*row) for row in found]


def _report(  # noqa: PLR0913, PLR0917 - the columns of REPORTS
    report_id: int,
    task_id: str,
    task_type: str,
    payload: str,
    error_type: str | None,
    message: str,
    traceback: str | None,
    fingerprint: str,
    attempt_count: int,
    submitted_at: Micros,
    died_at: Micros,
) -> Report:
    error = TaskError(error_type, message, traceback, fingerprint) if error_type else UNKNOWN
    return Report(
        report_id, task_id, task_type, payload, error, attempt_count, submitted_at, died_at
    )


def reported(transaction: Transaction, report_ids: Collection[int]) -> None:
    """Record that these deaths were reported."""
    transaction.db.executemany("DELETE FROM report WHERE id = ?", [(id_,) for id_ in report_ids])
