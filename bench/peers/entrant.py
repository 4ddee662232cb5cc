"""What takes part in the race, and what one turn measures of it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec


class Turn(msgspec.Struct, frozen=True):
    """What one turn of an entrant gave; None: it has no such call, or was too slow for it."""

    single: float | None
    """Calls a second of its own client, one after the other."""
    single_http: float | None
    """The same over HTTP."""
    bulk: float | None
    """Tasks a second by its own call for many, 1,000 a call, four in flight."""
    bulk_http: float | None
    """The same over HTTP."""
    noops: float
    """Tasks a second that two worker processes bring to their end."""
    start_p50: float | None
    """Milliseconds from a call to the handler's start, at a steady rate, with the call."""
    start_p99: float | None
    processes: float
    """MiB of its processes after all that (PSS)."""
    backends: float
    """MiB that the server's processes of its connections have for themselves."""

    @property
    def memory(self) -> float:
        """MiB, both."""
        return self.processes + self.backends


class Service(Protocol):
    """Where tasks are submitted; each is told in seconds, where there is such a call."""

    pids: list[int]

    async def single(self, count: int) -> float | None:
        """So many calls of its own client, one after the other, once it is warm."""

    async def single_http(self, count: int) -> float | None:
        """The same over HTTP."""

    async def bulk(self, count: int) -> float | None:
        """So many tasks by its own call for many."""

    async def bulk_http(self, count: int) -> float | None:
        """The same over HTTP."""

    async def pace(self, count: int, rate: int) -> None:
        """Submit so many tasks, so many a second, each of which says when it was called."""


class Entrant(Protocol):
    """A queue, and how it is set up."""

    name: str

    share: float
    """Of the tasks of a turn, where all of them would take it minutes."""

    left: str
    """Its rows, in SQL, whose tasks are not recorded as over."""

    async def prepare(self, database: str) -> None:
        """Make its tables in a new database."""

    def serving(self, database: str) -> AbstractAsyncContextManager[Service]:
        """Have it take tasks."""

    def working(self, database: str, ran: Path) -> AbstractAsyncContextManager[Workers]:
        """Have two worker processes run, that tell in that file what they start."""


class Workers(Protocol):
    """Worker processes."""

    @property
    def pids(self) -> list[int]:
        """Of what was started; they may have children."""

    def check(self) -> None:
        """Raise RuntimeError if one has ended."""
