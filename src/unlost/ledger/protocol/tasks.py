"""Tasks as callers know them: submitted, read, cancelled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from unlost.ledger.values import EVERYTHING, Page, Part, Query, Submitted
from unlost.task import Record, Submission


class Tasks(Protocol):
    """Submitting tasks, reading them, cancelling them."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Store new tasks; they survive a crash of everything once this returns.

        In order; a task id seen before is a replay where the digest is equal, else a conflict,
        also within one call.
        """
        ...

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        """The task as it is now."""
        ...

    async def page(self, query: Query) -> Page:
        """A page of a list.  Page by page, each task there throughout comes exactly once.

        Raises BadCursor.
        """
        ...

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make the task cancelled; a running attempt's settlement will be refused.

        Raises UnknownTask, Refused.
        """
        ...
