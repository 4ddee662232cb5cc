"""Rates of tasks that messages lead to: what is turned away gets a turn, and comes back for it."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence
from math import ceil
from random import Random

import pytest

from tests.conformance.stage import LEASE, Clock, Stage, must_add_up
from tests.ledger.dynamodb_steps import LIMITS, never
from tests.ledger.tables import CountedLedger, Table
from unlost.aws.queues import again
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.controls.pacing import LONGEST
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.dynamodb.schema import key_mark
from unlost.ledger.values import Claimed
from unlost.limits.control import Change
from unlost.task import SECOND, Micros

RATE = 12.0
TASKS = 120


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(table: Table, clock: Clock) -> AsyncIterator[CountedLedger]:
    ledger = table.ledger(clock)
    ledger._random.seed(1)  # turns are drawn: a second more or less of ten
    yield ledger
    await must_add_up(ledger)
    await ledger.close()


@pytest.fixture
def stage(ledger: CountedLedger, clock: Clock) -> Stage:
    return Stage(ledger, clock, never)


async def claim(ledger: DynamoLedger, task_id: str) -> Claimed | NotClaimed:
    return await ledger.claim_task(
        task_id, token=f"of {task_id}", worker="function", limits=None, defaults=LIMITS, lease=LEASE
    )


async def test_what_a_rate_turns_away_gets_turns_one_after_the_other(
    ledger: CountedLedger, stage: Stage
) -> None:
    now = stage.clock.now
    await ledger.change("mail", Change(rate=2.0))
    await stage.submit(*"abcde", type="mail")
    assert [type(await claim(ledger, name)) for name in "ab"] == [Claimed, Claimed]
    turns = [await claim(ledger, name) for name in "cde"]
    assert turns == [NotClaimed("rate", now + wait * SECOND // 2, now) for wait in (1, 2, 3)]
    for name in "cde":
        stage.clock.advance(0.5)
        assert isinstance(await claim(ledger, name), Claimed)


async def test_a_keys_turn_is_behind_others_of_its_key_alone(
    ledger: CountedLedger, stage: Stage
) -> None:
    now = stage.clock.now
    await ledger.change("mail", Change(key_rate=0.5))
    await stage.submit("a1", "a2", "a3", type="mail", key="ann")
    await stage.submit("b1", "b2", type="mail", key="bob")
    assert [type(await claim(ledger, name)) for name in ("a1", "b1")] == [Claimed, Claimed]
    turns = [await claim(ledger, name) for name in ("a2", "a3", "b2")]
    ann, bob = (key_mark(key) for key in ("ann", "bob"))
    waits = ((2, ann), (4, ann), (2, bob))
    assert turns == [NotClaimed("rate", now + wait * SECOND, now, its) for wait, its in waits]


async def test_a_turn_that_is_far_off_is_left_to_the_sweep(
    ledger: CountedLedger, stage: Stage
) -> None:
    await ledger.change("mail", Change(rate=0.001))
    await stage.submit("a", "b", type="mail")
    assert isinstance(await claim(ledger, "a"), Claimed)
    assert 1_000 * SECOND > LONGEST
    assert await claim(ledger, "b") == NotClaimed("rate", None, stage.clock.now)


async def test_a_task_that_has_a_turn_gets_no_second_one(
    ledger: CountedLedger, stage: Stage
) -> None:
    now = stage.clock.now
    await ledger.change("mail", Change(rate=0.1))
    await stage.submit("a", "b", "c", type="mail")
    assert isinstance(await claim(ledger, "a"), Claimed)
    turns = [await claim(ledger, name) for name in "bbbc"]
    assert turns == [NotClaimed("rate", now + wait * SECOND, now) for wait in (10, 10, 10, 20)]
    await ledger.change("mail", Change(rate=1.0))  # which holds for those that wait, too
    assert isinstance(await claim(ledger, "c"), Claimed)
    assert await claim(ledger, "b") == NotClaimed("rate", now + SECOND, now)


class Late:
    """A queue whose messages come on whole seconds, and up to two late."""

    def __init__(self, clock: Clock) -> None:
        self.messages: list[tuple[Micros, str]] = []
        self._clock = clock
        self._random = Random(1)

    async def due(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            seconds = ceil(hint.delay / SECOND) + 2 * self._random.random()
            at = self._clock.now + round(seconds * SECOND)
            heapq.heappush(self.messages, (at, hint.task_id))

    async def died(self, reports: object) -> None: ...
    async def onward(self, redrives: object) -> None: ...


@pytest.mark.soak
@pytest.mark.parametrize(("rate", "seconds"), [(0.04, 3_400), (0.05, 7_200)])
async def test_hours_of_work_start_at_the_rate_all_the_time(
    table: Table, clock: Clock, rate: float, seconds: int
) -> None:
    """What waits beyond the turns that are given is hinted by the sweep, each minute."""
    queue, begun = Late(clock), clock.now
    ledger = table.ledger(clock, announce=queue)
    await ledger.change("mail", Change(rate=rate))
    number = round(seconds * rate)
    await Stage(ledger, clock, never).submit(*(f"{n:03}" for n in range(number)), type="mail")
    starts: dict[str, float] = {}
    sweep = begun
    while len(starts) < number and sweep < begun + 2 * seconds * SECOND:
        if not queue.messages or queue.messages[0][0] >= sweep:
            clock.now, sweep = sweep, sweep + 60 * SECOND
            await ledger.hint_paced()
            await ledger.hint_overdue(1_000)
            continue
        clock.now, name = heapq.heappop(queue.messages)
        found = await claim(ledger, name)
        if isinstance(found, Claimed):
            starts[name] = (found.started_at - begun) / SECOND
        elif (delay := again.delay(found, clock.now, 0.5)) is not None:
            await queue.due([Hint(name, delay)])
    await ledger.close()
    span = 12 / rate
    for begins in range(0, round(seconds - span), 60):
        assert (
            0.8 * 12 <= sum(begins <= at < begins + span for at in starts.values()) <= 1.2 * 12
        ), begins


async def test_messages_that_come_at_once_start_at_the_rate_and_no_slower(
    ledger: CountedLedger, stage: Stage
) -> None:
    """As the function on the queue does it: whatever is turned away comes again in its turn."""
    begun = stage.clock.now
    await ledger.change("mail", Change(rate=RATE))
    names = [f"{number:03}" for number in range(TASKS)]
    await stage.submit(*names, type="mail")
    queue: list[tuple[Micros, str]] = [(begun, name) for name in names]
    starts: list[Micros] = []
    looks = 0
    while queue:
        at, name = heapq.heappop(queue)
        stage.clock.now = max(stage.clock.now, at)
        looks += 1
        found = await claim(ledger, name)
        if isinstance(found, Claimed):
            starts.append(found.started_at)
            continue
        delay = again.delay(found, stage.clock.now, 0.5)
        assert delay is not None
        heapq.heappush(queue, (stage.clock.now + delay, name))
    took = (starts[-1] - begun) / SECOND
    assert (TASKS - RATE) / RATE * 0.8 <= took <= TASKS / RATE * 1.2
    assert looks <= 3 * TASKS
