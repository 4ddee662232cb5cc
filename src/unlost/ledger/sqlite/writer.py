"""Group commit: one thread owns the writing connection; all steps that wait go in one commit.

Several processes may write one file.  SQLite's own busy wait is unfair, so a write transaction
is made under an advisory lock on a file of its own.  `fcntl.lockf`, because a forked child of
a handler does not inherit it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw

from unlost.ledger.hints import Hints
from unlost.ledger.protocol import LeaseOver, LedgerUnavailable, Refused, UnknownTask
from unlost.ledger.sqlite.schema import connect, migrate
from unlost.ledger.sqlite.transaction import Transaction
from unlost.task import Micros

T = TypeVar("T")
Step = Callable[[Transaction], Any]
Waiting = tuple[Step, bool, "asyncio.Future[Any]"]
Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]

LONGEST = 0.05
"""Seconds after which a transaction takes no further steps: what its callers and other
processes wait for each other."""

CHECKPOINT_PAGES = 2_000  # 8 MB
RESTART_PAGES = 16_000  # 64 MB
EXPECTED = (Refused, UnknownTask, LeaseOver)
"""What a step may raise, before it has written anything."""


class Writer:
    """The thread that writes.  Steps are answered after their commit, never before."""

    def __init__(self, path: Path, clock: Callable[[], Micros], hints: Hints) -> None:
        self._clock = clock
        self._hints = hints
        self._lock = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._wal_pages = 0
        self._synced: bool | None = None
        self._steps: deque[Waiting] = deque()
        self._work = threading.Condition()
        self._closing = False
        try:
            with self._locked():
                self._db = connect(path)
                migrate(self._db)
        except BaseException:
            os.close(self._lock)
            raise
        self._db.set_wal_hook(self._committed)
        self._thread = threading.Thread(target=self._run, name="unlost-writer", daemon=True)
        self._thread.start()

    async def do(self, step: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Run `step` in a transaction; return once it is committed, and synced if `durable`.

        Raises what the step raises, LedgerUnavailable where nothing could be written.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._work:
            if self._closing:
                raise LedgerUnavailable("the ledger is closed")
            self._steps.append((step, durable, answer))
            self._work.notify()
        return await answer

    def close(self) -> None:
        """Write what waits, then give everything back."""
        with self._work:
            if self._closing:
                return
            self._closing = True
            self._work.notify()
        self._thread.join()

    def _run(self) -> None:
        while steps := self._next_steps():
            _answer(self._commit(steps))
            if self._wal_pages >= CHECKPOINT_PAGES:
                self._checkpoint()
        with self._locked():
            self._db.close()
        os.close(self._lock)

    def _next_steps(self) -> list[Waiting]:
        with self._work:
            while not self._steps and not self._closing:
                self._work.wait()
            steps = list(self._steps)
            self._steps.clear()
            return steps

    def _put_back(self, steps: list[Waiting]) -> None:
        with self._work:
            self._steps.extendleft(reversed(steps))

    def _commit(self, steps: list[Waiting]) -> list[Answer]:
        watched = self._hints.watched()
        try:
            with self._locked():
                self._sync(durable=any(durable for _, durable, _ in steps))
                self._db.execute("BEGIN IMMEDIATE")
                transaction = Transaction(self._db, self._clock(), watched=watched)
                answers = self._take(steps, transaction)
                transaction.write_tally()
                self._db.execute("COMMIT")
        except Exception as fault:  # noqa: BLE001 - the edge of a thread: everyone must hear of it
            self._roll_back()
            error = _as_unavailable(fault)
            return [(answer, None, error) for _, _, answer in steps]
        if transaction.wake:
            self._hints.wake()
        if transaction.transitions:
            self._hints.publish(transaction.transitions)
        return answers

    def _take(self, steps: list[Waiting], transaction: Transaction) -> list[Answer]:
        answers: list[Answer] = []
        until = time.monotonic() + LONGEST
        for number, (step, _, answer) in enumerate(steps):
            if number and time.monotonic() > until:
                self._put_back(steps[number:])
                del steps[number:]
                break
            answers.append(_attempt(step, transaction, answer))
        return answers

    def _sync(self, *, durable: bool) -> None:
        """What need not survive a power cut need not pay for it."""
        if durable is not self._synced:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._synced = durable

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._db.execute("ROLLBACK")

    def _checkpoint(self) -> None:
        mode = apsw.SQLITE_CHECKPOINT_PASSIVE
        if self._wal_pages >= RESTART_PAGES:
            mode = apsw.SQLITE_CHECKPOINT_RESTART
        with contextlib.suppress(apsw.Error), self._locked():
            self._db.wal_checkpoint(mode=mode)
            self._wal_pages = 0

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)


def _attempt(step: Step, transaction: Transaction, answer: asyncio.Future[Any]) -> Answer:
    try:
        return answer, step(transaction), None
    except EXPECTED as refusal:
        return answer, None, refusal


def _as_unavailable(fault: Exception) -> Exception:
    """SQLite's faults are the machine's (disk full, I/O, locked); others are ours to see."""
    if isinstance(fault, apsw.Error | OSError):
        return LedgerUnavailable(f"{type(fault).__name__}: {fault}")
    return fault


def _answer(answers: list[Answer]) -> None:
    """Hand the answers to the event loops that wait for them."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        loops.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, mine in loops.items():
        with contextlib.suppress(RuntimeError):  # that loop has ended
            loop.call_soon_threadsafe(_deliver, mine)


def _deliver(answers: list[Answer]) -> None:
    for future, value, fault in answers:
        if future.cancelled():
            continue
        if fault is None:
            future.set_result(value)
        else:
            future.set_exception(fault)
