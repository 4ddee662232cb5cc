"""What a service answers, as values.  Times are in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from unlost.task import TERMINAL, State


class ErrorInfo(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    type: str
    message: str
    traceback: str | None = None


class AttemptInfo(msgspec.Struct, frozen=True, rename="camel"):
    """One run of a handler.  `outcome` is None while it runs, else `succeeded`, `failed`,
    `timed_out`, `lost`, `released` or `cancelled`.  One that was `excused` spent no retry."""

    number: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    error: ErrorInfo | None = None
    next_attempt_at: datetime | None = None
    excused: bool = False


class ActInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What somebody did to a task: `cancel`, `redrive` or `discard`."""

    at: datetime
    event: str
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    redrive: str | None = None


class StepInfo(msgspec.Struct, frozen=True, rename="camel"):
    """An effect that an attempt has recorded.  `result` is what it returned, where it was asked
    for and is `kept`; `forgotten_at` is when a redrive forgot it, unless it was made again."""

    name: str
    attempt: int
    at: datetime
    forgotten_at: datetime | None = None
    kept: bool = True
    result: Any = None


class TickOf(msgspec.Struct, frozen=True):
    """The schedule that made a task, and for which of its times."""

    id: str
    time: datetime | None = None


class WhyInfo(msgspec.Struct, frozen=True, rename="camel"):
    """Why a task is not running now."""

    reason: str
    detail: str
    would_change: str
    until: datetime | None = None


class TaskInfo(msgspec.Struct, frozen=True, rename="camel"):
    """A task as the service knows it.  In lists, `payload`, `result`, `attempts` and `why` are
    there only where `include` names them.  `state` compares with its name: `state == "dead"`;
    `parent` is the task that this one follows from."""

    task_id: str
    type: str
    state: State
    submitted_at: datetime
    updated_at: datetime | None = None
    payload: dict[str, Any] | None = None
    result: Any = None
    error: ErrorInfo | None = None
    attempt_count: int = 0
    excused_count: int = 0
    max_retries: int = 0
    redrive_count: int = 0
    next_attempt_at: datetime | None = None
    purged_at: datetime | None = None
    attempts: tuple[AttemptInfo, ...] = ()
    history: tuple[ActInfo, ...] = ()
    key: str | None = None
    callback_url: str | None = None
    submitted_by: str | None = None
    parent: str | None = None
    schedule: TickOf | None = None
    steps: tuple[StepInfo, ...] = ()
    why: WhyInfo | None = None

    @property
    def ended(self) -> bool:
        """Whether it has come to an end: `succeeded`, `dead` or `cancelled`."""
        return self.state in TERMINAL


class SubmitResult(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one task of many: its status is the one that a single submit would have
    got.  `task_id` is None where the service could not tell."""

    task_id: str | None
    status: int
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the service has it, durably: now, or since an earlier submit."""
        return self.status in (200, 202)

    @property
    def replayed(self) -> bool:
        """Whether the service had it already."""
        return self.status == 200


class Rates(msgspec.Struct, frozen=True, rename="camel"):
    """Tasks a second over the last ten seconds."""

    submitted_per_second: float
    settled_per_second: float


class Stats(msgspec.Struct, frozen=True, rename="camel"):
    """The service's counters, in one snapshot.  `lost` is 0."""

    accepted: int
    outstanding: int
    lost: int
    states: dict[str, int]
    rates: Rates
    unhandled_types: tuple[str, ...] = ()


class TaskEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A transition of a task that has happened."""

    task_id: str
    type: str
    state: State
    attempt: int
    at: datetime


class Lagged(msgspec.Struct, frozen=True):
    """Here some events are missing: so many, or None where the stream had broken."""

    dropped: int | None = None


class RedriveInfo(msgspec.Struct, frozen=True, rename="camel"):
    """How a redrive stands: `state` is `canary`, `running`, `stopped` or `done`.

    `selected` = `redriven` + `gone` + `left`, and `redriven` = `succeeded` + `died_again` +
    `cancelled` + `under_way`; `selected` and `left` are None until they are counted.  `forget` are
    the steps that are made again.
    """

    id: str
    state: str
    redriven: int
    succeeded: int
    died_again: int
    cancelled: int
    gone: int
    under_way: int
    started_at: datetime
    updated_at: datetime
    selected: int | None = None
    left: int | None = None
    why: str | None = None
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    forget: tuple[str, ...] = ()


class TickInfo(msgspec.Struct, frozen=True, rename="camel"):
    """A time that was due: the task it came to, or the reason why it came to none."""

    time: datetime
    task_id: str | None = None
    reason: str | None = None


class WarningInfo(msgspec.Struct, frozen=True):
    """What a schedule says that is seldom meant."""

    kind: str
    detail: str


class ScheduleInfo(msgspec.Struct, frozen=True, rename="camel"):
    """A schedule and its next times.  `ticks` are there only where they were asked for."""

    id: str
    timezone: str
    type: str
    paused: bool
    next: tuple[datetime, ...]
    due: int
    made: int
    skipped: int
    created_at: datetime
    updated_at: datetime
    last: TickInfo | None = None
    cron: str | None = None
    every: int | None = None
    payload: dict[str, Any] | None = None
    priority: int = 0
    max_retries: int | None = None
    timeout_seconds: float | None = None
    key: str | None = None
    callback_url: str | None = None
    missed: str = "last"
    grace_seconds: float = 60
    overlap: str = "allow"
    submitted_by: str | None = None
    tzdata: str = ""
    warnings: tuple[WarningInfo, ...] = ()
    ticks: tuple[TickInfo, ...] = ()


class PauseInfo(msgspec.Struct, frozen=True):
    """Since when a type is paused, by whom and why."""

    at: datetime
    by: str | None = None
    reason: str | None = None


class BreakerInfo(msgspec.Struct, frozen=True, rename="camel"):
    """When a circuit opens, and how it closes again."""

    failure_share: float
    window_seconds: float
    minimum: int
    open_seconds: float
    probes: int
    excuse: bool = False


class TypeInfo(msgspec.Struct, frozen=True, rename="camel"):
    """What is set for a type of tasks, and the state of its circuit, if it has a breaker."""

    type: str
    pause: PauseInfo | None = None
    limit: int | None = None
    key_limit: int | None = None
    rate_per_second: float | None = None
    key_rate_per_second: float | None = None
    breaker: BreakerInfo | None = None
    circuit: str | None = None
    circuit_since: datetime | None = None
    opens_until: datetime | None = None
    pull: bool = False
