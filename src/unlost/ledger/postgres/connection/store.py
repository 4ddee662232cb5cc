"""The database, as steps see it: each runs in a transaction, again where it surely was not done."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import psycopg

from unlost.ledger.postgres.connection.connecting import Connection, close, cut
from unlost.ledger.postgres.connection.faults import Passing, meaning
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import BEGIN, BEGIN_READING, Transaction
from unlost.ledger.protocol import BadCursor, LeaseOver, Refused, UnknownTask
from unlost.task import Micros

T = TypeVar("T")

Step = Callable[[Transaction], Awaitable[T]]

PAUSES: Final = (0.01, 0.05, 0.2, 0.5)
"""Seconds before a step that surely was not done is tried again; twice as long at most."""

REFUSALS: Final = (Refused, UnknownTask, LeaseOver, BadCursor)
"""What a step may raise, before it has written anything."""

LONGEST: Final = 20.0
"""Seconds after which a transaction's connection is cut."""


class Store:
    """Runs steps.  `committed` hears of each transaction that was committed."""

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], Micros] | None,
        committed: Callable[[Transaction], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._committed = committed
        self._running: set[asyncio.Task[Any]] = set()

    async def write(self, step: Step[T]) -> T:
        """What the step answers, once it is committed.

        A caller who is cancelled leaves the step to its end.  Raises what the step raises,
        LedgerUnavailable.
        """
        return await self._to_its_end(self._try(step, BEGIN))

    async def read(self, step: Step[T]) -> T:
        """What the step sees, all of it at one moment."""
        return await self._to_its_end(self._try(step, BEGIN_READING))

    async def close(self) -> None:
        """Let what runs come to its end, then give the connections back."""
        while self._running:
            await asyncio.wait(self._running)
        await self._pool.close()

    async def _to_its_end(self, steps: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(steps)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # its caller may be gone, and then nobody asks

    async def _try(self, step: Step[T], how: str) -> T:
        for pause in PAUSES:
            with contextlib.suppress(Passing):
                return await self._once(step, how)
            await asyncio.sleep(pause * (1 + random.random()))
        return await self._once(step, how)

    async def _once(self, step: Step[T], how: str) -> T:
        transaction: Transaction | None = None
        try:
            async with self._pool.lent() as db:
                transaction = Transaction(db, self._clock() if self._clock else None)
                answer = await _run(db, transaction, step, how)
        except psycopg.Error as fault:
            committing = transaction is not None and transaction.committing and how is BEGIN
            raise meaning(fault, committing=committing) from fault
        if how is BEGIN:
            self._committed(transaction)
        return answer


async def _run(db: Connection, transaction: Transaction, step: Step[T], how: str) -> T:
    """The step in its transaction.  Where it fails, its connection is closed, and so rolled back.

    A connection that saw a failure is not used again: the driver may take statements for
    prepared that the server passed over after the error.
    """
    limit = asyncio.get_running_loop().call_later(LONGEST, cut, db)
    try:
        async with db.pipeline():
            await transaction.begin(how)
            try:
                answer = await step(transaction)
            except REFUSALS:
                await transaction.commit()
                raise
            await transaction.commit()
            await transaction.learn()
            return answer
    except REFUSALS:
        raise
    except BaseException:
        await close(db)
        raise
    finally:
        limit.cancel()
