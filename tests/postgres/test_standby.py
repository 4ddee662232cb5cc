"""Commits that wait for a standby which is not there: nothing is told that is not on it.

Where such a wait is ended, PostgreSQL warns, and says that it has committed.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import httpx
import pytest
from psycopg import pq
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from tests.conformance.stage import Clock, Stage, must_add_up, submission
from tests.postgres.databases import Database
from tests.postgres.kinds import KINDS
from tests.postgres.server import Server
from tests.postgres.standby import PATIENCE, Standby
from unlost.api.app import create_app
from unlost.ledger.looking import look
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.postgres.connection import deadline, store
from unlost.ledger.postgres.connection.pool import MOST
from unlost.ledger.postgres.upkeep import vacuuming
from unlost.ledger.postgres.upkeep.vacuuming import HELD_OPEN, MANY
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Verdict
from unlost.settings import Settings

SOON = 1.0
LATE = 5.0
"""Seconds within which is answered what need not wait."""

WARNS = """
CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE WARNING 'mind the gap'; RETURN NEW; END $$;
CREATE TRIGGER warns BEFORE INSERT ON unlost.task FOR EACH ROW EXECUTE FUNCTION warn()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(wal_level="replica", max_wal_senders="2") as server:
        yield server


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    with Database(server) as database:
        yield database


@pytest.fixture
async def standby(server: Server) -> AsyncIterator[Standby]:
    standby = Standby(server)
    yield standby
    standby.forgo()


@pytest.fixture
async def alone(database: Database, clock: Clock, standby: Standby) -> AsyncIterator[Stage]:
    ledger = await database.ledger(clock)

    async def another() -> Ledger:
        raise AssertionError("nothing is reopened here")

    yield Stage(ledger, clock, another)
    standby.forgo()
    await must_add_up(ledger)
    await ledger.close()


