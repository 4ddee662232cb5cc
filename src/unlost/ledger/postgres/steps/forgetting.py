"""What a redrive makes a task forget: its steps are made again, under another key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from unlost.effects import Forget, forgetting, may_forget
from unlost.ledger.postgres.connection.lookup import row
from unlost.ledger.postgres.connection.transaction import NOW, Transaction, packed
from unlost.ledger.postgres.steps.recording import named, read_effects

STAND: Final = """
SELECT EXISTS (
  SELECT FROM unlost.step WHERE step.seq BETWEEN %(seq)s AND %(seq)s AND forgotten_at IS NULL)
"""

EFFECTS: Final = f"""
SELECT task.seq, task.effects FROM json_array_elements_text(%(seqs)s::json) AS one (seq)
CROSS JOIN LATERAL {row("task", "one.seq::bigint")} AS task
"""

NAMES: Final = """
SELECT one.seq::bigint, step.name FROM json_array_elements_text(%(seqs)s::json) AS one (seq)
CROSS JOIN LATERAL (
  SELECT name FROM unlost.step WHERE step.seq BETWEEN one.seq::bigint AND one.seq::bigint
  ORDER BY step.seq, step.name OFFSET 0) AS step
"""

FORGET: Final = f"""
WITH item AS MATERIALIZED (
  SELECT step.place FROM json_to_recordset(%(items)s::json) AS wanted (seq bigint, name text)
  CROSS JOIN LATERAL {named("wanted.seq", "wanted.name")} AS step
  WHERE step.forgotten_at IS NULL
)
UPDATE unlost.step SET forgotten_at = {NOW} FROM item WHERE step.ctid = item.place
"""


async def stand(transaction: Transaction, seq: int) -> bool:
    """Whether the task has steps that are not made again."""
    return bool((await transaction.rows(STAND, {"seq": seq}))[0][0])


async def refused(transaction: Transaction, seqs: Sequence[int], names: Sequence[str]) -> set[int]:
    """Those of the tasks, whose rows are locked, that may not forget these."""
    found = await transaction.rows(EFFECTS, {"seqs": packed(seqs)}) if names else []
    return {seq for seq, text in found if not may_forget(read_effects(text), names)}


async def forget(transaction: Transaction, seqs: Sequence[int], forget: Forget) -> dict[int, str]:
    """Have the steps of these tasks, whose rows are locked, made again; the `effects` of each task
    from now on, where they change.  Raises TooManyForgotten."""
    values = {"seqs": packed(seqs)}
    asked = await transaction.ask(EFFECTS, values)
    there: dict[int, set[str]] = {seq: set() for seq in seqs}
    if forget is True:
        for seq, name in await transaction.rows(NAMES, values):
            there[seq].add(name)
    found: dict[int, str] = {}
    items = []
    for seq, text in await transaction.read(asked):
        after = forgetting(read_effects(text), there[seq], forget)
        names = there[seq] if forget is True else forget
        items += [{"seq": seq, "name": name} for name in names]
        if after is not None:
            found[seq] = packed(after)
    await transaction.do(FORGET, {"items": packed(items)})
    return found
