"""A task as the memory ledger keeps it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from msgspec.structs import replace

from unlost.effects import Effect, Effects, Step
from unlost.ledger.values import Order, Part, Report, Running, Transition
from unlost.limits.control import Run
from unlost.policy import Limits
from unlost.task import SECOND, Attempt, Micros, Outcome, Record, State, Submission, TaskError


@dataclass(slots=True)
class Kept:
    """A task's record with everything in it, and the ledger's own marks beside it.

    `submitted` are the limits as submitted; those in the record are what the last claim found.
    `alone` says that the last attempt was lost.  `dead_letter` is the error under which the task
    stands among the dead letters, from `died_at` on.
    """

    position: int
    submitted: Limits
    record: Record
    spent: int = 0
    alone: bool = False
    token: str | None = None
    worker: str | None = None
    deadline: Micros = 0
    died_at: Micros = 0
    dead_letter: TaskError | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    effects: Effects | None = None
    declared: dict[tuple[int, int], Effect] = field(default_factory=dict)
    brought: int | None = None

    @property
    def listed_steps(self) -> tuple[Step, ...]:
        """By time, then by name."""
        return tuple(sorted(self.steps.values(), key=lambda step: (step.at, step.name)))

    @property
    def listed_effects(self) -> tuple[Effect, ...]:
        """What handlers declared, by attempt and turn."""
        return tuple(self.declared[place] for place in sorted(self.declared))

    @property
    def due_at(self) -> Micros:
        return self.record.due_at or 0

    @property
    def turn(self) -> tuple[int, Micros, int]:
        """The order in which claims take tasks."""
        return -self.record.priority, self.due_at, self.position

    def start(self, token: str, worker: str, limits: Limits, now: Micros) -> None:
        """Record an attempt, counted before it runs."""
        if limits.max_retries is None or limits.timeout is None:
            raise ValueError("the claim's defaults leave a limit open")
        past = self.record.attempts
        self.spent += 1
        self.token, self.worker = token, worker
        self.deadline = now + round(limits.timeout * SECOND)
        self.record = replace(
            self.record,
            max_retries=limits.max_retries,
            timeout=limits.timeout,
            attempts=(*past, Attempt(len(past) + 1, now)),
            attempt_count=self.record.attempt_count + 1,
        )

    def stop(
        self,
        outcome: Outcome,
        now: Micros,
        error: TaskError | None,
        retry_at: Micros | None,
        *,
        excused: bool = False,
    ) -> None:
        """End the running attempt; its token is worth nothing from now on.

        A released attempt costs nothing, and leaves open whether the next one runs alone; an
        excused one is counted, and spends nothing.
        """
        self.token = self.worker = None
        released = outcome is Outcome.RELEASED
        self.spent -= released or excused
        if not released:
            self.alone = outcome is Outcome.LOST
        *past, last = self.record.attempts
        finished_at = max(now, last.started_at)
        ended = Attempt(
            last.number, last.started_at, finished_at, outcome, error, retry_at, excused
        )
        self.record = replace(
            self.record,
            attempts=(*past, ended),
            attempt_count=self.record.attempt_count - released,
            excused_count=self.record.excused_count + excused,
            error=error or self.record.error,
        )


def accepted(new: Submission, position: int, submitted_at: Micros, due_at: Micros) -> Kept:
    """A task as it is when it was just submitted."""
    record = Record(
        new.task_id, new.type, State.QUEUED, new.priority, new.digest, submitted_at, submitted_at,
        due_at, new.max_retries, new.timeout, 0, 0, payload=new.payload, key=new.key,
        carried=new.carried,
    )  # fmt: skip
    return Kept(position, Limits(new.max_retries, new.timeout), record)


def transition(kept: Kept) -> Transition:
    """The change of state that has just happened."""
    task = kept.record
    return Transition(task.task_id, task.type, task.state, len(task.attempts), task.updated_at)


def running(kept: Kept) -> Run:
    """What a running attempt takes room of."""
    task = kept.record
    return Run(task.type, task.key, task.attempts[-1].started_at)


def shown(kept: Kept) -> Running:
    """A running attempt, as it is shown."""
    task = kept.record
    last = task.attempts[-1]
    return Running(task.task_id, task.type, last.number, last.started_at)


def report(kept: Kept, report_id: int, error: TaskError) -> Report:
    """A death as it is at this moment."""
    record = kept.record
    return Report(
        report_id, record.task_id, record.type, record.payload or "", error,
        record.attempt_count, record.submitted_at, kept.died_at,
    )  # fmt: skip


def view(record: Record, parts: Collection[Part]) -> Record:
    """The record with no more than these parts."""
    error = record.error
    if error is not None and Part.ATTEMPTS not in parts:
        error = replace(error, traceback=None)
    return replace(
        record,
        error=error,
        payload=record.payload if Part.PAYLOAD in parts else None,
        result=record.result if Part.RESULT in parts else None,
        attempts=record.attempts if Part.ATTEMPTS in parts else (),
        history=record.history if Part.HISTORY in parts else (),
    )


def key(order: Order, kept: Kept) -> tuple[Micros, int]:
    """Where a task stands in a list; positions break ties."""
    at = kept.record.submitted_at if order is Order.SUBMITTED else kept.died_at
    return at, kept.position


def names(kept: Kept) -> tuple[str, ...]:
    """What a dead letter is found by: its fingerprint, its error's type."""
    error = kept.dead_letter
    return () if error is None else (error.fingerprint, error.type)
