"""Mutants of what keeps steps, and of what makes them."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from tests.simulation import stepping
from tests.simulation.mutant import mutant
from unlost.effects import Effects, Forget, Recorded, Step
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.values import Claim, Claimed, NewStep, Settled, Settlement, StepLook
from unlost.task import Act, Micros
from unlost.worker.effects.steps import Steps
from unlost.worker.worker import Worker


@mutant(stepping.FENCED, first=500)
class StepsNotFenced(MemoryLedger):
    """steps not fenced: whoever records for a task that runs is taken for its attempt."""

    async def record_step(self, new: NewStep) -> Recorded:
        kept = self._tasks.get(new.task_id)
        if kept is not None and kept.token is not None:
            new = replace(new, token=kept.token)
        return await super().record_step(new)


@mutant(stepping.FENCED, within=200)
class RecordedAfterTheSettlement(MemoryLedger):
    """recorded after the settlement: what an attempt that has ended records is kept."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._ended: dict[str, Kept] = {}

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if held and kept is not None:
            self._ended[end.token] = kept
        return held

    async def record_step(self, new: NewStep) -> Recorded:
        kept = self._ended.get(new.token)
        if kept is None:
            return await super().record_step(new)
        kept.steps.setdefault(new.name, Step(new.name, 1, self._now(), True, new.result))
        return Recorded.KEPT


@mutant(stepping.FENCED, first=130)
class LooksNotFenced(MemoryLedger):
    """looks not fenced: who was overtaken is told that it still runs."""

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        found = await super().look_step(task_id, token, name)
        return found if found.running else StepLook(True)


@mutant(stepping.KEYS)
class ForgottenKeyStays(MemoryLedger):
    """a forgotten key stays: the other side takes what is made again for what it knows."""

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        before = kept.effects
        super()._redrive(kept, act, due_at, payload, forget)
        kept.effects = before


@mutant(stepping.KEYS)
class KeysOfAttempts(MemoryLedger):
    """a key an attempt: whoever makes a step again comes with another one."""

    def _start(self, kept: Kept, token: str, claim: Claim, now: Micros) -> Claimed:
        claimed = super()._start(kept, token, claim, now)
        forgotten = (kept.effects or Effects()).forgotten
        return replace(claimed, effects=Effects(forgotten, f"{claimed.token:0>32}"[:32]))


@mutant(stepping.KEYS)
class KeysShared(MemoryLedger):
    """keys shared: those of different tasks are equal."""

    def _start(self, kept: Kept, token: str, claim: Claim, now: Micros) -> Claimed:
        claimed = super()._start(kept, token, claim, now)
        return replace(claimed, effects=Effects((kept.effects or Effects()).forgotten, "same"))


@mutant(stepping.ONCE)
class ForgottenStands(MemoryLedger):
    """what was forgotten stands: later attempts get it all the same."""

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        before = dict(kept.steps)
        super()._redrive(kept, act, due_at, payload, forget)
        kept.steps = before


@mutant(stepping.ONCE, within=250)
class RedrivesForgetAll(MemoryLedger):
    """a redrive forgets what it was not told to: recorded steps are made again."""

    def _redrive(
        self, kept: Kept, act: Act, due_at: Micros, payload: str | None, forget: Forget
    ) -> None:
        super()._redrive(kept, act, due_at, payload, forget)
        kept.steps = {}


@mutant(stepping.ONCE)
class StepsNotKept(MemoryLedger):
    """answered before it is kept: a record is lost."""

    async def record_step(self, new: NewStep) -> Recorded:
        verdict = await super().record_step(new)
        kept = self._running.get(new.token)
        if kept is not None:
            kept.steps.pop(new.name, None)
        return verdict


class _Blind(Steps):
    async def look(self, claimed: Claimed, name: str) -> Step | None:
        await super().look(claimed, name)
        return None


@mutant(stepping.ONCE)
class DoesNotLook(Worker):
    """what is recorded is not looked at: each attempt makes all steps."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._steps.__class__ = _Blind


class _Hasty(Steps):
    async def record(self, new: NewStep) -> Recorded:
        self._late = asyncio.create_task(super().record(new))
        return Recorded.KEPT


@mutant(stepping.ONCE)
class DoesNotWait(Worker):
    """a step's value comes before its record: the handler goes on with what may be lost."""

    def __init__(self, ledger: Any, *args: Any, **options: Any) -> None:
        super().__init__(ledger, *args, **options)
        self._steps.__class__ = _Hasty
