"""What schedules say of themselves, beside their ticks and the records of their tasks."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import msgspec

from unlost import carried
from unlost.carried import Scheduled
from unlost.ledger.protocol import Schedules, Tasks
from unlost.ledger.values import MINUTE
from unlost.schedule.schedule import KEPT_TICKS, Reason, Schedule, Tick, tick_id
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


class Seen(msgspec.Struct, frozen=True):
    """How many tasks of each schedule were seen (`made_by`), of those submitted up to the minute
    `newest`."""

    made: Counter[str]
    newest: float = math.inf


class ScheduleLedger(Schedules, Tasks, Protocol):
    """As much of a ledger as is looked at for this."""


def passed_by(record: Record) -> Scheduled | None:
    """The schedule and the time of a tick's task whose own id was taken."""
    if "!" not in record.task_id or record.carried is None:
        return None
    by = carried.read(record.carried).schedule
    return None if by is None or by.by_hand else by


async def known(ledger: Schedules) -> dict[str, Schedule]:
    """All schedules as they are now, by id.  Raises LedgerUnavailable."""
    return {one.id: one async for one in _all(ledger)}


def made_by(record: Record, schedules: Mapping[str, Schedule]) -> str | None:
    """The schedule of these that counts this task among those that it has made."""
    if record.carried is None:
        return None
    by = carried.read(record.carried).schedule
    if by is None or by.by_hand or by.id not in schedules:
        return None
    schedule = schedules[by.id]
    # What is older was made by one of this id that was deleted, what is newer is not counted yet.
    counted = schedule.last is not None and schedule.created_at < by.time <= schedule.last.time
    return by.id if counted else None


async def sums(
    ledger: ScheduleLedger, before: Mapping[str, Schedule], seen: Seen
) -> tuple[list[ScheduleSums], list[str]]:
    """The sums of all schedules, by id, and what is wrong.  Raises LedgerUnavailable.

    What was seen of tasks, was seen after `before`.
    """
    found: list[ScheduleSums] = []
    wrong: list[str] = []
    async for one in _all(ledger):
        found.append(ScheduleSums(one.id, one.due, one.made, one.skipped))
        faults = list(_of_counts(one))
        ticks = await ledger.ticks(one.id, NEWEST) if one.due else []
        faults += _of_ticks(ticks)
        if one.last_task is not None and await ledger.get(one.last_task, ()) is None:
            faults.append(f"its last task, {one.last_task}, is not there")
        then = before.get(one.id)
        if then is not None and then.made != seen.made[one.id]:
            faults += await _of_tasks(ledger, then, seen)
        wrong += [f"schedule {one.id}: {what}" for what in faults]
    return found, wrong


async def _of_tasks(ledger: ScheduleLedger, then: Schedule, seen: Seen) -> list[str]:
    """Where the tasks are not those that the schedule had counted as made."""
    last = then.last.time if then.last is not None else -1
    ticks = [one for one in await ledger.ticks(then.id, KEPT_TICKS) if one.time <= last]
    there, gone = seen.made[then.id], list[str]()
    for one in ticks:
        if one.task_id is None or there + len(gone) >= then.made:
            continue
        record = await ledger.get(one.task_id, ())
        if record is None:
            gone.append(f"{one.task_id}, which it made for {rfc3339(one.time)}, is not there")
        elif record.submitted_at // MINUTE > seen.newest:
            there += 1
    now = (await ledger.schedule(then.id))[1]
    if now is None or now.created_at != then.created_at:  # and with it its ticks
        return []
    if there + len(gone) < then.made:
        gone.append(f"{then.made} are counted as made, {there} tasks of it are there")
    # One that was made by a schedule of this id that is deleted is counted as skipped.
    others = sum(one.reason is Reason.MADE for one in ticks)
    if len(ticks) == then.due and there > then.made + others:
        gone.append(f"{then.made} are counted as made, {there} tasks are of its times")
    return gone


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
