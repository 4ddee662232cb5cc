"""A service that is told to stop: what runs gets its time, and what remains costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.service import Working, alive, each_worker, service, until
from unlost.ledger.sqlite.files.lock import LockFile
from unlost.supervisor.deadline import AFTERWARDS
from unlost.task import SECOND, Outcome, State

HANDLER: dict[str, Any] = {"handler": "process_app:handlers", "attempt_timeout": 3600}

SLOW = 8.0
"""Seconds that a machine which runs other tests as well may take for what is done at once."""


@each_worker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_attempts_that_end_within_the_grace_period_are_finished(
    tmp_path: Path, number: signal.Signals, working: Working
) -> None:
    async with working(tmp_path, "serve", grace=10, workers=2, **HANDLER) as running:
        await running.submit("t", type="works", payload='{"until":"told"}')
        await running.submit("late", type="works", delay=SECOND)
        await running.running("t")
        pids = running.everyone()
        began = time.monotonic()
        running.process.send_signal(number)
        await asyncio.sleep(1.5)  # the late one is due meanwhile
        (tmp_path / "told").touch()
        status = await running.exit_status()
        took = time.monotonic() - began
        record, late = await running.ended("t"), await running.ledger.get("late")
    assert status == 0
    assert took < SLOW  # and not the grace period
    assert (record.state, record.attempt_count) == (State.SUCCEEDED, 1)
    assert late is not None
    assert (late.state, late.attempt_count) == (State.QUEUED, 0)
    assert not any(alive(pid) for pid in pids)


@each_worker
@pytest.mark.parametrize(
    "kind", ["works", "tells its cancel sync", "hangs sync", "blocks", "holds the lock"]
)
async def test_what_does_not_end_is_released_within_the_grace_period_and_costs_nothing(
    tmp_path: Path, kind: str, working: Working
) -> None:
    async with working(tmp_path, grace=3, max_retries=0, **HANDLER) as running:
        await running.submit("t", type=kind, payload='{"seconds":3600}')
        await running.running("t")
        began = time.monotonic()
        status = await running.stop()
        took = time.monotonic() - began
        record = await running.ledger.get("t")
    assert status == 0
    assert took < 3 + SLOW
    assert record is not None
    assert {one.outcome for one in record.attempts} == {Outcome.RELEASED}
    assert (record.state, record.attempt_count) == (State.QUEUED, 0)


@each_worker
async def test_a_second_signal_hastens_the_end(tmp_path: Path, working: Working) -> None:
    async with working(tmp_path, grace=60, **HANDLER) as running:
        await running.submit("t", type="works", payload='{"seconds":3600}')
        await running.running("t")
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        status = await running.stop()
        took = time.monotonic() - began
        record = await running.ledger.get("t")
    assert status == 0
    assert took < SLOW  # and not the grace period
    assert record is not None
    assert [one.outcome for one in record.attempts] == [Outcome.RELEASED]


async def test_a_stop_does_not_wait_for_a_lock_that_another_process_holds(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, "serve", grace=1) as running:
        database = tmp_path / "ledger.db"
        lock = LockFile.open(database.with_name("ledger.db-lock"), database)
        with lock.held():  # as one that was stopped in the middle of a write
            began = time.monotonic()
            status = await running.stop()
            took = time.monotonic() - began
        lock.release()
        events = [line["event"] for line in running.log()]
    assert status == 0
    assert took < 1 + AFTERWARDS + 2
    assert events[-1] == "service.cut_short"


@each_worker
@pytest.mark.parametrize("handlers_first", [True, False], ids=["programs first", "service first"])
async def test_a_deploy_that_signals_every_process_costs_nothing(
    tmp_path: Path, handlers_first: bool, working: Working
) -> None:
    kinds = ("runs a program", "runs a program sync")
    async with working(tmp_path, grace=5, max_retries=0, **HANDLER) as running:
        for kind in kinds:
            await running.submit(kind, type=kind)
        await running.running(*kinds)
        tree = psutil.Process(running.process.pid)
        await until(lambda: sum(one.name() == "sleep" for one in tree.children(True)) == 2)
        pids = [tree.pid, *(one.pid for one in tree.children(recursive=True))]  # parents first
        for pid in reversed(pids) if handlers_first else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        status = await running.exit_status()
        records = [await running.ledger.get(kind) for kind in kinds]
    assert status == 0
    for record in records:
        assert record is not None
        assert {one.outcome for one in record.attempts} == {Outcome.RELEASED}
        assert (record.state, record.attempt_count) == (State.QUEUED, 0)
