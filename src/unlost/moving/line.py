"""A task as a line of an export, there and back without loss.

Payload and result stand in the line as the texts that are stored, so that key order, big integers
and long decimals stay.  Times are microseconds since the epoch.  What a task does not have is left
out.  The order of members is fixed: the digest is made of these very bytes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from unlost.effects import MAX_FORGOTTEN, Effect, Effects, Step
from unlost.ledger.values import Copy, Death
from unlost.policy import Limits
from unlost.task import Act, Attempt, Event, Micros, Outcome, Record, State, TaskError

NOTHING = Raw(b"")


class ErrorLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    type: str
    message: str
    traceback: str | None = None
    fingerprint: str = ""


class AttemptLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    number: int
    started_at: Micros
    finished_at: Micros | None = None
    outcome: Outcome | None = None
    error: ErrorLine | None = None
    next_attempt_at: Micros | None = None
    excused: bool = False


class ActLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    at: Micros
    event: Event
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    call: str | None = None
    redrive: str | None = None


class DeathLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    died_at: Micros
    number: int
    attempt_count: int


class StepLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    name: str
    attempt: int
    at: Micros
    kept: bool = True
    result: Raw = NOTHING
    forgotten_at: Micros | None = None


class EffectLine(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    attempt: int
    turn: int
    name: str
    at: Micros


class TaskLine(
    msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True
):
    """A task with all that is kept of it (see `values.Copy`).  `own…` are the limits as submitted,
    the digest is in hexadecimal, `timeout` in seconds."""

    task_id: str
    type: str
    state: State
    priority: int
    digest: str
    submitted_at: Micros
    updated_at: Micros
    attempt_count: int
    redrive_count: int
    spent: int
    alone: bool
    due_at: Micros | None = None
    max_retries: int | None = None
    timeout: float | None = None
    own_max_retries: int | None = None
    own_timeout: float | None = None
    payload: Raw = NOTHING
    result: Raw = NOTHING
    error: ErrorLine | None = None
    attempts: tuple[AttemptLine, ...] = ()
    history: tuple[ActLine, ...] = ()
    purged_at: Micros | None = None
    died_at: Micros | None = None
    unreported: tuple[DeathLine, ...] = ()
    token: str | None = None
    worker: str | None = None
    deadline: Micros | None = None
    key: str | None = None
    carried: str | None = None
    excused_count: int = 0
    forgotten: Annotated[dict[str, int], Meta(max_length=MAX_FORGOTTEN)] = {}
    effect_key: str | None = None
    steps: tuple[StepLine, ...] = ()
    effects: tuple[EffectLine, ...] = ()
    brought: int | None = None


def line_of(copy: Copy) -> TaskLine:
    """The task as it is written."""
    task, effects = copy.record, copy.effects or Effects()
    return TaskLine(
        task_id=task.task_id,
        type=task.type,
        state=task.state,
        priority=task.priority,
        digest=task.digest.hex(),
        submitted_at=task.submitted_at,
        updated_at=task.updated_at,
        attempt_count=task.attempt_count,
        redrive_count=task.redrive_count,
        spent=copy.spent,
        alone=copy.alone,
        due_at=task.due_at,
        max_retries=task.max_retries,
        timeout=_seconds(task.timeout),
        own_max_retries=copy.own.max_retries,
        own_timeout=_seconds(copy.own.timeout),
        payload=_raw(task.payload),
        result=_raw(task.result),
        error=_error_line(task.error),
        attempts=tuple(map(_attempt_line, task.attempts)),
        history=tuple(
            ActLine(act.at, act.event, act.by, act.reason, act.api_key, act.call, act.redrive)
            for act in task.history
        ),
        purged_at=task.purged_at,
        died_at=copy.died_at,
        unreported=tuple(
            DeathLine(one.died_at, one.number, one.attempt_count) for one in copy.unreported
        ),
        token=copy.token,
        worker=copy.worker,
        deadline=copy.deadline,
        key=task.key,
        carried=task.carried,
        excused_count=task.excused_count,
        forgotten=effects.forgotten,
        effect_key=effects.key,
        steps=tuple(map(_step_line, copy.steps)),
        effects=tuple(EffectLine(one.attempt, one.turn, one.name, one.at) for one in copy.declared),
        brought=copy.brought,
    )


def copy_of(line: TaskLine) -> Copy:
    """The task as a ledger keeps it.  Raises ValueError for a digest that is not hexadecimal."""
    record = Record(
        task_id=line.task_id,
        type=line.type,
        state=line.state,
        priority=line.priority,
        digest=bytes.fromhex(line.digest),
        submitted_at=line.submitted_at,
        updated_at=line.updated_at,
        due_at=line.due_at,
        max_retries=line.max_retries,
        timeout=line.timeout,
        attempt_count=line.attempt_count,
        redrive_count=line.redrive_count,
        error=_error(line.error),
        purged_at=line.purged_at,
        payload=_text(line.payload),
        result=_text(line.result),
        attempts=tuple(map(_attempt, line.attempts)),
        history=tuple(
            Act(act.at, act.event, act.by, act.reason, act.api_key, act.call, act.redrive)
            for act in line.history
        ),
        key=line.key,
        carried=line.carried,
        excused_count=line.excused_count,
    )
    return Copy(
        record,
        own=Limits(line.own_max_retries, line.own_timeout),
        spent=line.spent,
        alone=line.alone,
        token=line.token,
        worker=line.worker,
        deadline=line.deadline,
        died_at=line.died_at,
        unreported=tuple(
            Death(one.died_at, one.number, one.attempt_count) for one in line.unreported
        ),
        effects=_effects(line),
        steps=tuple(map(_step, line.steps)),
        declared=tuple(Effect(one.attempt, one.turn, one.name, one.at) for one in line.effects),
        brought=line.brought,
    )


def _effects(line: TaskLine) -> Effects | None:
    effects = Effects(line.forgotten, line.effect_key)
    return None if effects == Effects() else effects


def _step_line(one: Step) -> StepLine:
    return StepLine(one.name, one.attempt, one.at, one.kept, _raw(one.result), one.forgotten_at)


def _step(line: StepLine) -> Step:
    return Step(line.name, line.attempt, line.at, line.kept, _text(line.result), line.forgotten_at)


def _seconds(value: float | None) -> float | None:
    """Always a float: some ledgers keep 5 for 5.0."""
    return None if value is None else float(value)


def _raw(text: str | None) -> Raw:
    return NOTHING if text is None else Raw(text.encode())


def _text(raw: Raw) -> str | None:
    return bytes(raw).decode() or None


def _error_line(error: TaskError | None) -> ErrorLine | None:
    if error is None:
        return None
    return ErrorLine(error.type, error.message, error.traceback, error.fingerprint)


def _error(line: ErrorLine | None) -> TaskError | None:
    if line is None:
        return None
    return TaskError(line.type, line.message, line.traceback, line.fingerprint)


def _attempt_line(one: Attempt) -> AttemptLine:
    return AttemptLine(
        one.number,
        one.started_at,
        one.finished_at,
        one.outcome,
        _error_line(one.error),
        one.next_attempt_at,
        one.excused,
    )


def _attempt(line: AttemptLine) -> Attempt:
    return Attempt(
        line.number,
        line.started_at,
        line.finished_at,
        line.outcome,
        _error(line.error),
        line.next_attempt_at,
        line.excused,
    )
