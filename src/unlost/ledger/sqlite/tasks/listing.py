"""Lists: pages of tasks by submission and of dead letters by death, and their groups."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import apsw
import msgspec

from unlost.ledger.deaths import UNKNOWN
from unlost.ledger.protocol import BadCursor
from unlost.ledger.sqlite.connection.rows import first, rows, snapshot, value
from unlost.ledger.sqlite.schema import ATTEMPT_BITS
from unlost.ledger.sqlite.tasks.reading import COLUMNS, OPEN, record
from unlost.ledger.values import Group, Order, Page, Query
from unlost.ledger.weight import longest_sample, weight, within
from unlost.task import Micros, State

AMONG = "IN (SELECT value FROM json_each(?))"
"""What equals one of the texts in a parameter, made by `_packed`."""

WALK = 20_000
"""How many records one page may look at when filters leave most of them out."""

NEWEST = 1_000
"""How many records tell whether a prefix is common."""

WAITING = frozenset({State.QUEUED, State.RETRYING})

FEW = 1_000
"""How many tasks that wait may be of a type that is rare; and how many of any may be not due."""

WAITING_OF_TYPES = f"""
SELECT seq FROM task INDEXED BY task_ready WHERE ready IN (1, 2) AND type {AMONG}
UNION ALL SELECT seq FROM task INDEXED BY task_parked WHERE parked IN (1, 2) AND type {AMONG}
UNION ALL SELECT seq FROM task INDEXED BY task_waiting WHERE waiting IN (1, 2)
LIMIT {FEW + 1}
"""

NO_POSITION = 1 << 62 - ATTEMPT_BITS
"""Above all positions."""

# Of each task that succeeded an attempt is kept, until it is purged.
RAN = f"""
SELECT 1 + max((SELECT up_to FROM purged), coalesce((
  SELECT key >> {ATTEMPT_BITS} FROM attempt WHERE key < ? << {ATTEMPT_BITS}
  ORDER BY key DESC LIMIT 1), 0))
