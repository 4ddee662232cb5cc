"""Tasks as callers know them: submitted, read, cancelled."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from unlost.ledger.memory.kept import Kept, key, names, view
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import EVERYTHING, Order, Page, Part, Query, Submitted
from unlost.task import Act, Event, Micros, Outcome, Record, Submission


class Tasks(Store):
    """Keeps the promises of `protocol.Tasks`."""

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        now = self._now()
        return [self._submit(new, now) for new in submissions]

    async def get(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record | None:
        kept = self._tasks.get(task_id)
        return None if kept is None else view(kept.record, parts)

    async def page(self, query: Query) -> Page:
        return _page(self._tasks.values(), query)

    async def cancel(self, task_id: str, by: str | None, reason: str | None) -> None:
        kept, now = self._find(task_id), self._now()
        self._act(kept, Act(now, Event.CANCEL, by, reason))
        if kept.token is not None:
            del self._running[kept.token]
            kept.stop(Outcome.CANCELLED, now, None, None)
            self._freed(kept)


def _page(tasks: Iterable[Kept], query: Query) -> Page:
    """One page of a list.  The cursor is the key at which the page before ended."""
    before = None if query.cursor is None else _parse(query.order, query.cursor)
    found = sorted(
        (
            kept
            for kept in tasks
            if _matches(query, kept) and (before is None or key(query.order, kept) < before)
        ),
        key=lambda kept: key(query.order, kept),
        reverse=True,
    )
    shown = found[: query.limit]
    at_end = len(found) <= query.limit
    cursor = None if at_end else "{}-{}-{}".format(query.order, *key(query.order, shown[-1]))
    return Page([view(kept.record, query.parts) for kept in shown], cursor)


def _parse(order: Order, cursor: str) -> tuple[Micros, int]:
    parts = re.fullmatch(rf"{order}-(\d{{1,20}})-(\d{{1,20}})", cursor, re.ASCII)
    if parts is None:
        raise BadCursor(cursor)
    return int(parts[1]), int(parts[2])


def _matches(query: Query, kept: Kept) -> bool:
    record = kept.record
    return (
        (query.order is Order.SUBMITTED or kept.dead_letter is not None)
        and query.state in (None, record.state)
        and query.type in (None, record.type)
        and record.task_id.startswith(query.id_prefix)
        and (query.since is None or query.since <= record.submitted_at)
        and (query.until is None or record.submitted_at < query.until)
        and (query.error is None or query.error in names(kept))
    )
