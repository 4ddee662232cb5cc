"""A cancel reaches the handler that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.service import Working, alive, each_worker, until
from unlost.task import Outcome, State

SLACK = 3.0
"""Seconds that a busy machine may add."""


@each_worker
@pytest.mark.parametrize("kind", ["tells its cancel", "tells its cancel sync"])
async def test_a_running_handler_is_told_within_five_seconds(
    tmp_path: Path, kind: str, working: Working
) -> None:
    async with working(tmp_path, handler="process_app:handlers") as running:
        await running.submit("t", type=kind)
        await running.running("t")
        await running.ledger.cancel("t", None, None)
        await until((tmp_path / "t.told").exists, 5.0 + SLACK)
        [worker] = running.workers()
        await running.submit("next", type="works")
        assert (await running.ended("next")).state is State.SUCCEEDED
        record = await running.ended("t")
        assert alive(worker)
    assert record.state is State.CANCELLED
    assert [one.outcome for one in record.attempts] == [Outcome.CANCELLED]


@each_worker
async def test_a_sync_handler_that_ignores_its_cancel_is_ended_with_its_process(
    tmp_path: Path, working: Working
) -> None:
    async with working(tmp_path, handler="process_app:handlers") as running:
        await running.submit("t", type="hangs sync")
        await running.running("t")
        [worker] = running.workers()
        await running.ledger.cancel("t", None, None)
        await until(lambda: not alive(worker), 12.0)
        await running.submit("next", type="works")
        assert (await running.ended("next")).state is State.SUCCEEDED
