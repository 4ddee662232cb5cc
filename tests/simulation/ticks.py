"""The ledger that notes each step of a schedule, and what must be true of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulation.adversary import atomic
from tests.simulation.process import Process
from unlost import carried
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.values import ROOM
from unlost.schedule.schedule import Due, Missed, Move, Moved, Overlap, Reason, Schedule, Tick
from unlost.schedule.times import Every
from unlost.task import SECOND, TERMINAL, Micros

SOON: Micros = 1 * SECOND
"""How late a tick may be where nothing goes wrong."""


@dataclass(frozen=True)
class Taken:
    """A step that was taken: on what, when by the true clock, and whether the schedule's last task
    had not ended.  It may have been decided at any of the `looks`: when who took it saw the
    schedule, by its own clock."""

    before: Schedule | None
    move: Move
    looks: tuple[Micros, ...]
    true: Micros
    busy: bool


class Ledger(MemoryLedger):
    """Answers each process by its own clock."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        super().__init__(clock)
        self._true = clock
        self._now = self._asked
        self.asked_by: Process | None = None
        self.taken: list[Taken] = []
        self._looks: dict[tuple[Process | None, str], list[Micros]] = {}

    def _asked(self) -> Micros:
        return self._true() if self.asked_by is None else self.asked_by.clock()

    async def due_schedules(self, limit: int, room: int = ROOM) -> Due:
        due = await super().due_schedules(limit, room)
        for one in due.schedules:
            self._looks.setdefault((self.asked_by, one.id), []).append(due.now)
        return due

    async def schedule(self, schedule_id: str) -> tuple[Micros, Schedule | None]:
        now, found = await super().schedule(schedule_id)
        self._looks.setdefault((self.asked_by, schedule_id), []).append(now)
        return now, found

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        before = self._schedules.get(move.schedule.id, (None, ()))[0]
        last = self._tasks.get((before and before.last_task) or "")
        busy = last is not None and last.record.state not in TERMINAL
        moved = super()._move_schedule(move, now)
        if moved is Moved.DONE:
            looks = self._looks.get((self.asked_by, move.schedule.id), [now])
            self.taken.append(Taken(before, move, tuple(looks), self._true(), busy))
        return moved

    def schedules_now(self) -> list[Schedule]:
        return [schedule for schedule, _ in self._schedules.values()]


def wrong(ledger: Ledger, now: Micros, *, calm: bool) -> list[str]:
    """What is not as it should be; `calm` says that nothing ever went wrong."""
    ledger.asked_by = None
    found = [f"{one.move.schedule.id}: {what}" for one in ledger.taken for what in _of_any(one)]
    if calm:
        found += [what for one in ledger.taken for what in _late(one)]
    found += _of_tasks(ledger)
    found += [what for one in ledger.schedules_now() for what in _of_schedule(one, now)]
    return found


def _of_any(one: Taken) -> list[str]:
    """What is wrong with a step, whichever look it was decided at."""
    what: list[str] = []
    for now in reversed(one.looks):
        if not (what := list(_of_step(one, now))):
            return []
    return what


def _of_step(one: Taken, now: Micros) -> Iterator[str]:
    """Each time between the kept one and the next is in the step, once and with a true reason."""
    before, after = one.before, one.move.schedule
    if before is None or (one.move.task is not None and not one.move.ticks):
        return  # new, or run by hand
    if not one.move.ticks:
        yield from _of_change(one, before, now)
        return
    times, expected = _every(before), before.next
    grace = max(before.plan.grace, SOON)
    late = [tick for tick in one.move.ticks if now - tick.time > grace]
    for tick in one.move.ticks:
        if tick.time != expected:
            yield f"{tick.time} came where {expected} was due"
        expected = times.after(tick.time)
        if tick.time > now:
            yield f"{tick.time} came before its time"
        following = tick in late and expected is not None and now - expected > grace
        yield from _of_tick(one, before, tick, late=tick in late, following=following)
    if after.next != expected:
        yield f"the next time is {after.next}, and {expected} follows"


def _of_tick(
    one: Taken, before: Schedule, tick: Tick, *, late: bool, following: bool
) -> Iterator[str]:
    plan, settled = before.plan, (Reason.PAUSED, Reason.CHANGED, Reason.MADE)
    if tick.task_id is not None:
        if late and (plan.missed is Missed.SKIP or (plan.missed is Missed.LAST and following)):
            yield f"{tick.time} was made, and it was missed"
        if plan.overlap is Overlap.SKIP and one.busy:
            yield f"{tick.time} was made while {before.last_task} had not ended"
    elif tick.reason is Reason.OVERLAP:
        if plan.overlap is Overlap.ALLOW:
            yield f"{tick.time} was skipped, and it may overlap"
    elif tick.reason not in settled and not late:
        yield f"{tick.time} was skipped as {tick.reason}, and it was not missed"


def _of_change(one: Taken, before: Schedule, now: Micros) -> Iterator[str]:
    """What was due is in a step before; and what has passed is not due from now on."""
    after = one.move.schedule
    if after.next == before.next:
        return
    if before.next is not None and before.next <= now:
        yield f"{before.next} was due, and is in no step"
    if after.next is not None and after.next <= now:
        yield f"{after.next} had passed, and is due"
    if after.next is not None and before.last is not None and after.next <= before.last.time:
        yield f"{after.next} is due again"


def _late(one: Taken) -> Iterator[str]:
    for tick in one.move.ticks:
        if tick.task_id is not None and one.true - tick.time > SOON:
            yield f"{tick.task_id} was made {(one.true - tick.time) / SECOND} s late"


def _of_tasks(ledger: Ledger) -> Iterator[str]:
    """Each tick that came to a task has it, and no tick has two."""
    there: Counter[Any] = Counter()
    ids = set()
    for entry in atomic(ledger.entries(0, 100_000)):
        by = carried.read(entry.record.carried).schedule
        if by is not None and not by.by_hand:
            there[by.id, by.time] += 1
            ids.add(entry.record.task_id)
    yield from (f"the tick {key} has {n} tasks" for key, n in there.items() if n > 1)
    made = [tick.task_id for one in ledger.taken for tick in one.move.ticks if tick.task_id]
    yield from (f"{task_id} was made and is not there" for task_id in made if task_id not in ids)
    for one in ledger.taken:
        for tick in one.move.ticks:
            if tick.reason is Reason.MADE and not there[one.move.schedule.id, tick.time]:
                yield f"{tick.time} was skipped as made before, and it was not"
    extra = ids - set(made)
    yield from (f"{task_id} is of no tick" for task_id in sorted(extra))


def _of_schedule(one: Schedule, now: Micros) -> Iterator[str]:
    if one.due != one.made + one.skipped:
        yield f"{one.id}: {one.due} is not {one.made} + {one.skipped}"
    if one.next is not None and one.next < now - SOON:
        yield f"{one.id} was due at {one.next}, and nobody has looked"


def _every(schedule: Schedule) -> Every:
    return Every(schedule.plan.every or 1)
