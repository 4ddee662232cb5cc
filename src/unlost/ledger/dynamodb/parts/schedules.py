"""Schedules, and their ticks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.dynamodb.schedules import scheduling
from unlost.ledger.dynamodb.schedules.scheduling import Scheduling
from unlost.ledger.values import ROOM
from unlost.schedule.schedule import Due, Move, Moved, Schedule, Tick
from unlost.task import Micros


class Schedules(Opened):
    """Keeps the promises of `protocol.Schedules`."""

    moves_at_once = scheduling.MOVES

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        now = self._clock()
        async with self._telling(now) as tell:
            return await self._scheduling(tell, now).move(moves)

    async def drop_schedule(self, schedule_id: str) -> bool:
        now = self._clock()
        async with self._telling(now) as tell:
            return await self._scheduling(tell, now).drop(schedule_id)

    def _scheduling(self, tell: Telling, now: Micros) -> Scheduling:
        return Scheduling(self._calls, tell, self._positions, now, self._patience)

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        return self._clock(), await scheduling.get(self._calls, schedule_id)

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        return await scheduling.schedules(self._calls, after, limit, room, payloads=payloads)

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        return await scheduling.ticks(self._calls, schedule_id, limit)

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        return await scheduling.due(self._calls, self._clock(), limit, room)

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        return await scheduling.unended(self._calls, task_ids)
