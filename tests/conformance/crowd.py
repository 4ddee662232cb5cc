"""A ledger with every kind of task in it, each of a type of its own name."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tests.conformance.stage import LEASE, OTHER, Stage, ended, follow_up, submission
from unlost.ledger.values import Claimed, NewEffect, NewStep
from unlost.task import SECOND, Event, Outcome

BIG = 200_000
INTEGERS = '{"id": 170141183460469231731687303715884105727, "small": -9007199254740993}'
CROWD = 33
"""Tasks that `crowd` leaves."""


async def started(stage: Stage, task_id: str, worker: str = "gone", **options: Any) -> Claimed:
    """A new task of its own type, running."""
    await stage.submit(task_id, type=task_id, **options)
    return await again(stage, task_id, worker)


async def again(stage: Stage, task_id: str, worker: str = "gone", alone: bool = False) -> Claimed:
    """The task's next attempt; each step is at a time of its own."""
    stage.clock.advance(0.5)
    (claimed,) = await stage.claim(worker=worker, types=(task_id,), alone=alone)
    stage.clock.advance(0.5)
    return claimed


async def crowd(stage: Stage) -> None:
    """Tasks of every kind; the leases of all workers are over at the end."""
    await _finished(stage)
    await _dead(stage)
    await _redriven(stage)
    await _waiting(stage)
    await _running(stage)
    stage.clock.advance(2 * LEASE / SECOND)


async def _finished(stage: Stage) -> None:
    purged = await started(stage, "purged", payload='{"n": 1}')
    await recorded(stage, purged, "charge")
    await stage.succeed(purged, '"gone"')
    await stage.ledger.cancel(await _queued(stage, "cancelled and purged"), "ann", "old")
    stage.clock.advance(1)
    assert await stage.ledger.purge(stage.clock.now, 10) == 2
    await stage.succeed(await started(stage, "succeeded"), '{"sum": [1, 2, 3]}')
    await stage.succeed(await started(stage, "succeeded with much"), f'"{"r" * BIG}"')
    parent = await started(stage, "parent")
    brought = replace(
        ended(parent, Outcome.SUCCEEDED, Event.SUCCEED),
        submit=(follow_up(parent, submission("follow-up", type="follow-up")),),
    )
    await stage.ledger.settle([brought])
    await stage.ledger.cancel(await _queued(stage, "cancelled"), None, None)
    await started(stage, "cancelled as it ran")
    await stage.ledger.cancel("cancelled as it ran", "bo", "too late")


async def _queued(stage: Stage, task_id: str) -> str:
    await stage.submit(task_id, type=task_id)
    return task_id


async def _reported(stage: Stage, task_id: str) -> None:
    """The task's last death is reported, those of others are not."""
    deaths = await stage.ledger.claim_reports(10, LEASE)
    await stage.ledger.reported([death.id for death in deaths if death.task_id == task_id])


async def _dead(stage: Stage) -> None:
    await stage.die(await started(stage, "dead and reported"))
    await _reported(stage, "dead and reported")
    await stage.retry(await started(stage, "dead"), error=OTHER)
    await stage.lose(await again(stage, "dead"))
    await stage.die(await again(stage, "dead", "solo", alone=True))
    await stage.die(await started(stage, "dead otherwise"), OTHER)
    await stage.die(await started(stage, "discarded"))
    await stage.ledger.discard("discarded", "ann", "not needed", call="one 00ff")


async def _redriven(stage: Stage) -> None:
    edited = '{"edited": true}'
    await stage.die(await started(stage, "edited", payload='{"edited": false}'))
    await _reported(stage, "edited")
    await stage.ledger.redrive("edited", "ann", "the payload was wrong", edited)
    await stage.die(await started(stage, "edited and dead", payload='{"edited": false}'))
    await _reported(stage, "edited and dead")
    await stage.ledger.redrive("edited and dead", None, None, edited)
    await stage.die(await again(stage, "edited and dead"), OTHER)
    await stage.die(await started(stage, "dead twice"))
    await stage.ledger.redrive("dead twice", "bo", None)
    await stage.release(await again(stage, "dead twice"))
    await stage.die(await again(stage, "dead twice"), OTHER)
    await stage.die(await started(stage, "redriven and done"))
    await stage.ledger.redrive("redriven and done", "bo", None, call="two 00ff")
    await stage.succeed(await again(stage, "redriven and done"))
    await stage.excuse(await started(stage, "excused and dead"))
    await stage.die(await again(stage, "excused and dead"))
    await stage.excuse(await started(stage, "excused and redriven"))
    await stage.die(await again(stage, "excused and redriven"))
    await stage.ledger.redrive("excused and redriven", "bo", None)
    await stage.excuse(await again(stage, "excused and redriven"), wait=300)

    await _charged(stage)


async def _charged(stage: Stage) -> None:
    """What made steps: one is dead, of one some were forgotten, and made again in part."""
    attempt = await started(stage, "charged and dead")
    await recorded(stage, attempt, "charge", INTEGERS)
    await stage.die(attempt)
    attempt = await started(stage, "charged again", max_retries=5)
    for name, result in (("charge", "1"), ("mail", "2"), ("huge", None), ("ship", '"é"')):
        await recorded(stage, attempt, name, result)
        new = [NewEffect("charged again", attempt.number, turn, f"{name} é") for turn in (1, 2)]
        await stage.ledger.declare_effects(new)
    await stage.die(attempt)
    await stage.ledger.redrive("charged again", "ann", None, forget=("charge", "mail", "never"))
    attempt = await again(stage, "charged again")
    await recorded(stage, attempt, "charge", "3")
    await stage.retry(attempt, wait=300)


async def recorded(
    stage: Stage, attempt: Claimed, name: str, result: str | None = '"done"'
) -> None:
    """A step of this attempt."""
    await stage.ledger.record_step(NewStep(attempt.task_id, attempt.token, name, result))
    stage.clock.advance(0.5)


async def _waiting(stage: Stage) -> None:
    await stage.submit("queued", type="queued", payload=INTEGERS)
    stage.clock.advance(1)
    await stage.submit("queued with limits", max_retries=7, timeout=2.5, priority=-3)
    await stage.submit("queued with much", payload=f'"{"p" * BIG}"', priority=100)
    await stage.submit("delayed", delay=600, priority=5)
    await stage.retry(await started(stage, "retrying", max_retries=9), wait=300)
    await stage.retry(await started(stage, "retrying and due", timeout=1.5), wait=0.5)
    await stage.lose(await started(stage, "lost"), wait=1)
    await stage.lose(await started(stage, "lost and delayed"), wait=400)
    await stage.release(await started(stage, "released", priority=4))
    await stage.excuse(await started(stage, "excused"), wait=300)


async def _running(stage: Stage) -> None:
    await started(stage, "running", "one", timeout=45.0)
    await stage.retry(await started(stage, "running again", "one"))
    await again(stage, "running again", "two")
    await stage.lose(await started(stage, "running alone"))
    await again(stage, "running alone", "three", alone=True)
