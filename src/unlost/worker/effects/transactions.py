"""The transactions of a worker's handlers: begun when asked for, committed with the success."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from unlost.handlers import AttemptOver
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.protocol.transacting import (
    FollowUpConflict,
    HandlerTransaction,
    RolledBack,
    Transacting,
    TransactionLost,
)
from unlost.ledger.values import Claimed, Settlement
from unlost.task import Outcome
from unlost.worker import attempt
from unlost.worker.attempt import Ended
from unlost.worker.effects.follow_ups import FollowUpLedger, but_for_schedules

LOST = TransactionLost("the connection of task.transaction() was lost while it was committed")


class Attempts(Protocol):
    """What is asked about attempts and told of them, by who ends them otherwise."""

    def runs(self, token: str) -> bool:
        """Whether this attempt's handler runs, and was not told to end."""
        ...

    def makes_step(self, token: str) -> bool:
        """Whether a step of this attempt is under way."""
        ...

    def settlement(self, claimed: Claimed, ended: Ended) -> Settlement:
        """What the ledger is to be told of this end."""
        ...

    def conclude(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        """An attempt has ended, and nothing of its transaction is left."""
        ...

    def committed(self, claimed: Claimed, done: Settlement, seconds: float, held: bool) -> None:
        """It was settled in its transaction or, where that has not `held`, refused."""
        ...

    def doubted(self, claimed: Claimed, done: Settlement, seconds: float, otherwise: Ended) -> None:
        """It may have been settled so; where it was not, it has ended `otherwise`."""
        ...


class TransactingLedger(Transacting, FollowUpLedger, Protocol):
    """What the transactions of handlers need of a ledger."""


class Transactions:
    """The transactions of handlers, at most `most` at once: who asks for one more waits.

    An attempt that has asked for one is given to `end` when it ends.  The settlement of a success
    is the last that is done in it; else it is rolled back before anything is settled.
    """

    def __init__(self, ledger: TransactingLedger, most: int, attempts: Attempts) -> None:
        self._ledger = ledger
        self._room = asyncio.Semaphore(most)
        self._loop = asyncio.get_running_loop()
        self._attempts = attempts
        self._begun: dict[str, asyncio.Task[HandlerTransaction]] = {}  # by token
        self._ending: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._ending)

    @property
    def tokens(self) -> set[str]:
        """The attempts whose handlers have ended, and that go on to their settlement."""
        return set(self._ending)

    def concerns(self, token: str) -> bool:
        """Whether this attempt has asked for a transaction."""
        return token in self._begun

    async def all_ended(self) -> None:
        """Return once none is ending."""
        while self._ending:
            await asyncio.wait(list(self._ending.values()))

    def beginner(self, token: str, *, threaded: bool) -> Callable[[], Any]:
        """What gives the connection of this attempt's transaction: in the event loop, where it is
        awaited, or in another thread."""
        return partial(self._begin_from_thread if threaded else self._begin_in_loop, token)

    async def _begin_in_loop(self, token: str, *, threaded: bool = False) -> Any:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("task.transaction is awaited in the event loop of the handler")
        if not self._attempts.runs(token):
            raise AttemptOver
        if self._attempts.makes_step(token):
            raise RuntimeError("no transaction is begun while a step of the attempt is made")
        if token not in self._begun:
            begin = self._loop.create_task(self._begin(token, threaded=threaded))
            begin.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._begun[token] = begin
        begun = self._begun[token]
        try:
            return (await asyncio.shield(begun)).connection
        except asyncio.CancelledError:
            if threaded:
                raise AttemptOver from None
            raise

    def _begin_from_thread(self, token: str) -> Any:
        begin = self._begin_in_loop(token, threaded=True)
        try:
            begun = asyncio.run_coroutine_threadsafe(begin, self._loop)
        except RuntimeError:  # the worker has ended
            begin.close()
            raise AttemptOver from None
        return begun.result()

    async def _begin(self, token: str, *, threaded: bool) -> HandlerTransaction:
        try:
            await self._room.acquire()
            try:
                return await self._ledger.begin_transaction(threaded=threaded)
            except BaseException:
                self._room.release()
                raise
        except BaseException:
            self._begun.pop(token, None)  # asked again, it is tried again
            raise

    def told(self, token: str) -> None:
        """This attempt was told to end: nothing of its transaction is to be committed."""
        begun = self._begun.get(token)
        if begun is None or begun.cancel() or begun.cancelled():
            return  # cancelled before its first step, it is still known here
        if begun.exception() is None:
            begun.result().cut()

    def end(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        """The attempt's handler has ended so, None: and nobody waits for it."""
        step = self._end(claimed, ended, seconds)
        self._ending[claimed.token] = self._loop.create_task(step)

    async def _end(self, claimed: Claimed, ended: Ended | None, seconds: float) -> None:
        tell = partial(self._attempts.conclude, claimed, ended, seconds)
        begun = self._begun[claimed.token]
        begun.cancel()  # if nobody has waited for it
        await asyncio.wait([begun])
        if not begun.cancelled() and begun.exception() is None:
            transaction = begun.result()
            if ended is not None and ended.outcome is Outcome.SUCCEEDED:
                tell = await self._commit(transaction, claimed, ended, seconds)
            await transaction.roll_back()
            self._room.release()
        self._begun.pop(claimed.token, None)
        del self._ending[claimed.token]
        tell()

    async def _commit(
        self, transaction: HandlerTransaction, claimed: Claimed, ended: Ended, seconds: float
    ) -> partial[None]:
        """Commit the attempt's success, if it can be; returns what is to be told."""
        done = self._attempts.settlement(claimed, ended)
        try:
            allowed = await but_for_schedules(self._ledger, done)
            if allowed is not done and allowed.error is not None:
                raise RolledBack(FollowUpConflict(allowed.error.message), final=True)
            held = await transaction.commit(done)
        except RolledBack as why:
            failed = attempt.not_committed(why.cause, final=why.final)
            return partial(self._attempts.conclude, claimed, failed, seconds)
        except LedgerUnavailable:
            failed = attempt.not_committed(LOST, final=False)
            return partial(self._attempts.doubted, claimed, done, seconds, failed)
        return partial(self._attempts.committed, claimed, done, seconds, held)
