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
* What another process makes due long ago is found by a look at everything: of each pair once a
  second, or so seldom that such looks take a twentieth of the time, but each `LONGEST` seconds at
  least.  What it finds but does not take, since there are better ranks, takes the mark back.
* A look counts, and teaches, once its transaction is committed, and of the pairs that it saw.

Tasks of types and ranks without a mark lie between those with one, and are looked for in these
gaps, from the beginning, each time.  So a mark is dropped once its pair was empty for `LONGEST`,
where looking at everything costs next to nothing; and where there are too many, the one whose pair
was empty for longest.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
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

CHEAP: Final = 0.01
"""Seconds: while a look at everything takes no longer, those that are empty need no marks."""

NEVER: Final = -math.inf

MOST: Final = 200
"""Types and ranks that are remembered."""

# A rank is a priority, negated, of which there are few; a type has so many characters at most.
LOWEST, HIGHEST = -(2**15), 2**15 - 1
LAST: Final = "\U0010ffff" * (MAX_TYPE + 1)

Pair = tuple[str, int]
"""Type and rank."""

TOOK: Final = """
extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp())
  ::double precision"""
"""Seconds since the server began with the statement."""

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
), pair (type, rank, since, marked) AS (
  SELECT type, rank, since, true FROM known WHERE since IS NOT NULL
  UNION ALL
  SELECT type, rank, {BEGINNING}, false FROM unknown
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
    waited: float  # when something was due, last
    rest: float = OFTEN  # for how long there is no look at the beginning


class Seen(msgspec.Struct, frozen=True):
    """A pair in a look: all that was due before `until` was gone after it; whether any `waited`.

    One that is `parked` has tasks of which the look saw nothing, and which may come back with the
    due time that they had.
    """

    until: Micros
    waited: bool
    parked: bool = False


class Learnt(msgspec.Struct, frozen=True):
    """What a look saw at `seen` (the ledger's time), which took so many seconds."""

    seen: Micros
    took: float
    found: Mapping[Pair, Seen]


class Look(msgspec.Struct, eq=False):
    """A look under way: where it begins, how far back in each pair, and the least that is made due
    of types meanwhile, which it may not have seen."""

    known: str
    alone: bool
    began: float
    levels: dict[Pair, int]
    least: dict[str, Micros]
    learnt: Learnt | None = None


class Marks:
    """The marks of one process.  `monotonic` tells seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._marks: dict[bool, dict[Pair, _Mark]] = {False: {}, True: {}}
        self._looks: set[Look] = set()

    def look(self, types: Collection[str] | None, *, alone: bool) -> Look:
        """A look at these types, or all, which is under way until its `end`."""
        now, levels = self._monotonic(), dict[Pair, int]()

        def since(pair: Pair, mark: _Mark) -> Micros:
            levels[pair] = level = _level(mark, now)
            return BEGINNING if level == len(REACHES) else _behind(mark, level)

        known = packed(list(_known(self._marks[alone], types, since)))
        look = Look(known, alone, now, levels, {})
        self._looks.add(look)
        return look

    def glance(self, types: Collection[str] | None, *, alone: bool) -> str:
        """Where to look at these types, without anything being learnt of it."""
        return packed(list(_known(self._marks[alone], types, lambda _, mark: _behind(mark, 0))))

    def end(self, look: Look, committed: bool) -> None:
        """Learn what the look has; what it did not see is looked at again."""
        self._looks.discard(look)
        marks, learnt = self._marks[look.alone], look.learnt if committed else None
        found = learnt.found if learnt else {}
        for pair, level in look.levels.items():
            if pair in marks and pair not in found:
                marks[pair].looked[: level + 1] = [NEVER] * (level + 1)
        if learnt is None:
            return
        for pair, seen in found.items():
            if mark := _place(marks, pair, look.began, waited=seen.waited):
                _move(mark, seen, learnt.seen, look.least.get(pair[0]))
                if seen.waited:
                    mark.waited = look.began
                if look.levels.get(pair) == len(REACHES):
                    mark.rest = min(max(OFTEN, REST * learnt.took), LONGEST)
                    if learnt.took <= CHEAP and look.began - mark.waited >= LONGEST:
                        del marks[pair]

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


def _level(mark: _Mark, now: float) -> int:
    """How far back to look now: by which of the reaches, or from the beginning."""
    every = [0.0, *REACHES[:-1], mark.rest]
    due = [not 0 <= now - last < rest for last, rest in zip(mark.looked, every, strict=True)]
    level = max(level for level, is_due in enumerate(due) if is_due)
    mark.looked[: level + 1] = [now] * (level + 1)
    return level


def _place(marks: dict[Pair, _Mark], pair: Pair, now: float, *, waited: bool) -> _Mark | None:
    """The pair's mark, or a new one, in place of one that is of less use if need be."""
    if pair in marks:
        return marks[pair]
    if len(marks) >= MOST:
        least = min(marks, key=lambda other: marks[other].waited)
        if not waited or marks[least].waited >= now:
            return None
        del marks[least]
    marks[pair] = mark = _Mark(BEGINNING, 0, [now] * (len(REACHES) + 1), now)
    return mark


def _move(mark: _Mark, seen: Seen, at: Micros, least: Micros | None) -> None:
    if not seen.parked:
        mark.at, mark.seen = seen.until, at
    mark.at = min(mark.at, seen.until, mark.at if least is None else least)


def _behind(mark: _Mark, level: int) -> Micros:
    return min(mark.at, mark.seen - round(REACHES[level] * SECOND))


def _known(
    marks: dict[Pair, _Mark],
    types: Collection[str] | None,
    since: Callable[[Pair, _Mark], Micros],
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
    since: Callable[[Pair, _Mark], Micros],
) -> Iterator[_Known]:
    for pair, following in zip([first, *pairs], [*pairs, last], strict=True):
        mark = marks.get(pair)
        yield _Known(*pair, None if mark is None else since(pair, mark), *following)
