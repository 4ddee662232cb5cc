"""Mutants of redrives: the ledger as shipped but for one mistake in what a step does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from tests.simulation import redriving
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.redrive import KeptRedrive
from unlost.ledger.memory.kept.task import Kept
from unlost.redrive import Ends, Look, Named, Redrive, RedriveState
from unlost.task import State

K = TypeVar("K", bound=type[MemoryLedger])


class Mutant(NamedTuple):
    """A mistake, and the promise that it breaks."""

    kind: type[MemoryLedger]
    promise: str


MUTANTS: list[Mutant] = []


def mutant(promise: str) -> Callable[[K], K]:
    """Register a broken ledger."""

    def register(kind: K) -> K:
        MUTANTS.append(Mutant(kind, promise))
        return kind

    return register


@mutant(redriving.ONCE)
class TakesWhatDiedAgain(MemoryLedger):
    """it begins at the oldest death each time, and takes whatever is dead by then"""

    def _look(self, kept: KeptRedrive, look: Look) -> list[Kept]:
        dead = self._dead_letters()
        return dead[: look.most] if kept.redrive.counting is None else super()._look(kept, look)


@mutant(redriving.ONCE)
class TakesLaterDeaths(MemoryLedger):
    """what died after it began is counted and taken, too"""

    def _look(self, kept: KeptRedrive, look: Look) -> list[Kept]:
        began = replace(kept.redrive, started_at=self._now())
        return super()._look(KeptRedrive(began, kept.named), replace(look, until=None))


@mutant(redriving.SUMS)
class CountsEndsTwice(MemoryLedger):
    """a letter that has ended is counted with each step"""

    def _ends(self, kept: KeptRedrive) -> Ends:
        before = dict(kept.under_way)
        ends = super()._ends(kept)
        kept.under_way = before
        return ends


@mutant(redriving.SUMS)
class TakesBeforeItIsWritten(MemoryLedger):
    """letters are taken in one step, and written down in the next: a crash between forgets them"""

    async def step_redrive(self, redrive_id: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        before, under_way = kept.redrive, dict(kept.under_way)
        after = await super().step_redrive(redrive_id)
        if after.redriven > before.redriven and self._accepted % 2:
            kept.redrive, kept.under_way = before, under_way
        return after


@mutant(redriving.SUMS)
class FollowsTheNextRedrive(MemoryLedger):
    """a letter that died again and was redriven by others counts as what became of it then"""

    def _ends(self, kept: KeptRedrive) -> Ends:
        for task_id in kept.under_way:
            kept.under_way[task_id] = self._tasks[task_id].record.redrive_count
        return super()._ends(kept)


@mutant(redriving.SUMS)
class DeathsOfTheDiscardedUnseen(MemoryLedger):
    """a letter that died again and was discarded counts as cancelled"""

    def _ends(self, kept: KeptRedrive) -> Ends:
        ends = super()._ends(kept)
        thrown = self._thrown(kept)
        return replace(ends, died_again=ends.died_again - thrown, cancelled=ends.cancelled + thrown)

    def _thrown(self, kept: KeptRedrive) -> int:
        """Those that were discarded since the last step, which are under way no more."""
        seen: set[str] = self.__dict__.setdefault("seen", set())
        new = {
            task_id
            for task_id, one in self._tasks.items()
            if one.record.state is State.CANCELLED
            and any(act.redrive == kept.redrive.id for act in one.record.history)
            and one.record.history[-1].event == "discard"
        } - seen
        seen |= new
        return len(new)


@mutant(redriving.BOUNDED)
class NoCanary(MemoryLedger):
    """all go at once"""

    async def step_redrive(self, redrive_id: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        if kept.redrive.state is RedriveState.CANARY and not kept.redrive.redriven:
            kept.redrive = replace(kept.redrive, owed=len(self._tasks))
        return await super().step_redrive(redrive_id)


@mutant(redriving.BOUNDED)
class TheFirstSuccessEndsTheCanary(MemoryLedger):
    """from the first success on all that is left goes"""

    async def step_redrive(self, redrive_id: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        canary, known = kept.redrive.canary, kept.redrive.succeeded > 0
        if known:
            kept.redrive = replace(kept.redrive, canary=0, state=_running(kept.redrive.state))
        after = await super().step_redrive(redrive_id)
        kept.redrive = replace(after, canary=canary)
        return kept.redrive


def _running(state: RedriveState) -> RedriveState:
    return RedriveState.RUNNING if state is RedriveState.CANARY else state


@mutant(redriving.STOPS)
class NeverStops(MemoryLedger):
    """deaths are counted, and it goes on"""

    async def step_redrive(self, redrive_id: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        tolerate, kept.redrive = kept.redrive.tolerate, replace(kept.redrive, tolerate=None)
        after = await super().step_redrive(redrive_id)
        kept.redrive = replace(after, tolerate=tolerate)
        return kept.redrive


@mutant(redriving.SUMS)
class CountsAfterItTook(MemoryLedger):
    """what has ended is counted after the step has taken the next"""

    def _ends(self, kept: KeptRedrive) -> Ends:
        known: Ends = self.__dict__.pop(f"ends {kept.redrive.id}", Ends())
        self.__dict__[f"ends {kept.redrive.id}"] = super()._ends(kept)
        return known


@mutant(redriving.STOPS)
class StopsInTheAnswerAlone(MemoryLedger):
    """a stop is answered, and not kept"""

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        kept = self._find_redrive(redrive_id)
        before = kept.redrive
        answer = await super().stop_redrive(redrive_id, why)
        kept.redrive = before
        return answer


@mutant(redriving.STOPS)
class PatienceWithoutEnd(MemoryLedger):
    """a canary that never ends is waited for, and the rest with it"""

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        return await super().add_redrive(replace(new, patience=1 << 60), named)


@mutant(redriving.ENDS)
class NobodySeesCancelled(MemoryLedger):
    """a letter that was cancelled is waited for without end"""

    def _ends(self, kept: KeptRedrive) -> Ends:
        gone = {
            task_id: count
            for task_id, count in kept.under_way.items()
            if self._tasks[task_id].record.state is State.CANCELLED
        }
        kept.under_way = {name: n for name, n in kept.under_way.items() if name not in gone}
        ends = super()._ends(kept)
        kept.under_way |= gone
        return ends
