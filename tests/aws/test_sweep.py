"""The function that each minute finds what no message has brought on."""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, Shaky, fail, hints, outcomes, succeed
from tests.conformance.scheduling import plan
from unlost.aws.logs import Logs
from unlost.aws.sweep import Gauges, Sweep
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import PULLED, Claim, Pull
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Claimant
from unlost.policy import Limits
from unlost.schedule import acting
from unlost.schedule.planned import times_of
from unlost.schedule.schedule import tick_id
from unlost.settings import Settings
from unlost.task import SECOND, State
from unlost.upkeep.redrives import Redriving
from unlost.upkeep.scheduler import Scheduler
from unlost.upkeep.sweeper import Sweeper


def sweep_of(place: Place, ledger: Any = None, **settings: Any) -> Sweep:
    ledger = ledger or place.ledger
    told = Settings(**{"seed": 7} | settings)
    sweeper = Sweeper(ledger, told, clock=place.clock, monotonic=None, random=Random(7))
    redriving = Redriving(ledger, clock=place.clock, monotonic=lambda: 0.0)
    return Sweep(ledger, sweeper, Scheduler(ledger, Random(7)), redriving)


class Restless(Redriving):
    """Something comes of each step."""

    steps = purges = 0

    async def step(self) -> float | None:
        self.steps += 1
        return 0.05

    async def purge(self) -> None:
        self.purges += 1


async def claim(place: Place, task_id: str, lease: float = 100) -> None:
    """Have an invocation claim a task, and be heard of no more."""
    await place.ledger.claim_task(
        task_id,
        token=f"token of {task_id}",
        worker="lambda-gone",
        limits=None,
        defaults=Limits(2, 60.0),
        lease=round(lease * SECOND),
    )


async def test_an_attempt_whose_invocation_died_is_lost_at_its_leases_end_and_runs_again(
    place: Place,
) -> None:
    sweep = sweep_of(place)
    await place.submit("t")
    await claim(place, "t", lease=100)
    place.clock.advance(90)
    await sweep.once(60)
    assert await place.states("t") == [State.RUNNING]

    place.clock.advance(20)
    await sweep.once(60)

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.RETRYING, ["lost"])
    place.clock.advance(5)
    assert await place.process(succeed).batch(hints("t"), Context().left) == []
    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.SUCCEEDED, ["lost", "succeeded"])
    assert task.attempt_count == 2


async def pulled(place: Place, worker: str, timeout: float) -> str:
    """The task that a worker elsewhere has claimed, which is heard of no more."""
    known_by = f"{PULLED}{worker}."
    limits, types = Limits(2, timeout), {"default": Limits()}
    wanted = Claim(worker, (f"{known_by}1",), types, limits, claimant=Claimant.PULL)
    given = await place.ledger.pull(Pull(wanted, "", 60 * SECOND, known_by, known_by))
    return given.attempts[0].task_id


async def test_what_workers_elsewhere_run_is_timed_out_and_lost(place: Place) -> None:
    await place.submit("a", "b")
    late, gone = await pulled(place, "w", 30), await pulled(place, "v", 300)
    place.clock.advance(31)
    await sweep_of(place).once(60)
    assert outcomes(await place.task(late)) == ["timed_out"]
    assert outcomes(await place.task(gone)) == [None]
    place.clock.advance(30)
    await sweep_of(place).once(60)
    assert outcomes(await place.task(gone)) == ["lost"]


async def test_a_task_that_kills_its_process_each_time_is_dead_after_its_attempts(
    place: Place,
) -> None:
    sweep = sweep_of(place)
    await place.submit("t", max_retries=1)

    for _ in range(3):
        await claim(place, "t", lease=100)
        place.clock.advance(200)
        await sweep.once(60)

    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.DEAD, ["lost", "lost"])
    [death] = place.queues.taken(place.queues.dead)
    assert death["error"]["type"] == "WorkerLost"


async def test_a_sandbox_that_was_frozen_for_hours_sweeps_at_once(place: Place) -> None:
    """Nobody's heartbeat hangs on it, so its own pause says nothing of others."""
    sweep = sweep_of(place, lease=15.0)
    await sweep.once(60)
    await place.submit("t")
    await claim(place, "t", lease=100)
    place.clock.advance(7200)

    await sweep.once(60)

    assert await place.states("t") == [State.RETRYING]


async def test_a_deep_backlog_is_not_hinted_again_each_minute(place: Place) -> None:
    sweep = sweep_of(place)
    await place.submit(*(f"t{number}" for number in range(20)))
    place.queues.taken(place.queues.work)
    place.clock.advance(61)
    hinted = []

    for _ in range(4):
        hinted.append((await sweep.once(60))["tasksHinted"])
        place.clock.advance(60)

    assert hinted[0] == 20
    assert sum(hinted) <= 40
    assert len(place.queues.taken(place.queues.work)) == sum(hinted)


