"""Redriving many dead letters, in runs that end."""

from __future__ import annotations

from typing import Any

from unlost.ledger.postgres.connection.lookup import locked_row, row
from unlost.ledger.postgres.connection.transaction import NOW, Transaction, cannot_be, packed
from unlost.ledger.postgres.tasks.acts import Revived, Who, revive
from unlost.ledger.values import RUN_PAUSE, Selection
from unlost.task import State

FORGET = f"""
DELETE FROM unlost.redrive_run WHERE selectors = ANY (ARRAY(
  SELECT selectors FROM unlost.redrive_run WHERE last_call < {NOW} - {RUN_PAUSE}
  FOR UPDATE SKIP LOCKED))
"""

# One call of a run at a time: the row is locked until the end.
RUN = f"""
INSERT INTO unlost.redrive_run AS known (selectors, began, next_slot, last_call)
VALUES (%(selectors)s, {NOW}, {NOW}, {NOW})
ON CONFLICT (selectors) DO UPDATE
SET began = CASE WHEN known.last_call < {NOW} - {RUN_PAUSE} THEN {NOW} ELSE known.began END,
    next_slot = CASE WHEN known.last_call < {NOW} - {RUN_PAUSE} THEN {NOW} ELSE known.next_slot END
RETURNING began, next_slot
"""

KEEP_RUN = f"""
UPDATE unlost.redrive_run SET next_slot = %(slot)s, last_call = {NOW}
WHERE selectors = %(selectors)s
"""

END_RUN = "DELETE FROM unlost.redrive_run WHERE selectors = %(selectors)s"

# What somebody else has just taken comes as a row of nothing: it counts as looked at.
CHOSEN = f"""
WITH chosen AS MATERIALIZED (
  SELECT dead.seq, dead.died_at FROM {{source}}
  WHERE {{conditions}}
  ORDER BY {{order}}dead.died_at, dead.seq LIMIT %(limit)s
)
SELECT task.seq, task.place, task.id, task.type, task.number FROM chosen LEFT JOIN LATERAL (
  SELECT * FROM {locked_row("task", "chosen.seq")} AS known WHERE state = 'dead') AS task ON true
ORDER BY chosen.died_at, chosen.seq
"""

THEIR_TASKS = f"unlost.dead CROSS JOIN LATERAL {row('task', 'dead.seq')} AS task"

BY_ID = f"""
json_array_elements_text(%(ids)s::json) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM unlost.task WHERE task.id = wanted.id OFFSET 0) AS task
CROSS JOIN LATERAL {row("dead", "task.seq")} AS dead
"""

OF_TYPES = " AND task.type = ANY (ARRAY(SELECT json_array_elements_text(%(types)s::json)))"

DEAD_THEN = "dead.died_at <= %(began)s"

# In the order of its own index, and as a condition that no other can be used for.
OF_FINGERPRINT = """
dead.fingerprint >= %(fingerprint)s
AND (dead.fingerprint, dead.died_at) <= (%(fingerprint)s, %(began)s)
"""


async def redrive_many(
    transaction: Transaction, selection: Selection, who: Who
) -> tuple[int, bool]:
    """Redrive what is selected, oldest death first, and say whether the run has more."""
    if cannot_be(selection.fingerprint) or cannot_be(selection.type):
        return 0, False
    selectors = selection.run
    await transaction.do(FORGET)
    ((began, slot),) = await transaction.rows(RUN, {"selectors": selectors})
    slot = max(slot, transaction.now) if selection.interval else transaction.now
    sql, values = _chosen(selection)
    found = await transaction.rows(sql, values | {"began": began, "limit": selection.limit + 1})
    chosen = [one for one in found[: selection.limit] if one[0] is not None]
    dues = [slot + turn * selection.interval for turn in range(len(chosen))]
    if chosen:
        revived = [Revived(one[0], one[1], due) for one, due in zip(chosen, dues, strict=True)]
        await revive(transaction, revived, who)
    for (_, _, task_id, task_type, number), due in zip(chosen, dues, strict=True):
        transaction.moved(State.DEAD, State.QUEUED)
        transaction.due(due)
        transaction.tell(task_id, task_type, State.QUEUED, number)
    more = len(found) > selection.limit
    slot += len(chosen) * selection.interval
    await transaction.do(KEEP_RUN if more else END_RUN, {"selectors": selectors, "slot": slot})
    return len(chosen), more


def _chosen(selection: Selection) -> tuple[str, dict[str, Any]]:
    source, order, conditions = "unlost.dead", "", DEAD_THEN
    values: dict[str, Any] = {}
    if selection.fingerprint is not None:
        order, conditions = "dead.fingerprint, ", OF_FINGERPRINT
        values["fingerprint"] = selection.fingerprint
    if selection.type is not None:
        source = THEIR_TASKS
        conditions += " AND task.type = %(type)s"
        values["type"] = selection.type
    if selection.types is not None:
        source = THEIR_TASKS
        conditions += OF_TYPES
        values["types"] = packed([name for name in selection.types if not cannot_be(name)])
    if selection.task_ids is not None:
        source = BY_ID
        ids = {name for name in selection.task_ids if not cannot_be(name)}
        values["ids"] = packed(sorted(ids))
    return CHOSEN.format(source=source, order=order, conditions=conditions), values
