"""Schedules: what is submitted at set times."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from unlost.ledger.memory.store import Store
from unlost.ledger.values import ROOM
from unlost.ledger.weight import schedule_weight, within
from unlost.schedule.schedule import KEPT_TICKS, MOST, Due, Move, Moved, Schedule, Tick
from unlost.schedule.stored import bare
from unlost.task import TERMINAL, Micros


class Schedules(Store):
    """Keeps the promises of `protocol.Schedules`."""

    moves_at_once = 50

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        now = self._now()
        return [self._move_schedule(move, now) for move in moves]

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        name = move.schedule.id
        known, ticks = self._schedules.get(name, (None, ()))
        if move.expected != (known.revision if known else 0):
            return Moved.STALE
        if known is None and len(self._schedules) >= MOST:
            return Moved.FULL
        if move.task is not None:
            if move.task.task_id in self._tasks:
                return Moved.TAKEN
            self._submit(move.task, now)
        schedule = move.schedule
        if known is not None and not move.new_plan:
            plan = replace(schedule.plan, payload=known.plan.payload)
            schedule = replace(schedule, plan=plan)
        self._schedules[name] = schedule, (*ticks, *move.ticks)[-KEPT_TICKS:]
        return Moved.DONE

    async def drop_schedule(self, schedule_id: str) -> bool:
        return self._schedules.pop(schedule_id, None) is not None

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        found = self._schedules.get(schedule_id)
        return self._now(), found and found[0]

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        names = sorted(name for name in self._schedules if name > after)[:limit]
        found = (self._schedules[name][0] for name in names)
        some = found if payloads else map(bare, found)
        return list(within(room, some, schedule_weight))

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        _, ticks = self._schedules.get(schedule_id, (None, ()))
        return list(reversed(ticks))[:limit]

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        now = self._now()
        timed = [(one.next, name) for name, (one, _) in self._schedules.items() if one.next]
        due = sorted((at, name) for at, name in timed if at <= now)
        some = (self._schedules[name][0] for _, name in due[:limit])
        found = list(within(room, some, schedule_weight))
        others = sorted(timed)[len(found) :]
        return Due(now, found, others[0][0] if others else None)

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        found = set(task_ids) & self._tasks.keys()
        return {name for name in found if self._tasks[name].record.state not in TERMINAL}
