"""Tasks in memory: how they come in and change, and all that is counted as they do."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from unlost.ledger import copying
from unlost.ledger import kept as read
from unlost.ledger.kept import Kept
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.protocol import Refused, UnknownTask
from unlost.ledger.values import Copy, Order, Report, Submitted, Verdict
from unlost.task import TERMINAL, TRANSITIONS, Event, Micros, State, Submission, TaskError


class KeptTasks:
    """What the memory ledger keeps of tasks, and its counters."""

    def __init__(self) -> None:
        self._tasks: dict[str, Kept] = {}  # by id, in the order of their positions
        self._waiting: dict[str, Kept] = {}  # by id: all that a claim can find
        self._running: dict[str, Kept] = {}  # by token
        self._reports: dict[int, tuple[Report, Micros]] = {}  # with the end of the lease
        self._states = dict.fromkeys(State, 0)
        self._accepted = self._settled = self._deaths = 0
        self._last_submit = 0
        self._hints = LocalHints()

    def _submit(self, new: Submission, now: Micros) -> Submitted:
        if known := self._tasks.get(new.task_id):
            same = known.record.digest == new.digest
            return Submitted(Verdict.REPLAYED if same else Verdict.CONFLICT)
        self._accepted += 1
        self._last_submit = max(self._last_submit, now)
        due_at = now + new.delay if new.run_at is None else new.run_at
        kept = read.accepted(new, self._accepted, self._last_submit, due_at)
        self._tasks[new.task_id] = kept
        self._entered(kept)
        return Submitted(Verdict.ACCEPTED, self._last_submit, due_at)

    def _restore(self, copy: Copy) -> Verdict:
        task = copy.record
        if known := self._tasks.get(task.task_id):
            return Verdict.REPLAYED if known.record.digest == task.digest else Verdict.CONFLICT
        self._accepted += 1
        self._settled += task.state in TERMINAL
        self._last_submit = max(self._last_submit, task.submitted_at)
        kept = self._tasks[task.task_id] = copying.restored(copy, self._accepted)
        if kept.token is not None:
            self._running[kept.token] = kept
        for death in copy.unreported:
            self._report(copying.report(task, death, self._deaths + 1))
        self._entered(kept)
        return Verdict.ACCEPTED

    def _move(
        self, kept: Kept, event: Event, now: Micros, due_at: Micros | None = None, **new: Any
    ) -> None:
        """The only way from one state to another, and all that is counted.  Raises Refused."""
        before = kept.record.state
        after = TRANSITIONS.get((before, event))
        if after is None:
            raise Refused(before)
        self._states[before] -= 1
        self._settled += after in TERMINAL
        kept.record = replace(kept.record, state=after, due_at=due_at, updated_at=now, **new)
        self._entered(kept)

    def _entered(self, kept: Kept) -> None:
        """What follows from the state that a task is in now."""
        task = kept.record
        self._states[task.state] += 1
        if task.due_at is None:
            self._waiting.pop(task.task_id, None)
        else:
            self._waiting[task.task_id] = kept
            self._hints.wake()
        self._hints.publish(read.transition(kept))

    def _find(self, task_id: str) -> Kept:
        if task_id not in self._tasks:
            raise UnknownTask(task_id)
        return self._tasks[task_id]

    def _bury(self, kept: Kept, error: TaskError, now: Micros) -> None:
        """Enter a dead letter, and a report of the death as it is now."""
        kept.died_at, kept.dead_letter = now, error
        self._report(read.report(kept, self._deaths + 1, error))

    def _report(self, report: Report) -> None:
        self._deaths = report.id
        self._reports[report.id] = (report, 0)

    def _dead_letters(self) -> list[Kept]:
        """Oldest death first."""
        dead = [kept for kept in self._tasks.values() if kept.dead_letter]
        return sorted(dead, key=lambda kept: read.key(Order.DIED, kept))
