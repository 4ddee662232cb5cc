"""When a schedule is due: `parse` makes `Times` of what a client wrote, and they answer the rest.

    times = parse({"cron": "30 2 * * *", "timezone": "Europe/Berlin"}, now)
    times.after(now)             # the next time, in Micros, later than `now`; None if none comes
    upcoming(times, now, 5)      # the next five
    times.count(low, high)       # how many lie above `low` and up to `high`, quickly
    newest(times, low, high, 9)  # the newest nine of them, oldest first

Everything here is a function of its arguments and of the tz database that is installed
(`zones.version()`), and every answer of `after` is later than what it was asked.

At changes of a zone's clock, times do what Debian's cron does: where the hour or the minute begins
with `*`, they are taken as the clock shows them (none for what is skipped, both for what comes
twice); else what is skipped runs at the first moment after the gap, once, and what comes twice runs
the first time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final, NamedTuple, Protocol

from unlost.schedule import zones
from unlost.schedule.bounds import DEFAULT_ZONE, MAX_EVERY
from unlost.schedule.cron import BadCron, Clock
from unlost.schedule.zones import Span
from unlost.task import SECOND, Micros
from unlost.times import LATEST

_APART: Final = 2 * 86_400
"""Seconds: no clock is further from UTC."""

_WINDOW: Final = 3600 * SECOND


class Fault(NamedTuple):
    """What is wrong with a member of the body; `reason` goes on after the member's name."""

    member: str
    reason: str


class BadTimes(ValueError):
    """The members name no times.  `faults` are all that is wrong with them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{one.member} {one.reason}" for one in faults))
        self.faults = faults


class Instants(Protocol):
    """Moments, whatever clock tells them."""

    def after(self, instant: Micros) -> Micros | None:
        """The first time later than `instant`; None if none comes within 50 years, or by
        the year 9999."""
        ...

    def count(self, low: Micros, high: Micros) -> int:
        """How many times there are later than `low` and not later than `high`."""
        ...


class Times(Instants, Protocol):
    """The times of a schedule.  Two of the same members are equal."""

    @property
    def timezone(self) -> str:
        """The zone whose clock they are told by."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """At the multiples of so many seconds since 1970, whatever the clocks show."""

    seconds: int
    timezone: str = DEFAULT_ZONE

    def after(self, instant: Micros) -> Micros | None:
        step = self.seconds * SECOND
        found = (instant // step + 1) * step
        return found if found <= LATEST else None

    def count(self, low: Micros, high: Micros) -> int:
        step = self.seconds * SECOND
        return max(0, high // step - low // step)


@dataclass(frozen=True, slots=True)
class Cron:
    """When a zone's clock shows what an expression names."""

    expression: str
    timezone: str = DEFAULT_ZONE

    def after(self, instant: Micros) -> Micros | None:
        at = instant // SECOND
        clock = clock_of(self)
        low, found = 0, -1  # the clock's times between these two are known to be none
        for span in zones.spans(self.timezone, at):
            start = _first_shown(clock, span) - 1
            if span.start <= at:
                start = max(start, at + span.offset)
            if not low <= start < found:
                next_found = clock.after(start)
                if next_found is None:
                    return None
                low, found = start, next_found
            moment = max(found - span.offset, span.start)
            if moment - at > MAX_EVERY or moment * SECOND > LATEST:
                return None
            if moment < span.end:
                return moment * SECOND
        return None

    def count(self, low: Micros, high: Micros) -> int:
        at, last = low // SECOND + 1, high // SECOND
        clock, total = clock_of(self), 0
        for span in zones.spans(self.timezone, at) if at <= last else ():
            end = min(span.end, last + 1)
            total += _count(clock, span, max(at, span.start), end)
            at = end
            if at > last:
                break
        return total


