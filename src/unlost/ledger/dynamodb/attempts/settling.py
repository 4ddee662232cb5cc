"""Settling: how attempts end, each in one conditional write.

A success with a small result: 2 WCU (the record, and its entry in the index that goes); what
else is written goes in one transaction: 2 WCU a KiB for the record, the attempt with its
traceback, a large result, a death's report, a slot that is given back, a task that follows, each
follow-up (with its payload, where that is large) and the item that names them: with 40 of them
some 90 items, where DynamoDB takes 100.  Each reads the record first, consistently, and what is
there under the follow-ups' ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

import msgspec
from msgspec.structs import replace

from unlost import carried
from unlost.ledger import follow_ups
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
from unlost.ledger.values import Settled, Settlement
from unlost.limits.breaker import Ending, ending
from unlost.task import Attempt, Event, Micros, Outcome, Submission

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

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End attempts whose token still runs; what a stale token brings changes nothing."""
        numbers: dict[tuple[str, str], int] = {}  # of the first of each attempt
        for number, end in enumerate(settlements):
            numbers.setdefault((end.task_id, end.token), number)
        shards = await self.calls.shards()
        first = [settlements[number] for number in numbers.values()]
        wanted = follow_ups.wanted(first)
        tasks = await reading.find_many(self.calls, [*wanted, *(one.task_id for one in first)])
        known = {name: tasks[name].digest for name in wanted if name in tasks}
        ends = [End(one, self, shards, known) for one in first]
        found = [(end, tasks[end.task_id]) for end in ends if end.task_id in tasks]
        breakers = await self._breakers(task.type for _, task in found)
        await self._end_all(found, breakers)
        results = dict(zip(numbers.values(), (end.result for end in ends), strict=True))
        return [results.get(number, Settled.REFUSED) for number in range(len(settlements))]

    def prepared(self, new: Submission, shards: int) -> Task:
        """A task that follows, as it is kept."""
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
        """End them side by side, but one after the other where a breaker has to learn of each, that
        is not closed or may excuse one.  The others learn of those that ended, though one could
        not."""
        open_to = {task.type for end, task in found if end.excusable}
        slow = {
            name: breaker
            for name, breaker in breakers.items()
            if not breaker.closed or (breaker.excuse and name in open_to)
        }
        quick = {name: breaker for name, breaker in breakers.items() if name not in slow}
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
    ended = [end for end, task in found if end.result and task.type == task_type]
    return [end.ending for end in ended if end.ending is not None]


async def _in_turn(found: Sequence[tuple[End, Stored]], breaker: Breaking) -> None:
    for number, (end, stored) in enumerate(found):
        if number:
            await breaker.read()
        await end.take(stored, breaker)


class End:
    """How one attempt ends.  `result` and `ending` are known once it was tried."""

    def __init__(
        self, settlement: Settlement, common: Settling, shards: int, known: Mapping[str, bytes]
    ) -> None:
        """`known` are the digests of tasks that are there under ids of follow-ups."""
        self.task_id = settlement.task_id
        self.result = Settled.REFUSED
        self.ending: Ending | None = None
        self._asked = self._end = settlement
        self._common = common
        self._shards = shards
        self._known = {**known}
        self._new: dict[str, Task] = {}  # what follows, by id, as it would be kept
        self._breaker: Breaking | None = None
        self._change: Change | None = None

    @property
    def excusable(self) -> bool:
        """Whether a breaker may excuse it."""
        return self._asked.excusable is not None

    async def take(self, stored: Stored, breaker: Breaking | None = None) -> None:
        """End it, if it still runs; with `breaker` this learns of it in the same step."""
        self._breaker = breaker
        common = self._common
        try:
            step = await take(common.calls, common.tell, stored, self._decide, self._clashed)
        except UnknownTask:
            return
        if step is not None:
            self.result = follow_ups.settled(self._asked, self._end)
        if step is not None and breaker is not None and self._change is not None:
            breaker.changed(self._change)

    def _decide(self, stored: Stored) -> Step | None:
        self._known[stored.task_id] = stored.digest
        [end] = follow_ups.decided([self._asked], self._known)
        common = self._common
        seen, change = ending(stored.started_at or 0, end.outcome, end.error), None
        if self._breaker is not None and seen is not None:
            change = self._breaker.after([seen], common.now)
            if self._breaker.excuses(seen, common.now):
                end = end.by_breaker
        step = ended(end, common.now, common.patience, common.report_id, stored)
        if step is None:
            return None
        self._end, self.ending, self._change = end, seen, change
        also = [*slots.given_back(stored), *([self._change] if self._change else [])]
        new = self._following(end)
        for task, payload in new:
            also += submitting.writes(task, payload)
        if mine := [task.task_id for task, _ in new if carried.parent(task.carried)]:
            also.append(Put(items.follow_ups_item(stored.task_id, mine)))
            step = replace(step, new=replace(step.new, brought=len(mine)))
        return replace(step, also=tuple(also), follow=tuple(task for task, _ in new))

    def _following(self, end: Settlement) -> list[Task]:
        """What is new of what follows."""
        found: dict[str, Task] = {}
        for one in follow_ups.submitted([end]):
            if one.task_id not in self._known and one.task_id not in found:
                task = self._new.get(one.task_id) or self._common.prepared(one, self._shards)
                found[one.task_id] = self._new[one.task_id] = task
        return list(found.values())

    def _clashed(self, write: Write | Same, there: Item | None) -> None:
        if isinstance(write, Change) and self._breaker is not None:
            self._breaker.saw(there)
        elif isinstance(write, Put) and write.item["sk"] == schema.TASK:
            self._known[schema.task_id(write.item["pk"])] = bytes((there or {}).get("digest", b""))


def ended(
    end: Settlement, now: Micros, patience: Micros, report_id: Callable[[], int], stored: Stored
) -> Step | None:
    """The step that ends the running attempt; None where it is not this token's."""
    if stored.token != end.token:
        return None
    started_at = stored.started_at or 0
    now = max(now, started_at)
    released = end.outcome is Outcome.RELEASED
    free = released or end.excused
    new = replace(
        stopped(stored, now),
        state=after(stored, end.event),
        spent=stored.spent - free,
        excused=stored.excused + end.excused,
        attempt_count=stored.attempt_count - released,
        alone=stored.alone if released else end.outcome is Outcome.LOST,
        error=replace(end.error, traceback=None) if end.error else stored.error,
    )
    if end.event is Event.SUCCEED:
        new = replace(new, started_at=started_at, finished_at=now)
        return Step(*items.with_result(new, end.result))
    due = now + end.wait
    next_at = due if end.event is Event.RETRY else None
    attempt = Attempt(stored.number, started_at, now, end.outcome, end.error, next_at, end.excused)
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