async def refused(standby: Standby, taken: Awaitable[Any]) -> None:
    """Let an administrator end a step's wait: it must not be taken for done."""
    step = asyncio.ensure_future(taken)
    while not step.done():
        waiting = asyncio.create_task(standby.cancel_waits())
        await asyncio.wait([step, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    with pytest.raises(LedgerUnavailable, match="replication"):
        await step


@pytest.mark.parametrize("name", KINDS)
async def test_no_step_is_done_whose_wait_was_ended(
    alone: Stage, standby: Standby, name: str
) -> None:
    kind = KINDS[name]
    needed = await kind.before(alone)
    await standby.need()
    await refused(standby, kind.step(alone.ledger, needed))


async def test_a_task_that_is_on_no_standby_is_not_called_stored(
    alone: Stage, standby: Standby
) -> None:
    await standby.need()
    await refused(standby, alone.submit("a"))
    assert await alone.ledger.get("a") is not None, "it can be seen"
    for _ in range(2):  # there is nothing new to be written, and still it waits
        await refused(standby, alone.submit("a"))
    standby.forgo()
    assert [one.verdict for one in await alone.submit("a")] == [Verdict.REPLAYED]


async def test_an_act_that_was_done_before_is_not_called_done_either(
    alone: Stage, standby: Standby
) -> None:
    await alone.submit("a")
    await standby.need()
    for _ in range(2):
        await refused(standby, alone.ledger.cancel("a", None, None))


async def test_no_setting_hides_the_warning(
    database: Database, clock: Clock, standby: Standby
) -> None:
    with database.connect() as db:
        db.execute(f"ALTER DATABASE {database.name} SET client_min_messages = 'error'")
        ledger = await database.ledger(clock)
        db.execute(f"ALTER DATABASE {database.name} RESET client_min_messages")
    await standby.need()
    await refused(standby, ledger.submit([submission("a")]))
    await ledger.close()


async def test_warnings_of_other_statements_fail_nothing(alone: Stage, database: Database) -> None:
    with database.connect() as db:
        db.execute(WARNS)
        answers = await alone.submit("a", "b")
        db.execute("DROP FUNCTION warn CASCADE")
    assert [one.verdict for one in answers] == [Verdict.ACCEPTED] * 2


async def test_reads_go_on_while_submits_are_soon_refused(
    alone: Stage, standby: Standby, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.SOON + deadline.TO_END <= 5
    monkeypatch.setattr("unlost.ledger.postgres.parts.tasks.SOON", SOON)
    tasks = [f"before{number}" for number in range(MOST + 1)]
    await alone.submit("before", *tasks)
    await standby.need()
    acts = [asyncio.create_task(alone.ledger.cancel(task, None, None)) for task in tasks]
    app = create_app(alone.ledger, Settings(), clock)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as api:
        submits = [asyncio.create_task(submitted(api, number)) for number in range(12)]
        ready = asyncio.create_task(api.get("/readyz"))
        longest = 0.0
        while not all(one.done() for one in submits):
            for path in ("/tasks/before", "/tasks", "/dead-letters", "/stats", "/types"):
                begun = time.monotonic()
                assert (await api.get(path)).status_code == 200
                longest = max(longest, time.monotonic() - begun)
            async with asyncio.timeout(LATE), alone.ledger.transitions():
                pass
        assert longest < LATE  # who waited for the standby would wait for LONGEST
        assert max([await one for one in submits]) < LATE
        assert "standby" in (await ready).json()["detail"]
    assert all(isinstance(one, LedgerUnavailable) for one in await ended(*acts))
    assert standby.waits() == 0, "what was refused keeps no connection"


async def ended(*steps: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*steps, return_exceptions=True)


async def submitted(api: httpx.AsyncClient, number: int) -> float:
    """A submit, begun a little after the last, which must be refused; the seconds it took."""
    await asyncio.sleep(0.1 * number)
    begun = time.monotonic()
    answer = await api.post("/tasks", json={"taskId": f"t{number}", "payload": {}})
    assert answer.status_code == 503
    return time.monotonic() - begun


async def test_what_an_audit_counts_waits_for_submits_and_what_is_shown_does_not(
    alone: Stage, standby: Standby
) -> None:
    await standby.need()
    hanging = asyncio.create_task(alone.submit("a"))
    await standby.comes_to_wait()
    counts = await alone.ledger.counts()
    assert (counts.accepted, counts.lost) == (0, 0)
    assert isinstance(alone.ledger, PostgresLedger)
    exact = asyncio.create_task(alone.ledger.exact_counts())
    await refused(standby, hanging)
    assert (await exact).accepted == 1


HELD_BY_STANDBY = "SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"

SEEN = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


@pytest.fixture
def walsender(database: Database) -> Iterator[PGconn]:
    """What serves a standby that has no slot."""
    url = database.server.url(database.name, replication="true", application_name="replica")
    sender = pq.PGconn.connect(url.encode())
    at = sender.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
    begun = sender.exec_(b"START_REPLICATION PHYSICAL " + (at or b""))
    assert begun.status == ExecStatus.COPY_BOTH, begun.error_message
    yield sender
    sender.finish()


async def test_a_standby_without_a_slot_that_holds_what_has_died_is_told_of(
    database: Database, walsender: PGconn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says, as with hot_standby_feedback, what its queries still see."""
    with database.connect() as db:
        ((seen,),) = db.execute(SEEN).fetchall()
        walsender.put_copy_data(
            struct.pack("!cqIIII", b"h", 0, seen & 0xFFFFFFFF, seen >> 32, 0, 0)
        )
        walsender.flush()
        async with asyncio.timeout(PATIENCE):
            while db.execute(HELD_BY_STANDBY).fetchall() != [(1,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(3):
            db.execute("SELECT pg_current_xact_id()")
    assert (await look(database.url)).notes == ()  # by few transactions
    monkeypatch.setattr(vacuuming, "HELD_OPEN", HELD_OPEN.replace(f"> {MANY}", "> 2"))
    [told] = (await look(database.url)).notes
    assert told.startswith("the standby 'replica' (role unlost) for ")
