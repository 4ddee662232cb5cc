"""Tasks: as callers know them, and one after another for the audit and for moving."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from unlost.ledger.values import (
    EVERYTHING,
    ROOM,
    Copy,
    Counts,
    Entry,
    Page,
    Part,
    Query,
    Submitted,
    Verdict,
)
from unlost.limits.why import MOST_BEFORE, Facts
from unlost.task import Record, Submission


class Awaiting(Protocol):
    """What waits for a submit as a future does, without being one."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which it is told."""
        ...

    def cancelled(self) -> bool:
        """Whether it need not be told any more."""
        ...

    def at_once(self, stored: list[Submitted]) -> bool:
        """What became of it, in any thread, where nobody else is to be told at the same time.
        Whether that was enough: else it is told once more, as ever.  Raises nothing."""
        ...

    def set_result(self, stored: list[Submitted]) -> None:
        """What became of it."""
        ...

    def set_exception(self, fault: BaseException) -> None:
        """Why nothing became of it."""
        ...


@runtime_checkable
class Prompt(Protocol):
    """A ledger that takes submits without a coroutine that awaits them."""

    def submit_for(self, submissions: Sequence[Submission], awaiting: Awaiting) -> None:
        """Begin what `Tasks.submit` does; `awaiting` hears of it.  Raises LedgerUnavailable."""
        ...


class Tasks(Protocol):
    """Submitting tasks, reading them, cancelling them."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Store new tasks; they survive a crash of everything once this returns.

        In order; a task id seen before is a replay where the digest is equal, else a conflict,
        also within one call.
        """
        ...

    async def compare(self, submissions: Sequence[Submission]) -> list[Verdict | None]:
        """What `submit` would make of each whose id is there already; None for one that is new.

        Stores nothing.
        """
        ...

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        """The task as it is now."""
        ...

    async def facts(
        self, task_ids: Collection[str], most_before: int = MOST_BEFORE
    ) -> dict[str, Facts]:
        """What decides whether these tasks can start (see `limits.why`), all in one snapshot; by
        id, without those that are not there.

        Of the tasks before another, `most_before` are looked at, at most.
        """
        ...

    async def page(self, query: Query) -> Page:
        """A page of a list.  Page by page, each task there throughout comes exactly once.

        Raises BadCursor.
        """
        ...

    async def cancel(
        self, task_id: str, by: str | None, reason: str | None, *, api_key: str | None = None
    ) -> None:
        """Make the task cancelled; a running attempt's settlement will be refused.

        `api_key` names the key by which it is done.

        Raises UnknownTask, Refused.
        """
        ...


class Records(Protocol):
    """All tasks, with the ledger's own marks."""

    async def counts(self) -> Counts:
        """The counters, in one snapshot (see `exact_counts`)."""
        ...

    async def entries(self, after: int, limit: int, room: int = ROOM) -> list[Entry]:
        """Entries with a position above `after`, in order, with attempts and history.

        At most `limit`, and none after the one with which they weigh `room` or more.
        """
        ...

    async def copies(self, after: int, limit: int, room: int = ROOM) -> list[tuple[int, Copy]]:
        """Tasks with a position above `after`, in order, each with all that is kept of it.

        As many as `entries` would give, by what they weigh.
        """
        ...

    async def restore(self, copies: Sequence[Copy]) -> list[Verdict]:
        """Keep tasks as another ledger kept them, with all that belongs to them.

        They survive a crash of everything once this returns.  In order; an id that is there
        already is a replay where the digest is equal, else a conflict, and stays as it is.  What
        runs stays so under a worker whose lease is over: it will be reaped.
        """
        ...


@runtime_checkable
class CountsLater(Protocol):
    """Records whose `counts` wait for nobody: a task with a lower position than theirs may still
    be on its way, and is not counted."""

    async def exact_counts(self) -> Counts:
        """The counters at a moment when no submit is half done, for which it waits."""
        ...


async def exact_counts(ledger: Records) -> Counts:
    """The counters, with a position up to which no task can come any more."""
    return await (ledger.exact_counts() if isinstance(ledger, CountsLater) else ledger.counts())
