"""A task as the memory ledger keeps it, and what is read from it.  Pure but for `Kept` itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from unlost.control import Run
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import (
    Claimed,
    Entry,
    Group,
    Held,
    Order,
    Page,
    Part,
    Query,
    Report,
    Running,
    Selection,
    Transition,
)
from unlost.policy import Limits
from unlost.task import SECOND, Attempt, Micros, Outcome, Record, State, Submission, TaskError

UNKNOWN = TaskError("Unknown", "the attempt gave no error", None, "0" * 16)


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
        self, outcome: Outcome, now: Micros, error: TaskError | None, retry_at: Micros | None
    ) -> None:
        """End the running attempt; its token is worth nothing from now on.

        A released attempt costs nothing, and leaves open whether the next one runs alone.
        """
        self.token = self.worker = None
        count = self.record.attempt_count
        if outcome is Outcome.RELEASED:
            self.spent, count = self.spent - 1, count - 1
        else:
            self.alone = outcome is Outcome.LOST
        *past, last = self.record.attempts
        ended = Attempt(
            last.number, last.started_at, max(now, last.started_at), outcome, error, retry_at
        )
        self.record = replace(
            self.record,
            attempts=(*past, ended),
            attempt_count=count,
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


def claimed(kept: Kept, due_at: Micros) -> Claimed:
    """What a worker needs to run the attempt that was just recorded."""
    record = kept.record
    attempt = record.attempts[-1]
    return Claimed(
        record.task_id, kept.token or "", record.type, record.payload or "", attempt.number,
        kept.spent, record.max_retries or 0, record.timeout or 0.0, kept.deadline,
        record.redrive_count, record.submitted_at, attempt.started_at, due_at,
        record.carried,
    )  # fmt: skip


def held(kept: Kept, now: Micros) -> Held:
    """A running attempt, seen from outside."""
    record = kept.record
    return Held(
        record.task_id, kept.token or "", kept.worker or "", kept.spent,
        record.max_retries or 0, record.timeout or 0.0, kept.deadline - now, record.type,
        record.carried,
    )  # fmt: skip


def run(kept: Kept) -> Run:
    """What a running attempt takes room of."""
    task = kept.record
    return Run(task.type, task.key, task.attempts[-1].started_at)


def running(kept: Kept) -> Running:
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


def transition(kept: Kept) -> Transition:
    """The change of state that has just happened."""
    task = kept.record
    return Transition(task.task_id, task.type, task.state, len(task.attempts), task.updated_at)


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


def entry(kept: Kept, *, claimable: bool) -> Entry:
    """The task with the ledger's marks."""
    return Entry(
        kept.position,
        view(kept.record, (Part.ATTEMPTS, Part.HISTORY)),
        kept.token,
        kept.worker,
        kept.spent,
        kept.dead_letter.fingerprint if kept.dead_letter else None,
        claimable,
    )


def key(order: Order, kept: Kept) -> tuple[Micros, int]:
    """Where a task stands in a list; positions break ties."""
    at = kept.record.submitted_at if order is Order.SUBMITTED else kept.died_at
    return at, kept.position


def page(tasks: Iterable[Kept], query: Query) -> Page:
    """One page of a list.  The cursor is the key at which the page before ended."""
    before = None if query.cursor is None else _parse(query.order, query.cursor)
    found = sorted(
        (
            kept
            for kept in tasks
            if _matches(query, kept) and (before is None or key(query.order, kept) < before)
        ),
        key=lambda kept: key(query.order, kept),
        reverse=True,
    )
    shown = found[: query.limit]
    at_end = len(found) <= query.limit
    cursor = None if at_end else "{}-{}-{}".format(query.order, *key(query.order, shown[-1]))
    return Page([view(kept.record, query.parts) for kept in shown], cursor)


def _parse(order: Order, cursor: str) -> tuple[Micros, int]:
    parts = re.fullmatch(rf"{order}-(\d{{1,20}})-(\d{{1,20}})", cursor, re.ASCII)
    if parts is None:
        raise BadCursor(cursor)
    return int(parts[1]), int(parts[2])


def _matches(query: Query, kept: Kept) -> bool:
    record = kept.record
    return (
        (query.order is Order.SUBMITTED or kept.dead_letter is not None)
        and query.state in (None, record.state)
        and query.type in (None, record.type)
        and record.task_id.startswith(query.id_prefix)
        and (query.since is None or query.since <= record.submitted_at)
        and (query.until is None or record.submitted_at < query.until)
        and (query.error is None or query.error in _names(kept))
    )


def _names(kept: Kept) -> tuple[str, ...]:
    error = kept.dead_letter
    return () if error is None else (error.fingerprint, error.type)


def selected(selection: Selection, kept: Kept) -> bool:
    """Whether a bulk redrive means this dead letter."""
    return (
        (selection.task_ids is None or kept.record.task_id in selection.task_ids)
        and (selection.fingerprint is None or selection.fingerprint in _names(kept)[:1])
        and selection.type in (None, kept.record.type)
    )


def purgeable(record: Record, before: Micros) -> bool:
    """Whether age may take payload, result and attempts."""
    return (
        record.state in (State.SUCCEEDED, State.CANCELLED)
        and record.purged_at is None
        and record.updated_at < before
    )


def groups(dead_letters: Iterable[Kept]) -> list[Group]:
    """Dead letters (oldest first) counted by fingerprint, most first."""
    found: dict[str, Group] = {}
    for kept in dead_letters:
        error, at = kept.dead_letter, kept.died_at
        if error is not None:
            alike = found.get(error.fingerprint)
            group = alike or Group(error.fingerprint, error.type, error.message, 0, at, at)
            found[error.fingerprint] = replace(group, count=group.count + 1, last_at=at)
    return sorted(found.values(), key=lambda group: (-group.count, group.fingerprint))
