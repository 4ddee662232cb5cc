"""What a handler does in its transaction is kept if, and only if, its attempt succeeded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.postgres.databases import Database
from tests.transactions.stage import service
from unlost import Task
from unlost.task import State

INSERT = "INSERT INTO public.charge VALUES (%s, %s)"


async def charge(task: Task) -> Any:
    connection = await task.transaction()
    await connection.execute(INSERT, [task.id, task.attempt])
    assert await task.transaction() is connection
    return {"charged": True}


def charge_in_thread(task: Task) -> Any:
    connection = task.transaction()
    connection.execute(INSERT, [task.id, task.attempt])
    assert task.transaction() is connection
    return {"charged": True}


@pytest.mark.parametrize("handler", [charge, charge_in_thread])
async def test_rows_and_success_are_there_together(database: Database, handler: Any) -> None:
    async with service(database, handler) as play:
        record = await play.run("t")
        assert record.state is State.SUCCEEDED
        assert record.result == '{"charged":true}'
        assert play.charges("t") == [1]
