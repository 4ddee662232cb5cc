"""Lists: pages of tasks by submission and of dead letters by death, and their groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import Row, Transaction, cannot_be, packed
from unlost.ledger.postgres.tasks.conditions import (
    Cursor,
    Values,
    between,
    filters,
    id_range,
    of_types,
    read_cursor,
    write_cursor,
)
from unlost.ledger.postgres.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, OPEN_ROW, records
from unlost.ledger.postgres.tasks.sizes import fitting
from unlost.ledger.values import Order, Page, Query
from unlost.task import State

WALK: Final = 20_000
"""How many records one page may look at when filters leave most of them out."""

PASSED: Final = 100_000
"""How many that have never run a page of what succeeded may pass over: for each only an entry of an
index is read."""

NEWEST: Final = 1_000
"""How many records tell whether a prefix, or a state, is common."""

WAITING: Final = frozenset({State.QUEUED, State.RETRYING})

FEW: Final = 1_000
"""How many tasks that wait may be of a type that is rare."""

OF_STATE: Final = {
    State.QUEUED: "unlost.open_task WHERE true",
    State.RETRYING: "unlost.open_task WHERE true",
    State.RUNNING: "unlost.open_task WHERE token IS NOT NULL AND worker >= ''",
}
"""Where all tasks of a state are, beside others perhaps."""

IN_ORDER: Final = {State.DEAD: "dead", State.CANCELLED: "cancelled"}
"""Tables of all tasks of a state, with an index by submission."""

# Of what else is asked for an open row tells the type.
OPEN_AMONG_NEWEST = f"""
SELECT 1 FROM (
  SELECT task.seq FROM unlost.task WHERE true {{bounds}}
  ORDER BY task.submitted_at DESC, task.seq DESC LIMIT {NEWEST}) AS newest
CROSS JOIN LATERAL (
  SELECT state, type FROM unlost.open_task WHERE open_task.seq = newest.seq OFFSET 0) AS task
WHERE task.state = %(state)s AND {{types}} OFFSET %(others)s LIMIT 1
"""

FILTERED: Final = "SELECT task.seq, task.submitted_at AS at, task.id, task.type FROM"

PAGE = f"""
SELECT {COLUMNS}, walk.at FROM (
  SELECT * FROM ({{source}} ORDER BY {{order}} LIMIT {WALK}) AS task WHERE {{seen}}) AS walk
CROSS JOIN LATERAL {row("task", "walk.seq")} AS task
{OPEN_ROW}
WHERE {{conditions}} ORDER BY {{theirs}} LIMIT %(limit)s
"""

NO_POSITION: Final = 2**63 - 1

# Of each task that succeeded an attempt is kept, until it is purged.
RAN: Final = """
SELECT ran,
       (SELECT submitted_at FROM unlost.milestone WHERE seq >= ran ORDER BY seq LIMIT 1),
       (SELECT submitted_at FROM unlost.milestone WHERE seq < %(above)s ORDER BY seq DESC LIMIT 1)
FROM (SELECT greatest((SELECT up_to FROM unlost.purged), (
  SELECT seq FROM unlost.attempt WHERE seq < %(above)s ORDER BY seq DESC, number DESC LIMIT 1))
  AS ran OFFSET 0) AS last
"""

WAITING_OF_TYPES: Final = f"""
SELECT it.seq FROM json_array_elements_text(%(names)s::json) AS wanted (name)
CROSS JOIN (VALUES (false), (true)) AS kind (alone)
CROSS JOIN LATERAL (
  SELECT seq FROM unlost.open_task
  WHERE token IS NULL AND open_task.alone = kind.alone AND open_task.type = wanted.name
  ORDER BY rank, due_at, seq LIMIT {FEW + 1}) AS it
