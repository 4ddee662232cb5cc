"""The steps of tasks, of dead letters, and of records."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from tests.conformance.stage import BOOM, LEASE, submission
from tests.postgres.statements.filling import WORKERS
from tests.postgres.statements.step import (
    BATCHES,
    NOW,
    ONCE,
    RUNNING,
    Place,
    look,
    read,
    whatever,
    write,
)
from unlost.effects import Effect
from unlost.ledger.calls import Who
from unlost.ledger.postgres.connection.transaction import (
    Transaction,
)
from unlost.ledger.postgres.dead_letters import grouping, reporting
from unlost.ledger.postgres.records import copying
from unlost.ledger.postgres.tasks import acts, explaining, listing, reading, submitting
from unlost.ledger.postgres.upkeep import milestones
from unlost.ledger.protocol import StepsStand
from unlost.ledger.values import (
    EVERYTHING,
    Copy,
    Death,
    Order,
    Query,
)
from unlost.policy import Limits
from unlost.task import Act, Attempt, Event, Outcome, Record, State

WHO: Final = Who("ann", "why")

GROUPS: Final = 2 * 102
"""Rows of dead letters' groups."""


async def submit(transaction: Transaction, place: Place, batch: int) -> int:
    new = [submission(f"new{n}", key=f"k{n % 7}", run_at=NOW + n) for n in range(batch)]
    return len(await submitting.submit(transaction, new))


async def milestone(transaction: Transaction, place: Place, batch: int) -> int:
    await milestones.set_milestone(transaction, 1)
    return batch


async def submit_unraced(transaction: Transaction, place: Place, batch: int) -> int:
    new = [submission(f"new{n}", key=f"k{n % 7}", run_at=NOW + n) for n in range(batch)]
    return len(await submitting.submit(transaction, new, raced=False))


async def submit_again_unraced(transaction: Transaction, place: Place, batch: int) -> int:
    known = [submission(name) for name in place.ids("over", batch)]
    return batch - len(await submitting.submit(transaction, known, raced=False))


async def submit_again(transaction: Transaction, place: Place, batch: int) -> int:
    known = [submission(name) for name in place.ids("over", batch)]
    return batch - len(await submitting.submit(transaction, known))


async def compare(transaction: Transaction, place: Place, batch: int) -> int:
    known = [submission(name) for name in place.ids("over", batch)]
    return len(await submitting.compare(transaction, known, {}))


async def cancel(transaction: Transaction, place: Place, batch: int) -> int:
    for kind in ("due", "parked", "mine"):
        (task_id,) = place.ids(kind, 2)[-1:]
        await acts.cancel(transaction, task_id, WHO)
    return batch


async def redrive(transaction: Transaction, place: Place, batch: int) -> int:
    (task_id,) = place.ids("dead", 1)
    who = msgspec.structs.replace(WHO, call="one 00ff")
    with suppress(StepsStand):
        await acts.redrive(transaction, task_id, who, '{"n": 2}', None)
    await acts.redrive(transaction, task_id, who, '{"n": 2}', ())
    return batch


async def discard(transaction: Transaction, place: Place, batch: int) -> int:
    (task_id,) = place.ids("dead", 1)
    await acts.discard(transaction, task_id, WHO)
    return batch


async def claim_reports(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await reporting.claim_reports(transaction, batch, LEASE))


async def reported(transaction: Transaction, place: Place, batch: int) -> int:
    await reporting.reported(transaction, place.seqs("dead", batch))
    return batch


async def get(transaction: Transaction, place: Place, batch: int) -> int:
    (task_id,) = place.ids("dead", 1)
    return int(await reading.get(transaction, task_id, EVERYTHING) is not None)


async def facts(transaction: Transaction, place: Place, batch: int) -> int:
    """Of some of each kind; as many are looked at that are before one of them."""
    names = [place.ids(kind, 2)[-1] for kind in ("due", "limited", "parked", "later", "mine")]
    found = await explaining.facts(transaction, names, batch)
    return batch if max(one.before for one in found.values()) >= min(batch, 10) else 0


async def facts_of_many(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await explaining.facts(transaction, place.ids("due", batch), 0))


