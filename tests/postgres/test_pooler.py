"""Behind a pooler that lends connections by transaction, every step works and waits are short."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from tests.conformance.stage import Clock, Stage, must_add_up, submission
from tests.postgres.databases import Database
from tests.postgres.pooler import Pooler
from tests.postgres.server import Server
from tests.postgres.test_races import drain
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.connection.connecting import Place
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.hints.session import stays, take_back
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Query
from unlost.task import State

PATIENCE = 20.0


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[Pooler]:
    with Pooler(postgres) as pooler:
        yield pooler


@pytest.fixture
async def pooled(pooler: Pooler, database: Database, clock: Clock) -> AsyncIterator[Stage]:
    """A stage whose ledgers all go through the pooler."""
    async with AsyncExitStack() as opened:

        async def opener() -> Ledger:
            ledger = await open_ledger(pooler.url(database.name), clock)
            opened.push_async_callback(ledger.close)
            return ledger

        stage = Stage(await opener(), clock, opener)
        yield stage
        await must_add_up(stage.ledger)


async def test_a_tasks_whole_life_works(pooled: Stage) -> None:
    for turn in range(6):  # more often than it takes to keep a statement's plan
        await pooled.submit(f"good{turn}")
        assert await pooled.succeed(await pooled.run(f"good{turn}"), "1")
        await pooled.bury(f"bad{turn}")
        await pooled.ledger.redrive(f"bad{turn}", None, None, None)
        await pooled.submit(f"off{turn}")
        await pooled.ledger.cancel(f"off{turn}", None, None)
    states = (await pooled.ledger.counts()).states
    assert (states[State.SUCCEEDED], states[State.QUEUED], states[State.CANCELLED]) == (6, 6, 6)
    assert len(await pooled.walk(Query(limit=4))) == 18


async def test_ledgers_that_race_for_few_connections_never_share_a_task(pooled: Stage) -> None:
    ledgers = [pooled.ledger, await pooled.another(), await pooled.another()]
    await pooled.submit(*(f"t{number}" for number in range(200)))
    seen = await asyncio.gather(
        *(drain(ledger, f"w{home}", random.Random(home)) for home, ledger in enumerate(ledgers))
    )
    claimed = Counter(task_id for ids in seen for task_id in ids)
    assert len(claimed) == 200
    assert set(claimed.values()) == {1}


async def test_a_submit_is_soon_seen_elsewhere_and_the_log_says_once_that_it_polls(
    pooled: Stage, pooler: Pooler, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.ledger.postgres.hints.session.PATIENCE", 0.2)
    monkeypatch.setattr("unlost.ledger.postgres.hints.listening.AFTER_SILENCE", 0.01)
    other = await pooled.another()
    with caplog.at_level(logging.WARNING):
        async with other.transitions():  # whether it can listen is known from here on
            await other.wait(0)
            begun = time.monotonic()
            await pooled.ledger.submit([submission("a")])
            while await other.due_in(None) is None:
                await other.wait(PATIENCE)
            await other.wait(PATIENCE)
            assert time.monotonic() - begun < PATIENCE / 4
            said_before = len(pooler.log())
            await asyncio.sleep(0.7)
    said = [record for record in caplog.records if record.message == "ledger.no_listen"]
    assert len(said) == 1
    tries = pooler.log()[said_before:].count("login attempt")  # ever longer apart
    assert 1 <= tries <= 8


async def test_sixty_tasks_leave_no_warning_and_nothing_for_others(
    pooler: Pooler, database: Database
) -> None:
    """A pooler warns of each notification that comes on a connection which it has lent to nobody,
    and gives it to whoever has the connection otherwise."""
    said_before = len(pooler.log())
    front, worker = [await open_ledger(pooler.url(database.name)) for _ in range(2)]
    heard = await sixty_tasks(front, worker, pooler.url(database.name))
    for ledger in (front, worker):
        await ledger.close()
    assert heard == []
    assert "WARNING" not in pooler.log()[said_before:]
    assert await listening(pooler, database) == []


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("in_turn", [False, True], ids=["the last first", "in turn"])
async def test_however_it_lends_nothing_is_left_listening(
    postgres: Server, database: Database, size: int, in_turn: bool
) -> None:
    with Pooler(postgres, size, in_turn=in_turn) as pooler:
        assert await listening(pooler, database) == []  # it has as many connections as it may
        place = Place(pooler.url(database.name))
        pool = Pool(place)
        async with pool.lent():
            pass  # its connection is there: it takes no turn when it is made
        async with await place.connect() as db:
            assert not await stays(db, pool, "unlost_own")
        await pool.close()
        assert await listening(pooler, database) == []
        assert "WARNING" not in pooler.log()


async def test_what_a_connection_listens_to_is_taken_back_also_where_it_is_lent_last(
    postgres: Server, database: Database
) -> None:
    with Pooler(postgres, 2) as pooler:
        url = pooler.url(database.name)
        async with (
            await psycopg.AsyncConnection.connect(url) as other,
            await psycopg.AsyncConnection.connect(url) as left,
        ):
            await left.execute("LISTEN unlost_left")
            await other.execute("SELECT")
            await left.commit()
            await other.commit()  # what it had is lent first from here on
            pool = Pool(Place(url))
            await take_back(pool, "unlost_left")
            await pool.close()
        assert await listening(pooler, database) == []


async def test_behind_a_pooler_that_lends_by_session_hints_are_heard(
    postgres: Server, database: Database
) -> None:
    with Pooler(postgres, 20, mode="session") as pooler:
        ledgers = [await open_ledger(pooler.url(database.name)) for _ in range(2)]
        async with ledgers[0].transitions() as events, asyncio.timeout(PATIENCE):
            await ledgers[1].submit([submission("a")])
            assert (await anext(aiter(events)))[0].task_id == "a"
        for ledger in ledgers:
            await ledger.close()


async def test_a_worker_past_the_pooler_is_told_of_sixty_tasks_behind_it(
    pooled: Stage, pooler: Pooler, database: Database
) -> None:
    said_before = len(pooler.log())
    worker = await database.ledger()
    async with pooled.ledger.transitions(), worker.transitions() as events:
        heard = await sixty_tasks(pooled.ledger, worker, pooler.url(database.name))
        async with asyncio.timeout(PATIENCE):
            told = await anext(aiter(events))
    assert told[0].task_id == "t0"
    assert heard == []
    assert "WARNING" not in pooler.log()[said_before:]
    await worker.close()


async def sixty_tasks(front: Ledger, worker: Ledger, url: str) -> list[psycopg.Notify]:
    """Submit and work, and tell what another client of the pooler at `url` has heard meanwhile."""
    heard: list[psycopg.Notify] = []
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, prepare_threshold=None
    ) as stranger:
        stranger.add_notify_handler(heard.append)
        working = asyncio.create_task(work(worker))
        for number in range(60):
            await front.submit([submission(f"t{number}")])
            await stranger.execute("SELECT")
        while (await front.counts()).states[State.QUEUED]:
            await stranger.execute("SELECT")
        working.cancel()
        await asyncio.wait([working])
    return heard


async def work(ledger: Ledger) -> None:
    """Run what is due until cancelled, as a worker does."""
    while True:
        await drain(ledger, "w", random.Random(1))
        await ledger.wait(1)


async def listening(pooler: Pooler, database: Database) -> list[str]:
    """What the pooler's connections to the server listen to, each of which is lent once."""
    found: list[str] = []
    async with AsyncExitStack() as opened:
        for _ in range(pooler.size):
            connection = psycopg.AsyncConnection.connect(pooler.url(database.name))
            db = await opened.enter_async_context(await connection)
            cursor = await db.execute("SELECT pg_listening_channels()")  # and stays in it
            found += [channel for (channel,) in await cursor.fetchall()]
    return found
