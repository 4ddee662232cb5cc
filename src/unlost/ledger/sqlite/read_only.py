"""The ledger for who may or will only read it (see `files.reading`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from unlost.ledger.local_hints import LocalHints
from unlost.ledger.protocol import Awaiting, LedgerUnfit
from unlost.ledger.racing import Race
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection.gathering import Gathering
from unlost.ledger.sqlite.connection.reading import OlderVersion, OpenedToRead, may_lock, may_write
from unlost.ledger.sqlite.connection.transaction import Transaction
from unlost.ledger.sqlite.connection.writer import Writer
from unlost.ledger.sqlite.parts.opened import READERS
from unlost.ledger.values import Submitted
from unlost.task import Micros

S = TypeVar("S")
T = TypeVar("T")

WHY = "the ledger was opened for reading alone"


def open_to_read(path: Path, clock: Callable[[], Micros]) -> SqliteLedger:
    """The ledger in the file at `path`, for reading: nothing is made beside it, but where a file of
    an older version has to be brought to this one.  Raises what opening it does."""
    if may_lock(path):
        return SqliteLedger(path, clock, must_exist=True)
    try:
        return ReadOnlyLedger(path, clock)
    except OlderVersion:
        if not may_write(path):
            raise
        return SqliteLedger(path, clock, must_exist=True)


class ReadOnlyLedger(SqliteLedger):
    """The ledger in the file at `path`, of which nothing is made or changed.

    Every step that writes raises LedgerUnfit.  Raises what `OpenedToRead` does.
    """

    def __init__(self, path: Path, clock: Callable[[], Micros]) -> None:
        self._clock = clock
        self._opened = self._to_read = OpenedToRead(path, READERS)
        self._hints, self._race = LocalHints(), Race(0)
        self._writer = _NoWriter(self._to_read)
        self._do = self._writer.do
        self._looks = Gathering(self._look_at_steps)
        self._records = Gathering(self._record_steps)
        self._readers = ThreadPoolExecutor(READERS, "unlost-reader")

    def _query(self, query: Callable[[apsw.Connection], T]) -> T:
        found = super()._query(query)
        self._to_read.check_unchanged()
        return found


class _NoWriter(Writer):
    """In the place of a writer: it refuses."""

    def __init__(self, opened: OpenedToRead) -> None:
        self._to_read = opened

    async def do(self, step: Callable[[Transaction], T], *, patient: bool = False) -> T:
        raise LedgerUnfit(WHY)

    async def do_joint(
        self,
        run: Callable[[Transaction, Sequence[S]], list[T]],
        items: Sequence[S],
        *,
        patient: bool = False,
    ) -> list[T]:
        raise LedgerUnfit(WHY)

    @property
    def pressed(self) -> bool:
        return False

    def begin_joint(
        self,
        run: Callable[[Transaction, Sequence[S]], list[Submitted]],
        items: Sequence[S],
        awaiting: Awaiting,
    ) -> None:
        raise LedgerUnfit(WHY)

    def close(self) -> None:
        self._to_read.close()
