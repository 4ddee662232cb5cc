"""What goes over the wire between a worker and a service, and what it stands for.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from unlost import carried
from unlost.carried import Carried, Scheduled
from unlost.effects import Effects, Step
from unlost.ledger.values import Claimed, Settlement
from unlost.policy import Limits, cut
from unlost.task import SECOND, Event, Micros, Outcome, State, Submission, TaskError
from unlost.times import rfc3339

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)

LONGEST_ERROR_TYPE: Final = 200


class Options(msgspec.Struct, frozen=True, rename="camel"):
    """A handler's own limits."""

    max_retries: int | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """A claim; sent again with the same `claim`, it gives the same attempts."""

    claim: str
    worker: str
    types: tuple[str, ...]
    options: dict[str, Options]
    limit: int
    lease_seconds: float
    wait: float


class StandingStep(msgspec.Struct, frozen=True):
    """A name that the task's steps have: what was made has a `result`, or is not `kept`."""

    name: str
    result: Raw | UnsetType = UNSET
    kept: bool = True
    forgotten: int = 0

    @property
    def step(self) -> Step | None:
        """The step, if one stands under this name: another attempt made it."""
        if not self.kept:
            return Step(self.name, 0, 0, kept=False)
        return None if self.result is UNSET else Step(self.name, 0, 0, result=text(self.result))


class Attempt(msgspec.Struct, frozen=True, rename="camel"):
    """An attempt that a claim gave."""

    token: str
    task_id: str
    type: str
    payload: Raw
    number: int
    attempt: int
    max_retries: int
    redrive_count: int
    submitted_at: datetime
    timeout_seconds: float
    effect_key: str
    alone: bool = False
    steps: tuple[StandingStep, ...] = ()
    scheduled_for: datetime | None = None


class Attempts(msgspec.Struct, frozen=True):
    attempts: tuple[Attempt, ...]


class Extension(msgspec.Struct, frozen=True, rename="camel"):
    lease_seconds: float
    tokens: tuple[str, ...]


class Gone(msgspec.Struct, frozen=True):
    token: str


class AllGone(msgspec.Struct, frozen=True):
    gone: tuple[Gone, ...]


class MadeStep(msgspec.Struct, frozen=True):
    token: str
    name: str
    result: Raw


class Kept(msgspec.Struct, frozen=True):
    kept: bool


class FollowUp(msgspec.Struct, frozen=True, rename="camel"):
    """A task that follows, as a submit asks for it."""

    task_id: str
    payload: Raw
    type: str
    priority: int
    delay_seconds: float | UnsetType = UNSET
    run_at: str | UnsetType = UNSET
    max_retries: int | UnsetType = UNSET
    timeout_seconds: float | UnsetType = UNSET
    key: str | UnsetType = UNSET
    callback_url: str | UnsetType = UNSET


class End(msgspec.Struct, frozen=True, rename="camel"):
    """How an attempt ended."""

    token: str
    outcome: Literal["succeeded", "failed", "released"]
    result: Raw | UnsetType = UNSET
    submit: tuple[FollowUp, ...] | UnsetType = UNSET
    error: TaskErrorSaid | UnsetType = UNSET
    retry_after_seconds: float | UnsetType = UNSET
    excused: bool | UnsetType = UNSET
    reject: bool | UnsetType = UNSET


class TaskErrorSaid(msgspec.Struct, frozen=True):
    type: str
    message: str
    traceback: str | UnsetType = UNSET


class Result(msgspec.Struct, frozen=True):
    """What became of an end."""

    status: int
    state: State | None = None
    detail: str = ""


class Results(msgspec.Struct, frozen=True):
    results: tuple[Result, ...]


def options(types: Mapping[str, Limits]) -> dict[str, Options]:
    """The handlers' own limits, of those that have any."""
    return {
        name: Options(
            UNSET if own.max_retries is None else own.max_retries,
            UNSET if own.timeout is None else own.timeout,
        )
        for name, own in types.items()
        if own != Limits()
    }


def claimed(one: Attempt, now: Micros) -> Claimed:
    """The attempt for its handler; `now` is this machine's time."""
    forgotten = {step.name: step.forgotten for step in one.steps if step.forgotten}
    return Claimed(
        task_id=one.task_id,
        token=one.token,
        type=one.type,
        payload=text(one.payload),
        number=one.number,
        spent=one.attempt,
        max_retries=one.max_retries,
        timeout=one.timeout_seconds,
        deadline=now + round(one.timeout_seconds * SECOND),
        redrive_count=one.redrive_count,
        submitted_at=_micros(one.submitted_at),
        started_at=now,
        due_at=None,
        carried=_carried(one.scheduled_for),
        effects=Effects(forgotten, one.effect_key),
    )


def _micros(time: datetime) -> Micros:
    return (time - _EPOCH) // _MICRO


def _carried(scheduled_for: datetime | None) -> str | None:
    """What the task carries, as far as its handler is told; which schedule it was, nobody is."""
    if scheduled_for is None:
        return None
    return carried.write(Carried(schedule=Scheduled("", _micros(scheduled_for))))


def end(done: Settlement) -> End:
    """What a service is told of an attempt's end; the rest is for it to decide."""
    if done.outcome is Outcome.SUCCEEDED:
        result = UNSET if done.result is None else Raw(done.result.encode())
        submit = tuple(_follow_up(one.submission) for one in done.submit)
        return End(done.token, "succeeded", result, submit or UNSET)
    after = done.wait / SECOND if done.wait else UNSET
    if done.outcome is Outcome.RELEASED:
        return End(done.token, "released", retry_after_seconds=after)
    return End(
        done.token,
        "failed",
        error=UNSET if done.error is None else _said(done.error),
        retry_after_seconds=UNSET if done.event is Event.DIE else after,
        excused=done.excused or UNSET,
        reject=done.event is Event.DIE or UNSET,
    )


def _said(error: TaskError) -> TaskErrorSaid:
    kind = error.type[:LONGEST_ERROR_TYPE] or "Error"
    return TaskErrorSaid(kind, error.message, error.traceback or UNSET)


def refused(token: str, why: str) -> End:
    """The end of an attempt whose success the service does not take: it would not take it from
    another attempt either, and the work is done."""
    error = TaskErrorSaid("SettlementRefused", cut(why, 1_000))
    return End(token, "failed", error=error, reject=True)


def _follow_up(new: Submission) -> FollowUp:
    return FollowUp(
        task_id=new.task_id,
        payload=Raw(new.payload.encode()),
        type=new.type,
        priority=new.priority,
        delay_seconds=new.delay / SECOND if new.delay else UNSET,
        run_at=UNSET if new.run_at is None else rfc3339(new.run_at),
        max_retries=UNSET if new.max_retries is None else new.max_retries,
        timeout_seconds=UNSET if new.timeout is None else new.timeout,
        key=UNSET if new.key is None else new.key,
        callback_url=carried.read(new.carried).callback_url or UNSET,
    )


def text(raw: Raw) -> str:
    """JSON as it was sent."""
    return bytes(raw).decode()
