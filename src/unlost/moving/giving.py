"""From a ledger to an export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from unlost.ledger.protocol import Ledger, exact_counts
from unlost.ledger.values import Copy, Counts, RedriveCopy
from unlost.moving.control_line import line_of
from unlost.moving.document import (
    FORMAT,
    VERSION,
    Beside,
    Head,
    Redriving,
    Scheduling,
    Setting,
    line,
    numbered,
)
from unlost.moving.part import Part
from unlost.moving.reading import pages
from unlost.schedule.schedule import Tick
from unlost.task import State
from unlost.telemetry.redaction import Redaction

AT_ONCE: Final = 100
"""Redrives, or schedules, that are read at once."""

TICKS: Final = 100
"""Of the ticks of each schedule, the newest that go with it: those of 10,000 fit into memory."""


def head(home: str, at: str, counts: Counts, redacted: tuple[str, ...] = ()) -> Head:
    """The head of an export that begins now."""
    states = {state.value: counts.states.get(state, 0) for state in State}
    return Head(FORMAT, VERSION, at, home, counts.accepted, counts.settled, states, redacted)


async def give(
    ledger: Ledger,
    begun: Head,
    part: Part,
    last: int,
    planned: Sequence[Scheduling],
    write: Callable[[bytes], object],
    refresh: Callable[[], None],
) -> bool:
    """Write what an export still lacks, up to position `last`; whether nothing can have moved
    since it began.

    `planned` are the schedules, read before `last` was: whatever they have made is among the tasks.
    Up to the position that `exact_counts` gave, no task can still be on its way.  Each is as it
    was when it was read.  `part` grows as it is written; `refresh` is called after each page.
    Raises LedgerUnavailable.
    """
    redaction = Redaction(begun.redacted)
    if part.head is None:
        part.head = begun
        write(line(begun))
    async for page in pages(ledger, part.position, last):
        for position, copy in page:
            one = numbered(position, _shown_task(copy, redaction))
            write(line(one))
            part.add(position, one.task)
        refresh()
    beside = Beside(
        [line_of(control) for control in await ledger.controls()],
        [_shown(one, redaction) async for one in _redrives(ledger)],
        [_shown_schedule(one, redaction) for one in planned],
    )
    for setting in beside.controls:
        write(line(Setting(setting)))
    for redrive in beside.redrives:
        write(line(Redriving(redrive)))
    for schedule in beside.schedules:
        write(line(schedule))
    write(line(part.sum.tail(beside)))
    return _still(part, part.head, await exact_counts(ledger))


async def _redrives(ledger: Ledger) -> AsyncIterator[RedriveCopy]:
    """All redrives, by id."""
    after = ""
    while page := await ledger.copy_redrives(after, AT_ONCE):
        for one in page:
            yield one
        after = page[-1].redrive.id


async def schedules(ledger: Ledger) -> list[Scheduling]:
    """All schedules with their newest ticks, by id.  Raises LedgerUnavailable."""
    found: list[Scheduling] = []
    after = ""
    while page := await ledger.schedules(after, AT_ONCE):
        for one in page:
            ticks = await ledger.ticks(one.id, TICKS) if one.last is not None else []
            found.append(Scheduling(one, _until(one.last, ticks)))
        after = page[-1].id
    return found


def _until(last: Tick | None, newest_first: Sequence[Tick]) -> tuple[Tick, ...]:
    """Without those that were added after the schedule was read."""
    time = -1 if last is None else last.time
    return tuple(one for one in reversed(newest_first) if one.time <= time)


def _shown_task(copy: Copy, redaction: Redaction) -> Copy:
    steps = tuple(
        step if step.result is None else replace(step, result=redaction.mask(step.result))
        for step in copy.steps
    )
    return replace(copy, record=redaction.shown(copy.record), steps=steps)


def _shown_schedule(one: Scheduling, redaction: Redaction) -> Scheduling:
    plan = one.schedule.plan
    shown = replace(plan, payload=redaction.mask(plan.payload, plan.type))
    return replace(one, schedule=replace(one.schedule, plan=shown))


def _shown(one: RedriveCopy, redaction: Redaction) -> RedriveCopy:
    if one.named.payload is None:
        return one
    return replace(one, named=replace(one.named, payload=redaction.mask(one.named.payload)))


def _still(part: Part, before: Head, after: Counts) -> bool:
    now = head(before.home, before.exported_at, after, before.redacted)
    return now == before and part.sum.tasks == after.accepted and not now.states[State.RUNNING]
