"""How many of many records may be read at once, before any of their texts is.

The server tells a text's length without reading it, however large it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from unlost.ledger.postgres.connection.transaction import SEQS, Row, Transaction, packed
from unlost.ledger.values import Part
from unlost.ledger.weight import DECLARED as EACH_EFFECT
from unlost.ledger.weight import EACH, within
from unlost.task import State

_TEXT: Final = "SELECT seq, octet_length(text) FROM unlost.{table} WHERE seq = " + SEQS

_ROWS: Final = f"""
SELECT seq, sum(
  {EACH} + coalesce(octet_length({{first}}), 0) + coalesce(octet_length({{second}}), 0))
FROM unlost.{{table}} WHERE seq = {SEQS} GROUP BY seq
"""

SIZES: Final = {
    Part.PAYLOAD: _TEXT.format(table="payload"),
    Part.RESULT: _TEXT.format(table="result"),
    Part.HISTORY: _ROWS.format(table="act", first="by", second="reason"),
    Part.ATTEMPTS: _ROWS.format(table="attempt", first="message", second="traceback"),
}

STEPS: Final = f"""
SELECT seq, sum({EACH} + coalesce(size, 0)) FROM unlost.step WHERE seq = {SEQS} GROUP BY seq
"""

DECLARED: Final = f"""
SELECT seq, {EACH_EFFECT} * count(*) FROM unlost.effect WHERE seq = {SEQS} GROUP BY seq
"""

EDITED: Final = """
SELECT wanted.seq, octet_length(act.payload)
FROM json_to_recordset(%(edits)s::json) AS wanted (seq bigint, edit bigint)
CROSS JOIN LATERAL (
  SELECT payload FROM unlost.act
  WHERE act.seq = wanted.seq AND act.id = wanted.edit OFFSET 0) AS act
"""


async def fitting(
    transaction: Transaction,
    rows: list[Row],
    parts: Collection[Part],
    room: int,
    *,
    steps: bool = False,
) -> list[Row]:
    """The first of these rows of COLUMNS, up to the one with which their records, with these
    parts, and their `steps` and effects where they are asked for, weigh `room` or more: a round
    trip, where they can weigh much."""
    if len(rows) <= 1 or (not parts and len(rows) * EACH < room):
        return rows
    seqs = {"seqs": packed([row[0] for row in rows])}
    asked = {part: await transaction.ask(sql, seqs) for part, sql in SIZES.items() if part in parts}
    beside = [await transaction.ask(sql, seqs) for sql in (STEPS, DECLARED) if steps]
    edits = [{"seq": row[0], "edit": row[15]} for row in rows if row[15] is not None]
    sizes: dict[Part, dict[int, int]] = {}
    for part, cursor in asked.items():
        sizes[part] = dict(await transaction.read(cursor))
    if Part.PAYLOAD in parts and edits:
        sizes[Part.PAYLOAD] |= dict(await transaction.rows(EDITED, {"edits": packed(edits)}))
    more: Counter[int] = Counter()
    for cursor in beside:
        more.update(dict(await transaction.read(cursor)))
    return list(within(room, rows, lambda row: _weight(row, sizes) + more[row[0]]))


def _weight(row: Row, sizes: Mapping[Part, Mapping[int, int]]) -> int:
    """What `weight` will say of the row's record, from the sizes of its parts."""
    seq, state = row[0], row[3]
    runs = state == State.RUNNING and Part.ATTEMPTS in sizes
    there = {part for part in sizes if part is not Part.RESULT or state == State.SUCCEEDED}
    return EACH * (1 + runs) + sum(sizes[part].get(seq, 0) for part in there)
