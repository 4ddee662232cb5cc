"""What a redrive makes a task forget: its steps are made again, under another key.

It costs reading those steps (1 RCU each, or for all of a task 1 for each 8 KiB), and nothing more
is written than the record.
"""

from __future__ import annotations

from unlost.effects import Forget
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.stored.effects import Forgetting
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.tasks.reading import step_items


async def forgetting(calls: Calls, stored: Stored, forget: Forget) -> Forgetting:
    """What of a dead letter is forgotten; none of its attempts runs, so nothing is added."""
    if stored.standing is None:
        return Forgetting(forget)
    if forget is True:
        return Forgetting(forget, tuple(await step_items(calls, stored)))
    found = await calls.get_many(schema.step_key(stored.task_id, name) for name in forget)
    return Forgetting(forget, tuple(found.values()))
