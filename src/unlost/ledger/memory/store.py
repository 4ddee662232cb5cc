"""All that the memory ledger keeps, and the one way in which a task changes."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from msgspec.structs import replace

from unlost.access.keys import Key
from unlost.effects import SECRET
from unlost.ledger.local_hints import LocalHints
from unlost.ledger.memory.kept.controls import KeptControls
from unlost.ledger.memory.kept.redrive import KeptRedrive
from unlost.ledger.memory.kept.task import Kept, accepted, report, shown, transition
from unlost.ledger.protocol import Refused, UnknownTask
from unlost.ledger.values import MOST_SHOWN, Enlisted, Report, Submitted, Verdict, Worker
from unlost.ledger.waking import named
from unlost.limits.control import NAMED_FOR
from unlost.schedule.schedule import Schedule, Tick
from unlost.task import TERMINAL, TRANSITIONS, Act, Event, Micros, State, Submission, TaskError
from unlost.telemetry.measures import NOTHING, Measures


class Store:
    """What is kept, for the parts of the ledger in the other files."""

    def __init__(self, clock: Callable[[], Micros], secret: bytes | None = None) -> None:
        self._now = clock
        self._secret = token_bytes(SECRET) if secret is None else secret
        self._tasks: dict[str, Kept] = {}  # by id, in the order of their positions
        self._waiting: dict[str, Kept] = {}  # by id: all that a claim can find
        self._running: dict[str, Kept] = {}  # by token
        self._reports: dict[int, tuple[Report, Micros]] = {}  # with the end of the lease
        self._states = dict.fromkeys(State, 0)
        self._accepted = self._settled = self._deaths = 0
        self._last_submit = 0
        self._workers: dict[str, tuple[Worker, Micros]] = {}  # with the end of the lease
        self._owners: dict[str, str] = {}  # of workers that claim by the API: their keys
        self._controls = KeptControls()
        self._keys: dict[str, Key] = {}  # by name
        self._schedules: dict[str, tuple[Schedule, tuple[Tick, ...]]] = {}  # by id
        self._redrives: dict[str, KeptRedrive] = {}  # by id
        self._measured = NOTHING  # by processes that have ended
        self._published: dict[str, tuple[Micros, Measures]] = {}  # by others: when, and what
        self._hints = LocalHints()

    def _submit(self, new: Submission, now: Micros) -> Submitted:
        if verdict := self._compare(new):
            return Submitted(verdict)
        self._accepted += 1
        self._last_submit = max(self._last_submit, now)
        due_at = now + new.delay if new.run_at is None else new.run_at
        kept = accepted(new, self._accepted, self._last_submit, due_at)
        self._tasks[new.task_id] = kept
        self._entered(kept)
        return Submitted(Verdict.ACCEPTED, self._last_submit, due_at)

    def _compare(self, new: Submission) -> Verdict | None:
        """What a submission is whose id is there already; None for one that is new."""
        known = self._tasks.get(new.task_id)
        if known is None:
            return None
        return Verdict.REPLAYED if known.record.digest == new.digest else Verdict.CONFLICT

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
            self._hints.wake(named([task.type]))
        self._hints.publish(transition(kept))

    def _find(self, task_id: str) -> Kept:
        if task_id not in self._tasks:
            raise UnknownTask(task_id)
        return self._tasks[task_id]

    def _bury(self, kept: Kept, error: TaskError, now: Micros) -> None:
        """Enter a dead letter, and a report of the death as it is now."""
        kept.died_at, kept.dead_letter = now, error
        self._report(report(kept, self._deaths + 1, error))

    def _report(self, new: Report) -> None:
        self._deaths = new.id
        self._reports[new.id] = (new, 0)

    def _act(self, kept: Kept, act: Act, due_at: Micros | None = None, **new: Any) -> None:
        """A step that a person takes; it stays in the history.  Raises Refused."""
        self._move(kept, act.event, act.at, due_at, history=(*kept.record.history, act), **new)
        kept.dead_letter = None

    def _named_lately(self, worker: str) -> bool:
        """Whether the types count that it has named: it claims by the API."""
        known, until = self._workers.get(worker, (None, 0))
        return known is not None and known.pull and until > self._now() - NAMED_FOR

    def _named(self) -> set[str]:
        """The types that count as named."""
        names = filter(self._named_lately, self._workers)
        return {one for name in names for one in self._workers[name][0].types or ()}

    def _alive(self, worker: str | None) -> bool:
        return worker in self._workers and self._workers[worker][1] > self._now()

    def _run_by(self, worker: str) -> list[Kept]:
        return [kept for kept in self._running.values() if kept.worker == worker]

    def _living(self) -> list[Enlisted]:
        """The workers whose leases hold."""
        return [self._enlisted(name) for name in sorted(self._workers) if self._alive(name)]

    def _enlisted(self, name: str) -> Enlisted:
        worker, until = self._workers[name]
        running = [shown(kept) for kept in self._run_by(name)]
        running.sort(key=lambda one: (one.started_at, one.task_id))
        return Enlisted(worker, until, tuple(running[:MOST_SHOWN]), len(running))

    def _freed(self, kept: Kept) -> None:
        """An attempt leaves room, for which a task may wait that is due."""
        if kept.record.type in self._controls:
            self._hints.wake()
