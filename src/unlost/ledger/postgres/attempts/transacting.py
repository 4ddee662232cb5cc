"""Transactions of handlers: all theirs, until the settlement is made in them as the last step."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from secrets import token_hex
from typing import Any, Final, NoReturn

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import PipelineStatus, TransactionStatus

from unlost.ledger.postgres.attempts.settling import settle, which_conflict
from unlost.ledger.postgres.connection.connecting import Connection, Place, close, cut
from unlost.ledger.postgres.connection.deadline import TO_END, Deadline
from unlost.ledger.postgres.connection.store import LONGEST, Store
from unlost.ledger.postgres.connection.transaction import BEGIN, Transaction
from unlost.ledger.protocol.transacting import (
    FollowUpConflict,
    RolledBack,
    TransactionEnded,
    TransactionInUse,
)
from unlost.ledger.values import Settled, Settlement

IDLE: Final = 10.0
"""Seconds without a statement after which the server rolls it back."""

# The mark goes with the transaction, whoever ends it.  A query that came first also keeps the
# handler from another isolation level, in which a settlement clashes with every other.
MARK: Final = """
SELECT pg_catalog.set_config('unlost.transaction', %s, true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true)
"""

CHECK_DEFERRED: Final = "SET CONSTRAINTS ALL IMMEDIATE"
"""What the handler deferred is done now, with its own settings, and may fail alone."""

MARKED: Final = """
SELECT pg_catalog.current_setting('unlost.transaction', true),
       pg_catalog.set_config('client_encoding', 'UTF8', true)
"""

_ENDED = "the handler has ended the transaction of task.transaction() by SQL"
_IN_USE = "the handler returned while its connection of task.transaction() was in use"


def _refuse(what: str) -> NoReturn:
    raise psycopg.ProgrammingError(
        f"{what} is not the handler's: the transaction of task.transaction() is committed with its"
        " attempt's success, and else rolled back"
    )


class LoopConnection(AsyncConnection[Any]):
    """What an async handler is given."""

    async def commit(self) -> None:
        _refuse("commit")

    async def rollback(self) -> None:
        _refuse("rollback")

    async def set_autocommit(self, value: bool) -> None:
        _refuse("autocommit")


class ThreadConnection(psycopg.Connection[Any]):
    """What a sync handler is given."""

    def commit(self) -> None:
        _refuse("commit")

    def rollback(self) -> None:
        _refuse("rollback")

    def set_autocommit(self, value: bool) -> None:
        _refuse("autocommit")


async def begin(place: Place, store: Store, *, threaded: bool) -> OwnTransaction:
    """Begin one, on a new connection.  Raises psycopg.Error."""
    db = await place.connect()
    mark = token_hex(8)
    try:
        await db.execute(BEGIN)
        await db.execute(MARK, (mark, f"{round(IDLE * 1000)}ms"))
    except BaseException:
        await close(db)
        raise
    return OwnTransaction(db, store, mark, threaded=threaded)


class _NotHeld(Exception):
    """The attempt does not run any more."""


class OwnTransaction:
    """One attempt's transaction, on a connection that nobody else has.

    The handler's connection and those of the ledger are objects over one session: whatever the
    handler has set on its own (how rows are read, say), the settlement goes its usual way.
    """

    def __init__(self, db: Connection, store: Store, mark: str, *, threaded: bool) -> None:
        self._db = db
        self._store = store
        self._mark = mark
        self._last: Connection | None = None  # for the settlement; kept until all are closed
        self._taken = False
        self._cutting: asyncio.Task[None] | None = None
        self.connection = (ThreadConnection if threaded else LoopConnection)(db.pgconn)
        if db.prepare_threshold is None:  # a pooler: what is prepared would be left to others
            self.connection.prepare_threshold = None

    async def commit(self, settlement: Settlement) -> bool:
        """See `HandlerTransaction`."""
        try:
            if not await self._take():
                raise RolledBack(TransactionInUse(_IN_USE))
            return await self._commit(settlement)
        except psycopg.Error as fault:
            raise RolledBack(fault.with_traceback(None)) from None

    async def _commit(self, settlement: Settlement) -> bool:
        async def last(transaction: Transaction) -> None:
            [result] = await settle(transaction, [settlement])
            if result is Settled.CONFLICT:
                raise FollowUpConflict(await which_conflict(transaction, settlement))
            if not result:
                raise _NotHeld

        # Made last, it hears the server's warnings.
        db = self._last = Connection(self._db.pgconn)
        db.prepare_threshold = None
        until = asyncio.get_running_loop().time() + LONGEST
        await self._check(db, until)
        try:
            await self._store.finish(db, last, until)
        except FollowUpConflict as conflict:
            raise RolledBack(conflict.with_traceback(None), final=True) from None
        except _NotHeld:
            return False
        return True

    async def _check(self, db: Connection, until: float) -> None:
        """Raise where there is nothing to be committed any more."""
        deadline = Deadline(db, until)
        try:
            await db.execute(CHECK_DEFERRED)
            [(mark, _)] = await db.rows(MARKED)
        finally:
            await deadline.over()
        if mark != self._mark:
            raise RolledBack(TransactionEnded(_ENDED), final=True)

    async def _take(self) -> bool:
        """Keep the handler from the connection; False where something is still going on in it."""
        self._taken = await _taken(self.connection.lock)
        pgconn = self._db.pgconn
        idle = pgconn.transaction_status != TransactionStatus.ACTIVE
        return self._taken and idle and pgconn.pipeline_status == PipelineStatus.OFF

    def cut(self) -> None:
        """See `HandlerTransaction`."""
        if self._cutting is None:
            self._cutting = asyncio.create_task(self._cut())

    async def _cut(self) -> None:
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(TO_END):
                await self._db.cancel_safe(timeout=TO_END)
        cut(self._db)

    async def roll_back(self) -> None:
        """See `HandlerTransaction`."""
        if not self._taken and not await self._take():
            self.cut()
        if self._cutting is not None:
            await asyncio.wait([self._cutting])
        # What a thread is in the middle of using cannot be closed under it.  It soon has an error.
        until = asyncio.get_running_loop().time() + TO_END
        while not self._taken and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
            await self._take()
        if self._taken:
            await close(self._db)
            self.connection.lock.release()  # who has waited for it finds it closed


async def _taken(lock: asyncio.Lock | threading.Lock) -> bool:
    """Whether nobody had this lock; now we do."""
    if isinstance(lock, asyncio.Lock):
        return not lock.locked() and await lock.acquire()
    return lock.acquire(blocking=False)
