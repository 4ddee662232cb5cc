"""A server that dies, turns read-only or has no room: nothing lost, and back as soon as it is."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.conformance.stage import LEASE, Clock, Stage, must_add_up, submission
from tests.postgres.server import Server
from tests.postgres.test_lost_connections import never, until_done
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.postgres import PostgresLedger
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Verdict, Worker

BACK_WITHIN = 5.0
"""Seconds after which the service must be back, once the database is."""


async def test_a_server_killed_under_load_loses_nothing_that_was_acknowledged(
    own_server: Server, clock: Clock
) -> None:
    ledger = await open_ledger(own_server.url(), clock)
    stage = Stage(ledger, clock, never)
    await stage.ledger.enlist(Worker("worker"), LEASE)
    acknowledged: list[str] = []
    busy = True

    async def submit(name: str) -> None:
        number = 0
        while busy:
            task_id = f"{name}-{number}"
            await until_done(lambda: ledger.submit([submission(task_id)]))  # noqa: B023
            acknowledged.append(task_id)
            number += 1

    async def work() -> None:
        while busy:
            try:
                for attempt in await stage.claim(5):
                    await until_done(lambda: stage.succeed(attempt))  # noqa: B023
            except LedgerUnavailable:
                await asyncio.sleep(0.02)

    traffic = [asyncio.create_task(submit(f"s{number}")) for number in range(4)]
    traffic.append(asyncio.create_task(work()))
    for _ in range(2):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(own_server.stop, signal.SIGKILL)
        with pytest.raises(LedgerUnavailable):
            await ledger.ping()
        await asyncio.to_thread(own_server.start)
        begun = time.monotonic()
        await until_done(ledger.ping)
        assert time.monotonic() - begun < BACK_WITHIN
    busy = False
    await asyncio.gather(*traffic)
    answers = await ledger.submit([submission(task_id) for task_id in acknowledged])
    assert {answer.verdict for answer in answers} == {Verdict.REPLAYED}
    assert (await ledger.counts()).accepted == len(acknowledged)
    await must_add_up(ledger)
    await ledger.close()


async def pinging(ledger: Ledger) -> None:
    """Write again and again, for as long as that can be done."""
    async with asyncio.timeout(10):
        while True:
            await ledger.ping()


async def test_a_primary_that_turns_read_only_is_unavailable_and_comes_back(
    own_server: Server,
) -> None:
    ledger = await open_ledger(own_server.url())
    await ledger.ping()
    with own_server.connect() as db:
        db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        db.execute("SELECT pg_reload_conf()")
        with pytest.raises(LedgerUnavailable):
            await pinging(ledger)
        assert await ledger.get("a") is None, "what can be read is read"
        db.execute("SET default_transaction_read_only = off")
        db.execute("ALTER SYSTEM SET default_transaction_read_only = off")
        db.execute("SELECT pg_reload_conf()")
    await until_done(ledger.ping)
    await ledger.close()


async def test_a_ledger_goes_on_with_the_connections_that_it_can_get() -> None:
    with Server(max_connections="6", superuser_reserved_connections="0") as server:
        ledger = await open_ledger(server.url())
        others = [server.connect() for _ in range(5)]
        answers = await asyncio.gather(*(ledger.get(f"t{number}") for number in range(8)))
        assert answers == [None] * 8
        await asyncio.gather(*(ledger.submit([submission(f"t{n}")]) for n in range(8)))
        assert (await ledger.counts()).accepted == 8
        for other in others:
            other.close()
        await ledger.close()


async def test_a_server_without_room_is_unavailable() -> None:
    with Server(max_connections="3", superuser_reserved_connections="0") as server:
        others = [server.connect() for _ in range(3)]
        with pytest.raises(LedgerUnavailable, match="too many clients"):
            await open_ledger(server.url())
        for other in others:
            other.close()


async def test_without_a_clock_the_time_is_the_databases(own_server: Server) -> None:
    ledger = await PostgresLedger.open(own_server.url())
    await ledger.submit([submission("a")])
    record = await ledger.get("a")
    assert record is not None
    assert abs(record.submitted_at - wall_clock()) < 10_000_000
    await ledger.close()
