"""Schedules under faults: schedulers with clocks of their own, people who change their minds, and a
checker of what the ledger was told.

Every process reads its own clock, as on a home without a clock of its own: apart, drifting,
stepping, and stopped with its process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, cast

from msgspec.structs import replace

from tests.simulation.adversary import Adversary, Call, Suspended
from tests.simulation.hints import Channel
from tests.simulation.history import History
from tests.simulation.process import ActorFailed, Process, Skew
from tests.simulation.scenario import Reduced, Scenario, draw
from tests.simulation.ticks import Ledger, wrong
from tests.simulation.wire import wired
from tests.simulation.world import NothingLeft, Spinning, World
from unlost.ledger.protocol import LedgerUnavailable, Refused, UnknownTask
from unlost.schedule import acting
from unlost.schedule.schedule import Missed, Move, Moved, Overlap, Plan, Schedule, tick_id
from unlost.schedule.times import Every
from unlost.task import SECOND, Submission
from unlost.upkeep.scheduler import Scheduler

NAMES = ("a", "b")
CALM = 8.0
"""Seconds after the faults in which all that is due must be made."""

ACTS = ("pause", "resume", "times", "payload", "run", "delete", "take", "end", "end")

Main = Callable[[Process], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Parts:
    """The parts under test; a mutant puts a broken one in."""

    ledger: type[Ledger] = Ledger
    scheduler: type[Scheduler] = Scheduler
    changed: Callable[..., list[Move]] = acting.changed


SHIPPED = Parts()


class _Adversary(Adversary):
    """Lets the ledger know by whose clock it is asked."""

    def _apply(self, call: Call) -> Any:
        cast(Ledger, self._ledger).asked_by = call.process
        return super()._apply(call)


@dataclass
class Stage:
    """One run."""

    scenario: Scenario
    parts: Parts
    world: World = field(init=False)
    calm: bool = False
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.scenario.stream("steps").random)
        self.history = History(self.world)
        self.ledger = self.parts.ledger(self.world.clock)
        self.channel = Channel(self.world, self.scenario)
        self.ledger._hints = cast(Any, self.channel)
        self.adversary = _Adversary(self.world, self.ledger, self.history, self.scenario)
        self.random = self.scenario.stream("ticking")
        self._born = 0

    def begin(self, main: Main) -> None:
        """Start a process, and start it again some time after its end."""
        self._born += 1
        name = f"p{self._born}"
        process = Process(self.world, name, self._skew(), partial(self._ended, main))
        self.processes.append(process)
        process.run(main(process))

    def _skew(self) -> Skew:
        if self.calm or self.random.random() >= self.scenario.rate("skew"):
            return Skew()
        return Skew(6 * self.random.random() - 3, 0.98 + 0.04 * self.random.random())

    def _ended(self, main: Main, process: Process) -> None:
        if process.crashed:
            self.world.after(2 * self.random.random() ** 2, self.begin, main)

    def step_clock(self) -> None:
        """Set somebody's clock, forth or back."""
        if living := [one for one in self.processes if one.alive]:
            process = self.random.choice(living)
            process.skew.ahead += self.random.choice((-20, -3, -1, 1, 3, 30))

    def strike(self) -> None:
        """Hold somebody up, or end it."""
        if living := [one for one in self.processes if one.alive]:
            process = self.random.choice(living)
            if self.random.random() < 0.5:
                process.crash()
            else:
                process.pause(8 * self.random.random())

    def end_faults(self) -> None:
        """From now on all clocks are right and every call is carried."""
        self.calm = True
        self.adversary.stop()
        for process in self.processes:
            process.skew.ahead, process.skew.rate = 0.0, 1.0

    async def schedule(self, process: Process) -> None:
        """What `serve` and `worker` do."""
        tzdata = self.random.choice(("2026a", "2026b"))
        random = self.scenario.stream(process.name)
        await self.parts.scheduler(
            wired(self.adversary, self.channel, process), random, tzdata=tzdata
        ).run()