LIMIT {FEW + 1}
"""

SOME = f"""
json_array_elements_text(%(seqs)s::json) AS one (seq)
CROSS JOIN LATERAL {row("task", "one.seq::bigint")} AS task
"""


class _Walk(msgspec.Struct, frozen=True):
    """The rows that a page may look at: an SQL source of (seq, at), newest first in the order of
    these columns."""

    source: str
    values: Values
    columns: tuple[str, ...] = ("at", "seq")
    passing: str | None = None
    """A source that it leaves some of out, of which it looks at PASSED."""
    tells: bool = False
    """Whether its rows tell what filters ask for (FILTERED).  Then those alone are looked up, each
    by itself: in the order of submission many of the others lie on one page."""

    def order(self, prefix: str = "") -> str:
        return ", ".join(f"{prefix}{column} DESC" for column in self.columns)


async def page(transaction: Transaction, query: Query) -> Page:
    """One page; it may be short where filters leave out most of a walk.  Raises BadCursor."""
    cursor = read_cursor(query)
    if any(map(cannot_be, (query.type, query.id_prefix, query.error, query.parent))):
        return Page([], None)
    if query.state is not None:
        [[number]] = await transaction.rows(f"SELECT sum({query.state}) FROM unlost.tally")
        if number == 0:
            return Page([], None)
    died = query.order is Order.DIED
    walks = await (_died if died else _submitted)(transaction, query, cursor)
    rows: list[Row] = []
    end: Row | None = None
    for walk in walks:
        left = query.limit - len(rows)
        rows += await _walked(transaction, walk, filters(query), left)
        if len(rows) == query.limit or (end := await _end(transaction, walk)):
            break
    shown = await fitting(transaction, rows, query.parts, query.room)
    found = await records(transaction, shown, query.parts)
    cursors = [write_cursor(query.order, one[NUMBER_OF_COLUMNS], one[0]) for one in shown]
    if len(shown) < len(rows) or len(rows) == query.limit:
        return Page(found, cursors[-1], cursors)
    return Page(found, write_cursor(query.order, end[1], end[0]) if end else None, cursors)


async def _walked(
    transaction: Transaction, walk: _Walk, wanted: tuple[str, Values], limit: int
) -> list[Row]:
    """The first that are wanted of those that a walk may look at."""
    conditions, values = wanted
    sql = PAGE.format(
        source=walk.source,
        order=walk.order(),
        theirs=walk.order("walk."),
        conditions=conditions,
        seen=conditions if walk.tells else "true",
    )
    return await transaction.rows(sql, walk.values | values | {"limit": limit})


async def _end(transaction: Transaction, walk: _Walk) -> Row | None:
    """The last one that a page has looked at, where more may follow."""
    for source, most in ((walk.source, WALK), (walk.passing, PASSED)):
        if source is not None:
            looked = f"SELECT seq, at FROM ({source}) AS task ORDER BY {walk.order()}"
            looked += f" LIMIT 1 OFFSET {most - 1}"
            if end := await transaction.rows(looked, walk.values):
                return end[0]
    return None


async def _submitted(
    transaction: Transaction, query: Query, cursor: Cursor | None
) -> Sequence[_Walk]:
    """Where to look, one after the other."""
    source, values = await _narrowest(transaction, query, cursor)
    bounds, ends = between(query, cursor)
    walk = _Walk(source + bounds, values | ends, tells=FILTERED in source)
    return await _ran(transaction, walk, cursor) if query.state is State.SUCCEEDED else [walk]


async def _ran(transaction: Transaction, walk: _Walk, cursor: Cursor | None) -> Sequence[_Walk]:
    """Without a stretch of tasks that have never run, in front of which the cursor is: what waits
    above those that succeeded may be a million.

    Of tasks that are submitted at once, the one with the higher position may come first.  Those
    below the stretch were submitted by `low` at the latest, those above it at `high` or later:
    nothing between is looked at.
    """
    above = NO_POSITION if cursor is None else cursor[1]
    [[ran, low, high]] = await transaction.rows(RAN, {"above": above})
    values = walk.values | {"ran": ran, "above": above, "low": low, "high": high}
    below, beside = " AND task.submitted_at <= %(low)s", " AND task.submitted_at >= %(high)s"
    conditions = [below] if cursor is None else [beside, below]
    if low is None or (cursor is not None and (high is None or low >= high)):
        conditions = [""]
    return [_passing(walk.source + condition, values) for condition in conditions]


def _passing(source: str, values: Values) -> _Walk:
    """A walk that passes over the stretch."""
    leaving = (
        f"SELECT seq, at FROM ({source} ORDER BY at DESC, seq DESC LIMIT {PASSED}) AS passed"
        " WHERE (seq <= %(ran)s OR seq >= %(above)s)"
    )
    return _Walk(leaving, values, passing=source)


async def _narrowest(
    transaction: Transaction, query: Query, cursor: Cursor | None
) -> tuple[str, Values]:
    """The smallest source that has all that is asked for."""
    columns = "SELECT task.seq, task.submitted_at AS at FROM"
    if query.parent is not None:
        few = f"{columns} unlost.follow_up AS task WHERE task.parent = %(parent)s"
        return few, {"parent": query.parent}
    table = "task" if query.state is None else IN_ORDER.get(query.state, "task")
    tells = query.state is None and (query.id_prefix or query.named is not None)
    in_order = f"{FILTERED if tells else columns} unlost.{table} AS task WHERE true"
    if table != "task" and not (query.id_prefix and await _many(transaction, f"unlost.{table}")):
        return in_order, {}
    if (seqs := await _waiting(transaction, query)) is not None:
        return f"{columns} {SOME} WHERE true", {"seqs": packed(seqs)}
    if query.state in OF_STATE:
        few = OF_STATE[query.state]
        full = await _many(transaction, few, NEWEST) and await _full(transaction, query, cursor)
        if not full and not await _many(transaction, few):
            return (
                f"{columns} (SELECT seq FROM {few}) AS few"
                f" CROSS JOIN LATERAL {row('task', 'few.seq')} AS task WHERE true"
            ), {}
    if query.id_prefix and not await _common(transaction, query, cursor):
        condition, values = id_range(query.id_prefix)
        sql = f"SELECT task.seq FROM unlost.task WHERE {condition} LIMIT {WALK + 1}"
        found = await transaction.rows(sql, values)
        if len(found) <= WALK:
            values = {"seqs": packed([one[0] for one in found])}
            return f"{columns} {SOME} WHERE true", values
    return in_order, {}


async def _many(transaction: Transaction, source: str, many: int = WALK) -> bool:
    """Whether there are more than that, or than a page may look at."""
    return bool(await transaction.rows(f"SELECT seq FROM {source} OFFSET {many} LIMIT 1"))


async def _full(transaction: Transaction, query: Query, cursor: Cursor | None) -> bool:
    """Whether so many of the newest tasks are open and as is asked for that they fill the page."""
    if query.state is None or query.id_prefix:
        return False
    bounds, values = between(query, cursor)
    types, named = of_types(query)
    sql = OPEN_AMONG_NEWEST.format(bounds=bounds, types=types)
    values |= named | {"state": query.state.value, "others": query.limit - 1}
    return bool(await transaction.rows(sql, values))


async def _waiting(transaction: Transaction, query: Query) -> list[int] | None:
    """What waits of the types that are asked for, where nothing else is and they are rare."""
    if query.state not in WAITING or (names := query.named) is None:
        return None
    named = packed(sorted({name for name in names if not cannot_be(name)}))
    found = await transaction.rows(WAITING_OF_TYPES, {"names": named})
    return None if len(found) > FEW else [seq for (seq,) in found]


async def _common(transaction: Transaction, query: Query, cursor: Cursor | None) -> bool:
    """Whether so many ids begin so that the newest tasks fill the page."""
    condition, values = id_range(query.id_prefix)
    below = ""
    if cursor is not None:
        below = "WHERE (submitted_at, seq) < (%(at)s, %(seq)s)"
        values |= {"at": cursor[0], "seq": cursor[1]}
    newest = (
        f"SELECT id FROM unlost.task {below} ORDER BY submitted_at DESC, seq DESC LIMIT {NEWEST}"
    )
    sql = f"SELECT count(*) FROM ({newest}) AS task WHERE {condition}"
    [[number]] = await transaction.rows(sql, values)
    return bool(number >= query.limit)


async def _died(transaction: Transaction, query: Query, cursor: Cursor | None) -> Sequence[_Walk]:
    values = {} if cursor is None else {"at": cursor[0], "seq": cursor[1]}
    if query.error is not None:
        return [await _died_of(transaction, query.error, values)]
    source = "SELECT dead.seq, dead.died_at AS at FROM unlost.dead WHERE true"
    if cursor is not None:
        source += " AND (dead.died_at, dead.seq) < (%(at)s, %(seq)s)"
    return [_Walk(source, values)]


async def _died_of(transaction: Transaction, error: str, values: Values) -> _Walk:
    """Those of one error, in the order of its index: the others have it in no order."""
    values = values | {"error": error}
    known = "SELECT 1 FROM unlost.dead WHERE fingerprint = %(error)s LIMIT 1"
    column = "fingerprint" if await transaction.rows(known, values) else "error_type"
    source = (
        f"SELECT dead.seq, dead.died_at AS at, dead.{column} AS error FROM unlost.dead"
        f" WHERE dead.{column} BETWEEN %(error)s AND %(error)s"
    )
    if "at" in values:
        source += f" AND (dead.{column}, dead.died_at, dead.seq) < (%(error)s, %(at)s, %(seq)s)"
    return _Walk(source, values, ("error", "at", "seq"))
