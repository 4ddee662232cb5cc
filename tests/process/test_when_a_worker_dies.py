"""unlost's own lines of the table "When a worker dies" in docs/why-not.md, as they are."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.process.service import Working, each_worker, service
from unlost.settings import Settings
from unlost.task import SECOND, Outcome, Record

PAGE = Path(__file__).parents[2] / "docs" / "why-not.md"

HANDLER: dict[str, Any] = {"handler": "process_app:handlers"}

SLACK = 3.0
"""Seconds that a loaded machine may add: to see the death, and to start processes."""


def told(who: str) -> tuple[bool, float, bool]:
    """What the page says: whether it runs again, after how many seconds, whether it counts."""
    [line] = re.findall(rf"^\| unlost, {who} \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    again, after, counts, _ = (cell.strip() for cell in line.split("|"))
    return again == "yes", float(after.split(" s")[0]), counts == "yes"


def waited(record: Record) -> float:
    """Seconds from the death of the first attempt's worker to the start of the second."""
    first, second = record.attempts
    assert first.finished_at is not None
    return (second.started_at - first.finished_at) / SECOND


@each_worker
async def test_a_killed_worker_s_task_runs_again_after_the_first_backoff(
    tmp_path: Path, working: Working
) -> None:
    again, after, counts = told("a worker process killed")
    async with working(tmp_path, **HANDLER) as running:
        await running.submit("t", type="waits once")
        await running.running("t")
        [worker] = running.workers()
        os.kill(worker, signal.SIGKILL)
        record = await running.ended("t")
    assert again
    assert counts == (record.attempt_count == 2)
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert after / 2 <= waited(record) <= after + SLACK


async def test_after_the_death_of_everything_its_tasks_run_again_once_the_lease_is_over(
    tmp_path: Path,
) -> None:
    again, after, counts = told("everything killed and started again")
    assert after == pytest.approx(Settings().lease, abs=1)
    lease = 2.0  # what the default takes 15 s for
    async with service(tmp_path, lease=lease, **HANDLER) as first:
        await first.submit("t", type="waits once")
        await first.running("t")
        for pid in first.everyone():
            os.kill(pid, signal.SIGKILL)
        await first.exit_status()
    async with service(tmp_path, lease=lease, **HANDLER) as second:
        record = await second.ended("t")
    [_, last] = record.attempts
    since = (last.started_at - record.attempts[0].started_at) / SECOND
    assert again
    assert counts == (record.attempt_count == 2)
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]
    assert lease / 2 <= since <= 2 * lease + 1 + SLACK
