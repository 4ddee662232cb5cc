"""What keeps an outbox: what a relay, and who looks after it, asks of a database."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Final, Protocol

import msgspec

from unlost.outbox.rows import Answer, Row

MOST_ROWS: Final = 1_000
MOST_BYTES: Final = 4_000_000
"""What a relay takes at once, so that its memory is bounded whatever rows hold."""

LEASE: Final = 10.0
"""Seconds for which rows are a relay's own.  Whatever takes longer may be submitted twice, which
makes one task."""

LONGEST_WAIT: Final = 3_600.0
"""Seconds.  A row that seems to wait longer was written before a clock was set back."""

LISTED: Final = 20
"""Rejected rows, and answers, that a status names."""


class OutboxUnavailable(Exception):
    """The database cannot be reached, or not be used, now.  The message is one line."""


class NoOutbox(Exception):
    """The database has no outbox.  The message is one line that says what to do."""


class Settled(msgspec.Struct, frozen=True):
    """What became of the rows of one batch.  `waiting` has seconds beside each answer."""

    removed: Sequence[str] = ()
    rejected: Sequence[tuple[str, Answer]] = ()
    waiting: Sequence[tuple[str, float, Answer]] = ()


class Waiting(msgspec.Struct, frozen=True, rename="camel"):
    """Rows that were tried in vain, by the newest answer."""

    answer: str
    rows: int


class Rejected(msgspec.Struct, frozen=True, rename="camel"):
    """A row that will not be tried again unless somebody brings it back."""

    id: str
    task_id: str
    status: int
    reason: str
    rejected_at: str


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """How many rows are in which state, how old the oldest is, and why rows are not relayed."""

    waiting: int
    delayed: int
    rejected: int
    oldest_seconds: float
    answers: list[Waiting] = []
    newest_rejected: list[Rejected] = []

    @property
    def states(self) -> dict[str, int]:
        """The numbers by state."""
        return {"waiting": self.waiting, "delayed": self.delayed, "rejected": self.rejected}


class Outbox(Protocol):
    """An outbox in some database.  For one thread; every call but `wait` and `close` may raise
    OutboxUnavailable and NoOutbox, and leaves nothing half done and no transaction open."""

    def create(self, *, notify: bool = False) -> None:
        """Make the tables where they are missing; with `notify` also what wakes relays."""

    def check(self) -> None:
        """Raise NoOutbox where the tables are missing."""

    def take(self, lease: float = LEASE) -> list[Row]:
        """Rows that are due, the oldest first approximately, which no other relay gets for so
        many seconds: at most MOST_ROWS with MOST_BYTES."""

    def settle(self, settled: Settled) -> None:
        """Remove rows, move them, or let them wait."""

    def status(self) -> Status:
        """What is in it."""

    def retry(self, ids: Sequence[str] = ()) -> int:
        """Bring rejected rows back, all if none are named; how many."""

    def wait(self, seconds: float, stop: Event) -> None:
        """Return after so many seconds; before, once `stop` is set or a row was added, where that
        can be told."""

    def close(self) -> None:
        """Give the connection back.  Never raises."""
