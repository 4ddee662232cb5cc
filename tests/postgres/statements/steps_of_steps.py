"""The steps that attempts record, and redrives forget; effects that handlers declare."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.postgres.statements.step import ONCE, Place, Step, read, write
from tests.postgres.statements.steps_of_tasks import WHO
from unlost.effects import SECRET, Forget, Recorded
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.steps import declaring, forgetting, recording
from unlost.ledger.postgres.tasks import acts
from unlost.ledger.values import NewEffect, NewStep, StepAsked


async def look(transaction: Transaction, place: Place, batch: int) -> int:
    asked = [StepAsked(f"t{n}", f"token{n}", f"n{n % 5}") for n in place.seqs("mine", batch)]
    return sum(one.running for one in await recording.look(transaction, asked))


async def record(transaction: Transaction, place: Place, batch: int) -> int:
    new = [NewStep(f"t{n}", f"token{n}", f"n{n % 5}", "7") for n in place.seqs("mine", batch)]
    verdicts = await recording.record(transaction, new)
    return batch - verdicts.count(Recorded.NOT_RUNNING)


async def steps_of(transaction: Transaction, place: Place, batch: int) -> int:
    (task_id,) = place.ids("dead", 1)
    few = await recording.steps_of(transaction, task_id, results=False)
    assert len(await recording.secret(transaction)) == SECRET
    return int(few != await recording.steps_of(transaction, task_id, results=True))


async def forget(transaction: Transaction, place: Place, batch: int, *, names: Forget) -> int:
    await transaction.learn()
    return len(await forgetting.forget(transaction, place.seqs("dead", batch), names))


async def redrive(transaction: Transaction, place: Place, batch: int) -> int:
    (task_id,) = place.ids("dead", 1)
    await acts.redrive(transaction, task_id, WHO, '{"n": 2}', True)
    return batch


async def declare(transaction: Transaction, place: Place, batch: int) -> int:
    new = [NewEffect(f"t{n}", 1, 2 + n % 2, "mailed") for n in place.seqs("mine", batch)]
    return len(await declaring.declare(transaction, new))


async def effects(transaction: Transaction, place: Place, batch: int) -> int:
    first = await declaring.page(transaction, None, batch)
    found = await declaring.page(transaction, first.next_cursor, batch)
    return len(found.effects)


READS: Final[dict[str, Step]] = {
    "look for steps": read(look),
    "effects": read(effects),
    "steps of a task": read(steps_of, batches=ONCE),
}

WRITES: Final[dict[str, Step]] = {
    "record steps": write(record),
    "declare effects": write(declare),
    "forget a step": write(partial(forget, names=("n2",))),
    "forget all steps": write(partial(forget, names=True)),
    "redrive, forgetting": write(redrive, batches=ONCE),
}
