"""What processes measure: counts and histograms as values that can be added up.

A `Measures` is what one process has counted, or the sum of what several have.  Sums only grow:
what was counted once is in every later sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import add
from typing import Final, TypeVar

import msgspec

from unlost.task import Micros

BOUNDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3600.0,
)  # fmt: skip
"""Seconds up to which each bucket of a histogram reaches; one more has the rest.

Ledgers keep counts by these bounds: other bounds need a migration.
"""

MOST_TYPES: Final = 100
"""Types that are counted under their own names, so that a flood of types cannot be one of time
series.  The first ones that a ledger hears of; it never changes its mind, since a type that moved
to `OTHER` and back would make counters fall."""

OTHER: Final = "other"
"""Stands for all further types."""

K = TypeVar("K", str, int)


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Durations: how many fell into each bucket, and their sum.

    The sum is a whole number, since one of fractions depends on the order in which they are added,
    and could fall.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    sum: Micros = 0

    def plus(self, other: Histogram) -> Histogram:
        """Both together."""
        counts = tuple(map(add, self.counts, other.counts))
        return Histogram(counts, self.sum + other.sum)


class OfType(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the attempts of one type: `outcomes` by name, the tasks that died of it, and
    the failures that were excused.

    `waits` are from when a task was due to when its attempt started, `durations` those of handlers.
    """

    outcomes: dict[str, int] = {}
    deaths: int = 0
    waits: Histogram = Histogram()
    durations: Histogram = Histogram()
    excused: int = 0

    def plus(self, other: OfType) -> OfType:
        """Both together."""
        return OfType(
            _merged(self.outcomes, other.outcomes),
            self.deaths + other.deaths,
            self.waits.plus(other.waits),
            self.durations.plus(other.durations),
            self.excused + other.excused,
        )


class OfCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """The calls of one API operation that were answered, by status, and how long they took."""

    statuses: dict[int, int] = {}
    durations: Histogram = Histogram()

    def plus(self, other: OfCall) -> OfCall:
        """Both together."""
        return OfCall(_merged(self.statuses, other.statuses), self.durations.plus(other.durations))


class Measures(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that was measured, by a task's type, by an operation's name, and by why something was
    refused."""

    types: dict[str, OfType] = {}
    calls: dict[str, OfCall] = {}
    refused: dict[str, int] = {}

    def plus(self, other: Measures) -> Measures:
        """Both together."""
        types, calls = dict(self.types), dict(self.calls)
        for name, of_type in other.types.items():
            types[name] = types[name].plus(of_type) if name in types else of_type
        for name, of_call in other.calls.items():
            calls[name] = calls[name].plus(of_call) if name in calls else of_call
        return Measures(types, calls, _merged(self.refused, other.refused))


NOTHING: Final = Measures()


def total(measures: Iterable[Measures]) -> Measures:
    """The sum of all."""
    result = NOTHING
    for one in measures:
        result = result.plus(one)
    return result


def admitted(known: Measures, told: Measures) -> tuple[Measures, Measures]:
    """A ledger's sum with the types of what it is told, as long as there is room for their names,
    and what it is told with all other types as one."""
    types = dict(known.types)
    for name in told.types:
        if name in types or len(types) < MOST_TYPES or name == OTHER:
            types.setdefault(name, OfType())
        else:
            types.setdefault(OTHER, OfType())
    renamed = Measures({}, told.calls, told.refused)
    for name, measured in told.types.items():
        renamed = renamed.plus(Measures({name if name in types else OTHER: measured}))
    return Measures(types, known.calls, known.refused), renamed


def encode(measures: Measures) -> str:
    """Measures as text, for a ledger to keep."""
    return msgspec.json.encode(measures).decode()


_DECODER = msgspec.json.Decoder(Measures)


def decode(text: str) -> Measures:
    """The measures that `encode` made text of."""
    return _DECODER.decode(text)


def _merged(some: dict[K, int], others: dict[K, int]) -> dict[K, int]:
    return some | {name: some.get(name, 0) + number for name, number in others.items()}
