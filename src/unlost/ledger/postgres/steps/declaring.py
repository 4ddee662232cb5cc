"""Effects of which handlers say that they have happened, whether their attempts run or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from unlost.effects import Effect
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import (
    NOW,
    SEQS,
    Transaction,
    cannot_be,
    packed,
)
from unlost.ledger.protocol import BadCursor
from unlost.ledger.values import Declared, EffectPage, NewEffect
from unlost.task import Micros

# In one order, so that two who bring the same wait for each other.
DECLARE: Final = f"""
INSERT INTO unlost.effect (seq, attempt, turn, name, at)
SELECT task.seq, item.attempt, item.turn, item.name, {NOW}
FROM json_to_recordset(%(items)s::json) AS item (
  task_id text, attempt integer, turn integer, name text)
CROSS JOIN LATERAL (
  SELECT seq FROM unlost.task
  WHERE task.id = item.task_id AND task.purged_at IS NULL OFFSET 0) AS task
ORDER BY task.seq, item.attempt, item.turn
ON CONFLICT (seq, attempt, turn) DO NOTHING
"""

PAGE: Final = f"""
SELECT effect.seq, task.id, effect.attempt, effect.turn, effect.name, effect.at
FROM (
  SELECT * FROM unlost.effect
  WHERE (effect.seq, effect.attempt, effect.turn) > (%(seq)s, %(attempt)s, %(turn)s)
  ORDER BY effect.seq, effect.attempt, effect.turn LIMIT %(limit)s) AS effect
CROSS JOIN LATERAL {row("task", "effect.seq")} AS task
ORDER BY effect.seq, effect.attempt, effect.turn
"""

OF_MANY: Final = f"""
SELECT seq, attempt, turn, name, at FROM unlost.effect WHERE seq = {SEQS}
ORDER BY seq, attempt, turn
"""

KEEP: Final = """
INSERT INTO unlost.effect (seq, attempt, turn, name, at)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (
  seq bigint, attempt integer, turn integer, name text, at bigint)
"""

BROUGHT: Final = """
INSERT INTO unlost.brought (seq, number)
SELECT * FROM json_to_recordset(%(items)s::json) AS item (seq bigint, number integer)
"""

_CURSOR: Final = re.compile(r"(\d{1,18})-(\d{1,9})-(\d{1,9})", re.ASCII)


class EffectRow(msgspec.Struct, frozen=True):
    """An effect as KEEP takes it."""

    seq: int
    attempt: int
    turn: int
    name: str
    at: Micros


class BroughtRow(msgspec.Struct, frozen=True):
    """How many new tasks followed from one, as BROUGHT takes it."""

    seq: int
    number: int


async def declare(transaction: Transaction, new: Sequence[NewEffect]) -> list[None]:
    """Record effects of tasks that are there, and not purged."""
    items = [one for one in new if not cannot_be(one.task_id)]
    await transaction.do(DECLARE, {"items": packed(items)})
    return [None] * len(new)


async def page(transaction: Transaction, cursor: str | None, limit: int) -> EffectPage:
    """A page of all, in the order of positions, attempts and turns.  Raises BadCursor."""
    after = _CURSOR.fullmatch("0-0-0" if cursor is None else cursor)
    if after is None:
        raise BadCursor(cursor)
    seq, attempt, turn = map(int, after.groups())
    values = {"seq": seq, "attempt": attempt, "turn": turn, "limit": limit}
    found = await transaction.rows(PAGE, values)
    effects = [Declared(task_id, Effect(*one)) for _, task_id, *one in found]
    if len(found) < limit:
        return EffectPage(effects, None)
    seq, _, attempt, turn, *_ = found[-1]
    return EffectPage(effects, f"{seq}-{attempt}-{turn}")


async def of_many(transaction: Transaction, seqs: Sequence[int]) -> dict[int, tuple[Effect, ...]]:
    """The effects of these tasks, by attempt and turn."""
    found: dict[int, list[Effect]] = {seq: [] for seq in seqs}
    for seq, *one in await transaction.rows(OF_MANY, {"seqs": packed(seqs)}):
        found[seq].append(Effect(*one))
    return {seq: tuple(effects) for seq, effects in found.items()}


async def keep_brought(transaction: Transaction, rows: Sequence[tuple[int, int | None]]) -> None:
    """Keep how many new tasks followed from each of these, where any did."""
    items = [BroughtRow(seq, number) for seq, number in rows if number is not None]
    if items:
        await transaction.do(BROUGHT, {"items": packed(items)})
