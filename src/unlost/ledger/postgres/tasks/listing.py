"""Lists: pages of tasks by submission and of dead letters by death, and their groups."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import Transaction, cannot_be, packed
from unlost.ledger.postgres.tasks.reading import COLUMNS, NUMBER_OF_COLUMNS, OPEN_ROW, records
from unlost.ledger.postgres.tasks.sizes import fitting
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Group, Order, Page, Query
from unlost.ledger.weight import longest_sample
from unlost.task import Micros, State

WALK: Final = 20_000
"""How many records one page may look at when filters leave most of them out."""

NEWEST: Final = 1_000
"""How many records tell whether a prefix is common."""

WAITING: Final = frozenset({State.QUEUED, State.RETRYING})

FEW: Final = 1_000
"""How many tasks that wait may be of a type that is rare."""

OF_STATE: Final = {
    State.DEAD: "unlost.dead WHERE true",
    State.QUEUED: "unlost.open_task WHERE true",
    State.RETRYING: "unlost.open_task WHERE true",
    State.RUNNING: "unlost.open_task WHERE token IS NOT NULL AND worker >= ''",
}
"""Where all tasks of a state are, beside others perhaps."""

PAGE = f"""
SELECT {COLUMNS}, walk.at FROM ({{source}} ORDER BY {{order}} LIMIT {WALK}) AS walk
CROSS JOIN LATERAL {row("task", "walk.seq")} AS task
{OPEN_ROW}
WHERE {{conditions}} ORDER BY {{theirs}} LIMIT %(limit)s
"""

TYPES: Final = "ANY (ARRAY(SELECT json_array_elements_text(%(types)s::json)))"

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

Values = dict[str, Any]


class _Walk(msgspec.Struct, frozen=True):
    """The rows that a page may look at: an SQL source of (seq, at), newest first in the order of
    these columns."""

    source: str
    values: Values
    columns: tuple[str, ...] = ("at", "seq")

    def order(self, prefix: str = "") -> str:
        return ", ".join(f"{prefix}{column} DESC" for column in self.columns)


async def page(transaction: Transaction, query: Query) -> Page:
    """One page; it may be short where filters leave out most of a walk.  Raises BadCursor."""
    cursor = _read_cursor(query)
    if any(map(cannot_be, (query.type, query.id_prefix, query.error, query.parent))):
        return Page([], None)
    if query.state is not None:
        [[number]] = await transaction.rows(f"SELECT sum({query.state}) FROM unlost.tally")
        if number == 0:
            return Page([], None)
    died = query.order is Order.DIED
    walk = await (_died if died else _submitted)(transaction, query, cursor)
    conditions, values = _filters(query)
    order, theirs = walk.order(), walk.order("walk.")
    sql = PAGE.format(source=walk.source, order=order, conditions=conditions, theirs=theirs)
    rows = await transaction.rows(sql, walk.values | values | {"limit": query.limit})
    shown = await fitting(transaction, rows, query.parts, query.room)
    found = await records(transaction, shown, query.parts)
    cursors = [_cursor(query.order, one[NUMBER_OF_COLUMNS], one[0]) for one in shown]
    if len(shown) < len(rows) or len(rows) == query.limit:
        return Page(found, cursors[-1], cursors)
    looked = f"{walk.source} ORDER BY {order} LIMIT 1 OFFSET {WALK - 1}"
    end = await transaction.rows(looked, walk.values)
    return Page(found, _cursor(query.order, end[0][1], end[0][0]) if end else None, cursors)


async def _submitted(
    transaction: Transaction, query: Query, cursor: tuple[int, int] | None
) -> _Walk:
    source, values = await _narrowest(transaction, query, cursor)
    if cursor is not None:
        source += " AND (task.submitted_at, task.seq) < (%(at)s, %(seq)s)"
        values |= {"at": cursor[0], "seq": cursor[1]}
    for name, bound, sign in (("until", query.until, "<"), ("since", query.since, ">=")):
        if bound is not None:
            source += f" AND task.submitted_at {sign} %({name})s"
            values[name] = bound
    return _Walk(source, values)


async def _narrowest(
    transaction: Transaction, query: Query, cursor: tuple[int, int] | None
) -> tuple[str, Values]:
    """The smallest source that has all that is asked for."""
    columns = "SELECT task.seq, task.submitted_at AS at FROM"
    if query.parent is not None:
        few = f"{columns} unlost.follow_up AS task WHERE task.parent = %(parent)s"
        return few, {"parent": query.parent}
    if (seqs := await _waiting(transaction, query)) is not None:
        return f"{columns} {SOME} WHERE true", {"seqs": packed(seqs)}
    if query.state in OF_STATE:
        few = f"SELECT seq FROM {OF_STATE[query.state]}"
        if not await transaction.rows(f"{few} OFFSET {WALK} LIMIT 1"):
            return (
                f"{columns} ({few}) AS few CROSS JOIN LATERAL {row('task', 'few.seq')} AS task"
                " WHERE true"
            ), {}
    if query.id_prefix and not await _common(transaction, query, cursor):
        condition, values = _id_range(query.id_prefix)
        sql = f"SELECT task.seq FROM unlost.task WHERE {condition} LIMIT {WALK + 1}"
        found = await transaction.rows(sql, values)
        if len(found) <= WALK:
            values = {"seqs": packed([one[0] for one in found])}
            return f"{columns} {SOME} WHERE true", values
    return f"{columns} unlost.task WHERE true", {}


async def _waiting(transaction: Transaction, query: Query) -> list[int] | None:
    """What waits of the types that are asked for, where nothing else is and they are rare."""
    if query.state not in WAITING or (names := query.named) is None:
        return None
    named = packed(sorted({name for name in names if not cannot_be(name)}))
    found = await transaction.rows(WAITING_OF_TYPES, {"names": named})
    return None if len(found) > FEW else [seq for (seq,) in found]


async def _common(transaction: Transaction, query: Query, cursor: tuple[int, int] | None) -> bool:
    """Whether so many ids begin so that the newest tasks fill the page."""
    condition, values = _id_range(query.id_prefix)
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


def _id_range(prefix: str) -> tuple[str, Values]:
    """The ids that begin so, as a range; ids are ordered by code point, as UTF-8 is."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return "task.id >= %(prefix)s", {"prefix": prefix}
    after = 0xE000 if stem[-1] == "\ud7ff" else ord(stem[-1]) + 1  # past the surrogates
    values = {"prefix": prefix, "beyond": stem[:-1] + chr(after)}
    return "task.id >= %(prefix)s AND task.id < %(beyond)s", values


