"""A second way to the times of a cron expression: minute by minute in UTC, looking at the clock.

It shares no code with `unlost.schedule`: not the reading of an expression, not the library beneath,
not how changes of a clock are found.  Of the tz database it takes the same data.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

ZONES = {  # and the first of ten years that are looked at
    "Europe/Berlin": 2021,
    "America/New_York": 2021,
    "Australia/Lord_Howe": 2021,  # half an hour
    "Africa/Cairo": 2019,  # summer time again from 2023 on, at midnight
    "America/Santiago": 2021,  # at midnight, on the day before in winter
    "Asia/Beirut": 2021,
    "Africa/Casablanca": 2021,  # winter time in Ramadan
    "Pacific/Apia": 2009,  # no 30 December 2011
    "Asia/Kathmandu": 2021,  # 5:45 ahead
    "America/Vancouver": 2021,  # no winter time any more from 2026 on
}

EXPRESSIONS = [
    "30 2 * * *",
    "0 0 * * *",
    "15,45 1-3 * * *",
    "59 23 * * *",
    "7 0,12 * * *",
    "0 1-23/2 * * 0",
    "30 0 30,31 * *",
    "0 3 13 * 5",
    "45 * * * *",
    "*/20 * * * *",
    "*/10 2 * * *",
    "*/30 0 * * *",
    "*/15 1-3 * * sun",
    "59 */2 * 3-11 *",
    "*/7 23 L * *",
]

DAY = 24 * 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO = _EPOCH.replace(tzinfo=None)
_MINUTE = timedelta(minutes=1)
_NAMES = {name.lower(): number for number, name in enumerate(calendar.month_abbr)} | {
    "sun": 0,
    "mon": 1,
    "fri": 5,
}


@cache
def zone(name: str) -> ZoneInfo:
    with (resources.files("tzdata.zoneinfo") / name).open("rb") as file:
        return ZoneInfo.from_file(file)


def minute(text: str) -> int:
    """A time of RFC 3339 as minutes since 1970."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MINUTE


def shown(name: str, low: int, high: int) -> list[int]:
    """What a zone's clock shows from one minute to another, as minutes since it showed 1970."""
    found, local = [], zone(name)
    for at in range(low, high):
        clock = datetime.fromtimestamp(at * 60, local).replace(tzinfo=None)
        found.append((clock - _ZERO) // _MINUTE)
    return found


def changes(name: str, first_year: int, years: int) -> Iterator[int]:
    """The minutes in which a clock is put forward or back."""
    low, high = (
        minute(f"{year}-01-01T00:00:00+00:00") for year in (first_year, first_year + years)
    )
    step = 6 * 60
    before = None
    for at in range(low, high, step):
        now = shown(name, at, at + 1)[0] - at
        if before not in {None, now}:
            each = shown(name, at - step, at + 1)
            yield next(at - step + i for i in range(1, step + 1) if each[i] != each[i - 1] + 1)
        before = now


class Expression:
    """An expression, read anew."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        self.by_clock = fields[0].startswith("*") or fields[1].startswith("*")
        minutes, hours = _set(fields[0], 0, 59), _set(fields[1], 0, 23)
        self._of_day = [at % 60 in minutes and at // 60 in hours for at in range(DAY)]
        self._last = fields[2] == "L"
        self._days = set() if self._last else _set(fields[2], 1, 31)
        self._months, self._weekdays = _set(fields[3], 1, 12), _set(fields[4], 0, 7)
        self._either = not fields[2].startswith("*") and not fields[4].startswith("*")
        self._known: dict[int, bool] = {}

    def names(self, wall: int) -> bool:
        """Whether it names the minute that a clock shows."""
        return self._of_day[wall % DAY] and self._names_day(wall // DAY)

    def _names_day(self, number: int) -> bool:
        if number not in self._known:
            day = date(1970, 1, 1) + timedelta(days=number)
            last = self._last and (day + timedelta(days=1)).day == 1
            of_month = last or day.day in self._days
            of_week = not self._weekdays.isdisjoint({day.isoweekday(), day.isoweekday() % 7})
            fits = (of_month or of_week) if self._either else (of_month and of_week)
            self._known[number] = day.month in self._months and fits
        return self._known[number]


def _set(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        values, _, step = term.partition("/")
        first, _, last = values.partition("-")
        start, end = (low, high) if first == "*" else (_value(first), _value(last or first))
        found.update(range(start, end + 1, int(step or 1)))
    return found


def _value(text: str) -> int:
    return _NAMES[text] if text in _NAMES else int(text)


def walk(expression: Expression, clock: list[int], start: int) -> list[int]:
    """The minutes that it is due in, of a `clock` from `start` on, no change just before it."""
    due = []
    highest = clock[0] - 1
    for at, wall in enumerate(clock, start):
        if expression.by_clock or wall == highest + 1:
            hit = expression.names(wall)
        else:  # all that came since the furthest that the clock had been, at once
            hit = any(map(expression.names, range(highest + 1, wall + 1)))
        highest = max(highest, wall)
        if hit:
            due.append(at)
    return due
