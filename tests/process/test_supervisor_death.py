"""The supervisor is killed: nothing of its tree stays, nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.process.service import Working, alive, each_worker, service, until
from unlost.task import Outcome, State

SETTINGS: dict[str, Any] = {
    "handler": "process_app:handlers", "lease": 2, "backoff_base": 0.1, "attempt_timeout": 3600,
}  # fmt: skip


@each_worker
@pytest.mark.parametrize("kind", ["holds the lock", "blocks", "works"])
async def test_its_children_are_gone_within_ten_seconds_whatever_they_do(
    tmp_path: Path, kind: str, working: Working
) -> None:
    async with working(tmp_path, **SETTINGS) as running:
        await running.submit("busy", type=kind, payload='{"seconds":3600}')
        await running.running("busy")
        _, *children = running.everyone()
        running.process.kill()
        began = time.monotonic()
        await until(lambda: not any(alive(pid) for pid in children), 10.0)
    assert children
    assert time.monotonic() - began < 10


async def test_a_restart_on_the_same_port_finishes_the_work(tmp_path: Path) -> None:
    port = free_port()
    async with service(tmp_path, "serve", port=port, **SETTINGS) as first:
        await first.submit("interrupted", type="waits once")
        await first.running("interrupted")
        first.process.kill()
        await first.exit_status()
    async with service(tmp_path, "serve", port=port, **SETTINGS) as second:
        await second.submit("new", type="works")
        assert (await second.ended("new")).state is State.SUCCEEDED
        record = await second.ended("interrupted")
        assert await second.stop() == 0
        second.log()
    assert [one.outcome for one in record.attempts] == [Outcome.LOST, Outcome.SUCCEEDED]


@each_worker
async def test_a_child_that_is_killed_is_started_again(tmp_path: Path, working: Working) -> None:
    async with working(tmp_path, "serve", **SETTINGS) as running:
        _, *before = running.everyone()
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: len(running.everyone()) == 1 + len(before))
        await running.submit("t", type="works")
        assert (await running.ended("t")).state is State.SUCCEEDED
        _, *after = running.everyone()
        assert not set(before) & set(after)
        assert await running.stop() == 0


@each_worker
async def test_a_supervisor_that_is_paused_for_longer_than_a_lease_loses_nothing(
    tmp_path: Path, working: Working
) -> None:
    async with working(tmp_path, **SETTINGS) as running:
        await running.submit("long", type="works", payload='{"seconds":3.5}')
        await running.running("long")
        running.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(7 if running.home is not running else 3)
        running.process.send_signal(signal.SIGCONT)
        await running.submit("new", type="works")
        assert (await running.ended("new")).state is State.SUCCEEDED
        assert (await running.ended("long")).state is State.SUCCEEDED
        assert await running.stop() == 0
        running.log()
