"""The way of new tasks into the ledger, with a bound on how many are under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from unlost.api.calls.submitting.backlog import Backlog
from unlost.api.calls.submitting.disk_space import DiskSpace
from unlost.api.calls.submitting.pace import Pace
from unlost.api.calls.submitting.timeouts import Timeouts
from unlost.api.problems import RETRY_AFTER, Unavailable
from unlost.ledger.protocol import Awaiting, Ledger, LedgerUnavailable, Prompt
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

    def begin(self, new: Submission, awaiting: Awaiting) -> bool:
        """Have one stored that `awaiting` hears of, if nothing before that may have to wait;
        whether that is so.  Then `ended` is to be called once it has heard.

        Raises LedgerUnavailable.
        """
        if self._prompt is None or self._room < 1 or new.timeout is not None or owner(new.task_id):
            return False
        self._disk.check()
        self._room -= 1
        try:
            self._prompt.submit_for([new], awaiting)
        except LedgerUnavailable:
            self._room += 1
            raise
        return True

    def ended(self) -> None:
        """What was begun has ended."""
        self._room += 1

    async def store(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """What became of each, once they are durable.

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
                return await self._store_some(submissions, owned)
            return await self._store(submissions)
        finally:
            self._room += len(submissions)

    async def _store(self, submissions: Sequence[Submission]) -> list[Submitted]:
        answers = await self._ledger.submit(self._tracing.carry(submissions))
        self._tracing.stored(answers)
        return answers

    async def _store_some(
        self, submissions: Sequence[Submission], owned: Mapping[str, str]
    ) -> list[Submitted]:
        """Store those whose ids, by their form, are of no schedule that is there, and answer the
        others by what is."""
        there = [name for name in set(owned.values()) if (await self._ledger.schedule(name))[1]]
        kept = [new for new in submissions if owned.get(new.task_id) not in there]
        refused = [new for new in submissions if owned.get(new.task_id) in there]
        stored = iter(await self._store(kept) if kept else [])
        found = iter(await self._ledger.compare(refused) if refused else [])
        return [
            Submitted(next(found) or Verdict.CONFLICT)
            if owned.get(new.task_id) in there
            else next(stored)
            for new in submissions
        ]
