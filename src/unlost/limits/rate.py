"""How many attempts start a second: the generic cell rate algorithm (GCRA), "virtual scheduling".

A rate is kept to with one instant: when the next start would be due if all came evenly spaced
(its theoretical arrival time).  A start moves it on by the interval of the rate, from now where it
is past.  It may lie ahead of now by less than the burst, which is one second's worth, at least one
start.  So in any w seconds no more start than `rate` · w and one burst; and while something waits,
no fewer than `rate` · w less one.  Pure: the time is an argument.
"""

from __future__ import annotations

from typing import Final

import msgspec

from unlost.task import SECOND, Micros

LOWEST: Final = 0.001
HIGHEST: Final = 100_000
"""Starts a second that may be set."""

LIFTED: Final = 10.0 * HIGHEST
"""A rate that was taken away, until nothing can wait for it any more: so high that nothing has to.
Nobody is shown it."""

Nanos = int
"""An instant in nanoseconds: at 70,000 starts a second whole microseconds would be too coarse."""

NEVER_STARTED: Final[Nanos] = 0

NANOS: Final = 1_000  # in a microsecond

SET_BACK: Final[Micros] = 20 * SECOND
"""An instant that is further ahead than starts can have brought it is not believed: the clock was
set back.  Steps that race may be so much apart in what they take for now."""


class Pace(msgspec.Struct, frozen=True, gc=False):
    """The instant of a rate.  Of another rate it says nothing: one that was changed begins anew."""

    rate: float
    at: Nanos


def interval(rate: float) -> Nanos:
    """Between two starts; cut, by less than a ten-thousandth."""
    return int(NANOS * SECOND / rate)


def burst(rate: float) -> int:
    """How many may start at once: one second's worth, at least one."""
    return max(1, int(rate))


def allowed(rate: float, at: Nanos, now: Micros) -> int:
    """How many may start now."""
    each, at = interval(rate), _believed(rate, at, now)
    left = NANOS * now + (burst(rate) - 1) * each - max(at, NANOS * now)
    return max(0, left // each + 1)


def after(rate: float, at: Nanos, now: Micros, starts: int) -> Nanos:
    """The instant once so many more have started now."""
    return max(_believed(rate, at, now), NANOS * now) + starts * interval(rate)


def next_start(rate: float, at: Nanos, now: Micros) -> Micros:
    """From when on one may start: now, where one may already."""
    ahead = (burst(rate) - 1) * interval(rate)
    return max(now, _whole(_believed(rate, at, now) - ahead))


def longest_wait(rate: float) -> Micros:
    """How far ahead the next start may be, whoever takes what for now."""
    return SET_BACK + full(interval(rate))


def full(at: Nanos) -> Micros:
    """From when on it is as if none had ever started."""
    return _whole(at)


def _whole(at: Nanos) -> Micros:
    return -(-at // NANOS)


def _believed(rate: float, at: Nanos, now: Micros) -> Nanos:
    """The instant, or one from which one may start now, where it cannot be."""
    ahead = (burst(rate) - 1) * interval(rate)
    if at > NANOS * (now + longest_wait(rate)) + ahead:
        return NANOS * now + ahead
    return at
