"""Recording steps, each in one transaction with the record, and reading them.

A look: 2 RCU (the record and the step, consistently; more for what is large).  A record of a
step reads the same, and writes the record and the step's item in one transaction: 4 WCU, and 2
for each further KiB of either.  Reading all steps of a task: 1 RCU for each 8 KiB, and as a look.
"""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from unlost.effects import SECRET, Recorded, Step, has_room, recorded
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change, Put
from unlost.ledger.dynamodb.steps import TRIES
from unlost.ledger.dynamodb.stored.effects import listed, step_of, times, with_step
from unlost.ledger.dynamodb.stored.record import Stored, read, written
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import NewStep, StepLook
from unlost.task import Micros


async def secret(calls: Calls) -> bytes:
    """What this ledger's effect keys come from; the first to ask makes it."""
    there = await calls.get(schema.EFFECTS)
    if there is None:
        pk, sk = schema.EFFECTS
        there = {"pk": pk, "sk": sk, "secret": secrets.token_bytes(SECRET)}
        try:
            await calls.write(Put(there, only_new=True))
        except Clash as clash:
            there = clash.item or there
    return bytes(there["secret"])


async def look(calls: Calls, task_id: str, token: str, name: str) -> StepLook:
    """Whether the attempt runs, and what stands under the name."""
    stored, step = await _found(calls, task_id, name)
    if stored is None or stored.token != token:
        return StepLook(False)
    return StepLook(True, step)


async def _found(calls: Calls, task_id: str, name: str) -> tuple[Stored | None, Step | None]:
    """The record, and what stands under the name.

    The two are not read at one moment; but while an attempt runs, nobody else records or forgets.
    """
    keys = schema.task_key(task_id), schema.step_key(task_id, name)
    there = await calls.get_many(keys)
    item = there.get(keys[0])
    if item is None:
        return None, None
    stored = read(item)
    step = step_of(there[keys[1]], times(stored)) if keys[1] in there else None
    return stored, step if step is not None and step.stands else None


async def record(calls: Calls, new: NewStep, now: Micros) -> Recorded:
    """Record a step, while its token is the running attempt's."""
    for _ in range(TRIES):
        stored, known = await _found(calls, new.task_id, new.name)
        if stored is None or stored.token != new.token:
            return Recorded.NOT_RUNNING
        others = stored.standing or 0
        verdict = recorded(known, new.result, others, stored.step_bytes or 0)
        if known is not None or not has_room(others):
            return verdict
        good = verdict is Recorded.KEPT
        step = Step(new.name, stored.number, now, good, new.result if good else None)
        after, item = with_step(stored, step)
        try:
            await calls.write_together([Change(written(stored), written(after)), Put(item)])
        except Clash:
            continue
        return verdict
    raise LedgerUnavailable(f"others change the task {new.task_id} all the time")


async def steps_of(calls: Calls, task_id: str, *, results: bool) -> list[Step]:
    """What is recorded of a task's steps, by time, then by name."""
    stored = await reading.find(calls, task_id)
    if stored is None:
        return []
    steps = listed(await reading.step_items(calls, stored), times(stored))
    return [*steps] if results else [replace(step, result=None) for step in steps]