class People:
    """Set schedules, and change their minds."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self._stage = stage
        self._ledger = wired(stage.adversary, stage.channel, process)
        self._random = stage.scenario.stream(process.name)

    async def run(self) -> None:
        """Act until the calm; after that, see that each is there and goes on."""
        while not self._stage.calm:
            await asyncio.sleep(1.5 * self._random.random())
            await self._try()
        for name in NAMES:
            await self._until_done(partial(self._change, name, paused=False))

    async def _try(self) -> None:
        name = self._random.choice(NAMES)
        try:
            _, known = await self._ledger.schedule(name)
            if known is None:
                await self._change(name)
            else:
                await self._act(known, self._random.choice(ACTS))
        except (LedgerUnavailable, Refused, UnknownTask):
            return

    async def _until_done(self, act: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        while True:
            try:
                if await act():
                    return
            except LedgerUnavailable:
                await asyncio.sleep(0.1)

    async def _act(self, known: Schedule, what: str) -> None:
        if what in ("pause", "resume"):
            await self._change(known.id, paused=what == "pause")
        elif what in ("times", "payload"):
            await self._change(known.id, another=what)
        elif what == "run":
            now, _ = await self._ledger.schedule(known.id)
            await self._ledger.move_schedules([acting.run(known, None, now)])
        elif what == "delete" and self._random.random() < 0.4:
            await self._ledger.drop_schedule(known.id)
        elif what == "take" and known.next is not None:
            task_id = tick_id(known.id, known.next, self._random.choice((1, 1, 2)))
            await self._ledger.submit([Submission(task_id, "{}", b"theirs")])
        elif what == "end" and known.last_task is not None:
            await self._ledger.cancel(known.last_task, None, None)

    async def _change(self, name: str, *, paused: bool | None = None, another: str = "") -> bool:
        """As the API does it, but once."""
        now, known = await self._ledger.schedule(name)
        if known is None:
            new = _plan(self._random)
            move = acting.created(name, new, _times(new), now, "", paused=False)
            return await self._ledger.move_schedules([move]) == [Moved.DONE]
        plan = known.plan
        if another == "times":
            plan = replace(plan, every=self._random.choice((1, 2, 3, 7)))
        elif another == "payload":
            plan = replace(plan, payload=f'{{"n":{self._random.random()}}}', digest=b"x")
        moves = self._stage.parts.changed(
            known, plan, _times(known.plan), _times(plan), now, "", paused=paused
        )
        done = await self._ledger.move_schedules(moves) if moves else []
        return all(moved is Moved.DONE for moved in done)


def _plan(random: Random) -> Plan:
    missed, overlap = random.choice([*Missed]), random.choice([*Overlap])
    if missed is Missed.ALL:
        overlap = Overlap.ALLOW
    grace = random.choice((0, 1, 4, 60)) * SECOND
    every = random.choice((1, 2, 3, 7))
    return Plan("mail", "{}", b"d", every=every, missed=missed, grace=grace, overlap=overlap)


def _times(plan: Plan) -> Every:
    return Every(plan.every or 1)


def run(seed: int, parts: Parts = SHIPPED) -> list[str]:
    """Play a seed; what was broken."""
    scenario = draw(seed, Reduced())
    stage = Stage(scenario, parts)
    world, random = stage.world, stage.random
    window = 5.0 + 15.0 * random.random()
    quiet = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    for _ in range(random.choice((1, 2, 2, 3))):
        world.after(random.random(), stage.begin, stage.schedule)
    for _ in range(random.choice((1, 2))):
        world.after(0.0, stage.begin, lambda process: People(stage, process).run())
    faulty = bool(scenario.rates)
    for _ in range(random.choice((0, 1, 3)) if faulty else 0):
        world.after(window * random.random(), stage.step_clock)
    for _ in range(random.choice((0, 1, 3)) if faulty else 0):
        world.after(window * random.random(), stage.strike)
    world.after(window, stage.end_faults)
    # What was sent before the calm may arrive late; a clock that was ahead has to be made up for.
    late = scenario.last_fault + 8 + 40
    faults: list[str] = []
    try:
        world.run(window + late + CALM)
    except (NothingLeft, Spinning, ActorFailed, Suspended) as error:
        faults.append(f"{type(error).__name__}: {error}")
    finally:
        faults += [fault for process in stage.processes for fault in process.dispose()]
        logging.disable(quiet)
    return faults or wrong(stage.ledger, world.clock(), calm=not faulty)
