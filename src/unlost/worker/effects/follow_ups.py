"""What follows from an attempt that succeeded: tasks that its handler has submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from unlost import carried, policy
from unlost.carried import Parent
from unlost.ledger.protocol import Attempts, Schedules, Tasks
from unlost.ledger.values import Claimed, FollowUp, Settled, Settlement
from unlost.schedule.schedule import owner
from unlost.task import Event, Outcome, Submission
from unlost.tracing import Tracing

CONFLICT: Final = "FollowUpConflict"
"""Type of the error of an attempt whose follow-up has the id of another task."""


class FollowUpLedger(Attempts, Schedules, Tasks, Protocol):
    """What settling with follow-ups needs of a ledger."""


def brought(
    end: Settlement, claimed: Claimed, tasks: Sequence[Submission], tracing: Tracing
) -> Settlement:
    """The settlement of an attempt, with the tasks that follow from it."""
    if not tasks:
        return end
    mine = carried.read(claimed.carried)
    from_here = replace(
        mine, callback_url=None, schedule=None, parent=Parent(claimed.task_id, claimed.number)
    )
    submit = []
    for new in tasks:
        own = replace(from_here, callback_url=carried.read(new.carried).callback_url)
        text = tracing.carry_on(claimed.token, carried.write(own))
        submit.append(FollowUp(replace(new, carried=text), _conflict(end, new.task_id)))
    return replace(end, submit=tuple(submit))


def _conflict(end: Settlement, task_id: str) -> Settlement:
    why = f"the follow-up {task_id} is there already, with another payload or other options"
    error = policy.error(CONFLICT, why)
    return Settlement(end.task_id, end.token, Outcome.FAILED, Event.DIE, error=error)


async def settle(
    ledger: FollowUpLedger, settlements: Sequence[Settlement]
) -> list[Settlement | None]:
    """Settle; by which settlement each attempt has ended, None where it was refused.

    Raises LedgerUnavailable.
    """
    ends = [await but_for_schedules(ledger, one) if one.submit else one for one in settlements]
    results = await ledger.settle(ends)
    return [_ended(*one) for one in zip(ends, results, strict=True)]


def _ended(end: Settlement, result: Settled) -> Settlement | None:
    if result is Settled.CONFLICT:
        return end.submit[0].conflict  # they are alike but for the id
    if result is Settled.EXCUSED:
        return end.by_breaker
    return end if result else None


async def but_for_schedules(ledger: FollowUpLedger, end: Settlement) -> Settlement:
    """The settlement, or a conflict where a follow-up would take an id that a schedule gives to
    its own tasks, as it would be to a client.  Raises LedgerUnavailable."""
    for one in end.submit:
        name = owner(one.submission.task_id)
        if name is None or (await ledger.schedule(name))[1] is None:
            continue
        if await ledger.compare([one.submission]) == [None]:
            return one.conflict
    return end
