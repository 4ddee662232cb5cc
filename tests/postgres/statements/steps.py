"""Every step of the PostgreSQL home."""

from __future__ import annotations

from typing import Final, cast

from tests.postgres.statements import (
    steps_of_attempts,
    steps_of_redrives,
    steps_of_schedules,
    steps_of_steps,
    steps_of_tasks,
)
from tests.postgres.statements.filling import WORKERS
from tests.postgres.statements.step import (
    NOW,
    ONCE,
    Place,
    Step,
    look,
    write,
)
from unlost.ledger.postgres import preparing
from unlost.ledger.postgres.connection import defaults, rights
from unlost.ledger.postgres.connection.aside import aside
from unlost.ledger.postgres.connection.pool import Pool
from unlost.ledger.postgres.connection.transaction import (
    Transaction,
    packed,
)
from unlost.ledger.postgres.hints import presence, session, telling
from unlost.ledger.postgres.records import counting
from unlost.ledger.postgres.upkeep import measuring, purging, vacuuming
from unlost.telemetry.measures import NOTHING


async def counts(transaction: Transaction, place: Place, batch: int) -> int:
    await counting.exact_counts(transaction, place.marks)
    return batch


RIGHTS: Final = 20
"""What a look at the rights on all tables comes to, in eighths of them: it is of no batch."""


async def ping(transaction: Transaction, place: Place, batch: int) -> int:
    await counting.ping(transaction)
    return batch


async def measure(transaction: Transaction, place: Place, batch: int) -> int:
    await measuring.open_row(transaction, "new")
    await measuring.publish(transaction, "new", NOTHING)
    await measuring.close_row(transaction, "new", NOTHING)
    await measuring.published(transaction)
    return batch


async def purge(transaction: Transaction, place: Place, batch: int) -> int:
    return await purging.purge(transaction, NOW, batch)


async def walk(transaction: Transaction, place: Place, batch: int) -> int:
    return (await purging.walk(transaction, NOW, batch, purging.START))[0]


async def beside(place: Place, batch: int) -> int:
    """What is sent in transactions beside the steps."""
    pool = cast("Pool", place)
    await aside(pool, presence.ENLIST, packed([f"me{n}" for n in range(batch)]))
    await aside(pool, presence.STRIKE_OFF, packed(["x1"]))
    await aside(pool, session.NOTIFY, telling.DUE)
    told = [telling.Notification(telling.DUE, f"{n}") for n in range(batch)]
    await aside(pool, telling.NOTIFY, packed(told))
    await aside(pool, telling.NOTIFY_BEHIND, "me")
    return batch


async def surroundings(place: Place, batch: int) -> int:
    """What is asked of the server's own tables."""
    db = place.db
    await preparing.prepare(db, "here", must_exist=False)
    await preparing.now(db)
    await rights.to_make(db.rows)
    await rights.to_migrate(db.rows)
    await rights.to_vacuum(db.rows)
    await vacuuming.held_open(db.rows)
    if db.info.server_version >= rights.MAINTAIN:
        await db.rows(rights.MAY_MAINTAIN)
    await db.rows(session.LISTENS.format(channel=telling.DUE))
    await db.rows(purging.INDEX)
    await defaults.hostile(db.rows)
    return batch


# What inserts comes last: what it leaves in the indexes, though undone, costs those that read.
STEPS: Final = {
    **steps_of_tasks.READS,
    **steps_of_schedules.READS,
    **steps_of_redrives.READS,
    **steps_of_attempts.READS,
    **steps_of_steps.READS,
    "counts": look(counts, WORKERS, batches=ONCE),
    **steps_of_attempts.WRITES,
    "purge": write(purge),
    "walk": write(walk, purging.AT_ONCE, some=lambda batch: min(batch, 800)),
    **steps_of_tasks.WRITES,
    **steps_of_schedules.WRITES,
    **steps_of_redrives.WRITES,
    **steps_of_steps.WRITES,
    "ping": write(ping, RIGHTS, batches=ONCE),
    "measure": write(measure, batches=ONCE),
    "beside": Step(beside),
    "surroundings": Step(surroundings, batches=ONCE),
}
