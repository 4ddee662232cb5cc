"""Schedules, and their ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from unlost.ledger.sqlite.parts.opened import Opened
from unlost.ledger.sqlite.schedules import scheduling
from unlost.ledger.values import ROOM
from unlost.schedule.schedule import Due, Move, Moved, Schedule, Tick
from unlost.task import Micros


class Schedules(Opened):
    """Keeps the promises of `protocol.Schedules`."""

    moves_at_once = scheduling.AT_ONCE

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        many = len(moves) > 1  # a person's is one
        return await self._writer.do_joint(scheduling.move, moves, patient=many)

    async def drop_schedule(self, schedule_id: str) -> bool:
        return await self._do(partial(scheduling.drop, schedule_id=schedule_id))

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        return self._clock(), await self._read(partial(scheduling.get, schedule_id=schedule_id))

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        step = partial(scheduling.schedules, after=after, limit=limit, room=room, payloads=payloads)
        return await self._read(step)

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        return await self._read(partial(scheduling.ticks, schedule_id=schedule_id, limit=limit))

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        step = partial(scheduling.due, now=self._clock(), limit=limit, room=room)
        return await self._read(step)

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        return await self._read(partial(scheduling.unended, task_ids=task_ids))
