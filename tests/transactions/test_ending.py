"""A handler's transaction ends in time, whatever its handler does, and few are open at once."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.postgres.databases import Database
from tests.transactions.cutting import Network
from tests.transactions.stage import Service, eventually, service
from unlost import AttemptOver, Handlers, Task
from unlost.task import Outcome, Record, State

INSERT = "INSERT INTO public.charge VALUES (%s, %s)"

OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
  AND query LIKE '%public.charge%'
"""


def open_ones(play: Service) -> int:
    """Sessions in which a handler's last statement was, in a transaction that is open."""
    with play.database.connect() as db:
        [[count]] = db.execute(OPEN)
        return int(count)


def nothing_is_open(play: Service) -> bool:
    return open_ones(play) == 0


def outcomes(record: Record) -> list[Outcome | None]:
    return [attempt.outcome for attempt in record.attempts]


async def hangs(task: Task) -> None:
    connection = await task.transaction()
    await connection.execute(INSERT, [task.id, task.attempt])
    await asyncio.sleep(60)


async def hangs_in_statement(task: Task) -> None:
    connection = await task.transaction()
    await connection.execute(f"{INSERT}; SELECT pg_sleep(60)" % ("'t'", 1))


def hangs_in_thread(task: Task) -> None:
    connection = task.transaction()
    connection.execute(INSERT, [task.id, task.attempt])
    while not task.cancelled:
        time.sleep(0.01)
    connection.execute(INSERT, [task.id, task.attempt])


def hangs_in_threads_statement(task: Task) -> None:
    task.transaction().execute(f"{INSERT}; SELECT pg_sleep(60)" % ("'t'", 1))


HANGING = [hangs, hangs_in_statement, hangs_in_thread, hangs_in_threads_statement]


@pytest.mark.parametrize("handler", HANGING)
@pytest.mark.parametrize("how", ["timeout", "cancel", "stop"])
async def test_the_attempts_end_rolls_it_back_at_once(
    database: Database, handler: Any, how: str
) -> None:
    async with service(database, handler, max_retries=0, grace=0.2) as play:
        await play.submit("t", timeout=4.0 if how == "timeout" else None)
        await eventually(lambda: open_ones(play) == 1)
        begun = time.monotonic()
        if how == "cancel":
            await play.ledger.cancel("t", None, None)
        if how == "stop":
            play.worker.drain()
        await eventually(lambda: open_ones(play) == 0)
        assert time.monotonic() - begun < (8 if how == "timeout" else 4)
        ended = {
            "timeout": Outcome.TIMED_OUT, "cancel": Outcome.CANCELLED, "stop": Outcome.RELEASED,
        }  # fmt: skip
        record = await play.when("t", lambda one: outcomes(one) == [ended[how]])
        assert play.charges("t") == []
        assert record.state is not State.SUCCEEDED


async def test_who_does_nothing_in_it_for_long_has_it_rolled_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(INSERT, [task.id, task.attempt])
        await asyncio.sleep(0.05)
        await connection.execute("SELECT 1")
        await asyncio.sleep(0.05 if task.id == "soon" else 2)

    async with service(database, handler, max_retries=0) as play:
        assert (await play.run("soon")).state is State.SUCCEEDED
        monkeypatch.setattr("unlost.ledger.postgres.attempts.transacting.IDLE", 1.0)
        late = await play.run("late")
        assert late.error is not None
        assert late.error.type == "psycopg.errors.IdleInTransactionSessionTimeout"
        assert (play.charges("soon"), play.charges("late")) == ([1], [])


async def test_no_more_are_open_at_once_than_may_be(database: Database) -> None:
    now = most = 0

    async def handler(task: Task) -> None:
        nonlocal now, most
        connection = await task.transaction()
        now += 1
        most = max(most, now)
        await connection.execute(INSERT, [task.id, task.attempt])
        await connection.execute("SELECT pg_sleep(0.02)")
        now -= 1

    async with service(database, handler, transactions=2) as play:
        names = [f"t{number}" for number in range(12)]
        for name in names:
            await play.submit(name)
        for name in names:
            assert (await play.ended(name)).state is State.SUCCEEDED
            assert play.charges(name) == [1]
    assert most == 2


