"""Whether anything grows, from the samples of one home: pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Final

import msgspec

from bench.day.samples import Sample

HOUR: Final = 3600.0

MEMORY: Final = 1.05
"""What a process has in the last part, to what it had in the second."""

REMAINS: Final = ("task", "act", "follow_up", "brought", "redrive")
"""Tables with what is kept of tasks after a purge, and of redrives for 90 days."""

REMAINING: Final = 700
"""Bytes that a purge may leave of a task: on PostgreSQL half of each page stays free."""

TABLE: Final = 1.25
"""What any other table has in the last part, to what it had in the second."""

SOME: Final = 4 * 2**20
"""Bytes that say nothing: what a backlog of a minute takes is not given back at once."""

LOG: Final = 64 * 2**20
"""Bytes by which the write-ahead log, at its largest, may be larger than in the second part."""

DESCRIPTORS: Final = 5
"""File descriptors and threads more than in the second part that say nothing."""

LAG: Final = 10.0
"""Seconds for which the oldest due task may have waited, half of the time."""


class Verdict(msgspec.Struct, frozen=True):
    """Something that must not grow."""

    what: str
    second: float
    last: float
    bound: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether it did not."""
        return self.last <= self.bound


class Parts(msgspec.Struct, frozen=True):
    """The samples of the second hour and of the last one; quarters, where there are not four."""

    second: Sequence[Sample]
    last: Sequence[Sample]

    def verdict(
        self,
        what: str,
        value: Callable[[Sample], float],
        bound: Callable[[float], float],
        unit: str,
        of: Callable[[list[float]], float] = mean,
    ) -> Verdict:
        """Of a value, what `of` makes of each part's."""
        second, last = (
            of([value(one) for one in self.second]),
            of([value(one) for one in self.last]),
        )
        return Verdict(what, second, last, bound(second), unit)


def parts(samples: Sequence[Sample]) -> Parts:
    """Raises ValueError where there are too few samples."""
    end = samples[-1].at if samples else 0
    span = HOUR if end >= 4 * HOUR else end / 4
    found = Parts(
        [one for one in samples if span <= one.at < 2 * span],
        [one for one in samples if one.at >= end - span],
    )
    if not (found.second and found.last):
        raise ValueError(f"{len(samples)} samples are too few to judge")
    return found


def judge(samples: Sequence[Sample]) -> list[Verdict]:
    """What became of everything that must not grow."""
    two = parts(samples)
    lag = two.verdict("oldest due task", lambda one: one.lag, lambda _: LAG, "s", median)
    return [*_of_processes(two), *_of_sizes(two), lag]


def _of_processes(two: Parts) -> list[Verdict]:
    """Of those that nobody harmed, in the parts in which they were seen throughout."""
    names = set.intersection(*(set(one.processes) for one in [*two.second, *two.last]))
    found = []
    for name in sorted(names):
        if len({one.processes[name].pid for one in [*two.second, *two.last]}) > 1:
            continue

        # Not PSS: it grows where another one ends that shared pages with this one.
        def rss(one: Sample, name: str = name) -> float:
            return one.processes[name].rss

        def open_now(one: Sample, name: str = name) -> float:
            return one.processes[name].descriptors + one.processes[name].threads

        found.append(two.verdict(f"{name}: RSS", rss, lambda was: was * MEMORY, "B"))
        found.append(
            two.verdict(
                f"{name}: descriptors and threads", open_now, lambda was: was + DESCRIPTORS, ""
            )
        )
    return found


def _of_sizes(two: Parts) -> list[Verdict]:
    found = []
    for name in sorted(set(two.last[-1].tables) - set(REMAINS)):

        def size(one: Sample, name: str = name) -> float:
            return one.tables.get(name, 0)

        found.append(two.verdict(f"table {name}", size, lambda was: was * TABLE + SOME, "B"))
    log = two.verdict("log", lambda one: one.sizes.log, lambda was: was + LOG, "B", max)
    return [*found, log, *_of_remains(two)]


def _of_remains(two: Parts) -> list[Verdict]:
    """What is left of each task, by its tables and by all that is on disk."""
    first, last = two.second[0], two.last[-1]
    tasks = max(last.accepted - first.accepted, 1)
    more = {
        "in tables that keep what a purge leaves": remains(last) - remains(first),
        "in the file": last.sizes.file - first.sizes.file,
    }
    return [
        Verdict(f"a task's, {where}", 0, max(size - SOME, 0) / tasks, REMAINING, "B")
        for where, size in more.items()
    ]


def remains(one: Sample) -> int:
    """Bytes of the tables with what is kept of tasks after a purge."""
    return sum(one.tables.get(name, 0) for name in REMAINS)
