"""Mutants of what workers claim by: each is the part as shipped but for one mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from tests.simulation import checker, stepping
from tests.simulation.mutant import Mutant
from tests.simulation.pulling import promises
from tests.simulation.stage import Parts
from unlost.api.calls.attempts.awaiting import Awaiting, _set
from unlost.api.calls.attempts.holding import Holding
from unlost.api.calls.attempts.settling import Settling, _Item, _told
from unlost.api.openapi.schemas.attempts import GoneBody, SettledBody
from unlost.effects import Recorded, Step
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.memory.kept.task import Kept
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import NewStep, Pull, Pulled, Settled, Settlement
from unlost.limits.control import Claimant, Rooms
from unlost.task import Micros, State
from unlost.upkeep.sweeper import Sweeper

K = TypeVar("K", bound=type)

MUTANTS: list[Mutant] = []

_ROLES: dict[str, type] = {"ledger": MemoryLedger, "sweeper": Sweeper}


def mutant(promise: str, within: int = 10, first: int = 0) -> Callable[[K], K]:
    """Register a class as a broken part, named by the first line of its docstring: of the ledger,
    the sweeper, or the calls of the API."""

    def register(kind: K) -> K:
        parts: dict[str, Any] = {name: kind for name, of in _ROLES.items() if issubclass(kind, of)}
        parts = parts or {"calls": {kind.__mro__[1].__name__: kind}}
        name = (kind.__doc__ or "").split("\n")[0].rstrip(".")
        MUTANTS.append(Mutant(name, Parts(**parts), promise, within, first))
        return kind

    return register


@mutant(promises.AGAIN)
class ForgetsClaims(MemoryLedger):
    """a claim is not known again: whose answer was lost takes new attempts."""

    async def pull(self, wanted: Pull) -> Pulled:
        return await super().pull(replace(wanted, known_by="-", prefix="-"))


@mutant(checker.SETTLED_ONCE, within=40)
class FindsByTask(MemoryLedger):
    """found by the task: a token that was lost settles the attempt that runs by now."""

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        kept = {token: self._tasks[task_id] for token, task_id in tokens.items()}
        return {token: one.worker or "" for token, one in kept.items() if one.token}

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        token = self._tasks[end.task_id].token
        return super()._settle(end if token is None else replace(end, token=token), now)


@mutant(promises.TIMES, within=20, first=45)
class TimeIgnored(MemoryLedger):
    """time ignored: what comes after it is taken, until somebody sweeps."""

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        kept = {token: self._running.get(token) for token in tokens}
        return {token: one.worker or "" for token, one in kept.items() if one}


@mutant(promises.LEASE)
class Revives(MemoryLedger):
    """revived by a beat: a lease that is over goes on."""

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        if worker not in self._workers:
            raise LeaseOver(worker)
        self._workers[worker] = (self._workers[worker][0], self._now() + lease)


@mutant(promises.LEASE, within=20, first=180)
class WaitsOn(MemoryLedger):
    """a claim outlasts its worker: it goes on waiting, and takes what nobody runs."""

    async def pull(self, wanted: Pull) -> Pulled:
        return await super().pull(replace(wanted, waits=False))


@mutant(promises.ALONE, within=20, first=20)
class AloneBesideOthers(MemoryLedger):
    """alone is ignored: what was lost comes to workers that hold something."""

    async def _started(self, wanted: Pull, mine: Collection[Kept]) -> Pulled:
        return await super()._started(wanted, [])


@mutant(promises.ALONE, within=20, first=24)
class OthersBesideAlone(MemoryLedger):
    """others come beside it: who runs what is alone gets more."""

    async def _started(self, wanted: Pull, mine: Collection[Kept]) -> Pulled:
        if any(one.alone for one in mine):
            return Pulled(tuple(await self.claim(wanted.claim)))
        return await super()._started(wanted, mine)


@mutant(promises.STARVES, within=25, first=20)
class EmptiesIgnored(MemoryLedger):
    """nobody is held back: what was lost waits for as long as there is something else."""

    async def _started(self, wanted: Pull, mine: Collection[Kept]) -> Pulled:
        return await super()._started(replace(wanted, empties=False), mine)


@mutant(promises.MARKED)
class MarksIgnored(MemoryLedger):
    """marks are ignored: workers over the ledger take what is left to others."""

    def _rooms(self, claimant: Claimant) -> Rooms:
        return super()._rooms(Claimant.PULL)


@mutant(stepping.FENCED, within=20, first=135)
class RecordsAfterwards(MemoryLedger):
    """steps after the settlement: what an attempt that has ended records is kept."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._ended: dict[str, Kept] = {}

    def _settle(self, end: Settlement, now: Micros) -> Settled:
        kept = self._running.get(end.token)
        held = super()._settle(end, now)
        if held and kept is not None:
            self._ended[end.token] = kept
        return held

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        ended = dict.fromkeys(tokens.keys() & self._ended.keys(), "")
        return ended | await super().standing(tokens)

    async def record_step(self, new: NewStep) -> Recorded:
        kept = self._ended.get(new.token)
        if kept is None:
            return await super().record_step(new)
        kept.steps.setdefault(new.name, Step(new.name, 1, self._now(), True, new.result))
        return Recorded.KEPT


