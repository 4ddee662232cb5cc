"""What schedules say of themselves, beside their ticks and the records of their tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Protocol

import msgspec

from unlost import carried
from unlost.carried import Scheduled
from unlost.ledger.protocol import Schedules, Tasks
from unlost.schedule.schedule import Schedule, Tick, tick_id
from unlost.task import Record
from unlost.times import rfc3339

PAGE = 500
"""Schedules that are read at once."""

NEWEST = 100
"""Of a schedule's ticks, those that are looked at."""


class ScheduleSums(msgspec.Struct, frozen=True):
    """How many times of a schedule were due, and how many of them came to a task."""

    id: str
    due: int
    made: int
    skipped: int


class ScheduleLedger(Schedules, Tasks, Protocol):
    """As much of a ledger as is looked at for this."""


def passed_by(record: Record) -> Scheduled | None:
    """The schedule and the time of a tick's task whose own id was taken."""
    if "!" not in record.task_id or record.carried is None:
        return None
    by = carried.read(record.carried).schedule
    return None if by is None or by.by_hand else by


async def sums(ledger: ScheduleLedger) -> tuple[list[ScheduleSums], list[str]]:
    """The sums of all schedules, by id, and what is wrong.  Raises LedgerUnavailable."""
    found: list[ScheduleSums] = []
    wrong: list[str] = []
    async for one in _all(ledger):
        found.append(ScheduleSums(one.id, one.due, one.made, one.skipped))
        wrong += [f"schedule {one.id}: {what}" for what in _of_counts(one)]
        ticks = await ledger.ticks(one.id, NEWEST) if one.due else []
        wrong += [f"schedule {one.id}: {what}" for what in _of_ticks(ticks)]
        if one.last_task is not None and await ledger.get(one.last_task, ()) is None:
            wrong.append(f"schedule {one.id}: its last task, {one.last_task}, is not there")
    return found, wrong


async def twice(ledger: Tasks, task_id: str, by: Scheduled) -> str | None:
    """The other task of the same tick, if this one is its second."""
    turn = 1
    while (other := tick_id(by.id, by.time, turn)) != task_id and turn < NEWEST:
        record = await ledger.get(other, ())
        if record is not None and carried.read(record.carried).schedule == by:
            return other
        turn += 1
    return None


async def _all(ledger: Schedules) -> AsyncIterator[Schedule]:
    after = ""
    while page := await ledger.schedules(after, PAGE, payloads=False):
        for one in page:
            yield one
        after = page[-1].id


def _of_counts(one: Schedule) -> Iterator[str]:
    if one.due != one.made + one.skipped:
        yield f"{one.due} times were due, {one.made} made and {one.skipped} skipped"
    if one.next is not None and one.last is not None and one.next <= one.last.time:
        yield f"its next time, {rfc3339(one.next)}, is not after its last"


def _of_ticks(newest_first: list[Tick]) -> Iterator[str]:
    for one in newest_first:
        if (one.task_id is None) == (one.reason is None):
            yield f"{rfc3339(one.time)} came to a task and was skipped, or neither"
    for later, earlier in pairwise(newest_first):
        if later.time <= earlier.time:
            yield f"{rfc3339(later.time)} was counted after {rfc3339(earlier.time)}"
