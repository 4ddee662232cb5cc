"""Starting attempts: what claims have in common, however they came upon the task."""

from __future__ import annotations

from msgspec.structs import replace

from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.controls import slots
from unlost.ledger.dynamodb.controls.slots import Room, Taken
from unlost.ledger.dynamodb.steps import Step, write
from unlost.ledger.dynamodb.stored.effects import effects_of
from unlost.ledger.dynamodb.stored.record import Stored
from unlost.ledger.dynamodb.tasks import reading
from unlost.ledger.values import Claimed, Part
from unlost.policy import Limits
from unlost.task import SECOND, Micros, State


async def payloads(calls: Calls, tasks: list[Stored]) -> list[str]:
    """Payloads are read before the claim, so that nothing is claimed where that fails."""
    found = await reading.records(calls, tasks, (Part.PAYLOAD,))
    return [record.payload or "" for record in found]


def started(stored: Stored, token: str, worker: str, limits: Limits, now: Micros) -> Stored:
    """The record once an attempt is counted that begins now."""
    if limits.max_retries is None or limits.timeout is None:
        raise ValueError("the claim's defaults leave a limit open")
    return replace(
        stored,
        state=State.RUNNING,
        updated_at=now,
        token=token,
        worker=worker,
        number=stored.number + 1,
        spent=stored.spent + 1,
        attempt_count=stored.attempt_count + 1,
        started_at=now,
        deadline=now + round(limits.timeout * SECOND),
        max_retries=limits.max_retries,
        timeout=limits.timeout,
        slots=(),
        turn=None,
    )


async def start(
    calls: Calls, stored: Stored, new: Stored, room: Room | None, taken: Taken
) -> Stored:
    """Write that the attempt has begun which `new` has, with what was taken of the room.

    Raises Clash, with index 0 where the record has changed, else since a slot was given to another,
    or another has started.
    """
    new = replace(new, slots=taken.slots)
    same = () if room is None or room.same is None else (room.same,)
    await write(calls, stored, Step(new, also=(*slots.put(new, new.slots), *taken.starts, *same)))
    return new


def claimed_as(stored: Stored, payload: str, due_at: Micros | None = None) -> Claimed:
    """What a worker needs to run the attempt that is recorded."""
    return Claimed(
        stored.task_id, stored.token or "", stored.type, payload, stored.number, stored.spent,
        stored.max_retries or 0, stored.timeout or 0.0, stored.deadline or 0,
        stored.redrive_count, stored.submitted_at, stored.started_at or 0, due_at,
        stored.carried, effects_of(stored), stored.excused, stored.key,
    )  # fmt: skip
