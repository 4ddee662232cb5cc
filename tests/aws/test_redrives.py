"""Redrives on AWS: a message makes the next step once a letter has ended; the sweep is the net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, Shaky, fail, hints, record, succeed
from tests.aws.test_sweep import sweep_of
from unlost.aws.queues.messages import onward
from unlost.aws.queues.queue import TOGETHER, SqsQueue
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.hints.telling import Onward
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import SECOND

ALL = Redrive("all")


async def run(place: Place, handler: Any, *task_ids: str) -> None:
    """Have these tasks run, whatever messages there are; all of those are gone then."""
    await place.process(handler, max_retries=0).batch(hints(*task_ids), Context().left)


async def bury(place: Place, *task_ids: str) -> None:
    """Make new tasks dead letters, a second apart."""
    for task_id in task_ids:
        place.clock.advance(1)
        await place.submit(task_id, max_retries=0)
        await run(place, fail, task_id)
    place.queues.taken(place.queues.work)


async def begin(place: Place, new: Redrive = ALL) -> None:
    await place.ledger.add_redrive(new, Named())
    await deliver(place, *(message for message in messages(place) if "redrive" in message))


def messages(place: Place) -> list[Any]:
    """What waits in the work queue and is visible; it is gone then."""
    return place.queues.taken(place.queues.work)


async def deliver(place: Place, *told: Any) -> list[str]:
    """Have `process` look at redrives; the ids of messages that have to come again."""
    records = [record(onward(Onward(one["redrive"], one["at"]))) for one in told]
    return await place.process(succeed).batch(records, Context().left)


async def redrive(place: Place, redrive_id: str = "all") -> Redrive:
    found = await place.ledger.get_redrive(redrive_id)
    assert found is not None
    return found


def ended(place: Place) -> dict[str, Any]:
    """The message that a letter has ended now."""
    return {"redrive": "all", "at": place.clock.now}


async def test_a_redrive_begins_and_goes_on_by_messages(place: Place) -> None:
    await bury(place, "a", "b", "c")
    await place.ledger.add_redrive(ALL, Named())
    assert messages(place) == [{"redrive": "all", "at": None}]
    await deliver(place, {"redrive": "all", "at": None})
    assert (await redrive(place)).redriven == 1
    assert messages(place) == [{"taskId": "a"}]  # its hint; nothing more may go yet

    place.clock.advance(1)
    await run(place, succeed, "a")
    assert messages(place) == []  # what tells that it has ended is held back
    depths = await place.queue.depths()
    assert depths.work == 1

    place.clock.advance(TOGETHER)
    await deliver(place, {"redrive": "all", "at": place.clock.now - TOGETHER * SECOND})
    now = await redrive(place)
    assert (now.state, now.succeeded, now.redriven) == (RedriveState.RUNNING, 1, 2)
    assert now.left == 1


async def test_one_step_sees_all_that_ended_before_it(place: Place) -> None:
    await bury(place, "a", "b", "c")
    await begin(place, Redrive("all", canary=0, tolerate=None))
    place.clock.advance(1)
    await run(place, succeed, "a", "b")
    told = ended(place)
    place.clock.advance(5)
    await deliver(place, told)
    assert (await redrive(place)).succeeded == 2
    shaky = Shaky(place.ledger)
    records = [record(onward(Onward("all", told["at"])))]
    assert await place.process(succeed, ledger=shaky).batch(records, Context().left) == []
    assert shaky.calls == ["get_redrive"]  # no other step for it


async def test_what_ended_as_a_step_was_made_is_seen_by_the_next_one(place: Place) -> None:
    await bury(place, "a", "b", "c")
    await begin(place, Redrive("all", canary=0, tolerate=None))
    await run(place, succeed, "a")
    await deliver(place, ended(place))
    await run(place, succeed, "b")  # after that step has looked, by the same clock's time
    told = ended(place)
    place.clock.advance(TOGETHER)
    await deliver(place, told)
    assert (await redrive(place)).succeeded == 2


async def test_an_end_that_took_long_to_be_stored_is_told_of_as_late_as_that(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bury(place, "a", "b")
    await begin(place)
    real, stored, told = Calls.write_together, list[int](), list[Onward]()

    async def late(calls: Calls, writes: Any) -> None:
        place.clock.advance(5)
        stored.append(place.clock.now)
        await real(calls, writes)

    async def onward(queue: SqsQueue, redrives: Sequence[Onward]) -> None:
        told.extend(redrives)

    monkeypatch.setattr(Calls, "write_together", late)
    monkeypatch.setattr(SqsQueue, "onward", onward)
    await run(place, succeed, "a")
    assert stored
    assert told == [Onward("all", max(stored))]


async def test_what_the_ledger_does_not_answer_comes_again(place: Place) -> None:
    await bury(place, "a")
    shaky = Shaky(place.ledger)
    await place.ledger.add_redrive(ALL, Named())
    shaky.plan["step_redrive"] = ["before"]
    records = [record(onward(Onward("all")), "m1")]
    process = place.process(succeed, ledger=shaky)
    assert await process.batch(records, Context().left) == ["m1"]
    assert await process.batch(records, Context().left) == []
    assert (await redrive(place)).redriven == 1


async def test_without_the_time_for_a_step_or_once_stopping_a_message_goes_back(
    place: Place,
) -> None:
    await bury(place, "a")
    await place.ledger.add_redrive(ALL, Named())
    records = [record(onward(Onward("all")), "m1")]
    assert await place.process(succeed).batch(records, Context(5.0).left) == ["m1"]
    assert (await redrive(place)).selected is None
    assert await place.process(succeed).batch(records, Context(20.0).left) == []
    assert (await redrive(place)).redriven == 1


async def test_of_a_redrive_that_is_gone_a_message_has_served(place: Place) -> None:
    assert await deliver(place, {"redrive": "gone", "at": None}, {"redrive": "gone", "at": 1}) == []


async def test_the_sweep_moves_what_no_message_has(place: Place) -> None:
    await bury(place, "a", "b", "c", "d")
    await place.ledger.add_redrive(ALL, Named())
    messages(place)  # all are lost
    assert (await sweep_of(place).once(60))["redrivesMoved"] > 0
    await run(place, succeed, "a")
    place.clock.advance(60)
    await sweep_of(place).once(60)
    now = await redrive(place)
    assert (now.succeeded, now.under_way, now.left) == (1, 1, 2)
    await run(place, fail, "b")
    place.clock.advance(60)
    await sweep_of(place).once(60)
    now = await redrive(place)
    assert (now.state, now.died_again, now.left) == (RedriveState.STOPPED, 1, 2)


async def test_a_rate_is_kept_up_from_one_sweep_to_the_next(place: Place) -> None:
    names = [f"t{number:02}" for number in range(12)]
    await bury(place, *names)
    await begin(place, Redrive("all", canary=0, tolerate=None, interval=10 * SECOND))
    began = place.clock.now
    for _ in range(3):
        await sweep_of(place).once(60)
        place.clock.advance(60)
    due = [(await place.task(name)).due_at for name in names]
    assert due == [began + turn * 10 * SECOND for turn in range(len(names))]


async def test_redrives_that_ended_long_ago_are_removed(place: Place) -> None:
    await bury(place, "a")
    await begin(place)
    await run(place, succeed, "a")
    await sweep_of(place).once(60)
    assert (await redrive(place)).state is RedriveState.DONE
    place.clock.advance(89 * 86_400)
    await sweep_of(place).once(60)
    assert await place.ledger.get_redrive("all") is not None
    place.clock.advance(2 * 86_400)
    await sweep_of(place).once(60)
    assert await place.ledger.get_redrive("all") is None
    assert await place.ledger.count_redrives() == {}
