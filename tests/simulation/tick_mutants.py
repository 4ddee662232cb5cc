"""Mutants of what makes ticks: the ledger, the scheduler, and what people do to schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tests.simulation.ticking import Parts
from tests.simulation.ticks import Ledger
from unlost.ledger.protocol import LedgerUnavailable
from unlost.schedule import acting
from unlost.schedule.schedule import Missed, Move, Moved, Overlap, Schedule
from unlost.task import Micros
from unlost.upkeep import scheduler
from unlost.upkeep.scheduler import Scheduler, _Choices, _Look


class NoCondition(Ledger):
    """a step holds whatever the schedule has become meanwhile"""

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        known = self._schedules.get(move.schedule.id, (None, ()))[0]
        expected = known.revision if known and move.expected else move.expected
        return super()._move_schedule(replace(move, expected=expected), now)


class CountedRevisions(Ledger):
    """a step is known by how many there were: another's may be taken for the one before it"""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._count: dict[str, tuple[int, dict[int, int]]] = {}

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        name = move.schedule.id
        known = self._schedules.get(name, (None, ()))[0]
        number, numbers = self._count.setdefault(name, (0, {0: 0}))
        if numbers.get(move.expected) == number and known is not None:
            move = replace(move, expected=known.revision)
        numbers[move.schedule.revision] = numbers.get(move.expected, -9) + 1
        moved = super()._move_schedule(move, now)
        if moved is Moved.DONE:
            self._count[name] = (number + 1, numbers)
        return moved


class TwoTransactions(Ledger):
    """the next time moves on in one transaction, and its task comes in another"""

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        moved = super()._move_schedule(replace(move, task=None), now)
        if moved is Moved.DONE and move.task is not None and self._deaths_due() > 0:
            self._submit(move.task, now)
        return moved

    def _deaths_due(self) -> int:
        """Every fifth time whoever makes it dies in between."""
        self._between = getattr(self, "_between", 0) + 1
        return self._between % 5


class TakenPassesUnseen(Ledger):
    """an id that others have counts as made"""

    def _move_schedule(self, move: Move, now: Micros) -> Moved:
        if move.task is not None and move.task.task_id in self._tasks:
            return super()._move_schedule(replace(move, task=None), now)
        return super()._move_schedule(move, now)


class _Deciding(Scheduler):
    """Decides otherwise."""

    def _decided(self, schedule: Schedule, look: _Look) -> list[Move]:
        return [self.changed(move, look.due.now) for move in super()._decided(schedule, look)]

    def changed(self, move: Move, now: Micros) -> Move:
        return move


class GoesOnFromNow(_Deciding):
    """the next time is the first one from now on: what lies between is forgotten"""

    def changed(self, move: Move, now: Micros) -> Move:
        every = (move.schedule.plan.every or 1) * 1_000_000
        following = (now // every + 1) * every
        if move.schedule.next is None or following <= move.schedule.next:
            return move
        return replace(move, schedule=replace(move.schedule, next=following))


class _AsIf(Scheduler):
    """Takes a schedule's plan for another."""

    def plan(self, schedule: Schedule) -> Schedule:
        return schedule

    def _decided(self, schedule: Schedule, look: _Look) -> list[Move]:
        moves = super()._decided(self.plan(schedule), look)
        return [replace(one, schedule=replace(one.schedule, plan=schedule.plan)) for one in moves]


class MakesAllThatWasMissed(_AsIf):
    """what was missed is all made, whatever was asked"""

    def plan(self, schedule: Schedule) -> Schedule:
        return replace(schedule, plan=replace(schedule.plan, missed=Missed.ALL))


class NoGrace(_AsIf):
    """the grace is a second for everybody"""

    def plan(self, schedule: Schedule) -> Schedule:
        return replace(schedule, plan=replace(schedule.plan, grace=0))


class Overlaps(_AsIf):
    """the end of the last task is not waited for"""

    def plan(self, schedule: Schedule) -> Schedule:
        return replace(schedule, plan=replace(schedule.plan, overlap=Overlap.ALLOW))


class OthersAreOurs(Scheduler):
    """whose the task is that has the id is not looked at: another one is made"""

    async def _choose(self, move: Move, choices: _Choices) -> None:
        key = (move.schedule.id, move.ticks[-1].time)
        choices[key] = (choices.get(key) or 1) + 1


class SkipsWhatIsTaken(Scheduler):
    """a tick whose id others have never comes to a task"""

    async def _choose(self, move: Move, choices: _Choices) -> None:
        choices[move.schedule.id, move.ticks[-1].time] = None


class SleepsUntilTheNext(Scheduler):
    """it sleeps until the next time that it knows: a new schedule is not seen before"""

    async def run(self) -> None:
        while True:
            wait = scheduler.INTERVAL
            try:
                await self.look()
                due = await self._ledger.due_schedules(0)
                wait = 5.0 if due.next is None else max(0.0, (due.next - due.now) / 1_000_000)
            except LedgerUnavailable:
                pass
            await asyncio.sleep(wait)


class GivesUp(Scheduler):
    """a ledger that does not answer ends it"""

    async def run(self) -> None:
        try:
            while True:
                wait = await self.look()
                await asyncio.sleep(wait)
        except LedgerUnavailable:
            await asyncio.Event().wait()


def _resumes_where_it_was(schedule: Schedule, *args: Any, **options: Any) -> list[Move]:
    """what passed while it was paused is due"""
    moves = acting.changed(schedule, *args, **options)
    if schedule.paused and moves and not moves[-1].schedule.paused and schedule.last is not None:
        after = replace(moves[-1].schedule, next=schedule.last.time + 7_000_000)
        return [*moves[:-1], replace(moves[-1], schedule=after)]
    return moves


def _forgets_what_was_due(schedule: Schedule, *args: Any, **options: Any) -> list[Move]:
    """what was due at a pause or a change is counted nowhere"""
    moves = acting.changed(schedule, *args, **options)
    return [replace(moves[-1], expected=schedule.revision)] if len(moves) > 1 else moves


def _due_again(
    schedule: Schedule, plan: Any, before: Any, times: Any, now: Micros, *args: Any, **options: Any
) -> list[Move]:
    """a clock that has gone back makes what was made due again"""
    return acting.changed(replace(schedule, last=None), plan, before, times, now, *args, **options)


MUTANTS: Sequence[tuple[str, Parts]] = [
    *((one.__doc__ or "", Parts(ledger=one)) for one in (
        NoCondition, CountedRevisions, TwoTransactions, TakenPassesUnseen)),
    *((one.__doc__ or "", Parts(scheduler=one)) for one in (
        GoesOnFromNow, MakesAllThatWasMissed, NoGrace, Overlaps, OthersAreOurs, SkipsWhatIsTaken,
        SleepsUntilTheNext, GivesUp)),
    *((one.__doc__ or "", Parts(changed=one)) for one in (
        _resumes_where_it_was, _forgets_what_was_due, _due_again)),
]  # fmt: skip
