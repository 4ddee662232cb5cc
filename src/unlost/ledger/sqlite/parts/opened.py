"""A file as one ledger object has it open, and what is the same for all its steps."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import apsw

from unlost.ledger.hints import Hints
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.connection import opening
from unlost.ledger.sqlite.connection.faults import MALFORMED, meaning
from unlost.ledger.sqlite.connection.reading import OpenedToRead
from unlost.ledger.sqlite.connection.writer import Writer
from unlost.ledger.sqlite.files.identity import Identity
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken
from unlost.task import Micros

T = TypeVar("T")

READERS = 2

PING = "UPDATE tally SET pinged = pinged + 1"
"""A row that stays as it is would be no write: SQLite compares it with what is there."""


class Opened:
    """The file at `path`, made if there is none, unless it `must_exist`."""

    _opened: opening.Opened | OpenedToRead
    _hints: Hints | LocalHints

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Micros],
        *,
        same: Identity | None = None,
        must_exist: bool = False,
    ) -> None:
        self._clock = clock
        opened = opening.Opened(path, READERS, same, must_exist=must_exist)
        try:
            hints = Hints(path)
        except BaseException:
            opened.close()
            raise
        self._opened, self._hints, self._race = opened, hints, hints.race
        self._writer = Writer(opened, clock, hints)
        self._do = self._writer.do
        self._readers = ThreadPoolExecutor(READERS, "unlost-reader")

    @property
    def file(self) -> Identity:
        """Which file it is, by device and inode."""
        return self._opened.files.identity

    def check_file(self) -> None:
        """Raise LedgerGone where the file that was opened is no longer the one at its path."""
        self._opened.files.check()

    def free(self) -> int:
        """Bytes that are free for it on its disk.  Raises OSError."""
        return shutil.disk_usage(self._opened.files.database.parent).free

    async def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers, self._query, query)
        except apsw.Error as fault:
            if isinstance(fault, MALFORMED):
                self._opened.files.found_damaged(str(fault))
            raise meaning(fault) from fault
        except RuntimeError as fault:
            raise LedgerUnavailable(f"{type(fault).__name__}: {fault}") from fault

    def _query(self, query: Callable[[apsw.Connection], T]) -> T:
        db = self._opened.readers.get()
        try:
            return query(db)
        finally:
            self._opened.readers.put(db)

    async def ping(self) -> None:
        await self._do(lambda transaction: transaction.db.execute(PING))

    async def wait(self, seconds: float) -> Woken:
        return await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()

    async def close(self) -> None:
        self._readers.shutdown()
        await asyncio.to_thread(self._writer.close)  # the last to close checkpoints, locked
        self._hints.close()
