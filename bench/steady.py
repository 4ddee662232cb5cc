"""How steady a run was: its slowest tenth beside its fastest, and the longest statement."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import psycopg

Moment = tuple[float, int]
"""A time in seconds, and how many tasks had come to their end by then."""

# Vacuums are no statements that a task waits for.
LONGEST: Final = """
SELECT max_exec_time, query FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
WHERE datname = current_database() AND query NOT ILIKE '%VACUUM%'
ORDER BY max_exec_time DESC LIMIT 1
"""


def tenths(moments: Sequence[Moment]) -> list[float]:
    """Tasks a second in each tenth of the tasks, in order."""
    last = moments[-1][1]
    counts = [done for _, done in moments]
    marks = [moments[bisect_left(counts, last * part / 10)] for part in range(11)]
    marks[0] = moments[0]
    return [
        (done - before) / (at - since)
        for (since, before), (at, done) in pairwise(marks)
        if at > since  # else one batch was more than a tenth
    ]


def steadiness(moments: Sequence[Moment], longest: float) -> str:
    """In two lines; `longest` in milliseconds."""
    rates = tenths(moments)
    return (
        f"tasks a second, by tenths: {' '.join(f'{rate:,.0f}' for rate in rates)}\n"
        f"{moments[-1][1]:,} tasks: slowest tenth {min(rates):,.0f}/s, fastest {max(rates):,.0f}/s,"
        f" {min(rates) / max(rates):.2f} of it; longest statement {longest:,.0f} ms"
    )


def longest_statement(db: psycopg.Connection[tuple[Any, ...]]) -> float:
    """The longest that a statement took since the last reset, in milliseconds."""
    row = db.execute(LONGEST).fetchone()
    return 0.0 if row is None else float(row[0])
