"""What processes measured, in memory."""

from __future__ import annotations

from unlost.ledger.measured import SILENT
from unlost.ledger.memory.store import Store
from unlost.measures import NOTHING, Measures, admitted, total


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
