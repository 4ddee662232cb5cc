"""Steps, and the effects that handlers declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from unlost.effects import MAX_RESULT, Recorded, Step
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.joining import Joined
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.postgres.steps import declaring, recording
from unlost.ledger.values import EffectPage, NewEffect, NewStep, StepAsked, StepLook
from unlost.task import Micros


class Steps(Opened):
    """Keeps the promises of `protocol.Steps` and `Effects`."""

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        super().__init__(place, clock)
        self._looks = Joined(self._look, lambda _: MAX_RESULT)
        self._records = Joined(self._record, lambda new: len(new.result or ""))
        self._declared = Joined(self._declare, lambda new: len(new.name))

    async def effect_secret(self) -> bytes:
        return await self._store.read(recording.secret)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        [found] = await self._looks.do([StepAsked(task_id, token, name)])
        return found

    async def _look(self, asked: Sequence[StepAsked]) -> list[StepLook]:
        return await self._store.read(partial(recording.look, asked=asked))

    async def record_step(self, new: NewStep) -> Recorded:
        [verdict] = await self._records.do([new])
        return verdict

    async def _record(self, steps: Sequence[NewStep]) -> list[Recorded]:
        return await self._store.write(partial(recording.record, steps=steps), SOON)

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        step = partial(recording.steps_of, task_id=task_id, results=results)
        return await self._store.read(step)

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await self._declared.do(new)

    async def _declare(self, new: Sequence[NewEffect]) -> list[None]:
        return await self._store.write(partial(declaring.declare, new=new), SOON)

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await self._store.read(partial(declaring.page, cursor=cursor, limit=limit))
