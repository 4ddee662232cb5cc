"""A schedule that is dropped while another session makes its tick."""

from __future__ import annotations

import asyncio

from tests.api.checks import until
from tests.conformance.scheduling import made, tick
from tests.conformance.stage import Stage
from tests.postgres.databases import Database
from unlost.schedule.schedule import Moved

WAITS = """
SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'unlost.schedule '
"""


async def test_a_drop_beside_a_tick_leaves_no_tick(alone: Stage, database: Database) -> None:
    await made(alone)
    with database.connect() as watcher, database.connect() as db:
        with db.transaction():
            db.execute("SELECT FROM unlost.schedule WHERE id = 'nightly' FOR UPDATE")
            db.execute("INSERT INTO unlost.tick (schedule, number, time) VALUES ('nightly', 1, 1)")
            dropping = asyncio.create_task(alone.ledger.drop_schedule("nightly"))
            await until(lambda: watcher.execute(WAITS).fetchone() == (1,))
        assert await dropping
        assert db.execute("SELECT schedule, number FROM unlost.tick").fetchall() == []
    await made(alone)
    alone.clock.advance(10)
    assert await tick(alone) == [Moved.DONE]
