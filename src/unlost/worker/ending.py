"""The end of a worker: why it stops, and how long its handlers have until then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum

from unlost.worker.effects.steps import RECORD_PATIENCE
from unlost.worker.running.runner import Runner

NEIGHBOURS_PATIENCE = 30.0
"""Seconds that other attempts have to end in a process with a stuck one."""

LAST_PATIENCE = 0.5
"""Seconds that handlers have to end once they were told that the worker stops."""


class Ending(IntEnum):
    """Why a worker stopped; where several hold, the highest."""

    NOTHING_DUE = 1
    """It runs alone, and no such task is due."""

    STUCK = 2
    """A handler does not end; only the end of the process ends it."""

    DRAINED = 3
    """It was told to."""

    LEASE_OVER = 4
    """Its attempts may be reaped; another incarnation has to go on."""


class End:
    """Why a worker is to stop, once it is (then `told` is set).  `wake` are set each time that it
    is told so."""

    def __init__(self, *wake: asyncio.Event) -> None:
        self.why: Ending | None = None
        self.told = asyncio.Event()
        self.on_stuck: Callable[[], None] = lambda: None
        self.on_recording: Callable[[], None] = lambda: None
        self._wake = (self.told, *wake)

    def tell(self, why: Ending) -> None:
        """Have the worker claim no more, and end."""
        if why is Ending.STUCK and self.why is None:
            self.on_stuck()
        self.why = why if self.why is None else max(self.why, why)
        for event in self._wake:
            event.set()

    def patience(self, grace: float) -> float:
        """Seconds that handlers have to end."""
        if self.why is Ending.LEASE_OVER:
            return 0.0
        if self.why is Ending.STUCK:
            return NEIGHBOURS_PATIENCE
        return patience(grace)


def patience(grace: float) -> float:
    """Seconds of the grace period that handlers get; the rest is for ending in order."""
    return grace - min(1.5, grace / 2)


async def let_finish(runner: Runner, freed: asyncio.Event, end: End, grace: float) -> None:
    """Let handlers end as long as there is time, then tell them to."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await _wait_for(runner, freed, lambda: began + end.patience(grace))
    if end.why is Ending.LEASE_OVER:
        runner.drop(runner.tokens())
    else:
        runner.release_all()
    if runner.recording:
        end.on_recording()
    told = loop.time()
    await _wait_for(
        runner,
        freed,
        lambda: told + (RECORD_PATIENCE if runner.recording else LAST_PATIENCE),
    )


async def _wait_for(runner: Runner, freed: asyncio.Event, until: Callable[[], float]) -> None:
    loop = asyncio.get_running_loop()
    while runner.lively and loop.time() < until():
        freed.clear()
        timer = loop.call_at(until(), freed.set)
        await freed.wait()
        timer.cancel()