@mutant(checker.NOTHING_IS_LOST)
class TimesNobodyOut(Sweeper):
    """nobody is timed out: who lives on and has dropped an attempt keeps it for ever."""

    async def time_out(self) -> None:
        pass


@mutant(promises.WAITS, within=20, first=20)
class HintsTrusted(Awaiting):
    """hints are trusted: a claim that waits and misses one looks no more."""

    async def until_due(
        self, hint: asyncio.Event, worker: str, types: Collection[str], until: float, empty: int
    ) -> bool:
        hint.clear()
        due = await self._due_in(worker, types)
        left = until - asyncio.get_running_loop().time()
        return due <= 0 or (await _set(hint, left) and not empty)

    async def _listen(self) -> None:
        while True:
            await self._ledger.wait(1e6)
            for hint in self._waiting:
                hint.set()


@mutant(promises.GONE, within=40, first=12)
class TellsNobody(Holding):
    """gone is not told: a handler goes on whose attempt is over."""

    async def _gone(self, worker: str, tokens: list[str], caller: Any) -> list[GoneBody]:
        return []


@mutant(promises.GONE, within=45, first=475)
class TakesTheLeaseForIt(Holding):
    """told by the lease: what is known of its task is that it runs, and so it is not gone."""

    async def _gone(self, worker: str, tokens: list[str], caller: Any) -> list[GoneBody]:
        gone = await super()._gone(worker, tokens, caller)
        return [one for one in gone if one.state is not State.RUNNING]


@mutant(promises.SETTLED)
class TakesAnyEnd(Settling):
    """any end is taken for its own: what was lost is said to have succeeded."""

    async def _before(self, one: _Item) -> SettledBody:
        found = await super()._before(one)
        return _told(one, one.end, cast(State, found.state))


@mutant(promises.SETTLED, within=10, first=105)
class KnowsNoEnd(Settling):
    """a settlement that comes again is refused: its worker believes the attempt lost."""

    async def _before(self, one: _Item) -> SettledBody:
        found = await super()._before(one)
        return SettledBody(one.token, 409, found.state, "the attempt has ended otherwise")


@mutant(promises.SETTLED)
class SaysSoFirst(Settling):
    """said before it is done: what the ledger has refused meanwhile counts as settled."""

    async def _settle(self, batch: Sequence[_Item], results: list[SettledBody | None]) -> None:
        await super()._settle(batch, results)
        for one in batch:
            results[one.place] = _told(one, one.end, State.SUCCEEDED)
