"""Connections that are lost in the middle of a step: it is repeated safely, and counts once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conformance.sameness import by_task, without_position, without_sample
from tests.conformance.stage import Clock, Stage, submission
from tests.postgres.databases import Database
from tests.postgres.kinds import KINDS, Kind
from tests.postgres.proxy import Proxy
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerUnavailable, Refused
from unlost.ledger.values import Verdict

PATIENCE = 20.0


FAULTY = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'made up'; END $$;
CREATE TRIGGER fails BEFORE UPDATE ON unlost.tally FOR EACH ROW EXECUTE FUNCTION fail()
"""


async def never() -> Ledger:
    raise AssertionError("nothing is reopened here")


async def all_of(ledger: Ledger) -> tuple[Any, ...]:
    """All that can be read."""
    entries = [without_position(entry) for entry in await ledger.entries(0, 100)]
    counts = await ledger.counts()
    return (
        [(entry.record, entry.spent, entry.dead_letter, entry.claimable) for entry in entries],
        [await ledger.get(entry.record.task_id) for entry in entries],
        [await ledger.steps_of(entry.record.task_id, results=True) for entry in entries],
        (counts.accepted, counts.settled, counts.states, counts.unhandled, counts.oldest_due),
        [without_sample(group) for group in await ledger.groups()],
        [(held.task_id, held.spent) for held in by_task(await ledger.held("w"))],
    )


async def specified(kind: Kind) -> tuple[Any, ...]:
    """What is there after the step was done once, undisturbed."""
    clock = Clock()
    stage = Stage(MemoryLedger(clock), clock, never)
    await kind.step(stage.ledger, await kind.before(stage))
    return await all_of(stage.ledger)


async def until_done(step: Callable[[], Awaitable[Any]]) -> None:
    """As callers do: again after LedgerUnavailable; refused, if the first try had been done."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                with contextlib.suppress(Refused):
                    await step()
                return


@pytest.mark.parametrize("name", KINDS)
async def test_a_step_whose_connection_is_ended_in_its_middle_is_done_once(
    alone: Stage, database: Database, name: str
) -> None:
    kind = KINDS[name]
    needed = await kind.before(alone)
    with database.connect() as holder, database.connect() as killer:
        holder.execute(f"BEGIN; LOCK TABLE unlost.{kind.table} IN SHARE MODE")
        step = asyncio.create_task(until_done(lambda: kind.step(alone.ledger, needed)))
        for _ in range(2):
            await kill_who_waits(killer, database.name)
        holder.execute("ROLLBACK")
        await step
    assert await all_of(alone.ledger) == await specified(kind)


async def kill_who_waits(killer: Any, database: str) -> None:
    """End the server's process that waits for a lock, as soon as there is one."""
    sql = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = %s AND wait_event_type = 'Lock'"
    )
    until = asyncio.get_running_loop().time() + PATIENCE
    while not killer.execute(sql, [database]).fetchone()[0]:
        assert asyncio.get_running_loop().time() < until
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "purge"])
async def test_a_step_whose_answer_is_lost_after_its_commit_is_done_once(
    database: Database, clock: Clock, name: str
) -> None:
    kind = KINDS[name]
    async with Proxy(database.url) as proxy:
        ledger = await open_ledger(proxy.url, clock)
        stage = Stage(ledger, clock, never)
        needed = await kind.before(stage)
        proxy.lose_answers = True
        with pytest.raises(LedgerUnavailable):
            await kind.step(ledger, needed)
        assert proxy.lost.is_set()
        await until_done(lambda: kind.step(ledger, needed))
        assert await all_of(ledger) == await specified(kind)
        await ledger.close()


async def test_connections_that_ended_while_nobody_used_them_are_not_noticed(
    alone: Stage, database: Database
) -> None:
    await alone.submit("a")
    with database.connect() as killer:
        ended = killer.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert ended is not None
    assert ended[0] >= 1
    (answer,) = await alone.submit("b")
    assert answer.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("before", range(6))
async def test_a_step_that_failed_leaves_nothing_behind_that_fails_the_next(
    alone: Stage, database: Database, before: int
) -> None:
    for _ in range(before):
        await alone.ledger.ping()
    with database.connect() as db:
        db.execute(FAULTY)
        for _ in range(4):
            with pytest.raises(LedgerUnavailable, match="made up"):
                await alone.ledger.ping()
        db.execute("DROP FUNCTION fail CASCADE")
    await alone.ledger.ping()


async def test_a_storm_of_ended_connections_loses_nothing(alone: Stage, database: Database) -> None:
    async def submit(number: int) -> None:
        await until_done(lambda: alone.ledger.submit([submission(f"t{number}")]))

    submits = [asyncio.create_task(submit(number)) for number in range(60)]
    with database.connect() as killer:
        for _ in range(20):
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.01)
    await asyncio.gather(*submits)
    assert (await alone.ledger.counts()).accepted == 60


async def test_a_caller_who_is_cancelled_leaves_the_ledger_as_it_should_be(alone: Stage) -> None:
    for number in range(20):
        submit = asyncio.create_task(alone.submit(f"t{number}"))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        submit.cancel()
        await asyncio.wait([submit])
    answers = await alone.submit(*(f"t{number}" for number in range(20)))
    assert len(answers) == (await alone.ledger.counts()).accepted == 20
