"""What a ledger was asked and what it answered, and whether what it holds now agrees.

The ledger in memory is the specification.  It is led along what was answered, and a ledger that
was cut off must hold the same to the last detail, or that and the one transaction whose answer
was not heard.  So all that was acknowledged is there, with everything in it, and what was not is
there wholly or not at all.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw
from msgspec.structs import replace

from tests.conformance.stage import Clock, answer
from tests.faults.work import Step
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection.rows import rows
from unlost.ledger.values import EVERYTHING, Query
from unlost.task import Micros

PARENTS = ("t1", "t2", "t3", "t5", "t8", "t13")
"""Tasks of which it is looked what followed from them."""

ALL = Query(limit=1_000, parts=EVERYTHING)


@dataclass(frozen=True)
class Unit:
    """Steps of one transaction, when it was made, and the answers (None: they were not heard)."""

    steps: Sequence[Step]
    at: Micros
    answers: Sequence[Any] | None


class Account:
    """Keeps the account of one ledger file, whatever happens to the ledgers on it."""

    def __init__(self, clock: Clock, *, one_transaction: bool) -> None:
        self._clock = clock
        self._one_transaction = one_transaction
        self._told = _Specification()
        self._units: list[Unit] = []

    async def do(self, ledger: SqliteLedger, steps: Sequence[Step]) -> bool:
        """Take these steps at once; whether all were answered."""
        answers = dict(zip(steps, await _at_once(ledger, steps), strict=True))
        whole = True
        for unit in _transactions(steps, together=self._one_transaction):
            answered = [answers[step] for step in unit]
            lost = any(isinstance(one, LedgerUnavailable) for one in answered)
            whole = whole and not lost
            heard = None if lost else answered
            self._units.append(Unit(unit, self._clock.now, heard))
            if heard is not None:
                for step, said in zip(unit, heard, strict=True):
                    step.learn(said)
        return whole

    async def must_agree(self, ledger: SqliteLedger) -> None:
        """What the ledger holds must be right.  What was never heard of, and is not there, is
        forgotten.  Raises AssertionError."""
        found = (*await _readable(ledger), await ledger._read(_leases))
        units, self._units = self._units, []
        unheard: list[Unit] = []
        for unit in units:
            if unit.answers is None:
                unheard.append(unit)
                continue
            before = await self._told.holds() if unheard else None
            await self._told.take(unit)
            if unheard and await self._told.holds() != before:
                unheard.clear()  # this one is written where they would be
        told = await self._told.holds()
        assert told == found or await self._with_one_of(unheard, found), _difference(told, found)

    async def _with_one_of(self, unheard: Sequence[Unit], found: Any) -> bool:
        """Whether one transaction is there that was not heard of, after all that were."""
        for unit in unheard:
            trial = copy.deepcopy(self._told)
            await trial.take(unit)
            if await trial.holds() == found:
                self._told = trial
                return True
        return False


class _Specification:
    """The ledger in memory, with a clock of its own that says when each unit was done."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._ledger = MemoryLedger(self._clock)

    async def take(self, unit: Unit) -> None:
        """Do the same; answers that were heard must be the same."""
        self._clock.now = unit.at
        answers = [await answer(step.act, self._ledger) for step in unit.steps]
        if unit.answers is not None:
            assert list(unit.answers) == answers

    async def holds(self) -> Any:
        workers: dict[str, int] = {
            name: until for name, (_, until) in self._ledger._workers.items()
        }
        reports: dict[int, int] = {
            number: until for number, (_, until) in self._ledger._reports.items()
        }
        return (*await _readable(self._ledger), (workers, reports))


def _leases(db: apsw.Connection) -> tuple[Any, ...]:
    """What no call reads, and other calls depend on."""
    workers: dict[str, int] = dict(rows(db, "SELECT id, lease_until FROM worker"))
    reports: dict[int, int] = dict(rows(db, "SELECT id, leased_until FROM report"))
    return workers, reports


async def _readable(ledger: Ledger) -> tuple[Any, ...]:
    counts = await ledger.counts()
    return (
        [replace(entry, position=0) for entry in await ledger.entries(0, 1_000)],
        (await ledger.page(ALL)).records,
        [(await ledger.page(Query(parent=one))).records for one in PARENTS],
        (counts.accepted, counts.settled, counts.states),
        [replace(group, sample="") for group in await ledger.groups()],
        [copy.steps for _, copy in await ledger.copies(0, 1_000)],
    )


async def _at_once(ledger: SqliteLedger, steps: Sequence[Step]) -> list[Any]:
    """Have all steps wait before the writer takes the first."""
    with ledger._writer._entry:
        tasks = [asyncio.ensure_future(answer(step.act, ledger)) for step in steps]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # records are gathered first
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    for said in answers:
        if isinstance(said, BaseException) and not isinstance(said, LedgerUnavailable):
            raise said
    return answers


def _transactions(steps: Sequence[Step], *, together: bool) -> list[list[Step]]:
    """The order in which the writer takes what waits, and where it commits.  Records of steps come
    to it together, after what was asked at the same time."""
    waiting, units = sorted(steps, key=lambda step: step.joins == "record"), list[list[Step]]()
    while waiting:
        first = waiting.pop(0)
        alike = [step for step in waiting if first.joins and step.joins == first.joins]
        waiting = [step for step in waiting if step not in alike]
        units.append([first, *alike])
    return [[step for unit in units for step in unit]] if together and units else units


def _difference(told: Any, found: Any) -> str:
    pairs = [(a, b) for a, b in zip(told[0], found[0], strict=False) if a != b]
    return (
        f"the ledger holds what it never should: {len(found[0])} tasks, told {len(told[0])}; "
        f"counts {found[3]}, told {told[3]}; first difference {pairs[:1]}"
    )
