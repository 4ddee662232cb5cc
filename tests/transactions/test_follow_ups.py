"""What a handler submits is there together with its rows, or neither is."""

from __future__ import annotations

import pytest

from tests.postgres.databases import Database
from tests.transactions.stage import service
from tests.transactions.test_committing import INSERT
from unlost import Handlers, Task
from unlost.ledger.values import Query
from unlost.task import State

handlers = Handlers()


@handlers.task("order", max_retries=5)
async def order(task: Task) -> None:
    connection = await task.transaction()
    await connection.execute(INSERT, [task.id, task.attempt])
    task.submit({"n": 1})
    task.submit({"n": 2}, "known")


@handlers.task("order.sync", max_retries=5)
def order_sync(task: Task) -> None:
    task.transaction().execute(INSERT, [task.id, task.attempt])
    task.submit({"n": 1})
    task.submit({"n": 2}, "known")


@pytest.mark.parametrize("kind", ["order", "order.sync"])
async def test_rows_and_follow_ups_are_there_together(database: Database, kind: str) -> None:
    async with service(database, handlers) as play:
        record = await play.run("t", type=kind)
        assert record.state is State.SUCCEEDED
        assert play.charges("t") == [1]
        page = await play.ledger.page(Query(parent="t"))
        assert len(page.records) == 2


@pytest.mark.parametrize("kind", ["order", "order.sync"])
async def test_a_conflict_rolls_the_rows_back_and_the_task_is_dead(
    database: Database, kind: str
) -> None:
    async with service(database, handlers) as play:
        await play.submit("known", payload='{"n": 3}', type="nobody's", delay=3600)
        record = await play.run("t", type=kind)
        assert record.state is State.DEAD
        assert len(record.attempts) == 1
        assert record.error is not None
        assert record.error.type == "FollowUpConflict"
        assert "known" in record.error.message
        assert play.charges("t") == []
        assert (await play.ledger.page(Query(parent="t"))).records == []
