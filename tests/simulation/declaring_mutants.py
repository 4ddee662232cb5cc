"""Mutants of what records the effects that handlers declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tests.simulation import declaring
from tests.simulation.mutant import mutant
from unlost.effects import Effect
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewEffect
from unlost.worker.effects.declaring import Declaring
from unlost.worker.worker import Worker


@mutant(declaring.DECLARED)
class CountedAgain(MemoryLedger):
    """counted twice: a record that comes again is taken for another effect."""

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        known = {(of, one.attempt, one.turn) for of, one in await self._all()}
        again = [one for one in new if (one.task_id, one.attempt, one.turn) in known]
        await super().declare_effects([*new, *(replace(one, turn=1_000) for one in again)])

    async def _all(self) -> list[tuple[str, Effect]]:
        page = await self.list_effects(None, 10_000)
        return [(one.task_id, one.effect) for one in page.effects]


@mutant(declaring.DECLARED)
class DeclaredByTheRunning(MemoryLedger):
    """only what a running attempt declares is recorded: what has happened late is lost."""

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        kept = [one.record for one in self._running.values()]
        running = {(one.task_id, one.attempts[-1].number) for one in kept}
        await super().declare_effects([one for one in new if (one.task_id, one.attempt) in running])


class _Late(Declaring):
    def _add(self, *declared: Any) -> None:
        self._loop.call_later(0.5, super()._add, *declared)


@mutant(declaring.DECLARED)
class RecordedLater(Worker):
    """recorded later, not at once: a death in between loses what has happened."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._steps.declaring.__class__ = _Late


class _Once(Declaring):
    async def _record(self, new: list[NewEffect]) -> None:
        try:
            if self._ledger is not None:
                await self._ledger.declare_effects(new)
        except LedgerUnavailable:
            pass


@mutant(declaring.DECLARED, first=130)
class AskedOnce(Worker):
    """asked once: where the ledger does not answer, an effect is not recorded."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._steps.declaring.__class__ = _Once
