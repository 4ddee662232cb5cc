"""Reports: each death is told, by one monitor."""

from __future__ import annotations

from collections.abc import Collection

from unlost.ledger.memory.store import Store
from unlost.ledger.values import Report
from unlost.task import Micros


class Reports(Store):
    """Keeps the promises of `protocol.Reports`."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        now = self._now()
        free = [report for report, until in self._reports.values() if until <= now][:limit]
        self._reports |= {report.id: (report, now + lease) for report in free}
        return free

    async def reported(self, report_ids: Collection[int]) -> None:
        for report_id in report_ids:
            self._reports.pop(report_id, None)
