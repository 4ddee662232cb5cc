"""Steps: how a task's record goes from one state to the next, in one conditional write.

What is to happen is decided on the record as it was read.  If somebody else was quicker, the
write changes nothing and brings back what is there now, and it is decided anew on that.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from unlost.ledger.dynamodb.connection.calls import Calls, Clash
from unlost.ledger.dynamodb.connection.writes import Change, Put, Same, Write
from unlost.ledger.dynamodb.hints.telling import Telling
from unlost.ledger.dynamodb.stored.record import Stored, read, written
from unlost.ledger.dynamodb.stored.wire import Item
from unlost.ledger.protocol import LedgerUnavailable, Refused, UnknownTask
from unlost.task import TRANSITIONS, Event, State

TRIES = 50
"""How often others may be quicker: each time, one of them got ahead."""


class Step(msgspec.Struct, frozen=True):
    """What becomes of a record, and what is written beside it, all or nothing.

    `beside` are items that are written once; `report` is a death's, under a new id.  `also` is
    what else has to be done, or to hold; `follow` are tasks that are new.
    """

    new: Stored
    beside: tuple[Item, ...] = ()
    report: Item | None = None
    also: tuple[Write | Same, ...] = ()
    follow: tuple[Stored, ...] = ()


def after(stored: Stored, event: Event) -> State:
    """The state that an event leads to.  Raises Refused."""
    state = TRANSITIONS.get((stored.state, event))
    if state is None:
        raise Refused(stored.state)
    return state


def ignored(write: Write | Same, there: Item | None) -> None:
    """What is decided on does not depend on it."""


async def take(
    calls: Calls,
    tell: Telling,
    stored: Stored,
    decide: Callable[[Stored], Step | None],
    clashed: Callable[[Write | Same, Item | None], None] = ignored,
) -> Step | None:
    """Take the step that `decide` decides on; None where it decides on none.

    `clashed` is told of a write other than the record's that could not be made, and what is there;
    then it is decided anew.  Raises what `decide` raises, UnknownTask where the record is gone,
    LedgerUnavailable.
    """
    for _ in range(TRIES):
        step = decide(stored)
        if step is None:
            return None
        try:
            await write(calls, stored, step)
        except Clash as clash:
            if clash.index > 0:  # such as a report's id that was taken: another one is tried
                clashed(writes(stored, step)[clash.index], clash.item)
                continue
            if clash.item is None:
                raise UnknownTask(stored.task_id) from None
            stored = read(clash.item)
            continue
        _tell(tell, stored, step)
        return step
    raise LedgerUnavailable(f"others change the task {stored.task_id} all the time")


def _tell(tell: Telling, stored: Stored, step: Step) -> None:
    tell.moved(step.new)
    if stored.slots and not step.new.slots:
        tell.freed(stored)
    if step.report is not None:
        tell.died(step.report)
    for new in step.follow:
        tell.moved(new)


def writes(stored: Stored, step: Step) -> list[Write | Same]:
    """What a step writes, the record first."""
    beside: list[Write] = [Put(item) for item in step.beside]
    if step.report is not None:
        beside.append(Put(step.report, only_new=True))
    return [Change(written(stored), written(step.new)), *beside, *step.also]


async def write(calls: Calls, stored: Stored, step: Step) -> None:
    """Write a step, if the record is still as it was read.  Raises Clash."""
    await calls.write_together(writes(stored, step))
