"""Settling: how attempts end, each in one conditional write.

A success with a small result: 2 WCU (the record, and its entry in the index that goes); what
else is written goes in one transaction: 2 WCU a KiB for the record, the attempt with its
traceback, a large result, and a death's report.  Each reads the record first, consistently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from unlost.ledger.dynamodb import items, reading
from unlost.ledger.dynamodb.announce import Telling
from unlost.ledger.dynamodb.calls import Calls, together
from unlost.ledger.dynamodb.steps import Step, after, take
from unlost.ledger.dynamodb.stored import NOWHERE, Stored, dead, look_at, waits
from unlost.ledger.kept import UNKNOWN
from unlost.ledger.protocol import UnknownTask
from unlost.ledger.values import Settlement
from unlost.task import Attempt, Event, Micros, Outcome

AGAIN = frozenset({Event.RETRY, Event.RELEASE})


async def settle(
    calls: Calls,
    tell: Telling,
    settlements: Sequence[Settlement],
    now: Micros,
    patience: Micros,
    report_id: Callable[[], int],
) -> list[bool]:
    """End attempts whose token still runs; what a stale token brings changes nothing.

    `report_id` gives a new id each time, for the report of a death.
    """
    numbers: dict[tuple[str, str], int] = {}  # of the first of each attempt
    for number, end in enumerate(settlements):
        numbers.setdefault((end.task_id, end.token), number)
    first = [settlements[number] for number in numbers.values()]
    tasks = await reading.find_many(calls, (end.task_id for end in first))
    held = await together(
        _settle(calls, tell, tasks.get(end.task_id), partial(ended, end, now, patience, report_id))
        for end in first
    )
    good = {number for number, one in zip(numbers.values(), held, strict=True) if one}
    return [number in good for number in range(len(settlements))]


async def _settle(
    calls: Calls, tell: Telling, stored: Stored | None, decide: Callable[[Stored], Step | None]
) -> bool:
    if stored is None:
        return False
    try:
        return await take(calls, tell, stored, decide) is not None
    except UnknownTask:
        return False


def ended(
    end: Settlement, now: Micros, patience: Micros, report_id: Callable[[], int], stored: Stored
) -> Step | None:
    """The step that ends the running attempt; None where it is not this token's."""
    if stored.token != end.token:
        return None
    started_at = stored.started_at or 0
    now = max(now, started_at)
    released = end.outcome is Outcome.RELEASED
    new = replace(
        stopped(stored, now),
        state=after(stored, end.event),
        spent=stored.spent - released,
        attempt_count=stored.attempt_count - released,
        alone=stored.alone if released else end.outcome is Outcome.LOST,
        error=replace(end.error, traceback=None) if end.error else stored.error,
    )
    if end.event is Event.SUCCEED:
        new = replace(new, started_at=started_at, finished_at=now)
        return Step(*items.with_result(new, end.result))
    due = now + end.wait
    next_at = due if end.event is Event.RETRY else None
    attempt = Attempt(stored.number, started_at, now, end.outcome, end.error, next_at)
    beside = (items.attempt_item(stored.task_id, attempt),)
    if end.event in AGAIN:
        return Step(replace(new, due=due, **waits(new, look_at(due, now, patience))), beside)
    why = end.error or UNKNOWN
    new = replace(new, fingerprint=why.fingerprint, died_at=now, **dead(new, now))
    return Step(new, beside, items.report_item(new, report_id()))


def stopped(stored: Stored, now: Micros) -> Stored:
    """The record without what belongs to a running attempt, nor to one that waits."""
    return replace(
        stored,
        updated_at=now,
        token=None,
        worker=None,
        lease_until=None,
        started_at=None,
        deadline=None,
        due=None,
        **NOWHERE,
    )
