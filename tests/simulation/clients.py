"""Clients: they submit, and do what people do, again and again until they know the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.simulation.process import Process
from tests.simulation.scenario import Act
from tests.simulation.stage import Stage
from unlost.audit import audit
from unlost.ledger.calls import call
from unlost.ledger.protocol import (
    Ledger,
    LedgerUnavailable,
    Refused,
    Repeated,
    StepsStand,
    UnknownTask,
)
from unlost.task import SECOND, State

BETWEEN = 0.3
"""Seconds, at most, before a call with an unknown outcome is made again."""


PATIENT = 0.7
"""The share of acts that wait for their moment."""

FITS = {
    "cancel": State.RUNNING,
    "redrive": State.DEAD,
    "edit": State.DEAD,
    "discard": State.DEAD,
}

LOOKS, BETWEEN_LOOKS = 25, 0.15


class Client:
    """One client, in a process of its own."""

    def __init__(self, stage: Stage, process: Process) -> None:
        self._stage = stage
        self._process = process
        self._ledger = stage.wire(process)
        self._draw = stage.random(process.name).random

    async def _until_known(self, call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await call()
            except LedgerUnavailable:
                await asyncio.sleep(BETWEEN * self._draw())
            except (Refused, Repeated, StepsStand, UnknownTask):
                return None

    async def _sleep_until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self._stage.world.now))

    async def submit(self, number: int) -> None:
        """Submit what this client has, in order; started again, it begins at the beginning."""
        for planned in self._stage.scenario.submissions:
            if planned.client == number:
                await self._sleep_until(planned.at)
                await self._until_known(lambda one=planned: self._ledger.submit([one.submission]))  # type: ignore[misc]

    async def act(self) -> None:
        """Do what people do."""
        for number, act in enumerate(self._stage.scenario.acts):
            await self._sleep_until(act.at)
            if act.share < PATIENT and act.what in FITS:
                await self._wait_for(act.task_id, FITS[act.what])
            await self._until_known(
                partial(self._do, act, call(f"act-{number}", act.what.encode()))
            )

    async def _wait_for(self, task_id: str, state: State) -> None:
        """Look for a while whether a task is in a state in which the act has something to do."""
        for _ in range(LOOKS):
            record = await self._until_known(lambda: self._ledger.get(task_id, ()))
            if record is not None and record.state is state:
                return
            await asyncio.sleep(BETWEEN_LOOKS * self._draw())

    async def _do(self, act: Act, once: str) -> None:
        ledger, task_id = self._ledger, act.task_id
        if act.what == "cancel":
            await ledger.cancel(task_id, "ann", None)
        elif act.what == "redrive":
            await self._redrive(act, once)
        elif act.what == "edit":
            await self._redrive(act, once, '{"edited":true}')
        elif act.what == "discard":
            await ledger.discard(task_id, "ann", None, call=once)
        elif act.what == "purge":
            age = round(act.share * SECOND)
            await ledger.purge(self._stage.world.clock() - age, 1 + int(3 * act.share))
        else:
            await self._audit(ledger)

    async def _redrive(self, act: Act, once: str, *payload: str) -> None:
        forget = self._stage.script.forget(act.share)
        options: dict[str, Any] = {} if forget is None else {"forget": forget}
        await self._ledger.redrive(act.task_id, "ann", None, *payload, call=once, **options)

    async def _audit(self, ledger: Ledger) -> None:
        found = await audit(ledger)
        violations = [(one.task_id, one.promise, one.detail) for one in found.violations]
        self._stage.history.add(self._process.name, "audited", found.ok, violations)
