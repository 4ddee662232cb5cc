"""Steps, and the effects that handlers declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from unlost.effects import Recorded, Step
from unlost.ledger.sqlite.connection.gathering import Gathering
from unlost.ledger.sqlite.files.identity import Identity
from unlost.ledger.sqlite.parts.opened import Opened
from unlost.ledger.sqlite.steps import declaring, recording
from unlost.ledger.values import EffectPage, NewEffect, NewStep, StepLook
from unlost.task import Micros


class Steps(Opened):
    """Keeps the promises of `protocol.Steps` and `Effects`."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Micros],
        *,
        same: Identity | None = None,
        must_exist: bool = False,
    ) -> None:
        super().__init__(path, clock, same=same, must_exist=must_exist)
        self._looks = Gathering(self._look_at_steps)
        self._records = Gathering(self._record_steps)

    async def effect_secret(self) -> bytes:
        return await self._read(recording.secret)

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        return await self._looks.ask((task_id, token, name))

    async def _look_at_steps(self, wanted: list[recording.Wanted]) -> list[StepLook]:
        return await self._read(partial(recording.look, wanted=wanted))

    async def record_step(self, new: NewStep) -> Recorded:
        return await self._records.ask(new)

    async def _record_steps(self, new: list[NewStep]) -> list[Recorded]:
        return await self._writer.do_joint(recording.record, new)

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        return await self._read(partial(recording.steps_of, task_id=task_id, results=results))

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        await self._writer.do_joint(declaring.declare, new)

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        return await self._read(partial(declaring.page, cursor=cursor, limit=limit))
