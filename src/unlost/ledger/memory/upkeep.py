"""Upkeep: age, health, the end."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.ledger.memory.kept import view
from unlost.ledger.memory.store import Store
from unlost.ledger.values import Part
from unlost.task import Micros, Record, State


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
