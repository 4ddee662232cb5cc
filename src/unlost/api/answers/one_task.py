"""A task as an answer.  It may be large: it has its turn before anything is done for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from unlost import carried
from unlost.access.caller import Caller
from unlost.access.keys import KeyScope
from unlost.api.answers import rendering
from unlost.api.answers.large import Large, Replay
from unlost.api.answers.steps import step_body
from unlost.api.answers.turns import Turns
from unlost.api.problems import NotFound
from unlost.effects import Step
from unlost.ledger.protocol import Steps, Tasks
from unlost.ledger.values import EVERYTHING, Part
from unlost.limits.why import Facts
from unlost.task import Record
from unlost.telemetry.redaction import Redaction

NO_TASK: Final = "no task has this id"

SIZE: Final = 4 * 1024 * 1024
"""Bytes that a task takes as an answer while it is made; few take more."""


class StepsAndTasks(Steps, Tasks, Protocol):
    """What showing one needs of a ledger."""


class Again(msgspec.Struct, frozen=True):
    """What a call has done that came before: the task as it is now."""

    record: Record


class Detailed(msgspec.Struct, frozen=True):
    """A task with its steps."""

    record: Record
    steps: tuple[Step, ...]


class OneTask:
    """Answers with a whole task."""

    def __init__(
        self, ledger: StepsAndTasks, turns: Turns, max_retries: int, redaction: Redaction
    ) -> None:
        self._ledger = ledger
        self._turns = turns
        self._max_retries = max_retries
        self._redaction = redaction

    async def found(
        self, task_id: str, caller: Caller, parts: Collection[Part] = EVERYTHING
    ) -> Record:
        """The task as it is now, if it is there for this caller.  Raises NotFound."""
        return _there(await self._ledger.get(task_id, parts), caller)

    async def reached(self, task_id: str, caller: Caller) -> None:
        """Raise NotFound where the task is not there for the caller, who is about to act on it."""
        if caller.types is not None:
            await self.found(task_id, caller, ())

    async def readable(
        self, task_id: str, caller: Caller, parts: Collection[Part] = EVERYTHING
    ) -> Record:
        """The task, if the caller may read it: any, or those it has submitted.  Raises NotFound."""
        return _read_by(caller, await self.found(task_id, caller, parts))

    async def detailed(self, task_id: str, caller: Caller, *, results: bool) -> Detailed:
        """The same with its steps, and what they returned if that is asked for."""
        record = await self.readable(task_id, caller)
        if not record.attempts:
            return Detailed(record, ())
        return Detailed(record, tuple(await self._ledger.steps_of(task_id, results=results)))

    async def waits(self, task_id: str, caller: Caller) -> Facts:
        """What decides whether the task can start, if the caller may read it.  Raises NotFound."""
        facts = (await self._ledger.facts([task_id])).get(task_id)
        if facts is None:
            raise NotFound(NO_TASK)
        _read_by(caller, _there(facts.record, caller))
        return facts

    def answer(
        self,
        caller: Caller,
        act: Callable[[], Awaitable[Record | Again | Detailed]],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Large:
        """The task as `act` leaves it, which is done once there is room for it; no more than that
        it is there for who may neither read nor has submitted it."""

        async def made() -> Sequence[bytes]:
            done = await act()
            if isinstance(done, Again):
                return Replay([self._shown(caller, done.record)])
            if isinstance(done, Detailed):
                return [self._shown(caller, done.record, done.steps)]
            return [self._shown(caller, done)]

        return Large(self._turns, SIZE, made, status, headers)

    def _shown(self, caller: Caller, record: Record, steps: Sequence[Step] = ()) -> bytes:
        if not _is_for(caller, record):
            return rendering.encode(rendering.known(record))
        record = self._redaction.shown(record)
        shown = [step_body(step, self._redaction) for step in steps]
        return rendering.encode(rendering.task(record, self._max_retries, shown))


def _there(record: Record | None, caller: Caller) -> Record:
    if record is None or not caller.sees(record.type):
        raise NotFound(NO_TASK)
    return record


def _read_by(caller: Caller, record: Record) -> Record:
    if not _is_for(caller, record):
        raise NotFound(NO_TASK)
    return record


def _is_for(caller: Caller, record: Record) -> bool:
    may_read = caller.may(KeyScope.READ)
    return may_read or caller.owns(carried.read(record.carried).submitted_by)
