"""Time zones, always from the `tzdata` that is installed beside this, never from the system's.

A zone is read here as the changes of its clock, since that is what schedules ask about.
Moments are whole seconds since 1970, offsets are seconds east of UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_DAY: Final = 86_400
_LAST_YEAR: Final = 9998  # the last one whose end every clock can show


class UnknownZone(ValueError):
    """No zone of the tz database has this name."""


class Change(NamedTuple):
    """A change of a clock: from the moment `at` on it is `after`, not `before`, ahead of UTC."""

    at: int
    before: int
    after: int


class Span(NamedTuple):
    """A time of one offset: from `start` to just before `end`.

    `before` is the offset that `start` ended, or the same one where `start` is no change.
    """

    start: int
    end: int
    before: int
    offset: int


def version() -> str:
    """The version of the tz database, as `2026f`."""
    import tzdata  # noqa: PLC0415 - as below

    found: str = tzdata.IANA_VERSION
    return found


def _data() -> Traversable:
    # Who has no schedules does not pay for the libraries.
    from importlib import resources  # noqa: PLC0415

    return resources.files("tzdata")


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """The names that zones have; `Factory`, which says that none is set, is none."""
    text = (_data() / "zones").read_text("utf-8")
    return frozenset(text.split()) - {"Factory"}


def meant(name: str) -> str | None:
    """The zone whose name this one is but for its case."""
    return next((one for one in names() if one.lower() == name.lower()), None)


def check(name: str) -> None:
    """Raise UnknownZone unless `name` is exactly a zone's."""
    if name not in names():
        raise UnknownZone(f"the time zone {name} is not known")


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """The zone of this name.  Raises UnknownZone.

    It is opened by its place, so that the process's own search path for zones, which a handler
    may rely on, stays as it is.
    """
    check(name)
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - as above

    with _data().joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offset(name: str, at: int) -> int:
    """How far a zone's clock is ahead of UTC."""
    shift = datetime.fromtimestamp(at, zone(name)).utcoffset()
    return 0 if shift is None else shift.days * _DAY + shift.seconds


@lru_cache(maxsize=8192)
def changes(name: str, year: int) -> tuple[Change, ...]:
    """The changes within a year (in UTC).  No two are of one day."""
    if name == "UTC" or year > _LAST_YEAR:
        return ()
    found = []
    start, end = _year_end(year - 1), _year_end(year)
    before = offset(name, start - 1)
    for day in range(start, end, _DAY):
        after = offset(name, day + _DAY - 1)
        if after != before:
            found.append(Change(_first(name, day - 1, day + _DAY - 1, after), before, after))
        before = after
    return tuple(found)


def _first(name: str, low: int, high: int, after: int) -> int:
    """The first moment above `low` that has the offset that `high` has."""
    while high - low > 1:
        middle = (low + high) // 2
        if offset(name, middle) == after:
            high = middle
        else:
            low = middle
    return high


def between(name: str, low: int, high: int) -> list[Change]:
    """The changes later than `low` and not later than `high`."""
    first, last = (datetime.fromtimestamp(at, UTC).year for at in (low, high))
    within = (one for year in range(first, last + 1) for one in changes(name, year))
    return [one for one in within if low < one.at <= high]


def spans(name: str, at: int) -> Iterator[Span]:
    """The spans of a zone in order, beginning with the one that `at` lies in.

    One that goes on through the end of a year comes once more, with its later end, so that what is
    asked for is looked up a year at a time.
    """
    first = datetime.fromtimestamp(at, UTC).year
    if first > _LAST_YEAR:
        return
    now = offset(name, at)
    start, before = at, now
    for change in (*changes(name, first - 1), *changes(name, first)):
        if change.at <= at:
            start, before = change.at, change.before
    for year in range(first, _LAST_YEAR + 1):
        for change in changes(name, year):
            if change.at > at:
                yield Span(start, change.at, before, now)
                start, before, now = change
        yield Span(start, _year_end(year), before, now)


@lru_cache(maxsize=256)
def _year_end(year: int) -> int:
    return int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
