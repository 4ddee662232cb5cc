"""The steps of schedules."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from tests.postgres.statements.filling import SCHEDULE
from tests.postgres.statements.step import NOW, ONCE, Place, Step, read, write
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.schedules import scheduling
from unlost.ledger.values import ROOM
from unlost.schedule import acting
from unlost.schedule.deciding import decide
from unlost.schedule.schedule import Move, Moved
from unlost.schedule.times import Every
from unlost.task import SECOND

TIMES: Final = Every(10)
AHEAD: Final = NOW + 20 * SECOND


async def make_schedules(transaction: Transaction, place: Place, batch: int) -> int:
    moves = [
        acting.created(f"new{n}", SCHEDULE.plan, TIMES, NOW, "", paused=False) for n in range(batch)
    ]
    return (await scheduling.move(transaction, moves)).count(Moved.DONE)


async def tick(transaction: Transaction, place: Place, batch: int) -> int:
    moves = []
    for number in place.seqs("mine", batch):
        schedule = replace(SCHEDULE, id=f"s{number}", next=NOW + 10 * SECOND)
        moves += decide(schedule, TIMES, AHEAD, "")[:2]
    return (await scheduling.move(transaction, moves)).count(Moved.DONE) // 2


async def change_plans(transaction: Transaction, place: Place, batch: int) -> int:
    moves = [
        Move(replace(SCHEDULE, id=f"s{number}", revision=2), 1, new_plan=True)
        for number in place.seqs("mine", batch)
    ]
    return (await scheduling.move(transaction, moves)).count(Moved.DONE)


async def drop(transaction: Transaction, place: Place, batch: int) -> int:
    return int(await scheduling.drop(transaction, "s7"))


async def due(transaction: Transaction, place: Place, batch: int) -> int:
    return len((await scheduling.due(transaction, batch, ROOM)).schedules)


async def schedules(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await scheduling.schedules(transaction, "s5", batch, ROOM))


async def bare(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await scheduling.schedules(transaction, "s5", batch, ROOM, payloads=False))


async def get(transaction: Transaction, place: Place, batch: int) -> int:
    return int((await scheduling.get(transaction, "s5"))[1] is not None)


async def ticks(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await scheduling.ticks(transaction, "s5", 2)) // 2


async def unended(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await scheduling.unended(transaction, place.ids("mine", batch)))


READS: Final[dict[str, Step]] = {
    "schedules due": read(due),
    "schedules by id": read(schedules, batches=(1, 100, 1_000)),
    "schedules by id, bare": read(bare, batches=(1, 100, 1_000)),
    "schedule": read(get, batches=ONCE),
    "ticks": read(ticks, batches=ONCE),
    "unended": read(unended),
}

WRITES: Final[dict[str, Step]] = {
    "make schedules": write(make_schedules),
    "tick": write(tick),
    "change plans": write(change_plans),
    "drop a schedule": write(drop, batches=ONCE),
}
