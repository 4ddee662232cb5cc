"""Upkeep: age, health, what processes measured, the end."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.ledger.measured import SILENT
from unlost.ledger.memory.kept.task import view
from unlost.ledger.memory.store import Store
from unlost.ledger.values import Part
from unlost.task import Micros, Record, State
from unlost.telemetry.measures import NOTHING, Measures, admitted, total


class Upkeep(Store):
    """Keeps the promises of `protocol.Upkeep`."""

    async def purge(self, before: Micros, limit: int) -> int:
        unreported = {report.task_id for report, _ in self._reports.values()}
        found = (k for k in self._tasks.values() if k.record.task_id not in unreported)
        old = [kept for kept in found if _purgeable(kept.record, before)]
        old.sort(key=lambda kept: kept.record.updated_at)
        for kept in old[:limit]:
            kept.record = replace(
                view(kept.record, (Part.HISTORY,)), purged_at=self._now(), error=None
            )
            kept.steps, kept.effects, kept.declared = {}, None, {}
        return len(old[:limit])

    async def ping(self) -> None:
        """Memory answers writes for as long as it is there."""

    async def close(self) -> None:
        """There is nothing to give back."""


def _purgeable(record: Record, before: Micros) -> bool:
    """Whether age may take payload, result and attempts."""
    return (
        record.state in (State.SUCCEEDED, State.CANCELLED)
        and record.purged_at is None
        and record.updated_at < before
    )


class Measured(Store):
    """Keeps the promises of `ledger.measured.Measured`."""

    async def open_measures(self, process: str) -> None:
        now = self._now()
        silent = [name for name, (at, _) in self._published.items() if at <= now - SILENT]
        self._measured = total([self._measured, *(self._published.pop(name)[1] for name in silent)])
        self._published.setdefault(process, (now, NOTHING))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        if process not in self._published:
            return False
        self._measured, measures = admitted(self._measured, measures)
        self._published[process] = (self._now(), measures)
        return True

    async def close_measures(self, process: str, measures: Measures) -> None:
        if self._published.pop(process, None) is not None:
            known, told = admitted(self._measured, measures)
            self._measured = known.plus(told)

    async def sum_measures(self) -> Measures:
        return total([self._measured, *(measures for _, measures in self._published.values())])
