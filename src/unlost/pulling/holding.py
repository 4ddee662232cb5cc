"""What a worker holds: its attempts, whether they still run, and their steps."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from unlost.effects import Recorded, Step
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import Claimed, NewStep, StepLook
from unlost.pulling import wire
from unlost.pulling.board import Board
from unlost.pulling.service import MOST, PART, Service
from unlost.task import SECOND

NO_TIME: Final = 0
"""When a step was recorded, which nobody asks."""


class Holding:
    """The attempts of one worker, as `worker.executing` asks for them."""

    def __init__(self, service: Service, worker: str, lease: float, board: Board) -> None:
        self._service = service
        self._worker = worker
        self._lease = lease
        self._board = board
        self._steps: dict[str, dict[str, Step]] = {}  # by token, then by name
        self._numbers: dict[str, int] = {}

    def add(self, attempts: Sequence[wire.Attempt]) -> list[Claimed]:
        """Hold these."""
        now, clock = round(time.time() * SECOND), time.monotonic()
        for one in attempts:
            self._board.put(one.token, clock + one.timeout_seconds)
            self._numbers[one.token] = one.number
            steps = {step.name: step.step for step in one.steps}
            self._steps[one.token] = {name: one for name, one in steps.items() if one}
        return [wire.claimed(one, now) for one in attempts]

    def over(self, tokens: Collection[str]) -> None:
        """These have ended."""
        for token in tokens:
            self._board.take(token)
            self._steps.pop(token, None)
            self._numbers.pop(token, None)

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        """Of these tokens, those whose attempts run no more."""
        asked, gone = tuple(tokens), set[str]()
        for start in range(0, len(asked), MOST):
            gone |= await self._gone(asked[start : start + MOST])
        for token in gone:
            self._board.take(token)
        return [*gone]

    async def _gone(self, tokens: tuple[str, ...]) -> set[str]:
        try:
            within = self._lease * PART
            return await self._service.extend(self._worker, self._lease, tokens, within=within)
        except LeaseOver:  # and so they are lost
            return set(tokens)

    async def effect_secret(self) -> bytes:
        """Nothing: each attempt brings its effect key."""
        return b""

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        """Whether this token is the running attempt's, and if so what stands under the name."""
        if await self._gone((token,)):
            return StepLook(False)
        return StepLook(True, self._steps.get(token, {}).get(name))

    async def record_step(self, new: NewStep) -> Recorded:
        """Record a step, only while its token is the running attempt's."""
        verdict = await self._service.record(new.token, new.name, new.result)
        if verdict in (Recorded.KEPT, Recorded.NOT_KEPT) and new.token in self._steps:
            kept = verdict is Recorded.KEPT
            step = Step(
                new.name, self._numbers[new.token], NO_TIME, kept, new.result if kept else None
            )
            self._steps[new.token][new.name] = step
        return verdict