"""


class _Walk(msgspec.Struct, frozen=True):
    """The rows that a page may look at, newest first: an SQL source of (seq, at)."""

    source: str
    values: tuple[Any, ...]


def page(db: apsw.Connection, query: Query) -> Page:
    """One page, in one snapshot; it may be short where filters leave out most of a walk.  Raises
    BadCursor."""
    cursor = _read_cursor(query)
    with snapshot(db):
        if query.state is not None and value(db, f"SELECT {query.state} FROM tally") == 0:
            return Page([], None)
        walk = (_died if query.order is Order.DIED else _submitted)(db, query, cursor)
        conditions, values = _filters(query)
        # The inner LIMIT bounds the work; SQLite does not look past it for matches.
        found = rows(
            db,
            f"SELECT {_columns()}, walk.at FROM ({walk.source} LIMIT {WALK}) AS walk "
            f"JOIN task USING (seq) WHERE {conditions} "
            "ORDER BY walk.at DESC, walk.seq DESC LIMIT ?",
            (*walk.values, *values, query.limit),
        )  # fmt: skip
        read = (record(db, row, query.parts) for row in found)
        records = list(within(query.room, read, weight))
        cursors = [_cursor(query.order, row[-1], row[0]) for row in found[: len(records)]]
        if len(records) < len(found) or len(found) == query.limit:
            return Page(records, cursors[-1], cursors)
        looked = first(db, f"{walk.source} LIMIT 1 OFFSET {WALK - 1}", walk.values)
        end = _cursor(query.order, looked[1], looked[0]) if looked else None
        return Page(records, end, cursors)


def _columns() -> str:
    return ", ".join("task." + name.strip() for name in COLUMNS.split(","))


def _submitted(db: apsw.Connection, query: Query, cursor: tuple[int, int] | None) -> _Walk:
    _, below = cursor or (0, None)
    values: list[Any] = []
    table, condition = "task", "true"
    if query.parent is not None:
        table, condition = "follow_up", "parent = ?"
        values.append(query.parent)
    elif query.state is State.RUNNING:
        table, condition = "task INDEXED BY task_running", "worker IS NOT NULL"
    elif (few := _few(db, query, below)) is not None:
        condition = "seq IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(few))
    elif query.state in OPEN:
        condition = "open = 1"
    elif query.state in (State.DEAD, State.CANCELLED):
        table = query.state
    highest = NO_POSITION if below is None else min(below, NO_POSITION)
    if query.until is not None:
        below = highest = min(highest, _first_since(db, query.until))
    if query.state is State.SUCCEEDED:  # what waits above those may be a million
        below = min(highest, value(db, RAN, (highest,)))
    if below is not None:
        condition += " AND seq < ?"
        values.append(below)
    if query.since is not None:
        condition += " AND seq >= ?"
        values.append(_first_since(db, query.since))
    source = f"SELECT seq, seq AS at FROM {table} WHERE {condition} ORDER BY seq DESC"
    return _Walk(source, tuple(values))


def _few(db: apsw.Connection, query: Query, below: int | None) -> list[int] | None:
    """All tasks that can be meant, where an index shows that these are few."""
    if query.state in WAITING:
        return _waiting(db, query)
    if query.id_prefix and query.state not in (State.RUNNING, State.DEAD):
        return _with_prefix(db, query, below)
    return None


def _waiting(db: apsw.Connection, query: Query) -> list[int] | None:
    """What waits of the types that are asked for (and what is not due, of others too), where that
    is little."""
    if query.named is None:
        return None
    names = _packed(query.named)
    found = rows(db, WAITING_OF_TYPES, (names, names))
    return None if len(found) > FEW else [seq for (seq,) in found]


def _with_prefix(db: apsw.Connection, query: Query, below: int | None) -> list[int] | None:
    """The tasks whose id begins so, if they are few enough to look at all of them, and not so
    common that the newest ones fill the page."""
    condition, values = _id_range(query.id_prefix)
    newest = "SELECT id FROM task WHERE seq < ? ORDER BY seq DESC LIMIT ?"
    common = f"SELECT count(*) FROM ({newest}) WHERE {condition}"
    start = 2**62 if below is None else below
    if value(db, common, (start, NEWEST, *values)) >= query.limit:
        return None
    sql = f"SELECT seq FROM task WHERE {condition} LIMIT {WALK + 1}"
    found = [row[0] for row in rows(db, sql, values)]
    return None if len(found) > WALK else found


def _id_range(prefix: str) -> tuple[str, list[str]]:
    """The ids that begin so, as a range; ids are ordered by code point, as UTF-8 is."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return "id >= ?", [prefix]
    after = 0xE000 if stem[-1] == "\ud7ff" else ord(stem[-1]) + 1  # past the surrogates
    return "id >= ? AND id < ?", [prefix, stem[:-1] + chr(after)]


def _first_since(db: apsw.Connection, at: Micros) -> int:
    """The first seq submitted at `at` or later: seq and submitted_at grow together."""
    low, high = 1, int(value(db, "SELECT coalesce(max(seq), 0) + 1 FROM task"))
    while low < high:
        middle = (low + high) // 2
        if value(db, "SELECT submitted_at FROM task WHERE seq >= ? LIMIT 1", (middle,)) >= at:
            high = middle
        else:
            low = middle + 1
    return low


def _died(db: apsw.Connection, query: Query, cursor: tuple[int, int] | None) -> _Walk:
    condition = "true"
    values: list[Any] = []
    if query.error is not None:
        known = first(db, "SELECT 1 FROM dead_group WHERE fingerprint = ?", (query.error,))
        condition = "fingerprint = ?" if known else "error_type = ?"
        values.append(query.error)
    if cursor is not None:
        condition += " AND (died_at, seq) < (?, ?)"
        values += cursor
    return _Walk(
        f"SELECT seq, died_at AS at FROM dead WHERE {condition} ORDER BY died_at DESC, seq DESC",
        tuple(values),
    )


