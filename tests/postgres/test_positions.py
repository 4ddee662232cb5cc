"""Positions that submits have taken and not committed yet: none is passed over by who copies."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.conformance.stage import Stage, submission
from tests.postgres.databases import Database

PATIENCE = 20.0

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

TAKE = """
BEGIN;
INSERT INTO unlost.task (submitted_at, updated_at, priority, id, type, digest)
VALUES (0, 0, 0, 'slow', 'default', '')
"""


async def until_waiting(watcher: Any, number: int, unless: asyncio.Future[Any]) -> None:
    """Until so many of the server's processes wait for a lock, or the task is over."""
    until = asyncio.get_running_loop().time() + PATIENCE
    while watcher.execute(WAITING).fetchone()[0] < number and not unless.done():
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.005)


async def test_a_task_whose_submit_is_under_way_is_copied_before_later_ones(
    alone: Stage, database: Database
) -> None:
    other = await alone.another()
    with database.connect() as holder, database.connect() as watcher:
        holder.execute(TAKE)
        slow = asyncio.create_task(alone.ledger.submit([submission("slow")]))
        await until_waiting(watcher, 1, slow)
        await other.submit([submission("quick")])
        copying = asyncio.create_task(other.copies(0, 10))
        await until_waiting(watcher, 2, copying)
        holder.execute("ROLLBACK")
        await slow
        assert [copy.record.task_id for _, copy in await copying] == ["slow", "quick"]
