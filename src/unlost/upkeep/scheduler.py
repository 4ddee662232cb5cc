"""The scheduler: submits what schedules ask for, at their times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import suppress
from random import Random
from typing import Protocol

import msgspec
from msgspec import field

from unlost import carried
from unlost.ledger.protocol import LedgerUnavailable, Schedules, Tasks
from unlost.ledger.unavailable import log_unavailable
from unlost.ledger.values import ROOM
from unlost.ledger.weight import schedule_weight
from unlost.schedule.deciding import Times, decide
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.refinding import found_again
from unlost.schedule.schedule import Due, Move, Moved, Schedule, tick_id
from unlost.task import SECOND, Micros
from unlost.telemetry.logs import Log
from unlost.times import rfc3339

INTERVAL = 0.5
"""Seconds between two looks, where no schedule is due before; a new one may be due at once."""

AT_ONCE = 500
"""Schedules that are looked at together."""

REST = 0.003
"""Seconds after steps that were taken together, in which others get at the ledger."""

FIND_AGAIN = 3_600.0
"""Seconds between two looks for next times that other time-zone data gave."""

GIVE_WAY = 0.2
"""Seconds, at most, for which others are given way who do the same."""

log = Log("unlost.scheduler")

_Choices = dict[tuple[str, Micros], int | None]
"""By schedule and time: which choice of its ids is free (see `deciding.decide`)."""


class _Broken(msgspec.Struct, frozen=True):
    """Why a schedule fails, and what it takes of the room for what is due."""

    why: str
    weight: int


class _Look(msgspec.Struct):
    """What is known of what is due, and what becomes of it: how many steps others have taken
    already, how many did not fail, and which schedules did."""

    due: Due
    choices: _Choices
    unended: set[str] = field(default_factory=set)
    answers: dict[tuple[Times, Micros], Micros | None] = field(default_factory=dict)
    stale: int = 0
    taken: int = 0
    failed: set[str] = field(default_factory=set)


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
        self._find_again_at = 0.0
        self._found_up_to = ""  # the id to which this look for next times has come

    async def run(self) -> None:
        """Make ticks until cancelled."""
        while True:
            wait = INTERVAL
            try:
                wait = await self.step()
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await asyncio.sleep(wait)

    async def step(self) -> float:
        """Make all that is due, and see to the time-zone data where that was not done of late; the
        seconds after which to look again.

        Raises LedgerUnavailable.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._find_again_at:
            await self.look()
            await self._find_all_again()
            self._find_again_at = now + FIND_AGAIN
        return await self.look()

    async def _find_all_again(self) -> None:
        """Find next times again that other time-zone data gave: when one is due that is done, too,
        but now it may have to come sooner.  Goes on where it was cut off."""
        while some := await self._ledger.schedules(self._found_up_to, AT_ONCE, payloads=False):
            moves = [move async for move in self._found_again(some)]
            for start in range(0, len(moves), self._ledger.moves_at_once):
                await self._moved(moves[start : start + self._ledger.moves_at_once])
                await self.look()  # what is due does not wait for all of them
            self._found_up_to = some[-1].id
            await self.look()
        self._found_up_to = ""

    async def _found_again(self, some: Sequence[Schedule]) -> AsyncIterator[Move]:
        """The steps to next times that the data at hand have elsewhere, without the payloads."""
        others = [one for one in some if one.offset is not None and one.tzdata != self._version()]
        now = (await self._ledger.due_schedules(0)).now if others else 0
        for one in others:
            with suppress(ValueError):  # of a zone that is not known: told once it is due
                move = found_again(one, times_of(one.plan), now, self._version())
                if move is not None:
                    yield move
            await asyncio.sleep(0)  # as below

    def _version(self) -> str:
        return tzdata() if self._tzdata is None else self._tzdata

    async def look(self) -> float:
        """Make all that is due; the seconds after which to look again.

        Raises LedgerUnavailable.
        """
        choices: _Choices = {}
        while True:
            known = frozenset(self._broken)
            # Broken ones stay due: there has to be room for others beside them.
            room = ROOM + sum(one.weight for one in self._broken.values())
            look = _Look(await self._ledger.due_schedules(AT_ONCE + len(known), room), choices)
            async for some in self._steps(look, known):
                await self._take(some, look)
            for name in known - look.failed:
                del self._broken[name]
            if not look.taken and look.failed <= known:
                return _until(look.due)
            if look.stale > look.taken / 2:
                await asyncio.sleep(GIVE_WAY * self._random.random())

    async def _steps(self, look: _Look, known: Set[str]) -> AsyncIterator[Sequence[Move]]:
        """Steps to be taken together, decided on when those before are taken.

        Those of schedules that are `known` to be broken come last, each alone.
        """
        asked = {name for schedule in look.due.schedules for name in schedule.waits_for}
        look.unended = await self._ledger.unended(asked) if asked else set()
        some: list[Move] = []
        alone: list[list[Move]] = []
        room = ROOM
        for schedule in look.due.schedules:
            for move in self._decided(schedule, look):
                if schedule.id in known:
                    alone.append([move])
                    continue
                some.append(move)
                room -= schedule_weight(move.schedule)
                if len(some) == self._ledger.moves_at_once or room <= 0:
                    yield some
                    some, room = [], ROOM
            await asyncio.sleep(0)  # after a stop this takes long, and workers' heartbeats are due
        for others in (some, *alone):
            if others:
                yield others

    def _decided(self, schedule: Schedule, look: _Look) -> list[Move]:
        """The steps of one schedule; none where it is broken."""
        version = self._version()
        name, busy = schedule.id, not look.unended.isdisjoint(schedule.waits_for)
        free = {time: choice for (owner, time), choice in look.choices.items() if owner == name}
        try:
            times = _Asked(times_of(schedule.plan), look.answers)
            return decide(schedule, times, look.due.now, version, busy=busy, choices=free)
        except Exception as error:  # noqa: BLE001 - one's own fault must not hold up others
            self._tell_broken(schedule, error)
            look.failed.add(name)
            return []

    async def _take(self, some: Sequence[Move], look: _Look) -> None:
        """Take steps, and rest after several."""
        for move, moved in zip(some, await self._moved(some), strict=True):
            look.stale += moved is Moved.STALE
            look.taken += moved is not None
            if moved is Moved.TAKEN:
                await self._choose(move, look.choices)
            elif moved is None:
                look.failed.add(move.schedule.id)
        if len(some) > 1:
            await asyncio.sleep(REST)

    def _tell_broken(self, schedule: Schedule, error: Exception) -> None:
        """Remember it as broken, and say so where it was not, or for another reason."""
        before, why = self._broken.get(schedule.id), str(error)
        self._broken[schedule.id] = _Broken(why, schedule_weight(schedule))
        if before is None or before.why != why:
            # A ValueError is of a zone or expression that the installed libraries do not know.
            tell = log.error if isinstance(error, ValueError) else log.exception
            tell("schedule.broken", extra={"schedule": schedule.id, "why": why})

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
        half = len(some) // 2
        return [*await self._moved(some[:half]), *await self._moved(some[half:])]

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
