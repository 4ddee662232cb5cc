"""The connection of a handler's transaction ends at every one of its statements."""

from __future__ import annotations

from typing import Any

import pytest

from tests.postgres.databases import Database
from tests.transactions.cutting import Network, When
from tests.transactions.stage import Service, service
from unlost import Task
from unlost.task import Outcome, State
from unlost.telemetry.measuring import Recorder

INSERT = "INSERT INTO public.charge VALUES (%s, %s)"

MOST = 30
"""Statements of a transaction, of which there are fewer."""


async def charge(task: Task) -> Any:
    connection = await task.transaction()
    await connection.execute(INSERT, [task.id, task.attempt])
    return task.attempt


def charge_in_thread(task: Task) -> Any:
    task.transaction().execute(INSERT, [task.id, task.attempt])
    return task.attempt


async def agrees(play: Service, task_id: str) -> list[Outcome | None]:
    """The outcomes of a task's attempts; the rows are those of the one that succeeded."""
    record = await play.run(task_id)
    outcomes = [attempt.outcome for attempt in record.attempts]
    assert record.state is State.SUCCEEDED
    assert outcomes[-1] is Outcome.SUCCEEDED
    assert record.result == str(len(outcomes))
    assert play.charges(task_id) == [len(outcomes)]
    return outcomes


@pytest.mark.parametrize("handler", [charge, charge_in_thread])
async def test_whenever_the_connection_is_cut_rows_and_end_agree(
    database: Database, handler: Any
) -> None:
    recorder = Recorder()
    async with (
        Network(database.url) as network,
        service(database, handler, url=network.url, recorder=recorder) as play,
    ):
        assert await agrees(play, "whole") == [Outcome.SUCCEEDED]
        last = network.seen  # the commit
        assert 8 < last < MOST
        failed = 0
        for number in range(1, last + 1):
            for when in (When.BEFORE, When.AFTER):
                network.cut_at(number, when)
                outcomes = await agrees(play, f"{number}-{when.name}")
                committed = (number, when) == (last, When.AFTER)
                assert outcomes == [Outcome.FAILED] * (not committed) + [Outcome.SUCCEEDED]
                failed += not committed
    counted = recorder.take().types["default"].outcomes
    assert counted == {"succeeded": 2 * last + 1, "failed": failed}


async def test_a_commit_that_arrives_after_the_worker_gave_up_is_the_success_that_counts(
    database: Database,
) -> None:
    async with (
        Network(database.url) as network,
        service(database, charge, url=network.url) as play,
    ):
        await agrees(play, "whole")
        network.cut_at(network.seen, When.LATE)
        assert await agrees(play, "late") == [Outcome.SUCCEEDED]
