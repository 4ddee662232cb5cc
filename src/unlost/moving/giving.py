"""From a ledger to an export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
from unlost.redaction import Redaction
from unlost.schedule.schedule import Schedule
from unlost.task import State

AT_ONCE: Final = 100
"""Redrives, or schedules, that are read at once."""


def head(home: str, at: str, counts: Counts, redacted: tuple[str, ...] = ()) -> Head:
    """The head of an export that begins now."""
    states = {state.value: counts.states.get(state, 0) for state in State}
    return Head(FORMAT, VERSION, at, home, counts.accepted, counts.settled, states, redacted)


async def give(
    ledger: Ledger,
    begun: Head,
    part: Part,
    last: int,
    write: Callable[[bytes], object],
    refresh: Callable[[], None],
) -> bool:
    """Write what an export still lacks, up to position `last`; whether nothing can have moved
    since it began.

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
        [_shown_schedule(one, redaction) async for one in _schedules(ledger)],
    )
    for setting in beside.controls:
        write(line(Setting(setting)))
    for redrive in beside.redrives:
        write(line(Redriving(redrive)))
    for schedule in beside.schedules:
        write(line(Scheduling(schedule)))
    write(line(part.sum.tail(beside)))
    return _still(part, part.head, await exact_counts(ledger))


async def _redrives(ledger: Ledger) -> AsyncIterator[RedriveCopy]:
    """All redrives, by id."""
    after = ""
    while page := await ledger.copy_redrives(after, AT_ONCE):
        for one in page:
            yield one
        after = page[-1].redrive.id


async def _schedules(ledger: Ledger) -> AsyncIterator[Schedule]:
    """All schedules, by id."""
    after = ""
    while page := await ledger.schedules(after, AT_ONCE):
        for one in page:
            yield one
        after = page[-1].id


def _shown_task(copy: Copy, redaction: Redaction) -> Copy:
    steps = tuple(
        step if step.result is None else replace(step, result=redaction.mask(step.result))
        for step in copy.steps
    )
    return replace(copy, record=redaction.shown(copy.record), steps=steps)


def _shown_schedule(one: Schedule, redaction: Redaction) -> Schedule:
    payload = redaction.mask(one.plan.payload, one.plan.type)
    return replace(one, plan=replace(one.plan, payload=payload))


def _shown(one: RedriveCopy, redaction: Redaction) -> RedriveCopy:
    if one.named.payload is None:
        return one
    return replace(one, named=replace(one.named, payload=redaction.mask(one.named.payload)))


def _still(part: Part, before: Head, after: Counts) -> bool:
    now = head(before.home, before.exported_at, after, before.redacted)
    return now == before and part.sum.tasks == after.accepted and not now.states[State.RUNNING]
