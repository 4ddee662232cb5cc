"""Group commit: one thread owns the writing connection; all steps that wait go in one commit.

Several processes may write one file; each write transaction is made while the lock file is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

import apsw

from unlost.ledger.hints import Hints
from unlost.ledger.protocol import Awaiting, LedgerGone, LedgerUnavailable
from unlost.ledger.sqlite.connection.connecting import BUSY
from unlost.ledger.sqlite.connection.faults import MALFORMED, meaning
from unlost.ledger.sqlite.connection.joining import (
    Answer,
    Joint,
    Waiting,
    answered_at_once,
    deliver,
    take_next,
)
from unlost.ledger.sqlite.connection.opening import Opened
from unlost.ledger.sqlite.connection.pressing import LITTLE, Pressing
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.files.doubt import bring_all_again
from unlost.ledger.sqlite.files.identity import INDEX
from unlost.ledger.sqlite.files.loss import GONE, TOLD
from unlost.ledger.values import Submitted
from unlost.task import Micros

S = TypeVar("S")
T = TypeVar("T")

LONGEST = 0.05
"""Seconds after which a transaction takes no further steps: what its callers and other
processes wait for each other."""

LOOK = 1.0
"""Seconds between two looks whether the ledger's files are still there, and whether others have
found that they are not."""

QUICK = 100
"""Milliseconds that a stranger gets in any case who holds the file's write lock, and those who
read get to make room for a new log."""

CHECKPOINT_PAGES = 2_000  # 8 MB
LEFT = 2
"""How many times as long a log may be before a process brings it into the database whose last
transaction was not patient: others may do it meanwhile, for whose callers nobody waits."""
RESTART_PAGES = 16_000  # 64 MB


class Writer:
    """The thread that writes.  Steps are answered after their commit, never before."""

    def __init__(self, opened: Opened, clock: Callable[[], Micros], hints: Hints) -> None:
        self._clock = clock
        self._hints = hints
        self._opened = opened
        self._lock, self._files, self._db = opened.lock, opened.files, opened.writer
        self._wal_pages = self._brought = 0  # of the log; and at the last try to bring it in
        self._much_left = False  # by that try
        self._patient = False  # whether all that was committed last was
        self._pressing = Pressing()
        self._page_size = int(self._db.pragma("page_size"))
        self._losses = opened.lock.losses()
        self.gave_up = False
        self._come: SimpleQueue[Waiting | None] = SimpleQueue()  # None: only to wake the thread
        self._left: deque[Waiting] = deque()  # what the last transaction had no time for
        self._behind: deque[Waiting] = self._left  # what waits in the transaction under way
        self._done: Transaction | None = None  # committed; its hints are still to be given
        self._entry = threading.RLock()
        self._closing = False
        self._db.set_wal_hook(self._committed)
        self._thread = threading.Thread(target=self._run, name="unlost-writer", daemon=True)
        self._thread.start()

    async def do(self, step: Callable[[Transaction], T], *, patient: bool = False) -> T:
        """Run `step` in a transaction; return once it is committed and synced.

        A `patient` one may be large: it lets those of other processes that are not go first.
        Raises what the step raises, LedgerUnavailable where nothing could be written.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(Waiting(step, answer, patient))
        return await answer

    async def do_joint(
        self,
        run: Callable[[Transaction, Sequence[S]], list[T]],
        items: Sequence[S],
        *,
        patient: bool = False,
    ) -> list[T]:
        """The same for a step on items that may be joined with those of others."""
        answer: asyncio.Future[list[T]] = asyncio.get_running_loop().create_future()
        self._put(Waiting(Joint(run, items), answer, patient))
        return await answer

    def begin_joint(
        self,
        run: Callable[[Transaction, Sequence[S]], list[Submitted]],
        items: Sequence[S],
        awaiting: Awaiting,
    ) -> None:
        """The same, without a coroutine that awaits it: the quickest way."""
        self._put(Waiting(Joint(run, items), awaiting))

    def _put(self, waiting: Waiting) -> None:
        with self._entry:
            if self._closing:
                raise LedgerUnavailable("the ledger is closed")
            self._come.put(waiting)

    def close(self) -> None:
        """Write what waits, then give everything back."""
        with self._entry:
            if self._closing:
                return
            self._closing = True
            self._come.put(None)
        self._thread.join()

    def _run(self) -> None:
        look = monotonic() + LOOK
        while (waiting := self._all_that_waits()) or not self._closing:
            idle = not waiting
            answers = self._commit(waiting) if waiting else []
            self._tell()
            now = monotonic()
            if answers:
                deliver(answers)  # whoever waits gets the interpreter where little comes after it
            if idle or now >= look:
                self._look()
                look = now + LOOK
            if self._files.loss:
                self._give_up()
            elif self._wal_pages - self._brought >= self._long():
                self._checkpoint(QUICK)
            elif idle and self._much_left:
                self._checkpoint(0)
        self._opened.close()

    def _all_that_waits(self) -> deque[Waiting]:
        """What waits; nothing where for a while nothing has come."""
        if not self._left:
            try:
                one = self._come.get(not self._closing, LOOK)
            except Empty:
                return deque()
            if one is not None:
                self._left.append(one)
        return self._take_all()

    def _look(self) -> None:
        with contextlib.suppress(LedgerGone, OSError):
            self._files.check()
            self._files.check_log()
            if self._lock.losses() != self._losses:
                self._files.lose(TOLD)

    def _take_all(self) -> deque[Waiting]:
        waiting, self._left = self._left, deque()
        with self._entry:
            for _ in range(self._come.qsize()):
                if one := self._come.get_nowait():
                    waiting.append(one)
        return waiting

    def _commit(self, waiting: deque[Waiting]) -> list[Answer]:
        """Take what waits, and commit it; what is still to be answered."""
        every = list(waiting)
        try:
            self._files.refuse_if_lost()
            began = monotonic()
            self._patient = all(one.patient for one in every)
            rest = self._pressing.rest(began) if self._patient else 0.0
            with self._lock.writing(patient=self._patient, little=_little(every), rest=rest):
                held = monotonic()
                self._wait_no_longer_than(began + BUSY / 1000)
                self._db.execute("BEGIN IMMEDIATE")
                self._hints.look()  # within the lock: as late as can be
                watched = self._hints.watched()
                transaction = Transaction(self._db, self._clock(), watched=watched)
                answers = self._take(waiting, transaction)
                transaction.write_tally()
                if (types := transaction.woken) is None or types:
                    self._hints.wake_first(types)
                self._db.execute("COMMIT")
                if self._patient:
                    self._see(transaction.moves, held)
                # Within the lock: a worker that waits for it may get the processor then.
                told = answered_at_once(answers, self._all_there)
            if told:
                answers = []
            else:
                self._check_files(transaction)
        except Exception as fault:  # noqa: BLE001 - the edge of a thread: everyone must hear of it
            self._roll_back()
            if isinstance(fault, MALFORMED):
                self._files.found_damaged(str(fault))
            error = meaning(fault)
            if isinstance(fault, apsw.BusyError):  # who came meanwhile has waited long enough, too
                every += self._take_all()
            return [Answer(one.future, None, error) for one in every]
        self._left, self._done = waiting, transaction
        return answers

    def _all_there(self) -> bool:
        with contextlib.suppress(LedgerGone):
            self._files.check()
            return True
        return False

    def _check_files(self, done: Transaction) -> None:
        """Raise LedgerGone where what was done is in files that are gone."""
        try:
            self._files.check()
        except LedgerGone:
            if self._files.loss is GONE and done.take_back:
                self._take_back(done)
            raise

    def _take_back(self, done: Transaction) -> None:
        """Undo what cannot be told, for the case that the files come back: the last that is
        written."""
        with contextlib.suppress(apsw.Error), self._lock.writing():
            self._db.execute("BEGIN IMMEDIATE")
            undoing = Transaction(self._db, self._clock(), watched=False)
            for step in done.take_back:
                step(undoing)
            undoing.write_tally()
            self._db.execute("COMMIT")

    def _wait_no_longer_than(self, until: float) -> None:
        """Wait for a stranger until then, if that is long enough for one who is quick.

        Another process may have waited for the same before this one had its turn.
        """
        left = round((until - monotonic()) * 1000)
        self._db.set_busy_timeout(max(left, QUICK))

    def _tell(self) -> None:
        """Hint at what was committed last."""
        done, self._done = self._done, None
        if done is None:
            return
        if done.transitions:  # before the wake-up, whose transitions come after
            self._hints.publish(done.transitions)
        if (types := done.woken) is None or types:
            self._hints.wake(types)
        if done.begun:
            self._hints.begin()

    def _take(self, waiting: deque[Waiting], transaction: Transaction) -> list[Answer]:
        answers: list[Answer] = []
        self._behind = waiting
        until = monotonic() + LONGEST
        while waiting and (not answers or (monotonic() < until and not self._held_up())):
            answers += take_next(waiting, transaction)
        return answers

    def _held_up(self) -> bool:
        """Whether somebody waits for a transaction that may be large, who is not patient."""
        return self._patient and (self.pressed or self._lock.hurried())

    def _see(self, moves: int, held: float) -> None:
        """See at the end of a patient transaction, which has the lock since `held`, who waits."""
        now, waited = monotonic(), self._lock.pressed()
        self._pressing.see(now, waited=waited, moves=moves, seconds=now - held)

    @property
    def pressed(self) -> bool:
        """Whether of late others who write little had to wait for a patient transaction of this
        process: those that follow should be small."""
        return self._pressing.at(monotonic())

    def waited_for(self) -> bool:
        """Whether others wait to write.  To be asked in a step, by the thread that takes it."""
        return bool(self._behind) or not self._come.empty() or self._lock.hurried()

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        self._brought = min(self._brought, pages)  # fewer are a new log
        self._files.wrote(pages, self._page_size)
        return apsw.SQLITE_OK

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._db.execute("ROLLBACK")

    def _long(self) -> int:
        return CHECKPOINT_PAGES * (1 if self._patient else LEFT)

    def _checkpoint(self, patience: int) -> None:
        """Bring the log into the database.  What somebody still reads comes with the next try: once
        the log is longer by as much, or nothing is to be written.

        Under the lock: where others write meanwhile, SQLite takes pages for brought that it has not
        synced.  Were the next sync to fail, a power cut would take them away (`bring_all_again`).
        """
        self._brought, self._much_left = self._wal_pages, True
        with contextlib.suppress(apsw.Error, LedgerGone, OSError):
            self._files.check_log()  # what is missing there must not come into the database
            with self._lock.writing(patient=self._patient):
                try:
                    self._much_left = self._bring(patience)
                except apsw.IOError:
                    bring_all_again(self._files.path(INDEX))
                    raise

    def _bring(self, patience: int) -> bool:
        """The same, with so many milliseconds for those who read; whether much is left."""
        pages, done = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if pages >= RESTART_PAGES:
            self._db.set_busy_timeout(patience)  # somebody may read for minutes
            pages, done = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        elif pages - done >= CHECKPOINT_PAGES:  # else another process was first
            pages, done = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return pages - done >= CHECKPOINT_PAGES

    def _give_up(self) -> None:
        """Once the files were found to be gone, nothing more is written; but where it is the log
        alone, what was committed is brought into the database."""
        if self.gave_up:
            return
        if self._files.log_alone:
            with contextlib.suppress(apsw.Error), self._lock.writing():
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        self.gave_up = True


def _little(every: Sequence[Waiting]) -> bool:
    """Whether all of these are few."""
    return sum(len(one.step.items) if isinstance(one.step, Joint) else 1 for one in every) <= LITTLE
