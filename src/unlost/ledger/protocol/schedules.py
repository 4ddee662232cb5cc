"""Schedules: what is submitted at set times."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from unlost.ledger.values import ROOM
from unlost.schedule.schedule import Due, Move, Moved, Schedule, Tick
from unlost.task import Micros


class Schedules(Protocol):
    """The schedules that were set; see `unlost.schedule`.  What they do next is decided there."""

    moves_at_once: int
    """How many steps are taken together at most, so that who submits meanwhile does not wait."""

    async def move_schedules(self, moves: Sequence[Move]) -> list[Moved]:
        """Take steps, each all or nothing, in order; what became of each.

        What was done survives a crash of everything once this returns.
        """
        ...

    async def drop_schedule(self, schedule_id: str) -> bool:
        """Forget a schedule with its ticks; whether it was there.  Its tasks stay."""
        ...

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        """The ledger's time, and the schedule as it is then."""
        ...

    async def schedules(
        self, after: str, limit: int, room: int = ROOM, *, payloads: bool = True
    ) -> list[Schedule]:
        """Schedules whose ids come after this one, in the order of their code points.

        At most `limit`, and none after the one with which their payloads weigh `room` or more.
        Without `payloads` none is read, and each is empty.
        """
        ...

    async def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        """The newest ticks of a schedule, the newest first, as far as they are kept."""
        ...

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        """At most so many schedules that are due, within `room` as `schedules`; with a limit of 0
        only how things stand."""
        ...

    async def unended(self, task_ids: Collection[str]) -> set[str]:
        """Which of these tasks are there and have not ended."""
        ...
