"""The database, as steps see it: each runs in a transaction, again where it surely was not done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from random import SystemRandom
from typing import Any, Final, TypeVar, cast

import psycopg

from unlost.effects import TooManyForgotten
from unlost.ledger.postgres.connection import defaults, rights
from unlost.ledger.postgres.connection.connecting import Connection, close
from unlost.ledger.postgres.connection.deadline import Deadline
from unlost.ledger.postgres.connection.faults import (
    LACKS_A_RIGHT,
    READ_ONLY,
    HeldUp,
    NotReplicated,
    Passing,
    first_line,
    is_lost,
    meaning,
)
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import (
    BEGIN,
    BEGIN_LOOKING,
    BEGIN_READING,
    GO_ON,
    Transaction,
)
from unlost.ledger.protocol import (
    AnotherCall,
    AnothersWorker,
    BadCursor,
    LeaseOver,
    LedgerUnavailable,
    LedgerUnfit,
    Refused,
    Repeated,
    StepsStand,
    UnknownRedrive,
    UnknownTask,
)
from unlost.task import Micros

T = TypeVar("T")

Step = Callable[[Transaction], Awaitable[T]]

PAUSES: Final = (0.01, 0.05, 0.2, 0.5)
"""Seconds before a step that surely was not done is tried again; twice as long at most."""

REFUSALS: Final = (
    Refused,
    UnknownTask,
    LeaseOver,
    BadCursor,
    Repeated,
    AnotherCall,
    AnothersWorker,
    UnknownRedrive,
    StepsStand,
    TooManyForgotten,
)
"""What a step may raise, before it has written anything."""

LONGEST: Final = 20.0
"""Seconds after which a step is given up, with all its tries."""

TO_EXPLAIN: Final = 1.0
"""Seconds for finding out what is to be done about an error."""

SOON: Final = 4.0
"""The same where somebody waits for the answer."""

_random = SystemRandom()  # any other one may be the same in all processes


class Store:
    """Runs steps.  `committed` hears of each transaction that came to its end."""

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

    async def write(self, step: Step[T], within: float = LONGEST) -> T:
        """What the step answers, once it is committed, and on the standbys that the server names.

        A caller who is cancelled leaves the step to its end.  Raises what the step raises,
        LedgerUnavailable: after `within` seconds, and a little for ending what is under way.
        """
        return await self._to_its_end(self._try(step, BEGIN, within))

    async def read(self, step: Step[T]) -> T:
        """What the step sees, all of it at one moment.  Waits for no commit."""
        return await self._to_its_end(self._try(step, BEGIN_READING, LONGEST))

    async def look(self, step: Step[T]) -> T:
        """What the step sees, each of its statements what is there by then."""
        return await self._to_its_end(self._try(step, BEGIN_LOOKING, LONGEST))

    async def finish(self, db: Connection, step: Step[T], until: float) -> T:
        """What the step answers, the last of a transaction that is open on this connection, once
        it is committed.

        Raises what the step raises, psycopg.Error: it is rolled back; LedgerUnavailable: it may
        have been committed, or not on the standbys that the server names.
        """
        transaction = Transaction(db, GO_ON, self._clock() if self._clock else None)
        try:
            answer = await _run(db, transaction, step, until)
        except psycopg.Error as fault:
            if transaction.committing and is_lost(fault):
                raise meaning(fault, committing=True) from fault
            raise
        self._committed(transaction)
        return answer

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

    async def _try(self, step: Step[T], how: str, within: float) -> T:
        loop = asyncio.get_running_loop()
        until = loop.time() + within
        for pause in PAUSES:
            try:
                return await self._once(step, how, until)
            except Passing:
                if loop.time() + pause > until:
                    raise
            await asyncio.sleep(pause * (1 + _random.random()))
        return await self._once(step, how, until)

    async def _once(self, step: Step[T], how: str, until: float) -> T:
        transaction: Transaction | None = None
        try:
            async with self._pool.lent(writing=how == BEGIN, until=until) as db:
                transaction = Transaction(db, how, self._clock() if self._clock else None)
                answer = await _run(db, transaction, step, until)
        except psycopg.Error as fault:
            committing = transaction is not None and transaction.committing and how == BEGIN
            raise await self._explained(meaning(fault, committing=committing)) from fault
        self._committed(transaction)
        return answer

    async def _explained(self, error: Exception) -> Exception:
        """The error, with what is to be done about it, where the server can tell that."""
        if not isinstance(error, LedgerUnfit) or error.words not in (LACKS_A_RIGHT, READ_ONLY):
            return error
        why: str | None = None
        with contextlib.suppress(psycopg.Error, LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(TO_EXPLAIN), self._pool.lent() as db:
                if error.words == READ_ONLY:
                    why = (await defaults.hostile(db.rows)).get(defaults.READ_ONLY)
                else:
                    why = await rights.to_use(db.rows)
        return LedgerUnfit(f"{error}; {why}", words=error.words) if why else error


async def _run(db: Connection, transaction: Transaction, step: Step[T], until: float) -> T:
    """The step in its transaction.  Where it fails, its connection is closed, and so rolled back.

    A connection that saw a failure is not used again: what is taken for prepared may be among
    what the server passed over after the error.
    """
    deadline, committed = Deadline(db, until), False
    try:
        answer = await _answered(transaction, step)
        committed = True
        return answer
    except REFUSALS:
        raise
    except BaseException as fault:
        await close(db)
        if deadline.passed and isinstance(fault, psycopg.Error):
            raise HeldUp(f"PostgreSQL took too long: {first_line(fault)}") from fault
        raise
    finally:
        for hear in transaction.at_end:
            hear(committed)
        await deadline.over()
        if deadline.passed:
            await close(db)


async def _answered(transaction: Transaction, step: Step[T]) -> T:
    answer, refusal = None, None
    await transaction.begin()
    try:
        answer = await step(transaction)
    except REFUSALS as refused:
        refusal = refused
    await transaction.commit()
    await transaction.learn()
    if transaction.warning is not None:
        raise NotReplicated(transaction.warning)
    if refusal is not None:
        raise refusal
    return cast("T", answer)
