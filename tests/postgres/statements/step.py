"""A step of the PostgreSQL home, with a batch to be taken on what `filling` has made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conformance.stage import Clock
from tests.postgres.statements.explaining import Explaining
from tests.postgres.statements.filling import LARGEST, numbers
from unlost.ledger.postgres.attempts.marks import Marks
from unlost.ledger.postgres.connection.transaction import (
    BEGIN,
    BEGIN_LOOKING,
    BEGIN_READING,
    Transaction,
)

NOW: Final = Clock().now

RUNNING: Final = 2 * LARGEST
"""Tasks that run; what claims of limited types look at, and who looks at all workers."""

BATCHES: Final = (1, 100, 1_000, LARGEST)
ONCE: Final = (1,)


@dataclass(frozen=True)
class Place:
    """Where a step is taken: on so many tasks, over this connection."""

    db: Explaining
    tasks: int

    @property
    def marks(self) -> Marks:
        """Of a process that knows nothing: what claims have taken is undone."""
        return Marks(lambda: 0.0)

    def ids(self, kind: str, count: int) -> list[str]:
        return [f"t{number}" for number in numbers(kind, count, self.tasks)]

    def seqs(self, kind: str, count: int) -> list[int]:
        return numbers(kind, count, self.tasks)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Explaining]:
        """The connection, as a pool lends it."""
        yield self.db


@dataclass(frozen=True)
class Step:
    """A step of a batch of so many.

    It looks at `least` rows at any rate, whatever the batch is: all workers, say.  It answers how
    many of the batch it did, which must be `some` or all.
    """

    take: Callable[[Place, int], Awaitable[int]]
    least: int = 1
    batches: tuple[int, ...] = BATCHES
    some: Callable[[int], int] = field(default=lambda batch: batch)


Do = Callable[[Transaction, Place, int], Awaitable[int]]


def write(do: Do, least: int = 1, **more: Any) -> Step:
    """One that changes something."""
    return Step(_in(BEGIN, do), least, **more)


def read(do: Do, least: int = 1, **more: Any) -> Step:
    """One that sees all of one moment."""
    return Step(_in(BEGIN_READING, do), least, **more)


def look(do: Do, least: int = 1, **more: Any) -> Step:
    """One whose statements see what is there by then."""
    return Step(_in(BEGIN_LOOKING, do), least, **more)


def _in(how: str, do: Do) -> Callable[[Place, int], Awaitable[int]]:
    async def take(place: Place, batch: int) -> int:
        transaction = Transaction(place.db, how, NOW)
        await transaction.begin()
        done = await do(transaction, place, batch)
        await transaction.commit()
        await transaction.learn()
        return done

    return take


def whatever(batch: int) -> int:
    """Whatever there is of a batch will do."""
    return 0
