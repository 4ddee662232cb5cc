"""A task as an answer.  It may be large: it has its turn before anything is done for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Final

from unlost.api.answers import rendering
from unlost.api.answers.large import Large
from unlost.api.answers.turns import Turns
from unlost.api.problems import NotFound
from unlost.ledger.protocol import Tasks
from unlost.ledger.values import EVERYTHING, Part
from unlost.redaction import Redaction
from unlost.task import Record

SIZE: Final = 4 * 1024 * 1024
"""Bytes that a task takes as an answer while it is made; few take more."""


class OneTask:
    """Answers with a whole task."""

    def __init__(self, ledger: Tasks, turns: Turns, max_retries: int, redaction: Redaction) -> None:
        self._ledger = ledger
        self._turns = turns
        self._max_retries = max_retries
        self._redaction = redaction

    async def found(self, task_id: str, parts: Collection[Part] = EVERYTHING) -> Record:
        """The task as it is now.  Raises NotFound."""
        record = await self._ledger.get(task_id, parts)
        if record is None:
            raise NotFound("no task has this id")
        return record

    def shown(self, task_id: str, headers: Mapping[str, str] | None = None) -> Large:
        """The task as it is now."""
        return self.answer(partial(self.found, task_id), headers=headers)

    def answer(
        self,
        act: Callable[[], Awaitable[Record]],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Large:
        """The task as `act` leaves it, which is done once there is room for it."""

        async def made() -> list[bytes]:
            record = self._redaction.shown(await act())
            return [rendering.encode(rendering.task(record, self._max_retries))]

        return Large(self._turns, SIZE, made, status, headers)
