"""The steps of redrives."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec.structs import replace

from tests.postgres.statements.filling import LARGEST
from tests.postgres.statements.step import NOW, ONCE, Place, Step, read, write
from unlost.ledger.postgres.connection.transaction import Transaction
from unlost.ledger.postgres.dead_letters import burying, redrives, stepping
from unlost.ledger.values import RedriveCopy, RedriveQuery
from unlost.redrive import LAST, LOOK, Named, Redrive, RedriveState
from unlost.task import SECOND

NEW: Final = Redrive("new", canary=0, tolerate=None, started_at=NOW, updated_at=NOW)
COUNTED: Final = replace(NEW, selected=1 << 40, counting=None, end=(NOW, LAST))
KINDS: Final = {
    "all": NEW,
    "a common error": replace(NEW, fingerprint="common"),
    "a rare error": replace(NEW, fingerprint="rare"),
    "a type": replace(NEW, type="default"),
    "types": replace(NEW, types=("default", "mail")),
}

EMPTIED: Final = """
INSERT INTO unlost.dead_group (fingerprint, slot, error_type, sample, count)
SELECT 'gone' || n, slot, 'Gone', '', 1 - 2 * slot
FROM generate_series(1, %(groups)s) AS n, generate_series(0, 1) AS slot
"""

COUNTED_BY_TWO: Final = """
INSERT INTO unlost.group_of_type (fingerprint, type, process, count)
SELECT 'gone' || n, 'default', -process, mod(n, 2) * (2 - process) + 3 - 2 * process
FROM generate_series(1, %(groups)s) AS n, generate_series(1, 2) AS process
"""

GROUPS: Final = 110
"""Those in which there are letters."""


async def add(transaction: Transaction, place: Place, batch: int) -> int:
    added = await redrives.add(transaction, NEW, Named(("a",)))
    return int(added[1] and not (await redrives.add(transaction, NEW, Named()))[1])


async def stop(transaction: Transaction, place: Place, batch: int) -> int:
    return int((await redrives.stop(transaction, "r1", "why")).state is RedriveState.STOPPED)


async def count(transaction: Transaction, place: Place, batch: int, *, new: Redrive) -> int:
    await redrives.restore(transaction, [RedriveCopy(new, Named())])
    return (await stepping.step(transaction, new.id, batch)).counted


async def take(
    transaction: Transaction, place: Place, batch: int, *, new: Redrive, by_id: bool = False
) -> int:
    """One that had as many under way, which have ended."""
    under_way = tuple((name, 0) for name in place.ids("over", batch))
    named = Named(tuple(place.ids("dead", batch)) if by_id else None)
    begun = replace(new, redriven=batch, named=by_id)
    await redrives.restore(transaction, [RedriveCopy(begun, named, under_way)])
    after = await stepping.step(transaction, new.id, batch)
    return after.redriven - batch if after.succeeded == batch else 0


async def purge(transaction: Transaction, place: Place, batch: int) -> int:
    return await redrives.purge(transaction, NOW - SECOND, batch)


async def forget_empty(transaction: Transaction, place: Place, batch: int) -> int:
    await transaction.do(EMPTIED, {"groups": batch})
    await transaction.do(COUNTED_BY_TWO, {"groups": batch})
    forgotten, _ = await burying.forget_empty(transaction, "gone", 2 * batch + 1)
    return forgotten


async def find(transaction: Transaction, place: Place, batch: int) -> int:
    return int(await redrives.find(transaction, "r5") is not None)


async def listed(
    transaction: Transaction, place: Place, batch: int, *, state: RedriveState | None = None
) -> int:
    return len(await redrives.listed(transaction, RedriveQuery(state, batch, (NOW, "r9"))))


async def open_ones(transaction: Transaction, place: Place, batch: int) -> int:
    return int(len(await redrives.open_ones(transaction, batch, (0, ""))) > 0)


async def counts(transaction: Transaction, place: Place, batch: int) -> int:
    return int(sum((await redrives.counts(transaction)).values()) >= LARGEST)


async def copies(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await redrives.copies(transaction, "r1", batch))


def _most(batch: int) -> int:
    return min(batch, 1_000)


READS: Final = {
    "redrive": read(find, batches=ONCE),
    "redrives": read(listed),
    "redrives of a state": read(partial(listed, state=RedriveState.DONE)),
    "open redrives": read(open_ones, some=lambda _: 1),
    "counts of redrives": read(counts, 3 * LARGEST, batches=ONCE),
    "copies of redrives": read(copies),
}

WRITES: Final[dict[str, Step]] = {
    "add redrive": write(add, batches=ONCE),
    "stop redrive": write(stop, batches=ONCE),
    "purge redrives": write(purge),
    "forget empty groups": write(forget_empty, GROUPS),
    **{
        f"count {name}": write(partial(count, new=new), LOOK, batches=ONCE)
        for name, new in KINDS.items()
    },
    **{
        f"take {name}": write(
            partial(take, new=replace(COUNTED, fingerprint=new.fingerprint, type=new.type,
                                      types=new.types)),
            LOOK, some=lambda _: 1,
        )
        for name, new in KINDS.items()
    },
    "take by id": write(partial(take, new=COUNTED, by_id=True), some=_most),
}  # fmt: skip
