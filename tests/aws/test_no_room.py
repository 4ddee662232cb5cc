"""Messages whose tasks find no room: others follow them, spread out, and do not pile up."""

from __future__ import annotations

from random import Random

import pytest

from tests.aws.context import Context
from tests.aws.place import Place, hints, succeed
from tests.conformance.stage import LEASE
from unlost.aws.queues import again
from unlost.handlers.simulated import simulated
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.values import Claimed, Worker
from unlost.limits.control import Change
from unlost.policy import Limits
from unlost.task import SECOND, State

NOW = 1_700_000_000 * SECOND


async def test_a_task_without_room_waits_for_another_message_and_then_runs(place: Place) -> None:
    await place.ledger.change("mail", Change(key_limit=1))
    await place.submit("a", "b", type="mail", key="ann")
    place.queues.taken(place.queues.work)
    first = await place.ledger.claim_task(
        "a", token="t", worker="w", limits=None, defaults=Limits(2, 60.0), lease=LEASE
    )
    assert isinstance(first, Claimed)

    assert await place.process(succeed).batch(hints("b"), Context().left) == []

    assert (await place.task("b")).attempt_count == 0
    assert place.queues.taken(place.queues.work) == []
    assert (await place.queue.depths()).work == 1  # held back
    await place.ledger.cancel("a", None, None)
    assert place.queues.taken(place.queues.work) == [{"taskId": "b"}]  # who ends makes it come now
    assert await place.process(succeed).batch(hints("b"), Context().left) == []
    assert (await place.task("b")).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("overdue", "draw", "expected"),
    [(0, 0.0, 2.5), (0, 1.0, 7.5), (60, 0.5, 60), (900, 1.0, 180), (901, 0.5, None)],
)
def test_what_has_no_room_comes_again_later_the_longer_it_waits(
    overdue: int, draw: float, expected: float | None
) -> None:
    why = NotClaimed("no_room", NOW, NOW - overdue * SECOND)
    found = again.delay(why, NOW, draw)
    assert found == (None if expected is None else expected * SECOND)


def test_what_an_open_breaker_holds_back_comes_once_it_is_half_open() -> None:
    why = NotClaimed("no_room", NOW + 30 * SECOND, NOW)
    assert again.delay(why, NOW, 0.5) == 35 * SECOND


async def test_the_simulated_handler_leaves_what_a_worker_elsewhere_has_named(place: Place) -> None:
    await place.submit("a", type="mail")
    await place.submit("b", type="sms")
    place.queues.taken(place.queues.work)
    stand_in = place.process(simulated(0.0, 7, Random(7)))
    assert await stand_in.batch(hints("b"), Context().left) == []  # who serves is known for 5 s
    await place.ledger.enlist(Worker("w", ("mail",), pull=True), 5 * SECOND)
    place.clock.advance(5)

    assert await stand_in.batch(hints("a"), Context().left) == []

    assert await place.states("a", "b") == [State.QUEUED, State.SUCCEEDED]
    assert (await place.task("a")).attempt_count == 0
    assert (await place.queue.depths()).work == 1  # another message, held back
    place.clock.advance(56)  # a minute after it was named
    assert await stand_in.batch(hints("a"), Context().left) == []
    assert await place.states("a") == [State.SUCCEEDED]


async def test_a_handler_of_ones_own_takes_what_a_worker_elsewhere_has_named(place: Place) -> None:
    await place.submit("a", type="mail")
    await place.ledger.enlist(Worker("w", ("mail",), pull=True), 5 * SECOND)
    assert await place.process(succeed).batch(hints("a"), Context().left) == []
    assert await place.states("a") == [State.SUCCEEDED]


def test_what_is_left_to_a_worker_elsewhere_comes_again_as_what_has_no_room() -> None:
    for reason in ("named", "no_room"):
        why = NotClaimed(reason, NOW, NOW - 60 * SECOND)
        assert again.delay(why, NOW, 0.5) == 60 * SECOND


@pytest.mark.parametrize("reason", ["paused", "running", "terminal", "unknown", "unhandled"])
def test_what_has_served_is_not_followed(reason: str) -> None:
    assert again.delay(NotClaimed(reason), NOW, 0.5) is None  # type: ignore[arg-type]
