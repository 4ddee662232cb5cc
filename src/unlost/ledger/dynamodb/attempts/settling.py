"""Settling: how attempts end, each in one conditional write.

A success with a small result: 2 WCU (the record, and its entry in the index that goes); what
else is written goes in one transaction: 2 WCU a KiB for the record, the attempt with its
traceback, a large result, a death's report, a slot that is given back, and a task that follows.
Each reads the record first, consistently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from unlost.breaker import Ending, ending
from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, together
from unlost.ledger.dynamodb.connection.writes import Change, Put, Same, Write
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.breakers import Breaking
from unlost.ledger.dynamodb.controls.controlling import Controls
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.steps import Step, after, take
from unlost.ledger.dynamodb.stored import items
from unlost.ledger.dynamodb.stored.positions import Positions
from unlost.ledger.dynamodb.stored.record import NOWHERE, Stored, dead, look_at, waits
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading, submitting
from unlost.ledger.dynamodb.tasks.submitting import Task
from unlost.ledger.protocol import UnknownTask
from unlost.ledger.values import Settlement
from unlost.task import Attempt, Event, Micros, Outcome

AGAIN = frozenset({Event.RETRY, Event.RELEASE})


class Settling(msgspec.Struct, frozen=True):
    """What settlements of one call have in common; `report_id` gives a new id each time."""

    calls: Calls
    tell: Telling
    controls: Controls
    positions: Positions
    report_id: Callable[[], int]
    now: Micros
    patience: Micros
    random: Random

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts whose token still runs; what a stale token brings changes nothing."""
        numbers: dict[tuple[str, str], int] = {}  # of the first of each attempt
        for number, end in enumerate(settlements):
            numbers.setdefault((end.task_id, end.token), number)
        shards = await self.calls.shards()
        first = [settlements[number] for number in numbers.values()]
        ends = [End(one, self, self._follow(one, shards)) for one in first]
        tasks = await reading.find_many(self.calls, (end.task_id for end in ends))
        found = [(end, tasks[end.task_id]) for end in ends if end.task_id in tasks]
        breakers = await self._breakers(task.type for _, task in found)
        await self._end_all(found, breakers)
        good = {number for number, end in zip(numbers.values(), ends, strict=True) if end.held}
        return [number in good for number in range(len(settlements))]

    def _follow(self, settlement: Settlement, shards: int) -> Task | None:
        new = settlement.follow
        if new is None or new.task_id == settlement.task_id:
            return None
        return submitting.prepared(new, self.positions, shards, self.now, self.patience)

    async def _breakers(self, types: Iterable[str]) -> dict[str, Breaking]:
        """The breakers of these types, as far as they have one."""
        known = await self.controls.known(self.now)
        names = [one for one in {*types} if one in known and known[one].breaker is not None]
        breakers = {name: Breaking(self.calls, name, self.random) for name in names}
        await together(breaker.read() for breaker in breakers.values())
        return breakers

    async def _end_all(
        self, found: Sequence[tuple[End, Stored]], breakers: Mapping[str, Breaking]
    ) -> None:
        """End them side by side, but one after the other where a breaker that is not closed has
        to learn of each.  The others learn of those that ended, though one could not."""
        slow = {name: breaker for name, breaker in breakers.items() if not breaker.closed}
        quick = {name: breaker for name, breaker in breakers.items() if breaker.closed}
        steps = [end.take(task) for end, task in found if task.type not in slow]
        for name, breaker in slow.items():
            steps.append(_in_turn([one for one in found if one[1].type == name], breaker))
        try:
            await together(steps)
        finally:
            await together(
                breaker.learn_or_log(_learned(found, name), self.now)
                for name, breaker in quick.items()
            )
            for name, breaker in breakers.items():
                if breaker.moved:
                    self.controls.forget()
                if breaker.recovered:
                    self.tell.roomy(name)


def _learned(found: Sequence[tuple[End, Stored]], task_type: str) -> list[Ending]:
    return [end.ending for end, task in found if end.held and end.ending and task.type == task_type]


async def _in_turn(found: Sequence[tuple[End, Stored]], breaker: Breaking) -> None:
    for number, (end, stored) in enumerate(found):
        if number:
            await breaker.read()
        await end.take(stored, breaker)


class End:
    """How one attempt ends.  `held` and `ending` are known once it was tried."""

    def __init__(self, settlement: Settlement, common: Settling, follow: Task | None) -> None:
        self.task_id = settlement.task_id
        self.held = False
        self.ending: Ending | None = None
        self._settlement = settlement
        self._common = common
        self._follow = follow
        self._breaker: Breaking | None = None
        self._change: Change | None = None

    async def take(self, stored: Stored, breaker: Breaking | None = None) -> None:
        """End it, if it still runs; with `breaker` this learns of it in the same step."""
        self._breaker = breaker
        common = self._common
        try:
            step = await take(common.calls, common.tell, stored, self._decide, self._clashed)
        except UnknownTask:
            return
        self.held = step is not None
        if step is not None and breaker is not None and self._change is not None:
            breaker.changed(self._change)

    def _decide(self, stored: Stored) -> Step | None:
        end, common = self._settlement, self._common
        step = ended(end, common.now, common.patience, common.report_id, stored)
        if step is None:
            return None
        self.ending = ending(stored.started_at or 0, end.outcome, end.error)
        self._change = None
        if self._breaker is not None and self.ending is not None:
            self._change = self._breaker.after([self.ending], common.now)
        also = [*slots.given_back(stored), *([self._change] if self._change else [])]
        if self._follow is not None:
            new, payload = self._follow
            return replace(step, also=(*also, *submitting.writes(new, payload)), follow=new)
        return replace(step, also=tuple(also))

    def _clashed(self, write: Write | Same, there: Item | None) -> None:
        if isinstance(write, Change) and self._breaker is not None:
            self._breaker.saw(there)
        elif isinstance(write, Put) and write.item["sk"] == schema.TASK:
            self._follow = None  # it is known already


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
        slots=(),
        **NOWHERE,
    )
