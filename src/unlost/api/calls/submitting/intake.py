"""The way of new tasks into the ledger, with a bound on how many are under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from unlost import carried
from unlost.access.caller import EVERYBODY, Caller
from unlost.api.calls.submitting.backlog import Backlog
from unlost.api.calls.submitting.disk_space import DiskSpace
from unlost.api.calls.submitting.pace import Pace
from unlost.api.calls.submitting.timeouts import Timeouts
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.ledger.protocol import Awaiting, Ledger, Prompt
from unlost.ledger.values import Submitted, Verdict
from unlost.schedule.schedule import MARK, owner
from unlost.task import Submission
from unlost.tracing import OFF, Tracing

MOST_UNDER_WAY: Final = 20_000


class Intake:
    """Stores submissions; shared by single calls and batches, which see before that `timeouts`,
    `pace` and `backlog` let them."""

    def __init__(
        self,
        ledger: Ledger,
        pace: Pace,
        backlog: Backlog,
        timeouts: Timeouts,
        most: int = MOST_UNDER_WAY,
        tracing: Tracing = OFF,
        min_free: float = 0,
    ) -> None:
        self._ledger = ledger
        self.pace = pace
        self.backlog = backlog
        self.timeouts = timeouts
        self._disk = DiskSpace(ledger, min_free)
        self._tracing = tracing
        self._room = most
        self._prompt = (
            ledger
            if isinstance(ledger, Prompt) and tracing is OFF and not backlog.bounded
            else None
        )

    def begin(self, new: Submission, caller: Caller, awaiting: Awaiting) -> bool:
        """Have one stored that `awaiting` hears of, if nothing before that may have to wait;
        whether that is so.  Then `ended` is to be called once it has heard.

        Raises LedgerUnavailable.
        """
        if self._prompt is None or self._room < 1 or new.timeout is not None or owner(new.task_id):
            return False
        self._disk.check()
        self._prompt.submit_for(_signed([new], caller), awaiting)
        self._room -= 1
        return True

    def ended(self) -> None:
        """What was begun has ended."""
        self._room += 1

    async def store(
        self, submissions: Sequence[Submission], caller: Caller = EVERYBODY
    ) -> list[Submitted]:
        """What became of each, which the caller submits, once they are durable.

        One with an id that a schedule gives to its own tasks is a conflict, unless it is there.

        Raises Unavailable, with nothing stored, while too many others are under way, and
        LedgerUnfit while the ledger's disk has less than `min_free` MiB.
        """
        self._disk.check()
        if len(submissions) > self._room:
            raise Unavailable("too many tasks are being submitted at once", headers=RETRY_AFTER)
        self._room -= len(submissions)
        try:
            marked = [new.task_id for new in submissions if MARK in new.task_id]  # hardly ever
            owned = {task_id: name for task_id in marked if (name := owner(task_id))}
            if owned:
                return await self._store_some(submissions, owned, caller)
            return await self._store(submissions, caller)
        finally:
            self._room += len(submissions)

    async def _store(self, submissions: Sequence[Submission], caller: Caller) -> list[Submitted]:
        answers = await self._ledger.submit(self._tracing.carry(_signed(submissions, caller)))
        self._tracing.stored(answers)
        return answers

    async def _store_some(
        self, submissions: Sequence[Submission], owned: Mapping[str, str], caller: Caller
    ) -> list[Submitted]:
        """Store those whose ids, by their form, are of no schedule that is there, and answer the
        others by what is."""
        there = [name for name in set(owned.values()) if (await self._ledger.schedule(name))[1]]
        kept = [new for new in submissions if owned.get(new.task_id) not in there]
        refused = [new for new in submissions if owned.get(new.task_id) in there]
        stored = iter(await self._store(kept, caller) if kept else [])
        found = iter(await self._ledger.compare(refused) if refused else [])
        return [
            Submitted(next(found) or Verdict.CONFLICT)
            if owned.get(new.task_id) in there
            else next(stored)
            for new in submissions
        ]


@lru_cache(maxsize=1_000)
def _plain(name: str) -> str | None:
    """What a task carries that brings nothing but the name of its key."""
    return carried.by(None, name)


def _signed(submissions: Sequence[Submission], caller: Caller) -> Sequence[Submission]:
    """The submissions, each with the name of the key that they come by."""
    name = caller.name
    if name is None:
        return submissions
    plain = _plain(name)
    return [
        replace(new, carried=plain if new.carried is None else carried.by(new.carried, name))
        for new in submissions
    ]