async def test_what_is_due_later_than_a_queue_can_wait_is_hinted_when_it_is_due(
    place: Place,
) -> None:
    sweep = sweep_of(place)
    await place.submit("t", delay=5000)
    assert place.queues.taken(place.queues.work) == []
    place.clock.advance(4990)
    await sweep.once(60)
    assert place.queues.taken(place.queues.work) == []

    place.clock.advance(71)
    await sweep.once(60)

    assert place.queues.taken(place.queues.work) == [{"taskId": "t"}]


async def test_a_step_that_fails_keeps_no_other_from_being_done(place: Place) -> None:
    ledger = Shaky(place.ledger)
    ledger.plan = {"hint_overdue": ["before"]}
    await place.submit("t")
    await place.process(fail, max_retries=0).batch(hints("t"), Context().left)
    place.queues.taken(place.queues.dead)
    place.clock.advance(400)

    with pytest.raises(LedgerUnavailable):
        await sweep_of(place, ledger).once(60)

    assert [death["taskId"] for death in place.queues.taken(place.queues.dead)] == ["t"]


async def test_it_purges_what_is_old_where_that_is_asked_for(place: Place) -> None:
    await place.submit("t")
    await place.process(succeed).batch(hints("t"), Context().left)
    place.clock.advance(1000)
    await sweep_of(place).once(60)
    assert (await place.task("t")).purged_at is None

    await sweep_of(place, retain=500.0).once(60)

    assert (await place.task("t")).purged_at is not None


async def test_a_circuit_that_opened_is_told_once(place: Place) -> None:
    stream = io.StringIO()
    logs = Logs(stream)
    gauges = Gauges(place.ledger, place.queue, place.calls, place.clock)
    await place.ledger.change("default", Change(breaker=Breaker(minimum=1)))
    await place.submit("t")
    await place.process(fail, max_retries=0).batch(hints("t"), Context().left)

    for _ in range(2):
        await gauges.measure(logs)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [(one["level"], one["type"]) for one in lines if one.get("event") == "circuit.opened"]
    assert told == [("warning", "default")]


async def test_it_measures_how_things_stand(place: Place) -> None:
    stream = io.StringIO()
    logs = Logs(stream)
    await place.submit("waits", "dies")
    await place.process(fail, max_retries=0).batch(hints("dies"), Context().left)
    asked = plan(every=60)
    made = acting.created("s", asked, times_of(asked), place.clock.now, "", paused=False)
    await place.ledger.move_schedules([made])
    place.clock.advance(90)
    due = made.schedule.next or 0

    await Gauges(place.ledger, place.queue, place.calls, place.clock).measure(logs)

    [told] = [json.loads(line) for line in stream.getvalue().splitlines()]
    values = {name: value[0] for name, value in told.items() if isinstance(value, list)}
    assert values == {
        "deadLetters": 1,
        "outstanding": 1,
        "unreportedDeaths": 1,
        "queueDepth": 2,
        "deadLetterQueueDepth": 1,
        "oldestOverdueSeconds": 90.0,
        "scheduleLateSeconds": (place.clock.now - due) / SECOND,
    }
    [metric] = told["_aws"]["CloudWatchMetrics"]
    assert {one["Name"] for one in metric["Metrics"]} == values.keys()


async def test_it_makes_the_ticks_of_schedules_that_are_due(place: Place) -> None:
    sweep, now = sweep_of(place), place.clock.now
    asked = plan(every=60)
    times = times_of(asked)
    moves = [acting.created(f"s{n}", asked, times, now, "", paused=False) for n in range(3)]
    await place.ledger.move_schedules(moves)
    await sweep.once(60)
    assert (await place.ledger.due_schedules(0)).next == times.after(now)
    place.clock.advance(61)
    await sweep.once(60)
    time = times.after(now) or 0
    assert await place.states(*(tick_id(f"s{n}", time) for n in range(3))) == [State.QUEUED] * 3
    await sweep.once(60)
    assert [one.made for one in await place.ledger.schedules("", 9)] == [1, 1, 1]


async def test_redrives_of_which_letters_end_all_the_time_are_purged_and_step_at_leisure(
    place: Place,
) -> None:
    restless = Restless(place.ledger, clock=place.clock, monotonic=lambda: 0.0)
    sweeper = Sweeper(place.ledger, Settings(), clock=place.clock, monotonic=None, random=Random(7))
    await Sweep(place.ledger, sweeper, Scheduler(place.ledger, Random(7)), restless).once(3)
    assert restless.purges == 1
    assert 1 <= restless.steps <= 12