async def _died(transaction: Transaction, query: Query, cursor: tuple[int, int] | None) -> _Walk:
    values = {} if cursor is None else {"at": cursor[0], "seq": cursor[1]}
    if query.error is not None:
        return await _died_of(transaction, query.error, values)
    source = "SELECT dead.seq, dead.died_at AS at FROM unlost.dead WHERE true"
    if cursor is not None:
        source += " AND (dead.died_at, dead.seq) < (%(at)s, %(seq)s)"
    return _Walk(source, values)


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


def _filters(query: Query) -> tuple[str, Values]:
    conditions, values = _id_range(query.id_prefix) if query.id_prefix else ("true", {})
    if query.state is not None:
        conditions += " AND coalesce(task.state, it.state) = %(state)s"
        values["state"] = query.state.value
    if query.type is not None:
        conditions += " AND task.type = %(type)s"
        values["type"] = query.type
    if query.types is not None:
        conditions += f" AND task.type = {TYPES}"
        values["types"] = packed([one for one in query.types if not cannot_be(one)])
    if query.order is Order.DIED:
        for name, bound, sign in (("since", query.since, ">="), ("until", query.until, "<")):
            if bound is not None:
                conditions += f" AND task.submitted_at {sign} %({name})s"
                values[name] = bound
    return conditions, values


def _cursor(order: Order, at: Micros, seq: int) -> str:
    return f"{order.value[0]}{at:x}-{seq:x}"


def _read_cursor(query: Query) -> tuple[Micros, int] | None:
    if query.cursor is None:
        return None
    pattern = query.order.value[0] + "([0-9a-f]{1,15})-([0-9a-f]{1,15})"
    match = re.fullmatch(pattern, query.cursor)
    if match is None:
        raise BadCursor(query.cursor)
    return int(match[1], 16), int(match[2], 16)


GROUPS = """
SELECT one.fingerprint, one.error_type, left(one.sample, %(longest)s), one.count,
       oldest.died_at, newest.died_at
FROM (
  SELECT fingerprint, max(error_type) AS error_type, max(sample) AS sample,
         sum(count)::bigint AS count
  FROM unlost.dead_group GROUP BY fingerprint HAVING sum(count) > 0) AS one
CROSS JOIN LATERAL (
  SELECT died_at FROM unlost.dead
  WHERE dead.fingerprint BETWEEN one.fingerprint AND one.fingerprint
  ORDER BY fingerprint, died_at, seq LIMIT 1) AS oldest
CROSS JOIN LATERAL (
  SELECT died_at FROM unlost.dead
  WHERE dead.fingerprint BETWEEN one.fingerprint AND one.fingerprint
  ORDER BY fingerprint DESC, died_at DESC, seq DESC LIMIT 1) AS newest
ORDER BY one.count DESC, one.fingerprint
"""


NUMBER_OF_GROUPS = "SELECT count(DISTINCT fingerprint) FROM unlost.dead_group WHERE count > 0"


# No count is kept by type: the dead letters themselves are counted, and the sample is of one of
# them, since the group's own may be of another type.
GROUPS_OF_TYPES = f"""
SELECT one.fingerprint, alike.error_type,
       left(coalesce(last.message, '{UNKNOWN.message}'), %(longest)s), one.count, one.first_at,
       one.last_at
FROM (
  SELECT dead.fingerprint, max(dead.seq) AS newest, count(*) AS count,
         min(dead.died_at) AS first_at, max(dead.died_at) AS last_at
  FROM unlost.dead
  CROSS JOIN LATERAL {row("task", "dead.seq")} AS task
  WHERE task.type = {TYPES}
  GROUP BY dead.fingerprint) AS one
CROSS JOIN LATERAL (
  SELECT max(error_type) AS error_type FROM unlost.dead_group
  WHERE dead_group.fingerprint = one.fingerprint) AS alike
LEFT JOIN LATERAL (
  SELECT message FROM unlost.attempt WHERE attempt.seq BETWEEN one.newest AND one.newest
  ORDER BY seq DESC, number DESC LIMIT 1) AS last ON true
ORDER BY one.count DESC, one.fingerprint
"""


async def groups(transaction: Transaction, room: int, types: Collection[str] | None) -> list[Group]:
    """Dead letters by fingerprint; with `types`, those of these."""
    [[number]] = await transaction.rows(NUMBER_OF_GROUPS)
    longest = {"longest": longest_sample(room, number)}
    if types is not None:
        named = {"types": packed([name for name in types if not cannot_be(name)])}
        return [Group(*row) for row in await transaction.rows(GROUPS_OF_TYPES, longest | named)]
    return [Group(*one) for one in await transaction.rows(GROUPS, longest)]
