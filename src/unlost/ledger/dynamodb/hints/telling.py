"""Telling others, once a step is committed: a queue that tasks are due, a monitor of deaths.

What is told is a hint, and nothing depends on it: a failure is logged, and the sweep finds what
nobody was told of (`overdue`).  Of tasks whose type is marked `pull` no queue is told: their
workers look for themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.dead_letters import reporting
from unlost.ledger.dynamodb.hints import next_due
from unlost.ledger.dynamodb.hints.next_due import NextDue
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Report
from unlost.ledger.waking import named
from unlost.limits.control import Control
from unlost.redrive import Redrive
from unlost.task import TERMINAL, Micros
from unlost.telemetry.logs import Log
from unlost.telemetry.seldom import Seldom

log = Log("unlost.ledger")


class Hint(msgspec.Struct, frozen=True):
    """A task that is due `delay` from now, and the mark of its key, among which a queue may share
    out its workers."""

    task_id: str
    delay: Micros
    mark: str | None = None


class NotTold(Exception):
    """Those outside could not be told; the message says why."""


class Onward(msgspec.Struct, frozen=True):
    """A redrive of which a step may be made: a letter of it has ended at `at`.

    `at` None: the step is to be made at once, whatever was done meanwhile.
    """

    redrive_id: str
    at: Micros | None = None


class Announce(Protocol):
    """Where hints go.  Whatever it raises is logged, and no caller of the ledger sees it.

    Raises NotTold.
    """

    async def due(self, hints: Sequence[Hint]) -> None:
        """Have somebody look at these tasks once they are due."""
        ...

    async def died(self, reports: Sequence[Report]) -> None:
        """Have somebody report these deaths."""
        ...

    async def onward(self, redrives: Sequence[Onward]) -> None:
        """Have somebody make a step of these redrives."""
        ...


Known = Callable[[Micros], Awaitable[Mapping[str, Control]]]
"""Tells what is set for types."""


class Telling:
    """What one call of the ledger has to tell: listeners in this process at once, others in the
    end, by `announced`."""

    def __init__(
        self, hints: LocalHints, announce: Announce | None, lost: Seldom, now: Micros
    ) -> None:
        self._hints = hints
        self._announce = announce
        self._lost = lost
        self._now = now
        self._due: list[tuple[str, Hint]] = []  # with its task's type
        self._died: list[Item] = []
        self._onward: set[str] = set()
        self._ended: set[str] = set()  # redrives of which letters have
        self._freed: set[tuple[str, str | None]] = set()
        self._roomy: dict[str, Micros] = {}  # and how far ahead

    def moved(self, stored: Stored) -> None:
        """This is how the task is, now that a step is committed."""
        self._hints.publish(reading.transition(stored))
        if stored.due_at is not None:
            self._hints.wake(named([stored.type]))
            self.due(stored.task_id, stored.type, stored.due_at, slots.mark(stored))
        if stored.redrive is not None and stored.state in TERMINAL:
            self._ended.add(stored.redrive)

    def goes_on(self, redrive: Redrive) -> None:
        """A step of this redrive may be made at once."""
        if redrive.open:
            self._onward.add(redrive.id)

    def due(self, task_id: str, task_type: str, due_at: Micros, mark: str | None) -> None:
        """Somebody should look at this task then; `mark` is its key's."""
        self._due.append((task_type, Hint(task_id, max(due_at - self._now, 0), mark)))

    def roomy(self, task_type: str, ahead: Micros = 0) -> None:
        """There may be room for many of this type, which wait for it and are due, or will be in
        `ahead`."""
        self._hints.wake()
        self._roomy[task_type] = ahead

    def freed(self, stored: Stored) -> None:
        """An attempt has given back its slots, for which a task may wait that is due."""
        self._hints.wake()
        self._freed |= slots.waited_for(stored)

    def room_for_one(self, task_type: str) -> None:
        """A task of this type may wait for nothing but its message."""
        self._freed.add((task_type, None))

    def died(self, report: Item) -> None:
        """Somebody should report the death in this report's item."""
        self._died.append(report)

    async def announced(self, calls: Calls, known: Known, at: Micros) -> None:
        """Tell those outside this process, `at` which all is stored that there is to tell of.

        Never raises, but for a cancellation.
        """
        if self._announce is None:
            return
        try:
            if due := await self._all_due(calls, known):
                await self._announce.due(due)
            if onward := self._all_onward(at):
                await self._announce.onward(onward)
            if self._died:
                await self._announce.died(await reporting.shown(calls, self._died))
        except (NotTold, LedgerUnavailable) as error:
            self._lost.tell(str(error))
        except Exception:
            steps = len(self._onward | self._ended)
            told = {"due": len(self._due), "died": len(self._died), "onward": steps}
            log.warning("hints.lost", extra=told, exc_info=True)

    def _all_onward(self, at: Micros) -> list[Onward]:
        """A step that began before `at` may have missed an end, whenever the call for it began."""
        ended = [Onward(one, at) for one in sorted(self._ended - self._onward)]
        return [*map(Onward, sorted(self._onward)), *ended]

    async def _all_due(self, calls: Calls, known: Known) -> list[Hint]:
        """What those outside are told of; all of it where it cannot be read what is marked."""
        if not (self._due or self._roomy or self._freed):
            return []
        controls: Mapping[str, Control] = {}
        try:
            controls = await known(self._now)
            await self._look_for_those_who_wait(calls, controls)
        except LedgerUnavailable as error:  # what this step itself has to tell is not lost
            self._lost.tell(str(error))
        return [hint for task_type, hint in self._due if not _pulled(controls, task_type)]

    async def _look_for_those_who_wait(self, calls: Calls, controls: Mapping[str, Control]) -> None:
        for task_type, ahead in self._roomy.items():
            if not _pulled(controls, task_type):
                for one in await next_due.all_due(calls, task_type, self._now + ahead):
                    self.due(one.task_id, task_type, one.due_at, one.mark)
        rooms = slots.Rooms(calls, controls, self._now)
        found: set[tuple[str, NextDue]] = set()
        for task_type, mark in self._freed:
            if task_type in self._roomy or _pulled(controls, task_type):
                continue
            if best := await next_due.next_one(calls, rooms, task_type, mark, self._now):
                found.add((task_type, best))
        for task_type, one in found:
            self.due(one.task_id, task_type, one.due_at, one.mark)


def _pulled(controls: Mapping[str, Control], task_type: str) -> bool:
    return (control := controls.get(task_type)) is not None and control.pull
