"""Schedules from an export, in another ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from unlost.ledger.protocol import Schedules, Tasks
from unlost.schedule.schedule import Move, Moved, Schedule

BATCH = 100


class Target(Schedules, Tasks, Protocol):
    """As much of a ledger as is needed for it."""


class NoRoom(Exception):
    """The ledger has as many schedules already as there may be."""


async def schedule_again(ledger: Target, schedules: Sequence[Schedule]) -> None:
    """Keep schedules as another ledger kept them, but paused: where they were, they may go on.

    One whose id is there already stays as it is.  Raises NoRoom, LedgerUnavailable.
    """
    for start in range(0, len(schedules), BATCH):
        some = [
            Move(await _alone(ledger, one), 0, new_plan=True)
            for one in schedules[start : start + BATCH]
        ]
        if Moved.FULL in await ledger.move_schedules(some):
            raise NoRoom


async def _alone(ledger: Tasks, one: Schedule) -> Schedule:
    """The schedule, paused, without its last task where that was made after the export began."""
    last = one.last_task
    if last is not None and await ledger.get(last, ()) is None:
        last = None
    return replace(one, paused=True, next=None, last_task=last)
