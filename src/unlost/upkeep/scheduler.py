"""The scheduler: submits what schedules ask for, at their times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Protocol

import msgspec

from unlost import carried
from unlost.ledger.protocol import LedgerUnavailable, Schedules, Tasks
from unlost.ledger.unavailable import log_unavailable
from unlost.ledger.values import ROOM
from unlost.ledger.weight import schedule_weight
from unlost.schedule.deciding import Times, decide
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import Due, Move, Moved, Schedule, tick_id
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log
from unlost.times import rfc3339

INTERVAL = 0.5
"""Seconds between two looks, where no schedule is due before; a new one may be due at once."""

AT_ONCE = 250
"""Schedules that are looked at together."""

STEPS = 50
"""Steps that are taken together: who submits meanwhile may have to wait for all of them."""

REST = 0.003
"""Seconds after a batch of so many, in which others get at the ledger."""

GIVE_WAY = 0.2
"""Seconds, at most, for which others are given way who do the same."""

log = Log("unlost.scheduler")

_Choices = dict[tuple[str, Micros], int | None]
"""By schedule and time: which choice of its ids is free (see `deciding.decide`)."""


class _Broken(msgspec.Struct, frozen=True):
    """Why a schedule fails, and what it takes of the room for what is due."""

    why: str
    weight: int


class ScheduleLedger(Schedules, Tasks, Protocol):
    """As much of a ledger as a scheduler needs."""


class Scheduler:
    """Makes the ticks of all schedules, in any number of processes at once: each is made by one.

    `tzdata` is the version of the time-zone data, where it is not the installed one's.
    """

    def __init__(
        self, ledger: ScheduleLedger, random: Random, *, tzdata: str | None = None
    ) -> None:
        self._ledger = ledger
        self._random = random
        self._tzdata = tzdata
        self._broken: dict[str, _Broken] = {}  # by id

    async def run(self) -> None:
        """Make ticks until cancelled."""
        while True:
            wait = INTERVAL
            try:
                wait = await self.look()
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await asyncio.sleep(wait)

    async def look(self) -> float:
        """Make all that is due; the seconds after which to look again.

        Raises LedgerUnavailable.
        """
        choices: _Choices = {}
        while True:
            known, failed = set(self._broken), set[str]()
            # Broken ones stay due: there has to be room for others beside them.
            room = ROOM + sum(one.weight for one in self._broken.values())
            due = await self._ledger.due_schedules(AT_ONCE + len(known), room)
            moves = await self._decided(due, choices, failed) if due.schedules else []
            stale, taken = await self._take(moves, choices, failed)
            for name in known - failed:
                del self._broken[name]
            if not taken and failed <= known:
                return _until(due)
            if stale > taken / 2:
                await asyncio.sleep(GIVE_WAY * self._random.random())

    async def _decided(self, due: Due, choices: _Choices, failed: set[str]) -> list[Move]:
        version = tzdata() if self._tzdata is None else self._tzdata
        asked = {name for schedule in due.schedules for name in schedule.waits_for}
        unended = await self._ledger.unended(asked) if asked else set()
        moves: list[Move] = []
        answers: dict[tuple[Times, Micros], Micros | None] = {}
        for schedule in due.schedules:
            free = {time: choice for (name, time), choice in choices.items() if name == schedule.id}
            busy = not unended.isdisjoint(schedule.waits_for)
            try:
                times = _Asked(times_of(schedule.plan), answers)
                moves += decide(schedule, times, due.now, version, busy=busy, choices=free)
            except Exception as error:  # noqa: BLE001 - one's own fault must not hold up others
                self._tell_broken(schedule, error)
                failed.add(schedule.id)
            await asyncio.sleep(0)  # after a stop this takes long, and workers' heartbeats are due
        return moves

    def _tell_broken(self, schedule: Schedule, error: Exception) -> None:
        """Remember it as broken, and say so where it was not, or for another reason."""
        before, why = self._broken.get(schedule.id), str(error)
        self._broken[schedule.id] = _Broken(why, schedule_weight(schedule))
        if before is None or before.why != why:
            # A ValueError is of a zone or expression that the installed libraries do not know.
            tell = log.error if isinstance(error, ValueError) else log.exception
            tell("schedule.broken", extra={"schedule": schedule.id, "why": why})

    async def _take(
        self, moves: Sequence[Move], choices: _Choices, failed: set[str]
    ) -> tuple[int, int]:
        """Take the steps; how many others have taken already, and how many did not fail.

        Those of schedules that are known to be broken are taken last, each alone.
        """
        sound = [move for move in moves if move.schedule.id not in self._broken]
        alone = [[move] for move in moves if move.schedule.id in self._broken]
        stale = taken = 0
        for some in [*_batches(sound), *alone]:
            for move, moved in zip(some, await self._moved(some), strict=True):
                stale += moved is Moved.STALE
                taken += moved is not None
                if moved is Moved.TAKEN:
                    await self._choose(move, choices)
                elif moved is None:
                    failed.add(move.schedule.id)
            if len(some) == STEPS:
                await asyncio.sleep(REST)
        return stale, taken

    async def _moved(self, some: Sequence[Move]) -> list[Moved | None]:
        """What became of steps; None for one that fails.  Raises LedgerUnavailable."""
        try:
            return list(await self._ledger.move_schedules(some))
        except LedgerUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one's own fault must not hold up others
            if len(some) == 1:
                self._tell_broken(some[0].schedule, error)
                return [None]
        return [moved for one in some for moved in await self._moved([one])]

    async def _choose(self, move: Move, choices: _Choices) -> None:
        """Find a free id for a tick whose own others have taken."""
        name, time = move.schedule.id, move.ticks[-1].time
        choice: int | None = 1
        while choice is not None:
            task_id = tick_id(name, time, choice)
            record = await self._ledger.get(task_id, ())
            if record is None:
                break
            known = carried.read(record.carried).schedule
            if known is not None and (known.id, known.time) == (name, time) and not known.by_hand:
                choice = None
            else:
                told = {"schedule": name, "time": rfc3339(time), "taskId": task_id}
                log.warning("schedule.conflict", extra=told)
                choice += 1
        choices[name, time] = choice


def _batches(moves: Sequence[Move]) -> list[Sequence[Move]]:
    return [moves[start : start + STEPS] for start in range(0, len(moves), STEPS)]


class _Asked:
    """Times that are asked once for the same moment, since many schedules have the same."""

    def __init__(self, times: Times, answers: dict[tuple[Times, Micros], Micros | None]) -> None:
        self._times = times
        self._answers = answers

    def after(self, instant: Micros) -> Micros | None:
        key = (self._times, instant)
        if key not in self._answers:
            self._answers[key] = self._times.after(instant)
        return self._answers[key]

    def count(self, low: Micros, high: Micros) -> int:
        return self._times.count(low, high)


def _until(due: Due) -> float:
    """Seconds until the next look."""
    if due.next is None or due.next <= due.now:  # what is due cannot be decided on
        return INTERVAL
    return min(INTERVAL, max(0.001, (due.next - due.now) / SECOND))
