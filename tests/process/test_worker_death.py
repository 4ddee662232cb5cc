"""What the death of a worker process costs: one attempt of what it ran, and little time."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.process.service import Working, each_worker, service, until
from unlost.task import SECOND, Outcome, State

HANDLER: dict[str, Any] = {"handler": "process_app:handlers"}


async def test_an_attempt_whose_worker_is_killed_is_lost_at_once_and_the_next_runs_alone(
    tmp_path: Path,
) -> None:
    settings: dict[str, Any] = {
        "handler": "process_app:handlers",
        "lease": 600,
        "backoff_base": 0.2,
    }
    async with service(tmp_path, **settings) as running:
        await running.submit("t", type="waits once")
        await running.running("t")
        [worker] = running.workers()
        killed = time.time_ns() // 1000
        os.kill(worker, signal.SIGKILL)
        record = await running.ended("t")
        await running.submit("next", type="works")
        following = await running.ended("next")
        status = await running.stop()
    [first, second] = record.attempts
    assert (first.outcome, second.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
    assert first.error is not None
    assert first.error.type == "WorkerLost"
    assert first.finished_at is not None
    assert first.finished_at - killed < 10 * SECOND  # and not the lease
    assert first.next_attempt_at is not None
    alone, ordinary = json.loads(record.result or ""), json.loads(following.result or "")
    assert alone["beside"] == 0
    assert alone["pid"] not in (worker, ordinary["pid"])
    assert status == 0
    assert [line["taskId"] for line in running.events("attempt.lost")] == ["t"]


@each_worker
async def test_a_task_that_kills_its_worker_is_dead_after_its_retries_and_no_neighbour_is(
    tmp_path: Path, working: Working
) -> None:
    settings: dict[str, Any] = {
        "failure_rate": 0,
        "backoff_base": 0.1,
        "lease": 600,
        "max_retries": 2,
    }
    async with working(tmp_path, **settings) as running:
        slow = '{"simulate":{"seconds":0.3}}'
        await running.submit("crash", payload='{"simulate":{"outcome":"crash","seconds":0.1}}')
        await running.submit(*(f"n{number}" for number in range(8)), payload=slow)
        crashed = await running.ended("crash")
        neighbours = [await running.ended(f"n{number}") for number in range(8)]
        await until(lambda: bool(running.home.events("task.dead_lettered")))
        reports = running.home.events("task.dead_lettered")
    assert crashed.state is State.DEAD
    assert [one.outcome for one in crashed.attempts] == [Outcome.LOST] * 3
    assert crashed.error is not None
    assert crashed.error.type == "WorkerLost"
    assert {record.state for record in neighbours} == {State.SUCCEEDED}
    assert all(record.attempt_count <= 2 for record in neighbours)
    assert [report["taskId"] for report in reports] == ["crash"]
