"""What lists ask for, in SQL: conditions with their values, and cursors."""

from __future__ import annotations

import re
from typing import Any, Final

from unlost.ledger.postgres.connection.transaction import cannot_be, packed
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Order, Query
from unlost.task import FINAL, Micros

TYPES: Final = "ANY (ARRAY(SELECT json_array_elements_text(%(types)s::json)))"

Values = dict[str, Any]

Cursor = tuple[Micros, int]
"""A task's time, by the list's order, and its position."""


def between(query: Query, cursor: Cursor | None) -> tuple[str, Values]:
    """Conditions that leave tasks below the cursor, submitted at the times that are asked for."""
    bounds, values = "", Values()
    if cursor is not None:
        bounds += " AND (task.submitted_at, task.seq) < (%(at)s, %(seq)s)"
        values |= {"at": cursor[0], "seq": cursor[1]}
    for name, bound, sign in (("until", query.until, "<"), ("since", query.since, ">=")):
        if bound is not None:
            bounds += f" AND task.submitted_at {sign} %({name})s"
            values[name] = bound
    return bounds, values


def id_range(prefix: str) -> tuple[str, Values]:
    """The ids that begin so, as a range; ids are ordered by code point, as UTF-8 is."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return "task.id >= %(prefix)s", {"prefix": prefix}
    after = 0xE000 if stem[-1] == "\ud7ff" else ord(stem[-1]) + 1  # past the surrogates
    values = {"prefix": prefix, "beyond": stem[:-1] + chr(after)}
    return "task.id >= %(prefix)s AND task.id < %(beyond)s", values


def filters(query: Query) -> tuple[str, Values]:
    """Conditions of all else that is asked for."""
    conditions, values = id_range(query.id_prefix) if query.id_prefix else ("true", {})
    if query.state is not None:
        state = "task.state" if query.state in FINAL else "coalesce(task.state, it.state)"
        conditions += f" AND {state} = %(state)s"
        values["state"] = query.state.value
    types, named = of_types(query)
    conditions += f" AND {types}"
    values |= named
    if query.order is Order.DIED:
        bounds, times = between(query, None)
        conditions += bounds
        values |= times
    return conditions, values


def of_types(query: Query) -> tuple[str, Values]:
    """The condition that leaves the types that are asked for."""
    conditions, values = "true", Values()
    if query.type is not None:
        conditions += " AND task.type = %(type)s"
        values["type"] = query.type
    if query.types is not None:
        conditions += f" AND task.type = {TYPES}"
        values["types"] = packed([one for one in query.types if not cannot_be(one)])
    return conditions, values


def write_cursor(order: Order, at: Micros, seq: int) -> str:
    """The text that stands for the place of a task in a list."""
    return f"{order.value[0]}{at:x}-{seq:x}"


def read_cursor(query: Query) -> Cursor | None:
    """The place after which the page begins.  Raises BadCursor."""
    if query.cursor is None:
        return None
    pattern = query.order.value[0] + "([0-9a-f]{1,15})-([0-9a-f]{1,15})"
    match = re.fullmatch(pattern, query.cursor)
    if match is None:
        raise BadCursor(query.cursor)
    return int(match[1], 16), int(match[2], 16)