def _count(clock: Clock, span: Span, low: int, high: int) -> int:
    """How many times a span has from the moment `low` to just before `high`."""
    first = _first_shown(clock, span)
    shown = low + span.offset
    found = clock.between(max(first, shown), high + span.offset)
    if low == span.start and first < shown and clock.between(first, shown):
        found += not clock.between(shown, shown + 1)  # all that was skipped is one with what is now
    return found


def _first_shown(clock: Clock, span: Span) -> int:
    """From which time of the clock on a span has times, as seconds since it showed 1970.

    What a gap skipped runs as it ends, and what comes twice has run: that is, the times go on where
    the clock was before the change.  As the clock shows them, they go on where it is put to.
    """
    return span.start + (span.offset if clock.by_clock else span.before)


def first_shown(timezone: str, shown: int) -> int:
    """The first moment at which a zone's clock shows this, in seconds since it showed 1970, or
    more."""
    for span in zones.spans(timezone, shown - _APART):
        moment = max(shown - span.offset, span.start)
        if moment < span.end:
            return moment
    return shown


def clock_of(times: Cron) -> Clock:
    """What its expression names."""
    return _clock(times.expression)


@lru_cache(maxsize=2048)
def _clock(expression: str) -> Clock:
    return Clock(expression)


def upcoming(times: Times, instant: Micros, most: int) -> list[Micros]:
    """The next times later than `instant`, at most so many."""
    return list(islice(_from(times, instant), most))


def newest(times: Instants, low: Micros, high: Micros, most: int) -> list[Micros]:
    """The last `most` of the times later than `low` and not later than `high`, oldest first."""
    start, reach = high, _WINDOW
    while start > low and times.count(start, high) < most:
        start, reach = max(low, high - reach), 2 * reach
    return list(deque(takewhile(lambda one: one <= high, _from(times, start)), most))


def _from(times: Instants, instant: Micros) -> Iterator[Micros]:
    found = times.after(instant)
    while found is not None:
        yield found
        found = times.after(found)


def parse(body: Mapping[str, object], now: Micros | None = None) -> Times:
    """The times that the members `cron` or `every`, and `timezone`, ask for, all others aside.

    With `now` they also have to come once in the 50 years from then on: wanted of what a client
    sends, not of what is kept.  Raises BadTimes with every fault.
    """
    faults: list[Fault] = []
    timezone = body.get("timezone", DEFAULT_ZONE)
    if not isinstance(timezone, str) or timezone not in zones.names():
        told = zones.meant(timezone) if isinstance(timezone, str) else None
        meant = f"; did you mean {told}?" if told else ""
        faults.append(
            Fault("timezone", f"must be the name of a time zone, as Europe/Berlin{meant}")
        )
        timezone = DEFAULT_ZONE
    found: Times | None = None
    if ("cron" in body) == ("every" in body):
        faults.append(Fault("cron", "or every must be there, one of the two"))
    elif "every" in body:
        found = _every(body["every"], timezone, faults)
    else:
        found = _cron(body["cron"], timezone, faults)
    if found and not faults and now is not None and found.after(now) is None:
        faults.append(Fault("cron", "does not come within 50 years"))
    if faults or found is None:
        raise BadTimes(faults)
    return found


def _every(value: object, timezone: str, faults: list[Fault]) -> Every | None:
    if type(value) is int and 1 <= value <= MAX_EVERY:
        return Every(value, timezone)
    faults.append(Fault("every", f"must be a whole number of seconds from 1 to {MAX_EVERY}"))
    return None


def _cron(value: object, timezone: str, faults: list[Fault]) -> Cron | None:
    try:
        if not isinstance(value, str):
            raise BadCron("must be a string of five fields")
        _clock(value)
        return Cron(value, timezone)
    except BadCron as wrong:
        faults.append(Fault("cron", str(wrong)))
        return None


def shown(times: Times, instant: Micros) -> str:
    """A moment as the schedule's clock shows it, with its offset: `2026-10-25T02:30:00+02:00`."""
    return datetime.fromtimestamp(instant // SECOND, zones.zone(times.timezone)).isoformat()
