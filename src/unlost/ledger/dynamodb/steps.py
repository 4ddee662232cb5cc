"""Steps: how a task's record goes from one state to the next, in one conditional write.

What is to happen is decided on the record as it was read.  If somebody else was quicker, the
write changes nothing and brings back what is there now, and it is decided anew on that.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from unlost.ledger.dynamodb.announce import Telling
from unlost.ledger.dynamodb.calls import Calls, Clash
from unlost.ledger.dynamodb.stored import Stored, read, written
from unlost.ledger.dynamodb.wire import Item
from unlost.ledger.dynamodb.writes import Change, Put, Write
from unlost.ledger.protocol import LedgerUnavailable, Refused, UnknownTask
from unlost.task import TRANSITIONS, Event, State

TRIES = 50
"""How often others may be quicker: each time, one of them got ahead."""


class Step(msgspec.Struct, frozen=True):
    """What becomes of a record, and what is written beside it, all or nothing.

    `beside` are items that are written once; `report` is a death's, under a new id.
    """

    new: Stored
    beside: tuple[Item, ...] = ()
    report: Item | None = None


def after(stored: Stored, event: Event) -> State:
    """The state that an event leads to.  Raises Refused."""
    state = TRANSITIONS.get((stored.state, event))
    if state is None:
        raise Refused(stored.state)
    return state


async def take(
    calls: Calls, tell: Telling, stored: Stored, decide: Callable[[Stored], Step | None]
) -> Step | None:
    """Take the step that `decide` decides on; None where it decides on none.

    Raises what `decide` raises, UnknownTask where the record is gone, LedgerUnavailable.
    """
    for _ in range(TRIES):
        step = decide(stored)
        if step is None:
            return None
        try:
            await write(calls, stored, step)
        except Clash as clash:
            if clash.index == 0:  # else it was the report's id that was taken: try another
                if clash.item is None:
                    raise UnknownTask(stored.task_id) from None
                stored = read(clash.item)
            continue
        tell.moved(step.new)
        if step.report is not None:
            tell.died(step.report)
        return step
    raise LedgerUnavailable(f"others change the task {stored.task_id} all the time")


async def write(calls: Calls, stored: Stored, step: Step) -> None:
    """Write a step, if the record is still as it was read.  Raises Clash."""
    change = Change(written(stored), written(step.new))
    beside: list[Write] = [Put(item) for item in step.beside]
    if step.report is not None:
        beside.append(Put(step.report, only_new=True))
    if beside:
        await calls.write_together([change, *beside])
    else:
        await calls.write(change)
