"""Settlements that a lock holds up, as of a CREATE INDEX: real workers claim no more than they may,
and what has ended is settled once the lock is gone, also by workers that stop meanwhile."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.stage import must_add_up, submission
from tests.postgres.databases import Database
from tests.postgres.machine import Machine, beside, eventually
from unlost.batches import BATCH
from unlost.ledger.protocol import Ledger
from unlost.task import State

WORKERS = 2
CONCURRENCY = 16
MOST = WORKERS * (CONCURRENCY + BATCH)
TASKS = 4_000
TYPE = "does nothing"


@pytest.fixture
def machine(database: Database, tmp_path: Path) -> Iterator[Machine]:
    settings = {"workers": WORKERS, "concurrency": CONCURRENCY, "grace": 25}
    with Machine(tmp_path / "machine", "worker", database.url, **settings) as machine:
        machine.await_ready()
        yield machine


@pytest.fixture
async def ledger(database: Database, machine: Machine) -> AsyncIterator[Ledger]:
    """The ledger with its tasks, none of which may start yet."""
    async with beside(database.url) as ledger:
        await ledger.pause(TYPE, None, None)
        for start in range(0, TASKS, 1_000):
            names = range(start, start + 1_000)
            await ledger.submit([submission(f"t{number}", type=TYPE) for number in names])
        yield ledger
        await must_add_up(ledger)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Nobody can write an attempt's end meanwhile; claims can be made."""
    with database.connect() as db, db.transaction():
        db.execute("LOCK TABLE unlost.attempt IN SHARE MODE")
        yield


async def count(ledger: Ledger, state: State) -> int:
    return (await ledger.counts()).states.get(state, 0)


def released(database: Database) -> int:
    with database.connect() as db:
        row = db.execute(
            "SELECT count(*) FROM unlost.attempt WHERE outcome = 'released'"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def all_wait(ledger: Ledger) -> bool:
    """Whether as many run as may at least, where settlements are held up."""
    return await count(ledger, State.RUNNING) >= WORKERS * BATCH


async def test_no_more_run_than_may_and_all_end_once_the_lock_is_gone(
    machine: Machine, database: Database, ledger: Ledger
) -> None:
    most = 0
    with locked(database):
        await ledger.resume(TYPE)
        await eventually(lambda: all_wait(ledger))
        for _ in range(60):  # longer than the server lets a statement wait for a lock
            most = max(most, await count(ledger, State.RUNNING))
            await asyncio.sleep(0.1)
    assert WORKERS * BATCH <= most <= MOST

    async def all_ended() -> bool:
        return await count(ledger, State.SUCCEEDED) == TASKS

    await eventually(all_ended)
    assert released(database) == 0
    assert machine.events("attempt.refused") == []


async def test_workers_that_stop_meanwhile_settle_what_has_ended(
    machine: Machine, database: Database, ledger: Ledger
) -> None:
    with locked(database):
        await ledger.resume(TYPE)
        await eventually(lambda: all_wait(ledger))
        machine.signal_supervisor(signal.SIGTERM)
        await asyncio.sleep(2)
        ran = TASKS - await count(ledger, State.QUEUED)
        assert machine.process.poll() is None
    await eventually(lambda: machine.process.poll() is not None)
    assert machine.process.returncode == 0
    assert await count(ledger, State.SUCCEEDED) == ran >= WORKERS * BATCH
    assert await count(ledger, State.RUNNING) == 0
    assert released(database) == 0
