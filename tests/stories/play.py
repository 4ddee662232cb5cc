"""What a story is played on: real parts around a ledger, and what is told of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from random import Random
from typing import cast

from tests.stories import telling
from tests.stories.machine import SETTINGS, Line, Machine
from tests.unit.virtual import VirtualLoop
from unlost.ledger.protocol import Ledger, UnknownTask
from unlost.task import Record
from unlost.telemetry import logs
from unlost.upkeep.circuits import Circuits
from unlost.upkeep.monitor import Monitor
from unlost.upkeep.redrives import Redriving
from unlost.upkeep.sweeper import Sweeper

A_MOMENT = 1.1
"""Seconds after each command: whoever missed a hint has looked by then."""

ABOUT = ("taskId", "type", "worker", "redrive")
"""What a line of the log is about: the first of these that it has."""


class Play:
    """A ledger, the machines that work on it, and what is beside them."""

    def __init__(self, ledger: Ledger, loop: VirtualLoop) -> None:
        self.ledger = cast(Ledger, Line(ledger, loop))
        self.clock = loop.clock
        self._loop = loop
        self.machines: dict[str, Machine] = {}
        self.told_of: dict[str, Record | None] = {}  # each task as it was told of last
        self._redrives: dict[str, str] = {}  # what was told of each
        self._stepping: asyncio.Task[None] | None = None
        self._said: list[str] = []
        self._monitor = Monitor(self.ledger, self._write)
        self._circuits = Circuits(self.ledger)
        self._sweeper = Sweeper(
            self.ledger, SETTINGS, clock=loop.clock, monotonic=loop.time, random=Random(7)
        )
        logs.send_events(lambda _level, event, members, _fault: self._log(event, members))

    def say(self, line: str) -> None:
        """Have something told after the tasks."""
        self._said.append(line)

    def _log(self, event: str, members: Mapping[str, object]) -> None:
        about = [str(members[name]) for name in ABOUT if name in members]
        self.say(" ".join(["log:", event, *about[:1]]))

    async def _write(self, line: bytes) -> None:
        members = json.loads(line)
        self._log(members["event"], members)

    async def told(self, answers: list[str]) -> list[str]:
        """A moment later: these answers, what became of the tasks, and what was said."""
        await asyncio.sleep(A_MOMENT)
        await self._look()
        news = await self._news()
        said, self._said = self._said, []
        return [*answers, *news, *said]

    def follow(self, redrive_id: str) -> None:
        """Have a redrive go on by itself, and told of."""
        self._redrives.setdefault(redrive_id, "")
        if self._stepping is None:
            redriving = Redriving(self.ledger, clock=self.clock, monotonic=self._loop.time)
            self._stepping = self._loop.create_task(redriving.run())

    async def let_pass(self, seconds: int) -> None:
        """Let time pass; each second somebody sweeps, reports and warns."""
        for _ in range(seconds):
            await asyncio.sleep(1)
            await self._sweeper.sweep()
            await self._look()

    async def _look(self) -> None:
        await self._circuits.look()
        await self._monitor.report()

    async def _news(self) -> list[str]:
        where = {
            one.task_id: f"{'alone ' if seen.worker.alone else ''}in {seen.worker.id}"
            for seen in await self.ledger.workers()
            for one in seen.running
        }
        news: list[str] = []
        for task_id, before in self.told_of.items():
            now = await self.record(task_id)
            lines = telling.news(before, now, where.get(task_id, "in nobody"), self.clock())
            news += [f"{task_id}  {line}" for line in lines]
            self.told_of[task_id] = now
        for redrive_id, last in self._redrives.items():
            redrive = await self.ledger.get_redrive(redrive_id)
            line = "" if redrive is None else telling.sums(redrive)
            news += [line] if line != last else []
            self._redrives[redrive_id] = line
        return news

    async def record(self, task_id: str) -> Record:
        """The task with everything in it.  Raises UnknownTask."""
        record = await self.ledger.get(task_id)
        if record is None:
            raise UnknownTask(task_id)
        return record
