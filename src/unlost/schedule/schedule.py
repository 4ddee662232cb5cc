"""A schedule: what is to be submitted and when, how far it has come, and each step that it takes.

Values only.  Every due time is counted once, as made or as skipped with its reason, in the step
that moves the next time on.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec.structs import replace

from unlost import carried
from unlost.carried import Carried, Scheduled
from unlost.task import SECOND, Micros, Submission
from unlost.times import rfc3339

MOST: Final = 10_000
"""Schedules that a ledger keeps."""

KEPT_TICKS: Final = 1_000
"""Of a schedule's ticks, the newest that are kept one by one; the counts are of all."""

MAX_ID: Final = 200
ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,200}")

MAX_GRACE: Final = 31_536_000
"""Seconds."""

MARK: Final = "@"
"""In each id that a schedule gives to its tasks."""

_OWN = re.compile(
    rf"({ID.pattern}){MARK}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:]{{8}}(?:\.[0-9]{{3}})?Z(?:![0-9a-z]+)?"
)


class Missed(StrEnum):
    """What is made of the times that nobody was there for."""

    LAST = "last"
    SKIP = "skip"
    ALL = "all"


class Overlap(StrEnum):
    """Whether a time comes to a task while an earlier one's has not ended."""

    ALLOW = "allow"
    SKIP = "skip"


class Reason(StrEnum):
    """Why a time came to no task."""

    MISSED = "missed"
    """It was late by more than the grace, and `missed` is `skip`."""

    SUPERSEDED = "superseded"
    """The same, and `last` made one for a newer time, or `all` for a thousand newer ones."""

    OVERLAP = "overlap"
    PAUSED = "paused"
    """It was due when the schedule was paused, and nobody had looked yet."""

    CHANGED = "changed"
    """The same of a change of its times."""

    MADE = "made_before"
    """Its task is there: a schedule of this id, deleted since, made it."""


class Plan(msgspec.Struct, frozen=True):
    """What a schedule submits, and when, as it was set.

    Either `cron` or `every` (seconds) is given.  `digest` is of the payload and the options, as
    any submit's.  `set_by` names the key by which it was set.
    """

    type: str
    payload: str
    digest: bytes
    cron: str | None = None
    every: int | None = None
    timezone: str = "UTC"
    priority: int = 0
    max_retries: int | None = None
    timeout: float | None = None
    key: str | None = None
    callback_url: str | None = None
    missed: Missed = Missed.LAST
    grace: Micros = 60 * SECOND
    overlap: Overlap = Overlap.ALLOW
    set_by: str | None = None

    @property
    def times(self) -> tuple[str | None, int | None, str]:
        """What its times hang on."""
        return self.cron, self.every, self.timezone


class Tick(msgspec.Struct, frozen=True):
    """A time that was due: the task it came to, or why it came to none."""

    time: Micros
    task_id: str | None = None
    reason: Reason | None = None


class Schedule(msgspec.Struct, frozen=True):
    """A schedule as it stands.  `next` is None while it is paused, or has no time to come.

    `revision` is made of the one before and of all that a step leaves: so what was decided on one
    is not taken for a step of another, nor of a schedule that had this id before.
    `last` is the newest tick, `last_task` the newest task that a tick came to, `last_run` the
    newest that was asked for by hand.  `tzdata` is the version of the time-zone data by which
    `next` was found, and `offset` by how many seconds its clock is ahead of UTC then, by these
    (see `refinding`).
    """

    id: str
    plan: Plan
    created_at: Micros
    updated_at: Micros
    next: Micros | None
    tzdata: str
    revision: int = 0
    paused: bool = False
    last: Tick | None = None
    last_task: str | None = None
    last_run: str | None = None
    due: int = 0
    made: int = 0
    skipped: int = 0
    offset: int | None = None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The tasks that have to end before the next time may come to one."""
        if self.plan.overlap is Overlap.ALLOW:
            return ()
        return tuple(one for one in (self.last_task, self.last_run) if one is not None)


class Move(msgspec.Struct, frozen=True):
    """One step of a schedule, all or nothing: it is as `schedule` from now on.

    It holds only where the schedule has the revision `expected` (0: where there is none of this
    id), and where no task has the id of `task`, which is submitted with it.  `ticks` are the newest
    of those that this step counts.  `new_plan` says that what it submits is another: without it,
    the payload stays that is kept.
    """

    schedule: Schedule
    expected: int
    ticks: tuple[Tick, ...] = ()
    task: Submission | None = None
    new_plan: bool = False

    @property
    def numbered(self) -> list[tuple[int, Tick]]:
        """The ticks with their numbers; a schedule's first has 1."""
        return list(enumerate(self.ticks, self.schedule.due - len(self.ticks) + 1))


class Moved(StrEnum):
    """What became of a move."""

    DONE = "done"
    STALE = "stale"
    """Another step came before it, or the schedule is gone."""

    TAKEN = "taken"
    """A task has the id already."""

    FULL = "full"
    """There are `MOST` schedules already."""


class Due(msgspec.Struct, frozen=True):
    """Schedules that are due at `now`, the ledger's time, those that are due first before others.

    `next` is when the first of the others is due, which may be past; None where there is none.
    """

    now: Micros
    schedules: list[Schedule]
    next: Micros | None

    @property
    def late(self) -> float:
        """For how many seconds the first of the others has been due."""
        return 0.0 if self.next is None else max(0, self.now - self.next) / SECOND


def stepped(schedule: Schedule, **new: object) -> Schedule:
    """The schedule after one more step."""
    after = replace(schedule, **new)
    bare = replace(after, plan=replace(after.plan, payload=""))  # its digest is there
    mark = blake2b(msgspec.json.encode(bare), digest_size=8).digest()
    return replace(after, revision=1 + (int.from_bytes(mark) >> 2))


def tick_id(schedule_id: str, time: Micros, turn: int = 1) -> str:
    """The id of a tick's task; of the next choice where others have taken those before."""
    suffix = "" if turn == 1 else f"!{turn}"
    return f"{schedule_id}@{rfc3339(time)[:19]}Z{suffix}"


def run_id(schedule_id: str, time: Micros) -> str:
    """The id of a task that is asked for by hand."""
    return f"{schedule_id}@{rfc3339(time)[:23]}Z!run"


def owner(task_id: str) -> str | None:
    """The schedule whose tasks have ids like this one."""
    if MARK not in task_id:  # nearly all
        return None
    match = _OWN.fullmatch(task_id)
    return match and match[1]


def task(
    schedule: Schedule,
    task_id: str,
    time: Micros,
    *,
    by_hand: bool = False,
    submitted_by: str | None = None,
) -> Submission:
    """What the schedule submits for a time."""
    plan = schedule.plan
    text = carried.write(
        Carried(
            plan.callback_url,
            submitted_by=submitted_by,
            schedule=Scheduled(schedule.id, time, by_hand),
        )
    )
    return Submission(
        task_id, plan.payload, plan.digest, plan.type, plan.priority,
        max_retries=plan.max_retries, timeout=plan.timeout, key=plan.key, carried=text,
    )  # fmt: skip