def _filters(query: Query) -> tuple[str, list[Any]]:
    conditions = {
        "task.state = ?": query.state,
        "task.type = ?": query.type,
        f"task.type {AMONG}": None if query.types is None else _packed(query.types),
    }
    wanted: dict[str, Any] = {sql: value for sql, value in conditions.items() if value is not None}
    if query.order is Order.DIED:
        for bound, sign in ((query.since, ">="), (query.until, "<")):
            if bound is not None:
                wanted[f"task.submitted_at {sign} ?"] = bound
    ids, values = _id_range(query.id_prefix)
    return " AND ".join((ids, *wanted)), [*values, *wanted.values()]


def _cursor(order: Order, at: int, seq: int) -> str:
    return f"s{seq:x}" if order is Order.SUBMITTED else f"d{at:x}-{seq:x}"


def _read_cursor(query: Query) -> tuple[int, int] | None:
    if query.cursor is None:
        return None
    pattern = "s()([0-9a-f]{1,15})" if query.order is Order.SUBMITTED else (
        "d([0-9a-f]{1,15})-([0-9a-f]{1,15})"
    )  # fmt: skip
    match = re.fullmatch(pattern, query.cursor)
    if match is None:
        raise BadCursor(query.cursor)
    return int(match[1] or "0", 16), int(match[2], 16)


GROUPS = """
SELECT fingerprint, error_type, substr(sample, 1, ?), count,
  (SELECT died_at FROM dead WHERE dead.fingerprint = dead_group.fingerprint
   ORDER BY died_at LIMIT 1),
  (SELECT died_at FROM dead WHERE dead.fingerprint = dead_group.fingerprint
   ORDER BY died_at DESC LIMIT 1)
FROM dead_group ORDER BY count DESC, fingerprint
"""


# The sample is of one of the last letters, since the group's own may be of another type.  Where a
# group is of many types, those of one may be far from its ends, and all up to them are looked at.
GROUPS_OF_TYPES = f"""
SELECT one.fingerprint, dead_group.error_type, substr(coalesce((
    SELECT message FROM attempt
    WHERE key BETWEEN one.newest << {ATTEMPT_BITS} AND ((one.newest + 1) << {ATTEMPT_BITS}) - 1
    ORDER BY key DESC LIMIT 1), '{UNKNOWN.message}'), 1, ?2), one.count, one.first_at, one.last_at
FROM (
  SELECT of_type.fingerprint, max(of_type.last) AS newest, sum(of_type.count) AS count,
    min(of_type.first_at) AS first_at, max(dead.died_at) AS last_at
  FROM (
    SELECT fingerprint, count, (
        SELECT died_at FROM dead CROSS JOIN task USING (seq)
        WHERE dead.fingerprint = known.fingerprint AND task.type = known.type
        ORDER BY died_at LIMIT 1) AS first_at, (
        SELECT seq FROM dead CROSS JOIN task USING (seq)
        WHERE dead.fingerprint = known.fingerprint AND task.type = known.type
        ORDER BY died_at DESC LIMIT 1) AS last
    FROM group_of_type AS known
    WHERE count > 0 AND type IN (SELECT value FROM json_each(?1))) AS of_type
  JOIN dead ON dead.seq = of_type.last
  GROUP BY of_type.fingerprint) AS one
JOIN dead_group USING (fingerprint)
ORDER BY one.count DESC, one.fingerprint
"""


def _packed(texts: Collection[str]) -> str:
    return msgspec.json.encode(list(texts)).decode()


def groups(db: apsw.Connection, room: int, types: Collection[str] | None) -> list[Group]:
    """Dead letters by fingerprint; with `types`, those of these."""
    with snapshot(db):
        longest = longest_sample(room, value(db, "SELECT count(*) FROM dead_group"))
        if types is None:
            return [Group(*row) for row in rows(db, GROUPS, (longest,))]
        return [Group(*row) for row in rows(db, GROUPS_OF_TYPES, (_packed(types), longest))]
