"""Redrives under faults: who steps them crashes, pauses and hears wrong, people act beside them.

The ledger is watched from outside: what a step took, and what had become of the letters by then,
is read from the tasks, never from the redrive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from tests.conformance.stage import BOOM
from tests.simulation.adversary import Suspended, atomic
from tests.simulation.process import ActorFailed, Process
from tests.simulation.scenario import Planned, Scenario, draw, submission
from tests.simulation.stage import Parts, Stage
from tests.simulation.world import NothingLeft, Spinning
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import LedgerUnavailable, Refused
from unlost.ledger.values import Claim, Claimed, Settlement, Worker
from unlost.policy import Limits
from unlost.redrive import GOING, Named, Redrive, RedriveState
from unlost.task import SECOND, TERMINAL, Event, Outcome, State
from unlost.upkeep.redrives import Redriving

ONCE = "a redrive takes each letter once, of those that were dead when it began"
SUMS = "a redrive's sums are true"
BOUNDED = "after the canary never more are under way than have succeeded"
STOPS = "a redrive stops when it must, and takes nothing afterwards"
ENDS = "a redrive comes to its end"
WORKS = "what runs does not fail"

FATES = (State.SUCCEEDED, State.DEAD, State.CANCELLED)
LOOK = 0.3
PATIENCE = 20 * SECOND
AT_ONCE = 0.25
"""How often somebody acts on what has just died, before a step can have seen it."""
GRACE = 15 * SECOND
"""How much later than its patience a redrive may stop, while those who step it are away."""


class Broken(NamedTuple):
    """A promise that was broken, and how."""

    promise: str
    detail: str


class Truth(NamedTuple):
    """What has become of the letters that a redrive took: how many ended so, and what has not."""

    succeeded: int
    died: int
    cancelled: int
    open: int


class Watched:
    """What is known of one redrive from outside."""

    def __init__(self, dead: frozenset[str]) -> None:
        self.dead = dead  # when it began
        self.taken: dict[str, int] = {}  # with their redrive counts
        self.is_over = False  # whether it was said that it takes nothing more


class Run:
    """One run of a seed; `broken` is what it found."""

    def __init__(self, seed: int, kind: type[MemoryLedger]) -> None:
        self.broken: list[Broken] = []
        self.marks: set[str] = set()  # of rare things that came about
        self.watched: dict[str, Watched] = {}
        self.random = Random(f"{seed} redrives")
        self.scenario = self._scenario(seed)
        self.stage = Stage(self.scenario, Parts(ledger=self._watching(kind)))
        self.ledger = self.stage.ledger
        self.chance = 0.4 + 0.6 * self.random.random()  # that a letter succeeds this time
        self.held_up = 45.0 if self.random.random() < 0.2 else 0.0  # until when nothing runs
        self.begun = False

    def _scenario(self, seed: int) -> Scenario:
        names = [f"t{number}" for number in range(2 + int(11 * self.random.random()))]
        planned = tuple(Planned(0.0, 0, submission(name, "{}", {})) for name in names)
        return replace(draw(seed), submissions=planned, acts=(), rules=(), asks=())

    # The ledger, watched

    def _watching(self, kind: type[MemoryLedger]) -> type[MemoryLedger]:
        run = self

        class Observed(kind):  # type: ignore[misc,valid-type]
            async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
                answer: tuple[Redrive, bool] = await super().add_redrive(new, named)
                if answer[1]:
                    run.watched[new.id] = Watched(run.dead())
                return answer

            async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
                answer: Redrive = await super().stop_redrive(redrive_id, why)
                run.watched[redrive_id].is_over = True
                return answer

            async def step_redrive(self, redrive_id: str) -> Redrive:
                dead, truth = run.dead(), run.truth(redrive_id)
                answer: Redrive = await super().step_redrive(redrive_id)
                run.stepped(answer, sorted(dead - run.dead()), truth)
                return answer

        return Observed

    def dead(self) -> frozenset[str]:
        tasks = self.ledger._tasks.values()
        return frozenset(one.record.task_id for one in tasks if one.record.state is State.DEAD)

    def truth(self, redrive_id: str) -> Truth:
        """What has become of its letters by now."""
        counts = dict.fromkeys(FATES, 0)
        taken = self.watched[redrive_id].taken
        for task_id, redrive_count in taken.items():
            record = self.ledger._tasks[task_id].record
            discarded = bool(record.history) and record.history[-1].event is Event.DISCARD
            if record.redrive_count > redrive_count or discarded:
                counts[State.DEAD] += 1
            elif record.state in TERMINAL:
                counts[record.state] += 1
        ended = [counts[fate] for fate in FATES]
        return Truth(ended[0], ended[1], ended[2], len(taken) - sum(ended))

    def stepped(self, redrive: Redrive, taken: list[str], before: Truth) -> None:
        """What must hold of a step that took these, where this was true before it."""
        watched = self.watched[redrive.id]
        for task_id in taken:
            if task_id in watched.taken or task_id not in watched.dead:
                self.found(ONCE, f"{redrive.id} took {task_id}")
            watched.taken[task_id] = self.ledger._tasks[task_id].record.redrive_count
        if taken and watched.is_over:
            self.found(STOPS, f"{redrive.id} took {taken} after its end")
        if taken and redrive.tolerate is not None and before.died > redrive.tolerate:
            self.found(STOPS, f"{redrive.id} took {taken} after {before.died} deaths")
        after = self.truth(redrive.id)
        if taken and redrive.canary and after.open > max(redrive.canary, after.succeeded):
            self.found(BOUNDED, f"{redrive.id}: {after}")
        if taken and redrive.canary and before.open and not before.succeeded:
            self.found(BOUNDED, f"{redrive.id} took {taken} beside its canary")
        watched.is_over = watched.is_over or redrive.state not in GOING
        late = self.stage.world.clock() - redrive.last_start > PATIENCE + GRACE
        if redrive.state is RedriveState.CANARY and redrive.under_way and late:
            self.found(STOPS, f"{redrive.id} has waited for its canary since {redrive.last_start}")
        self._adds_up(redrive, after)

    def _adds_up(self, redrive: Redrive, now: Truth) -> None:
        counted = Truth(redrive.succeeded, redrive.died_again, redrive.cancelled, redrive.under_way)
        if counted != now:  # a step counts all that has ended
            self.found(SUMS, f"{redrive.id} counts {counted}, and there are {now}")
        if redrive.left is not None and (redrive.left < 0 or redrive.gone < 0):
            self.found(SUMS, f"{redrive.id}: {redrive.left} are left, {redrive.gone} gone")

    def found(self, promise: str, detail: str) -> None:
        self.broken.append(Broken(promise, detail))

    # Who acts

    def play(self) -> None:
        """All of it."""
        world, scenario = self.stage.world, self.scenario
        for _ in range(2):
            self._begin(self._redriving)
        self._begin(self._beginning)
        world.after(0.0, self._bury)
        for strike in scenario.strikes:
            if strike.kind != "deploy":
                world.after(strike.at, self._strike, strike.share, strike.seconds)
        world.after(scenario.window, self.stage.stop_faults)
        world.after(LOOK, self._work)
        try:
            if not world.run(scenario.window + scenario.bound):
                self.found(ENDS, f"{atomic(self.ledger.open_redrives(10))} do not end")
        except (NothingLeft, Spinning, ActorFailed, Suspended) as error:
            self.found(WORKS, f"{type(error).__name__}: {error}")
        for process in self.stage.processes:
            process.dispose()
        for name in self.watched:
            self._at_the_end(self.ledger._redrives[name].redrive)

    def _at_the_end(self, redrive: Redrive) -> None:
        self.marks.add(f"{redrive.state}: {(redrive.why or 'all').lstrip('0123456789 ')}")
        for name in ("gone", "left", "cancelled", "died_again", "succeeded"):
            self.marks |= {name} if getattr(redrive, name) else set()
        self.marks |= {"crashed"} if any(one.crashed for one in self.stage.processes) else set()
        self.marks |= {"two"} if len(self.watched) > 1 else set()
        if redrive.state is RedriveState.DONE and redrive.left:
            self.found(ENDS, f"{redrive.id} is done, and {redrive.left} are left")
        if redrive.state is RedriveState.STOPPED and not redrive.why:
            self.found(STOPS, f"{redrive.id} stopped, and nobody knows why")
        too_many = redrive.tolerate is not None and redrive.died_again > redrive.tolerate
        if too_many and redrive.state is not RedriveState.STOPPED:
            told = f"{redrive.id} is {redrive.state} after {redrive.died_again} deaths"
            self.found(STOPS, told)

    def _begin(self, main: Callable[[Process], Any]) -> None:
        def ended(process: Process) -> None:
            if process.crashed:
                self.stage.world.after(2.0 * self.random.random(), self._begin, main)

        process = self.stage.process(f"p{len(self.stage.processes)}", ended)
        process.run(main(process))

    async def _redriving(self, process: Process) -> None:
        ledger = self.stage.wire(process)
        await Redriving(ledger, clock=process.clock, monotonic=process.time).run()

    async def _beginning(self, process: Process) -> None:
        """Begin redrives, each until it is known that it has begun."""
        ledger, terms = self.stage.wire(process), Random(f"{self.scenario.seed} terms")
        for number in range(1 + int(2 * terms.random())):
            await asyncio.sleep(2 * terms.random() + (0.0 if number else 1.0))
            new = Redrive(
                f"r{number}",
                canary=int(4 * terms.random()),
                tolerate=(None, 0, 1, 2)[int(4 * terms.random())],
                limit=None if terms.random() < 0.7 else 1 + int(6 * terms.random()),
                interval=0 if terms.random() < 0.7 else round(SECOND * terms.random()),
                patience=PATIENCE,
            )
            while True:
                try:
                    await ledger.add_redrive(new, Named())
                    break
                except LedgerUnavailable:
                    await asyncio.sleep(0.3)
        self.begun = True

    def _strike(self, share: float, seconds: float) -> None:
        living = [process for process in self.stage.processes if process.alive]
        if living:
            chosen = living[int(share * len(living))]
            chosen.pause(seconds) if share < 0.5 else chosen.crash()

    # The workers and the people, who have the ledger to themselves

    def _bury(self) -> None:
        new = [planned.submission for planned in self.scenario.submissions]
        atomic(self.ledger.submit(new))
        for attempt in self._claim(len(new)):
            self._settle(attempt, well=False)

    def _work(self) -> None:
        """Run some of what is due, act on something, and end the run once all is done."""
        for attempt in () if self.stage.world.now < self.held_up else self._claim(self._some()):
            well = self.random.random() < self.chance
            self._settle(attempt, well=well)
            if not well and self.random.random() < AT_ONCE:
                self._act(attempt.task_id)
        if self.random.random() < 0.15:
            self._act()
        if self.begun and not atomic(self.ledger.open_redrives(10)):
            self.stage.world.over = True
            return
        self.stage.world.after(LOOK * 2 * self.random.random(), self._work)

    def _some(self) -> int:
        return 1 + int(4 * self.random.random())

    def _claim(self, most: int) -> list[Claimed]:
        atomic(self.ledger.enlist(Worker("w"), 3_600 * SECOND))
        tokens = [f"{self.random.random()}" for _ in range(most)]
        claimed: list[Claimed] = atomic(
            self.ledger.claim(Claim("w", tokens, None, Limits(0, 60.0)))
        )
        return claimed

    def _settle(self, attempt: Claimed, *, well: bool) -> None:
        outcome, event = (Outcome.SUCCEEDED, Event.SUCCEED) if well else (Outcome.FAILED, Event.DIE)
        error, result = (None, "1") if well else (BOOM, None)
        end = Settlement(attempt.task_id, attempt.token, outcome, event, 0, error, result)
        atomic(self.ledger.settle([end]))

    def _act(self, task_id: str | None = None) -> None:
        task_id = task_id or self.random.choice(self.scenario.submissions).submission.task_id
        what = self.random.choice(("redrive", "redrive", "discard", "cancel", "stop"))
        try:
            if what == "stop":
                going = atomic(self.ledger.open_redrives(10))
                if going and self.random.random() < 0.5:
                    atomic(self.ledger.stop_redrive(going[0][1], "stopped by ann"))
            else:
                atomic(getattr(self.ledger, what)(task_id, "ann", None))
        except Refused:
            pass


MARKS = frozenset({
    "done: all", "stopped: died again", "stopped: no end of the canary in 20 s",
    "stopped: stopped by ann", "gone", "left", "cancelled", "died_again", "succeeded", "crashed",
    "two",
})  # fmt: skip
"""What must come about, so that a seed means something."""


def play(seed: int, kind: type[MemoryLedger] = MemoryLedger) -> Run:
    """Play a seed with such a ledger."""
    quiet = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        run = Run(seed, kind)
        run.play()
    finally:
        logging.disable(quiet)
    return run
