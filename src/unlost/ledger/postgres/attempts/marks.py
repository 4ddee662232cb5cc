"""Where claims begin to look: a low-water mark for each type and rank, kept in a process.

What was claimed leaves dead entries in the index that claims walk.  While somebody holds a
transaction open, on whatever table of the same database, no vacuum may take them away, and a claim
that begins at the index's beginning passes over all of them.  So a process remembers when what it
found last was due (or that there was nothing, and when), and looks from there.

A mark is a guess, which never keeps a task waiting for long:

* A task may become visible a little after a claim has looked that far: it is due when its
  transaction began.  So each look begins a little before the last one, now and then a good deal
  (`REACHES`).
* This process's own steps take the marks back to what they make due (`lower`).
* What another process makes due long ago is found by a look at everything: once a second, or so
  seldom that such looks take a twentieth of the time, but each `LONGEST` seconds at least.

Tasks of types and ranks without a mark lie between those with one, and are looked for in these
gaps, from the beginning, each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.transaction import packed
from unlost.task import MAX_TYPE, SECOND, Micros

BEGINNING: Final = -(2**63)
"""Before everything that is due."""

REACHES: Final = (0.2, 2.0, 20.0)
"""Seconds that a look begins before the last one; each as often as the one before it is long."""

OFTEN: Final = 1.0
"""Seconds between looks at everything, where these take no time."""

REST: Final = 20
"""How many times as long as a look at everything took there is none, up to `LONGEST`."""

LONGEST: Final = 60.0

MOST: Final = 200
"""Types and ranks that are remembered."""

# A rank is a priority, negated, of which there are few; a type has so many characters at most.
LOWEST, HIGHEST = -(2**15), 2**15 - 1
LAST: Final = "\U0010ffff" * (MAX_TYPE + 1)

Pair = tuple[str, int]
"""Type and rank."""

_PROBE = """
SELECT type, rank FROM unlost.open_task WHERE token IS NULL AND alone = %(alone)s
  AND (open_task.type, open_task.rank) > ({0}.type, {0}.rank)
  AND (open_task.type, open_task.rank) < ({0}.next_type, {0}.next_rank)
ORDER BY type, rank LIMIT 1
"""

PAIRS: Final = f"""known AS MATERIALIZED (
  SELECT * FROM json_to_recordset(%(known)s::json) AS known (
    type text COLLATE "C", rank smallint, since bigint, next_type text COLLATE "C",
    next_rank smallint)
), unknown (type, rank, next_type, next_rank) AS (
  SELECT first.type, first.rank, known.next_type, known.next_rank
  FROM known CROSS JOIN LATERAL ({_PROBE.format("known")}) AS first
  UNION ALL
  SELECT following.type, following.rank, unknown.next_type, unknown.next_rank
  FROM unknown CROSS JOIN LATERAL ({_PROBE.format("unknown")}) AS following
), pair (type, rank, since) AS (
  SELECT type, rank, since FROM known WHERE since IS NOT NULL
  UNION ALL
  SELECT type, rank, {BEGINNING} FROM unknown
)"""
"""What waits, as pairs of type and rank, with the due time to look from: one probe of the index for
each gap and each pair that is found in one, however many tasks wait."""


class _Known(msgspec.Struct, frozen=True):
    """A pair and the gap behind it; without `since` only the gap."""

    type: str
    rank: int
    since: Micros | None
    next_type: str
    next_rank: int


class _Mark(msgspec.Struct):
    """All that was due before `at` was gone at `seen` (the ledger's time)."""

    at: Micros
    seen: Micros
    looked: list[float]  # when a look began by each of the reaches, and at the beginning


class Look(msgspec.Struct, eq=False):
    """A look under way: where it begins, and the least that is made due of types meanwhile."""

    known: str
    alone: bool
    least: dict[str, Micros]


class Marks:
    """The marks of one process.  `monotonic` tells seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._marks: dict[bool, dict[Pair, _Mark]] = {False: {}, True: {}}
        self._rest = OFTEN
        self._looks: set[Look] = set()

    @contextmanager
    def look(self, types: Collection[str] | None, *, alone: bool) -> Iterator[Look]:
        """A look at these types, or all, for as long as it takes: what is made due meanwhile it
        may not have seen."""
        began, marks = self._monotonic(), self._marks[alone]
        known = list(_known(marks, types, lambda mark: self._since(mark, began)))
        look = Look(packed(known), alone, {})
        self._looks.add(look)
        try:
            yield look
        finally:
            self._looks.discard(look)
            if any(one.since == BEGINNING for one in known):
                self._rest = min(max(OFTEN, REST * (self._monotonic() - began)), LONGEST)

    def glance(self, types: Collection[str] | None, *, alone: bool) -> str:
        """Where to look at these types, without anything being learnt of it."""
        return packed(list(_known(self._marks[alone], types, lambda mark: _behind(mark, 0))))

    def _since(self, mark: _Mark, now: float) -> Micros:
        every = [0.0, *REACHES[:-1], self._rest]
        due = [not 0 <= now - last < rest for last, rest in zip(mark.looked, every, strict=True)]
        level = max(level for level, is_due in enumerate(due) if is_due)
        mark.looked[: level + 1] = [now] * (level + 1)
        return BEGINNING if level == len(REACHES) else _behind(mark, level)

    def learn(self, look: Look, seen: Micros, found: Mapping[Pair, Micros | None]) -> None:
        """By `seen`, the ledger's time, all was gone of these pairs that was due before then; None
        where that is not known."""
        now, marks = self._monotonic(), self._marks[look.alone]
        for pair, until in found.items():
            if until is None:
                continue
            at = min(until, look.least.get(pair[0], until))
            if pair in marks:
                marks[pair].at, marks[pair].seen = at, seen
            elif len(marks) < MOST:
                marks[pair] = _Mark(at, seen, [now] * (len(REACHES) + 1))

    def lower(self, task_type: str, due_at: Micros) -> None:
        """Tasks of this type are due then, as of now."""
        for look in self._looks:
            look.least[task_type] = min(due_at, look.least.get(task_type, due_at))
        for marks in self._marks.values():
            for (name, _), mark in marks.items():
                if name == task_type:
                    mark.at = min(mark.at, due_at)

    def forget(self) -> None:
        """Look at everything again."""
        for marks in self._marks.values():
            marks.clear()


def _behind(mark: _Mark, level: int) -> Micros:
    return min(mark.at, mark.seen - round(REACHES[level] * SECOND))


def _known(
    marks: dict[Pair, _Mark],
    types: Collection[str] | None,
    since: Callable[[_Mark], Micros],
) -> Iterator[_Known]:
    """What is known of these types, and the gaps between, in order."""
    if types is None:
        yield from _chain(("", LOWEST), sorted(marks), (LAST, HIGHEST), marks, since)
        return
    of_type: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(marks):
        of_type[pair[0]].append(pair)
    for name in sorted(types):
        yield from _chain((name, LOWEST), of_type.get(name, []), (name, HIGHEST), marks, since)


def _chain(
    first: Pair,
    pairs: list[Pair],
    last: Pair,
    marks: dict[Pair, _Mark],
    since: Callable[[_Mark], Micros],
) -> Iterator[_Known]:
    for pair, following in zip([first, *pairs], [*pairs, last], strict=True):
        mark = marks.get(pair)
        yield _Known(*pair, None if mark is None else since(mark), *following)