async def entries(transaction: Transaction, place: Place, batch: int) -> int:
    return len(await reading.entries(transaction, place.tasks // 2, batch, 1 << 40))


async def copies(transaction: Transaction, place: Place, batch: int) -> int:
    half = place.tasks // 2
    return len(await copying.copies(transaction, half, place.tasks, batch, 1 << 40))


async def last_position(transaction: Transaction, place: Place, batch: int) -> int:
    return int(await copying.last_position(transaction) == place.tasks)


async def restore(transaction: Transaction, place: Place, batch: int, *, known: bool) -> int:
    names = place.ids("over", batch) if known else [f"new{n}" for n in range(batch)]
    copies = [_copy(name) for name in names[::2]] + [_cancelled(name) for name in names[1::2]]
    return len(await copying.restore(transaction, copies))


def _copy(name: str) -> Copy:
    attempt = Attempt(1, NOW - 2, NOW - 1, Outcome.FAILED, BOOM)
    record = Record(
        name, "default", State.DEAD, 0, b"digest", NOW - 3, NOW - 1, None, 2, 60.0, 1, 0, BOOM,
        payload="{}", attempts=(attempt,), history=(Act(NOW, Event.REDRIVE, None, None),),
    )  # fmt: skip
    return Copy(
        record, Limits(), 1, False, died_at=NOW, unreported=(Death(NOW, 1, 1),), brought=1,
        declared=(Effect(1, 1, "charged", NOW),),
    )  # fmt: skip


def _cancelled(name: str) -> Copy:
    dead = _copy(name)
    record = msgspec.structs.replace(dead.record, state=State.CANCELLED, error=None, purged_at=NOW)
    return msgspec.structs.replace(dead, record=record, died_at=None)


async def page(transaction: Transaction, place: Place, batch: int, *, query: Query) -> int:
    found = await listing.page(transaction, msgspec.structs.replace(query, limit=batch))
    if found.next_cursor is not None:
        query = msgspec.structs.replace(query, limit=batch, cursor=found.next_cursor)
        await listing.page(transaction, query)
    return len(found.records)


async def groups(transaction: Transaction, place: Place, batch: int) -> int:
    return int(len(await grouping.groups(transaction, 1 << 20, None)) > 1)


async def groups_of_types(transaction: Transaction, place: Place, batch: int) -> int:
    return int(len(await grouping.groups(transaction, 1 << 20, ("default", "limited"))) > 1)


QUERIES: Final = {
    "all": (Query(), 1, BATCHES),
    "since": (Query(since=NOW - 10**12, until=NOW), 1, BATCHES),
    "of the dead": (Query(order=Order.DIED), 1, BATCHES),
    "of a rare error": (Query(order=Order.DIED, error="rare"), 1, BATCHES),
    "of a common error": (Query(order=Order.DIED, error="common"), 1, BATCHES),
    "of a kind of error": (Query(order=Order.DIED, error="Rare"), 1, BATCHES),
    "of a type": (Query(type="limited"), listing.WALK, ONCE),
    "of several types": (Query(types=("limited", "mail")), listing.WALK, ONCE),
    "of what waits of a type": (Query(state=State.QUEUED, type="rare"), 1, BATCHES),
    "of what waits of several types": (
        Query(state=State.RETRYING, types=("limited", "mail")), listing.WALK, ONCE
    ),
    "of a type of the dead": (Query(order=Order.DIED, type="limited"), listing.WALK, ONCE),
    "of a state": (Query(state=State.RUNNING), listing.WALK, ONCE),
    "of what waits": (Query(state=State.QUEUED), listing.WALK, ONCE),
    "of the dead, by submission": (Query(state=State.DEAD, since=NOW - 10**12), 1, BATCHES),
    "of what succeeded": (Query(state=State.SUCCEEDED), listing.WALK, ONCE),
    "of some ids": (Query(id_prefix="t123", since=NOW - 10**12), listing.WALK, ONCE),
    "of a parent": (Query(parent="parent8"), 1, BATCHES),
    "of many ids": (Query(id_prefix="t"), listing.WALK, ONCE),
}  # fmt: skip

READS: Final = {
    "get": read(get, batches=ONCE),
    "facts": read(facts, RUNNING + WORKERS),
    "facts of many": read(facts_of_many, RUNNING + WORKERS),
    "compare": read(compare),
    "entries": read(entries),
    "copies": read(copies),
    "last position": look(last_position, batches=ONCE),
    **{
        f"page {name}": read(partial(page, query=query), least, some=whatever, batches=batches)
        for name, (query, least, batches) in QUERIES.items()
    },
    "groups": read(groups, GROUPS, batches=ONCE),
    "groups of types": read(groups_of_types, GROUPS, batches=ONCE),
}

WRITES: Final = {
    "claim reports": write(claim_reports),
    "set a milestone": write(milestone, batches=ONCE),
    "reported": write(reported),
    "cancel": write(cancel, batches=ONCE),
    "redrive": write(redrive, batches=ONCE),
    "discard": write(discard, batches=ONCE),
    "submit": write(submit),
    "submit what is there": write(submit_again),
    "submit, unraced": write(submit_unraced),
    "submit what is there, unraced": write(submit_again_unraced),
    "restore": write(partial(restore, known=False)),
    "restore what is there": write(partial(restore, known=True)),
}
