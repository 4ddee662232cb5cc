"""Where handlers have transactions, and what holds behind a pooler and with standbys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres.databases import Database
from tests.postgres.pooler import Pooler
from tests.postgres.server import Server
from tests.transactions.cutting import Network, When
from tests.transactions.stage import eventually, service
from tests.unit.stage import stage
from tests.unit.virtual import in_virtual_time
from unlost import NotHere, Task
from unlost.task import Outcome, State

INSERT = "INSERT INTO public.charge VALUES (%s, %s)"


async def charge(task: Task) -> Any:
    connection = await task.transaction()
    for _ in range(7):  # more often than it takes for a statement to be prepared
        await connection.execute("SELECT %s::text", [task.id])
    await connection.execute(INSERT, [task.id, task.attempt])


@in_virtual_time
async def test_elsewhere_it_is_not_there() -> None:
    async def handler(task: Task) -> str:
        with pytest.raises(NotHere, match="PostgreSQL"):
            await task.transaction()
        return "not here"

    async with stage(handler) as play:
        await play.submit("t")
        assert (await play.ended("t")).result == '"not here"'


async def test_behind_a_pooler_that_lends_by_transaction_rows_and_end_agree(
    postgres: Server, database: Database
) -> None:
    with Pooler(postgres) as pooler:
        async with (
            Network(pooler.url(database.name)) as network,
            service(database, charge, url=network.url) as play,
        ):
            for turn in range(6):  # its connections to the server are those of others before
                record = await play.run(f"t{turn}")
                assert record.state is State.SUCCEEDED
                assert play.charges(f"t{turn}") == [1]
            last = network.seen
            for number, when in ((4, When.BEFORE), (last, When.BEFORE), (last, When.AFTER)):
                network.cut_at(number, when)
                name = f"cut-{number}-{when.name}"
                record = await play.run(name)
                assert record.state is State.SUCCEEDED
                assert play.charges(name) == [len(record.attempts)]
                assert len(record.attempts) == (1 if when is When.AFTER else 2)


@pytest.fixture
def replicating() -> Iterator[Database]:
    """A database whose server can be told to wait for standbys."""
    with Server(wal_level="replica", max_wal_senders="2") as server, Database(server) as database:
        yield database


async def test_a_connection_that_ends_during_the_commit_is_no_doubt_for_long(
    replicating: Database,
) -> None:
    ran: list[int] = []

    async def handler(task: Task) -> None:
        ran.append(task.attempt)
        await charge(task)
        waits_for("nobody")  # from here on each commit waits for a standby that is not there

    def waits_for(standbys: str) -> None:
        with replicating.connect() as db:
            db.execute("SET synchronous_commit = local")
            db.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standbys}'")
            db.execute("SELECT pg_reload_conf()")

    def cut_who_waits() -> bool:
        with replicating.connect() as db:
            [[count]] = db.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE wait_event = 'SyncRep' AND query = 'COMMIT'"
            )
            return bool(count)

    async with service(replicating, handler) as play:
        await play.submit("t")
        await eventually(cut_who_waits)
        waits_for("")
        record = await play.ended("t")
        assert [attempt.outcome for attempt in record.attempts] == [Outcome.SUCCEEDED]
        assert play.charges("t") == ran == [1]
