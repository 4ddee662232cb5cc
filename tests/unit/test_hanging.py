"""An API whose event loop hangs is found by its pulse, shown, ended and started again."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.unit.slow_children import SlowChild, tree
from tests.unit.virtual import in_virtual_time, jump
from unlost.supervisor.brief import PULSE_INTERVAL, SHOW
from unlost.supervisor.processes.hanging import HUNG, LOOK

API = frozenset({"api"})


async def pulse(child: SlowChild, until: float) -> None:
    """Say that the event loop runs, as a child does, until then."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        child.pulsed = loop.time()
        await asyncio.sleep(PULSE_INTERVAL)


@in_virtual_time
async def test_an_api_without_a_pulse_is_shown_ended_and_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with tree(1.0, 1.0) as running:
        await running.start(API)
        await pulse(running.born[0], 100)
        await running.until(100 + (HUNG - 2) * LOOK)
        assert running.born[0].signals == []
        await running.until(100 + (HUNG + 3) * LOOK)
        first, second = running.born
        assert first.signals == [SHOW, signal.SIGKILL]
        told = [vars(one) for one in caplog.records if one.message == "process.hung"]
        assert [(one["role"], one["pid"], one["seconds"]) for one in told] == [("api", 1, 30)]
        await second.started.wait()
        assert second.ready is not None


@in_virtual_time
async def test_an_api_is_not_ended_since_the_whole_machine_slept() -> None:
    async with tree(1.0) as running:
        await running.start(API)
        for _ in range(4):
            await pulse(running.born[0], asyncio.get_running_loop().time() + 5)
            jump(300)
        await pulse(running.born[0], asyncio.get_running_loop().time() + 5)
        assert running.born[0].signals == []
