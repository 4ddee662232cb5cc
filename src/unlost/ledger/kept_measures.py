"""What processes measured, in memory."""

from __future__ import annotations

from collections.abc import Callable

from unlost.ledger.measured import SILENT
from unlost.measures import NOTHING, Measures, admitted, total
from unlost.task import Micros


class KeptMeasures:
    """What the memory ledger keeps of measures (see `measured.Measured`)."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self._now = clock
        self._ended = NOTHING
        self._published: dict[str, tuple[Micros, Measures]] = {}  # when, and what

    async def open_measures(self, process: str) -> None:
        now = self._now()
        silent = [name for name, (at, _) in self._published.items() if at <= now - SILENT]
        self._ended = total([self._ended, *(self._published.pop(name)[1] for name in silent)])
        self._published.setdefault(process, (now, NOTHING))

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        if process not in self._published:
            return False
        self._ended, measures = admitted(self._ended, measures)
        self._published[process] = (self._now(), measures)
        return True

    async def close_measures(self, process: str, measures: Measures) -> None:
        if self._published.pop(process, None) is not None:
            known, told = admitted(self._ended, measures)
            self._ended = known.plus(told)

    async def sum_measures(self) -> Measures:
        return total([self._ended, *(measures for _, measures in self._published.values())])
