"""Schedules from an export, in another ledger."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from unlost.ledger.protocol import Schedules
from unlost.moving.document import Scheduling
from unlost.schedule.schedule import Move, Moved

BATCH = 100


class NoRoom(Exception):
    """The ledger has as many schedules already as there may be."""


async def schedule_again(ledger: Schedules, schedules: Sequence[Scheduling]) -> None:
    """Keep schedules as another ledger kept them, but paused: where they were, they may go on.

    One whose id is there already stays as it is.  Raises NoRoom, LedgerUnavailable.
    """
    for start in range(0, len(schedules), BATCH):
        some = [
            Move(replace(one.schedule, paused=True, next=None), 0, one.ticks, new_plan=True)
            for one in schedules[start : start + BATCH]
        ]
        if Moved.FULL in await ledger.move_schedules(some):
            raise NoRoom


async def paused_here(ledger: Schedules, schedules: Sequence[Scheduling]) -> list[str]:
    """The ids of those that made tasks where they came from, and do not here.

    Raises LedgerUnavailable.
    """
    ran = {one.schedule.id for one in schedules if not one.schedule.paused}
    found: list[str] = []
    after = ""
    while ran and (page := await ledger.schedules(after, BATCH, payloads=False)):
        found += (one.id for one in page if one.paused and one.id in ran)
        after = page[-1].id
    return found
