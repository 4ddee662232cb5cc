"""Webhooks on AWS: the end of a task brings a message that leads to its delivery."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, fail, hints, succeed
from tests.webhooks.receiver import SECRET, Receiver, receiving
from unlost import Handlers, carried
from unlost.aws.process import Process
from unlost.aws.sweep import Sweep
from unlost.carried import Carried
from unlost.ledger.values import Claimed
from unlost.settings import Settings
from unlost.task import SECOND, State
from unlost.upkeep.redrives import Redriving
from unlost.upkeep.scheduler import Scheduler
from unlost.upkeep.sweeper import Sweeper
from unlost.webhooks.serving import serving

SETTINGS: dict[str, Any] = {"webhook_secret": SECRET, "webhook_allow_private": True}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving("500 Oops", "204 No Content") as running:
        yield running


def process(place: Place, function: Any) -> Process:
    settings = Settings(**SETTINGS)
    served = serving(Handlers.for_every_type(function), settings)
    return place.process(served, **SETTINGS)


async def run(place: Place, function: Any) -> None:
    """Have `process` take what is in the queue."""
    records = place.queues.receive(place.queues.work)
    assert await process(place, function).batch(records, Context().left) == []
    place.queues.delete(place.queues.work, records)


async def test_a_success_is_told_by_a_delivery_that_is_tried_again(
    place: Place, receiver: Receiver
) -> None:
    await place.submit("t", carried=carried.write(Carried(receiver.url)))
    await run(place, succeed)
    await run(place, succeed)
    [failed] = receiver.requests
    delivery = failed.headers["webhook-id"]
    assert (await place.task(delivery)).state is State.RETRYING
    place.clock.advance(3600)
    await process(place, succeed).batch(hints(delivery), Context().left)
    [_, request] = receiver.requests
    assert (request.headers["webhook-id"], request.body) == (delivery, failed.body)
    assert request.verified()["data"]["result"] == "t"
    assert (await place.task(delivery)).state is State.SUCCEEDED


async def test_a_death_is_told_also_of_an_attempt_that_only_the_sweep_can_end(
    place: Place, receiver: Receiver
) -> None:
    text = carried.write(Carried(receiver.url))
    await place.submit("failed", "lost", carried=text, max_retries=0)
    await process(place, fail).batch(hints("failed"), Context().left)
    await claimed_and_left(place, "lost")
    place.clock.advance(3600)
    sweeper = Sweeper(place.ledger, Settings(), clock=place.clock, monotonic=None, random=Random(1))
    redriving = Redriving(place.ledger, clock=place.clock, monotonic=lambda: 0.0)
    for _ in range(3):  # a delivery that is answered 500 comes again
        await Sweep(place.ledger, sweeper, Scheduler(place.ledger, Random(1)), redriving).once(60)
        await run(place, fail)
        place.clock.advance(3600)
    assert len(receiver.requests) == 3
    told = {one.verified()["data"]["taskId"]: one.verified() for one in receiver.requests}
    assert told.keys() == {"failed", "lost"}
    assert told["lost"]["data"]["error"]["type"] == "WorkerLost"
    assert told["failed"]["data"]["error"] == {"type": "ValueError", "message": "no"}


async def claimed_and_left(place: Place, task_id: str) -> None:
    """Claim a task in an invocation that is never heard of again."""
    claimed = await place.ledger.claim_task(
        task_id,
        token="token",
        worker="lambda-gone",
        limits=None,
        defaults=Settings().limits,
        lease=SECOND,
    )
    assert isinstance(claimed, Claimed)
