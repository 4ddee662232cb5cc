"""Times as clients may write them: RFC 3339, with any offset."""

from __future__ import annotations

import re
from datetime import date

from unlost.task import SECOND, Micros

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY = 86_400
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


class NotATime(ValueError):
    """The text is not a time of RFC 3339."""


class Instant:
    """A moment: whole `seconds` since the epoch and the `fraction`'s digits as written.

    Two texts of the same moment, whatever their offsets, have the same `key`.
    """

    __slots__ = ("fraction", "seconds")

    def __init__(self, seconds: int, fraction: str) -> None:
        self.seconds = seconds
        self.fraction = fraction

    @property
    def micros(self) -> Micros:
        return self.seconds * SECOND + int((self.fraction + "000000")[:6])

    @property
    def key(self) -> str:
        return f"{self.seconds}.{self.fraction.rstrip('0')}"


def parse(text: str) -> Instant:
    """The moment that an RFC 3339 text names.  Raises NotATime."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise NotATime
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, off_hour, off_minute = match.groups()[6:]
    shift = 0
    if sign:
        shift = _offset(int(off_hour), int(off_minute)) * (-1 if sign == "-" else 1)
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        raise NotATime from None
    if hour > 23 or minute > 59 or second > 60:
        raise NotATime
    seconds = days * _DAY + hour * 3600 + minute * 60 + second - shift
    if second == 60 and seconds % _DAY != 0:
        raise NotATime  # a leap second is the last one of a day in UTC, nowhere else
    return Instant(seconds, fraction or "")


def _offset(hours: int, minutes: int) -> int:
    if hours > 23 or minutes > 59:
        raise NotATime
    return hours * 3600 + minutes * 60
