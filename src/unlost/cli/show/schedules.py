"""Schedules, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from unlost.cli.show.output import facts, title
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import counted, moment, one_line
from unlost.schedule.bounds import DEFAULT_ZONE
from unlost.schedule.zones import UnknownZone, zone

TICKS = 20
"""How many of the newest ticks are shown."""

COLUMNS = Columns(
    ("schedule", "times", "zone", "type", "next", "last", "made", "skipped"),
    whole="schedule",
    spare=("skipped", "made", "zone", "last", "type"),
)
TICK_COLUMNS = Columns(("time", "task", "skipped because"), whole="task")


class TickSeen(msgspec.Struct, rename="camel"):
    time: datetime
    task_id: str | None = None
    reason: str | None = None


class WarningSeen(msgspec.Struct):
    kind: str
    detail: str


class ScheduleSeen(msgspec.Struct, rename="camel"):
    """A schedule, or an item of a list; what is left out is empty."""

    id: str
    type: str
    timezone: str
    missed: str
    grace_seconds: float
    overlap: str
    paused: bool
    due: int
    made: int
    skipped: int
    tzdata: str
    updated_at: datetime
    next: list[datetime]
    cron: str = ""
    every: int | None = None
    last: TickSeen | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")
    warnings: list[WarningSeen] = []
    ticks: list[TickSeen] = []

    @property
    def times(self) -> str:
        """When it is due, in words."""
        return self.cron if self.every is None else f"every {self.every} s"


def print_schedules(schedules: Iterable[ScheduleSeen]) -> None:
    """Print a table, one schedule a row."""
    table(COLUMNS, map(_row, schedules))


def _row(one: ScheduleSeen) -> tuple[str, ...]:
    return (
        one.id,
        one.times,
        one.timezone,
        one.type,
        _next(one),
        _told(one),
        str(one.made),
        str(one.skipped),
    )


def print_schedule(one: ScheduleSeen) -> None:
    """Print all of one: its times, what it came to, and what to know of it."""
    facts(
        [
            ("schedule", one.id),
            ("times", f"{one.times} ({one.timezone}, tzdata {one.tzdata})"),
            ("type", one.type),
            ("payload", bytes(one.payload).decode()),
            ("missed", f"{one.missed}, after {one.grace_seconds:g} s"),
            ("overlap", one.overlap),
            ("next", _next(one)),
            ("then", ", ".join(_shown(one, at) for at in one.next[1:]) if not one.paused else ""),
            ("last", _told(one)),
            ("sums", f"{one.due} due = {one.made} made + {one.skipped} skipped"),
            *(("warning", warning.detail) for warning in one.warnings),
        ]
    )
    if one.ticks:
        title(f"The newest {counted(min(TICKS, len(one.ticks)), 'tick')}")
        rows = [
            (_shown(one, tick.time), tick.task_id or "", tick.reason or "") for tick in one.ticks
        ]
        table(TICK_COLUMNS, rows[:TICKS])


def tell(one: ScheduleSeen, *, warned: bool = False) -> None:
    """Print when it is due next, and with `warned` what to know of it."""
    print(one_line(f"{one.id}: {_next(one)}"))
    for warning in one.warnings if warned else ():
        print(one_line(f"{one.id}: {warning.detail}"))


def _next(one: ScheduleSeen) -> str:
    if one.paused:
        return "paused"
    return _shown(one, one.next[0]) if one.next else "no time to come"


def _told(one: ScheduleSeen) -> str:
    return "" if one.last is None else f"{_shown(one, one.last.time)} {one.last.reason or 'made'}"


def _shown(one: ScheduleSeen, at: datetime) -> str:
    """A time as the schedule's clock shows it; in UTC where that zone is not known here."""
    if one.timezone == DEFAULT_ZONE:
        return moment(at)
    try:
        return at.astimezone(zone(one.timezone)).isoformat(" ", "seconds")
    except UnknownZone:
        return moment(at)
