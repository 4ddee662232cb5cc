"""Steps, and the effects that handlers declare."""

from __future__ import annotations

from collections.abc import Sequence

from unlost.effects import Recorded, Step
from unlost.ledger.dynamodb.effects import declaring, recording
from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.values import EffectPage, NewEffect, NewStep, StepLook


class Steps(Opened):
    """Keeps the promises of `protocol.Steps` and `Effects`."""

    async def effect_secret(self) -> bytes:
        return await recording.secret(self._calls)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        return await recording.look(self._calls, task_id, token, name)

    async def record_step(self, new: NewStep) -> Recorded:
        return await recording.record(self._calls, new, self._clock())

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        return await recording.steps_of(self._calls, task_id, results=results)

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await declaring.declare(self._calls, new, self._clock())

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await declaring.page(self._calls, cursor, limit)