@pytest.mark.parametrize("threaded", [False, True])
async def test_who_waits_for_one_ends_in_time(database: Database, threaded: bool) -> None:
    seen: list[type[BaseException]] = []

    async def waits(task: Task) -> None:
        await task.transaction()

    def waits_in_thread(task: Task) -> None:
        try:
            task.transaction()
        except BaseException as error:
            seen.append(type(error))
            raise

    handlers = Handlers()
    handlers.task("hangs")(hangs)
    handlers.task("waits")(waits_in_thread if threaded else waits)
    async with service(database, handlers, transactions=1, max_retries=0) as play:
        await play.submit("first", type="hangs")
        await eventually(lambda: open_ones(play) == 1)
        record = await play.run("second", type="waits", timeout=0.2)
        assert outcomes(record) == [Outcome.TIMED_OUT]
        assert seen == [AttemptOver] * threaded
        await play.ledger.cancel("first", None, None)
        await play.ended("first")
        assert (await play.run("third", type="waits")).state is State.SUCCEEDED


async def test_what_the_handler_left_behind_finds_it_closed(database: Database) -> None:
    found: list[str] = []
    left: list[Any] = []

    async def later(task: Task, connection: Any) -> None:
        await asyncio.sleep(0.2)
        for step in (task.transaction, lambda: connection.execute("SELECT 1")):
            try:
                await step()
            except (AttemptOver, psycopg.OperationalError) as error:
                found.append(type(error).__name__)

    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(INSERT, [task.id, task.attempt])
        left.append(asyncio.create_task(later(task, connection)))

    async with service(database, handler) as play:
        assert (await play.run("t")).state is State.SUCCEEDED
        await left[0]
        assert play.charges("t") == [1]
    assert found == ["AttemptOver", "OperationalError"]


async def test_a_statement_that_still_runs_at_the_return_is_no_success(database: Database) -> None:
    left: list[Any] = []

    async def handler(task: Task) -> None:
        connection = await task.transaction()
        await connection.execute(INSERT, [task.id, task.attempt])
        left.append(asyncio.create_task(connection.execute("SELECT pg_sleep(60)")))
        await asyncio.sleep(0.05)

    def in_thread(task: Task) -> None:
        connection = task.transaction()
        connection.execute(INSERT, [task.id, task.attempt])

        def sleep() -> None:
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=sleep)
        left.append(thread)
        thread.start()
        while not connection.lock.locked():
            time.sleep(0.01)

    for name, function in {"loop": handler, "thread": in_thread}.items():
        async with service(database, function, max_retries=0) as play:
            record = await play.run(name)
            assert record.error is not None
            assert record.error.type == "TransactionInUse"
            await eventually(partial(nothing_is_open, play))
            assert play.charges(name) == []
    with pytest.raises(psycopg.Error):
        await left[0]
    left[1].join(10)
    assert not left[1].is_alive()


async def test_where_none_can_be_had_the_handler_hears_why(database: Database) -> None:
    found: list[str] = []

    async def handler(task: Task) -> None:
        network.refusing = task.attempt == 1
        try:
            connection = await task.transaction()
        except psycopg.OperationalError as error:
            found.append(str(error))
            network.refusing = False
            connection = await task.transaction()  # asked again, it is tried again
        await connection.execute(INSERT, [task.id, task.attempt])

    async with (
        Network(database.url) as network,
        service(database, handler, url=network.url) as play,
    ):
        assert outcomes(await play.run("t")) == [Outcome.SUCCEEDED]
        assert play.charges("t") == [1]
    assert "connection" in found[0]
