"""A database as one ledger object has it open, and what is the same for all its steps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Self

import psycopg

from unlost.ledger.postgres.attempts.marks import Marks
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.faults import unreachable
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.store import Store
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.hints.listening import Hints
from unlost.ledger.postgres.preparing import prepare
from unlost.ledger.postgres.records import counting
from unlost.ledger.postgres.upkeep.milestones import Milestones
from unlost.ledger.postgres.upkeep.vacuuming import Vacuum
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken
from unlost.task import SECOND, Micros

READY_WITHIN: Final = 1.5
"""Seconds after which a write that says whether the ledger is ready is given up."""


class Opened:
    """The database at `place`, for one event loop; made by `open`."""

    def __init__(self, place: Place, clock: Callable[[], Micros] | None = None) -> None:
        self._place = place
        self._pool = Pool(place)
        self._hints = Hints(place, self._pool)
        self._store = Store(self._pool, clock, self._committed)
        self._marks = Marks((lambda: clock() / SECOND) if clock else time.monotonic)
        self._controlled = True  # whether anything was set for a type when a step last looked
        self._vacuum = Vacuum(self._pool)
        self._milestones = Milestones(self._store)

    def _committed(self, transaction: Transaction) -> None:
        self._controlled = transaction.controlled
        for name, due_at in transaction.made_due.items():
            self._marks.lower(name, due_at)
        self._hints.committed(transaction)
        if transaction.submitted:
            self._milestones.submitted(transaction.submitted)

    @classmethod
    async def open(
        cls, url: str, clock: Callable[[], Micros] | None = None, *, must_exist: bool = False
    ) -> Self:
        """The ledger at `url`, its tables made where there are none, unless it `must_exist`.

        Raises WrongSetting, NotALedger, LedgerUnavailable.
        """
        place = Place(url)
        ledger = cls(place, clock)
        try:
            async with ledger._pool.lent() as db:
                await prepare(db, str(place), must_exist=must_exist)
        except psycopg.Error as fault:
            await ledger.close()
            raise unreachable(fault, str(place)) from None
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def ping(self) -> None:
        await self._store.write(counting.ping, READY_WITHIN)

    async def wait(self, seconds: float) -> Woken:
        return await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()

    async def close(self) -> None:
        await self._vacuum.close()
        await self._milestones.close()
        await self._hints.close()
        await self._store.close()
