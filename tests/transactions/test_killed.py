"""The process that runs a handler is killed at every statement of its transaction."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.stage import must_add_up, submission
from tests.postgres.databases import Database
from tests.process.service import end, launch
from tests.transactions.cutting import Network, When
from tests.transactions.stage import TABLE
from unlost.ledger.postgres import PostgresLedger
from unlost.task import TERMINAL, Outcome, Record, State

APP: Final = """
import os
from pathlib import Path

from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("default")
async def charge(task: Task) -> int:
    Path(os.environ["FOLDER"], "pid").write_text(str(os.getpid()))
    connection = await task.transaction()
    sql = "INSERT INTO public.charge VALUES (%s, %s)"
    await connection.execute(sql, [task.id, task.attempt])
    return task.attempt
"""

SETTINGS: Final[dict[str, Any]] = {
    "handler": "charge_app:handlers", "concurrency": 1, "backoff_base": 0.02, "lease": 30,
}  # fmt: skip

PATIENCE: Final = 60.0
"""Seconds that a task may take, with two starts of a process in it."""


async def ended(ledger: PostgresLedger, task_id: str) -> Record:
    """The task, once it was submitted and has come to its end."""
    await ledger.submit([submission(task_id)])
    until = time.monotonic() + PATIENCE
    while True:
        record = await ledger.get(task_id)
        if record is not None and record.state in TERMINAL:
            return record
        assert time.monotonic() < until, f"not in time: {record}"
        await asyncio.sleep(0.02)


async def agrees(database: Database, ledger: PostgresLedger, task_id: str) -> list[Outcome | None]:
    """The outcomes of a task's attempts; the rows are those of the one that succeeded."""
    record = await ended(ledger, task_id)
    outcomes = [attempt.outcome for attempt in record.attempts]
    assert (record.state, record.result) == (State.SUCCEEDED, str(len(outcomes)))
    with database.connect() as db:
        sql = "SELECT attempt FROM public.charge WHERE task = %s"
        assert db.execute(sql, [task_id]).fetchall() == [(len(outcomes),)]
    return outcomes


@pytest.mark.soak
async def test_whenever_the_process_is_killed_rows_and_end_agree(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "charge_app.py").write_text(APP)
    ledger = await database.ledger()
    with database.connect() as db:
        db.execute(TABLE)

    def kill() -> None:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    async with Network(database.url) as network:
        process = launch(tmp_path, ledger=network.url, **SETTINGS)
        try:
            assert process.stderr is not None
            await asyncio.to_thread(process.stderr.readline)
            assert await agrees(database, ledger, "whole") == [Outcome.SUCCEEDED]
            last, network.on_cut = network.seen, kill
            for number in range(1, last + 1):
                for when in (When.BEFORE, When.AFTER):
                    network.cut_at(number, when)
                    outcomes = await agrees(database, ledger, f"{number}-{when.name}")
                    committed = (number, when) == (last, When.AFTER)
                    assert outcomes == [Outcome.LOST] * (not committed) + [Outcome.SUCCEEDED]
        finally:
            await asyncio.to_thread(end, process)
    await must_add_up(ledger)
    await ledger.close()
