"""Cron expressions: what is one, and the clock times that one names.

The clock here is one that never changes; `times` says what becomes of its times where it does.
"""

from __future__ import annotations

import re
from copy import copy
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from unlost.schedule.bounds import MAX_CRON

if TYPE_CHECKING:
    from cronsim.cronsim import Field

SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the time that a clock shows is of no zone
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400


class BadCron(ValueError):
    """The text is no cron expression; the message says which field is wrong, and why."""


def _list_of(term: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{term})(?:,(?:{term}))*")


_USUAL: Final = r"(?:\*|VALUE-VALUE)(?:/\d{1,3})?|VALUE"
_NUMBERS: Final = _USUAL.replace("VALUE", r"\d{1,2}")
_NAMES: Final = _USUAL.replace("VALUE", r"(?:\d{1,2}|[A-Z]{3})")

# What is allowed is written out, since the library allows more than Debian's cron and than is said.
_FIELDS: Final = (
    ("minute", _list_of(_NUMBERS), "0-59"),
    ("hour", _list_of(_NUMBERS), "0-23"),
    ("day of month", _list_of(rf"{_NUMBERS}|L"), "1-31 or L"),
    ("month", _list_of(_NAMES), "1-12 or JAN-DEC"),
    ("day of week", _list_of(rf"{_NAMES}|\dL|(?:\d|[A-Z]{{3}})#\d"), "0-7, SUN-SAT, 5L or MON#2"),
)
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_SATURDAY: Final = 6
_LAST: Final = (59, 23, 31, 12, _SATURDAY)
_BACKWARDS: Final = re.compile("({0})-({0})".format("|".join((r"\d", *_DAYS))))
NAMES: Final = tuple(name for name, _, _ in _FIELDS)


class Clock:
    """The times that an expression names, on a clock that never changes.

    They are whole minutes, told in seconds since the clock showed 1970.
    """

    def __init__(self, text: str) -> None:
        """Raises BadCron."""
        # Who has no schedules does not pay for the library.
        from cronsim import CronSim, CronSimError  # noqa: PLC0415

        fields = _fields(text)
        self.by_clock: bool = fields[0][0] == "*" or fields[1][0] == "*"
        """Whether the hour or the minute begins with `*`: such times are taken as the clock shows
        them."""
        self.either_day: bool = fields[2][0] != "*" and fields[4][0] != "*"
        """Whether both days are set, so that one of them is enough."""
        try:
            self._cron = CronSim(" ".join(fields), _EPOCH)
        except CronSimError:
            raise BadCron("day of month: no month that is chosen has such a day") from None
        minutes, hours = sorted(self._cron.minutes), sorted(self._cron.hours)
        self._of_day = [hour * 3600 + minute * 60 for hour in hours for minute in minutes]

    def after(self, shown: int) -> int | None:
        """The first time later than `shown`; None if none comes within 50 years."""
        cron = copy(self._cron)  # the library moves its own time on
        try:
            cron.dt = _EPOCH + timedelta(seconds=shown)
            found: datetime = next(cron)
        except (OverflowError, StopIteration):
            return None
        return (found - _EPOCH) // timedelta(seconds=1)

    def between(self, low: int, high: int) -> int:
        """How many times there are from `low` to just before `high`."""
        first, last = low // _DAY, high // _DAY
        if first == last:
            return self._in_day(first, low, high)
        whole = sum(map(self._has_day, range(first + 1, last))) * len(self._of_day)
        return whole + self._in_day(first, low, high) + self._in_day(last, low, high)

    def _in_day(self, day: int, low: int, high: int) -> int:
        if not self._has_day(day):
            return 0
        start = day * _DAY
        return sum(low <= start + time < high for time in self._of_day)

    def _has_day(self, day: int) -> bool:
        on = date.fromordinal(_EPOCH_DAY + day)
        return on.month in self._cron.months and self._cron.match_day(on)

    @property
    def every_hour(self) -> bool:
        """Whether it names the same minutes of every hour."""
        return len(self._cron.hours) == 24


def _fields(text: str) -> list[str]:
    """The five fields, in capitals.  Raises BadCron."""
    if len(text) > MAX_CRON:
        raise BadCron(f"has more than {MAX_CRON} characters")
    if not text.isascii() or not text.replace("\t", " ").isprintable():
        raise BadCron("has characters that no cron expression has")
    if text.startswith("@"):
        try:
            text = SHORTHANDS[text.lower()]
        except KeyError:
            raise BadCron(f"begins with @ and is none of {', '.join(SHORTHANDS)}") from None
    fields = text.upper().split()
    if not fields:
        raise BadCron(f"is empty; it has five fields: {', '.join(NAMES)}")
    if len(fields) != len(_FIELDS):
        raise BadCron(f"has {len(fields)} fields, not five: {', '.join(NAMES)}")
    return [_expanded(number, field) for number, field in enumerate(fields)]


def _expanded(number: int, field: str) -> str:
    """The same field without what the library takes for something else.  Raises BadCron."""
    from cronsim import CronSimError  # noqa: PLC0415 - as above
    from cronsim.cronsim import Field  # noqa: PLC0415

    name, allowed, values = _FIELDS[number]
    try:
        if not allowed.fullmatch(field):
            raise CronSimError
        terms = [_narrowed(Field(number + 1), term) for term in field.split(",")]
        Field(number + 1).parse(",".join(terms))
    except CronSimError:
        told = field if len(field) <= 50 else field[:50] + "…"
        raise BadCron(
            f"{name}: {told} is not made of {values} with lists, ranges and steps (*/5, 10-30/5)"
            f"{_rewritten(number, field)}"
        ) from None
    return ",".join(terms)


def _rewritten(number: int, field: str) -> str:
    """How to write what other dialects write as a step from one value, or as a range from a day of
    the week to an earlier one; empty for all else."""
    last = _LAST[number]
    step = re.fullmatch(r"(\d{1,2})/(\d{1,3})", field)
    if step and int(step[1]) < last:
        return f"; write {step[1]}-{last}/{step[2]}"
    ends = _BACKWARDS.fullmatch(field) if last == _SATURDAY else None
    if ends is None:
        return ""
    first, second = (_DAYS.index(end) if end in _DAYS else int(end) for end in ends.groups())
    if not second < first <= _SATURDAY:
        return ""
    rest = ("", ",1", f",1-{second}")[min(second, 2)]
    return f"; write {first}-7{rest}"


def _narrowed(field: Field, term: str) -> str:
    """A range of one value loses its step: the library would go on to the field's end."""
    low, _, step = term.partition("/")
    return low if step and "-" in low and step.strip("0") and len(field.parse(low)) == 1 else term
