"""How much records weigh: what bounds a read by bytes, where their number would not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from unlost.ledger.values import Copy, Entry
from unlost.schedule.schedule import Schedule
from unlost.task import Record

T = TypeVar("T")

EACH: Final = 500
"""Bytes that a record, an attempt or an act takes beside its texts."""

DECLARED: Final = 150
"""Bytes that an effect takes which a handler declared, about."""

SHORTEST_SAMPLE: Final = 80
"""Characters to which the sample of a group of dead letters may be cut."""


def weight(record: Record) -> int:
    """Bytes of the texts that a record carries, in UTF-8, and `EACH` for all it consists of."""
    total = EACH + size(record.payload) + size(record.result)
    for attempt in record.attempts:
        total += EACH
        if attempt.error is not None:
            total += size(attempt.error.message) + size(attempt.error.traceback)
    for act in record.history:
        total += EACH + size(act.by) + size(act.reason)
    return total


def entry_weight(entry: Entry) -> int:
    beside = EACH * len(entry.steps) + DECLARED * len(entry.declared)
    return weight(entry.record) + beside


def copy_weight(copy: tuple[int, Copy]) -> int:
    steps = sum(EACH + size(step.result) for step in copy[1].steps)
    return weight(copy[1].record) + steps + DECLARED * len(copy[1].declared)


def schedule_weight(schedule: Schedule) -> int:
    return EACH + size(schedule.plan.payload)


def within(room: float, items: Iterable[T], weigh: Callable[[T], int]) -> Iterator[T]:
    """Items up to the one with which they weigh `room` or more; no further one is read."""
    for item in items:
        yield item
        room -= weigh(item)
        if room <= 0:
            return


def longest_sample(room: int, groups: int) -> int:
    """Characters that each group's sample may have, where all of them have so much room."""
    return max(SHORTEST_SAMPLE, room // max(1, groups))


def size(text: str | None) -> int:
    """Bytes of a text in UTF-8."""
    if text is None:
        return 0
    return len(text) if text.isascii() else len(text.encode())
