"""Types that are marked `pull`: no queue is told of their tasks until the mark is taken off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.conformance import scheduling
from tests.conformance.stage import LEASE, Clock, Stage, must_add_up, submission
from tests.conformance.test_copying import copies
from tests.ledger.dynamodb_steps import KINDS, LIMITS, Kind, Told, by_id, dead, never
from tests.ledger.patience import at_once
from tests.ledger.tables import CountedLedger, Table
from unlost.ledger.dynamodb import PATIENCE, DynamoLedger
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.controls.controlling import KNOWN_FOR
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claimed, Worker
from unlost.limits.control import Change, Claimant
from unlost.redrive import Named, Redrive
from unlost.task import DEFAULT_TYPE, SECOND, State

TYPES = (DEFAULT_TYPE, "mail")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(table: Table, clock: Clock, told: Told) -> AsyncIterator[CountedLedger]:
    ledger = table.ledger(clock, announce=told)
    yield ledger
    await must_add_up(ledger)
    await ledger.close()


@pytest.fixture
def stage(ledger: CountedLedger, clock: Clock) -> Stage:
    return Stage(ledger, clock, never)


async def mark(ledger: Ledger, *types: str, pull: bool = True) -> None:
    for name in types:
        await ledger.change(name, Change(pull=pull))


def names(told: Told) -> list[str]:
    return sorted(hint.task_id for hint in told.hints)


async def dead_all(stage: Stage) -> None:
    await dead(stage)
    await stage.ledger.add_redrive(Redrive("all", canary=0, tolerate=None), Named())


async def step_thrice(ledger: DynamoLedger, _: Any) -> None:
    for _ in range(3):  # it counts first
        await ledger.step_redrive("all")


async def scheduled(stage: Stage) -> Any:
    made = await scheduling.made(stage)
    stage.clock.advance(10)
    return scheduling.decided(made, stage)


async def paused(stage: Stage) -> None:
    await stage.ledger.pause("mail", None, None)
    await stage.submit("a", type="mail")


async def waits(stage: Stage) -> None:
    await stage.submit("a", type="mail")


async def one_of_two(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1))
    await stage.submit("a", "b", type="mail")
    await by_id(stage.ledger, "a")


async def slowed(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=0.1))
    await stage.submit("a", "b", type="mail")
    stage.clock.advance(600)


async def kept_elsewhere(stage: Stage) -> Any:
    memory = MemoryLedger(stage.clock)
    await memory.submit([submission("a")])
    return await copies(memory)


TELLING: dict[str, Kind] = {
    "submit": KINDS["submit"],
    "follow up": KINDS["succeed within limits, with a task that follows"],
    "retry": KINDS["retry"],
    "lose": KINDS["lose"],
    "release": KINDS["release"],
    "redrive": KINDS["redrive"],
    "sweep": KINDS["hint what is overdue"],
    "redrive in bulk": Kind(dead_all, step_thrice),
    "tick": Kind(scheduled, lambda on, moves: on.move_schedules(moves)),
    "resume": Kind(paused, lambda on, _: on.resume("mail")),
    "limit": Kind(waits, lambda on, _: on.change("mail", Change(limit=5))),
    "sweep for rates": Kind(slowed, lambda on, _: on.hint_paced()),
    "restore": Kind(kept_elsewhere, lambda on, found: on.restore(found)),
    "free a slot": Kind(one_of_two, lambda on, _: on.cancel("a", None, None)),
}
"""Steps that tell a queue of tasks."""


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("kind", TELLING.values(), ids=TELLING)
async def test_no_step_tells_a_queue_of_tasks_whose_type_is_marked(
    table: Table, clock: Clock, told: Told, kind: Kind, marked: bool
) -> None:
    stage = Stage(table.ledger(clock, announce=Told()), clock, never)
    needed = await kind.before(stage)
    if marked:
        await mark(stage.ledger, *TYPES)
    ledger = table.ledger(clock, announce=told)
    await kind.step(ledger, needed)
    assert bool(told.hints) is not marked
    await stage.ledger.close()
    await ledger.close()


async def test_a_message_that_comes_for_a_marked_type_starts_nothing(
    stage: Stage, ledger: CountedLedger
) -> None:
    await stage.submit("due", "not served", type="mail")
    await stage.submit("later", type="mail", delay=60)
    await mark(ledger, "mail")
    for name in ("due", "later"):
        assert await by_id(ledger, name) == NotClaimed("pulled")
    unserved = ledger.claim_task(
        "not served", token="t", worker="function", limits={}, defaults=LIMITS, lease=LEASE
    )
    assert await unserved == NotClaimed("pulled")
    assert (await stage.record("due")).attempt_count == 0


async def set_off(ledger: CountedLedger, how: str, *, on: bool) -> None:
    if how == "mark":
        await mark(ledger, "mail", pull=on)
    elif on:
        await ledger.pause("mail", None, None)
    else:
        await ledger.resume("mail")


@pytest.mark.parametrize("how", ["mark", "pause"])
async def test_no_message_of_who_takes_a_mark_or_pause_off_serves_in_vain(
    table: Table, stage: Stage, ledger: CountedLedger, how: str
) -> None:
    function = table.ledger(stage.clock, announce=Told())
    await set_off(ledger, how, on=True)
    await stage.submit("a", "b", type="mail")
    assert isinstance(await by_id(function, "a"), NotClaimed)  # now it knows
    await set_off(ledger, how, on=False)
    assert isinstance(await by_id(function, "b"), Claimed)
    await function.close()


async def test_a_stand_in_takes_what_nobody_names_any_more(
    table: Table, stage: Stage, ledger: CountedLedger
) -> None:
    function = table.ledger(stage.clock, announce=Told())
    await ledger.enlist(Worker("puller", ("mail",), pull=True), LEASE)
    await stage.submit("a", type="mail")
    due = (await stage.record("a")).due_at
    assert await by_id(function, "a", Claimant.STAND_IN) == NotClaimed(
        "named", stage.clock.now, due
    )
    await ledger.dismiss("puller")
    assert isinstance(await by_id(function, "a", Claimant.STAND_IN), Claimed)
    await function.close()


async def test_who_takes_the_mark_off_tells_of_all_that_waits_and_is_due_soon(
    stage: Stage, ledger: CountedLedger, told: Told
) -> None:
    await mark(ledger, "mail")
    await stage.submit("a", "b", type="mail")
    await stage.submit("soon", type="mail", delay=600)
    await stage.submit("late", type="mail", delay=1_000)
    await stage.submit("other", delay=600)
    told.hints.clear()
    await mark(ledger, "mail", pull=False)
    assert {hint.task_id: hint.delay // SECOND for hint in told.hints} == {
        "a": 0,
        "b": 0,
        "soon": 600,
    }
    assert isinstance(await by_id(ledger, "a"), Claimed)
    told.hints.clear()
    stage.clock.advance(1_000)
    await ledger.hint_overdue(10)
    assert "late" in names(told)


async def test_the_call_that_takes_the_mark_off_tells_of_them_also_when_it_comes_again_elsewhere(
    table: Table, stage: Stage, told: Told
) -> None:
    again = Told()
    ledger = table.ledger(stage.clock, announce=again)
    await mark(stage.ledger, "mail")
    await Stage(ledger, stage.clock, never).submit("a", type="mail")  # it knows of the mark
    await mark(stage.ledger, "mail", pull=False)
    await mark(ledger, "mail", pull=False)
    assert (names(told), names(again)) == (["a"], ["a"])
    await ledger.close()


async def test_a_sweep_tells_of_what_was_submitted_before_others_knew_that_the_mark_is_off(
    table: Table, stage: Stage, ledger: CountedLedger, told: Told
) -> None:
    elsewhere = table.ledger(stage.clock, announce=told)
    await mark(stage.ledger, "mail")
    other = Stage(elsewhere, stage.clock, never)
    await other.submit("a", type="mail")
    await mark(stage.ledger, "mail", pull=False)
    told.hints.clear()
    await other.submit("b", type="mail")
    assert names(told) == []
    stage.clock.advance(KNOWN_FOR / SECOND)
    await other.submit("c", type="mail")
    assert names(told) == ["c"]
    stage.clock.advance(PATIENCE / SECOND)
    await ledger.hint_overdue(10)
    assert names(told) == ["a", "b", "c", "c"]
    await elsewhere.close()


async def test_what_a_function_ran_and_lost_is_found_though_its_type_is_marked_meanwhile(
    stage: Stage, ledger: CountedLedger, told: Told
) -> None:
    await stage.submit("a", type="mail")
    lost = await by_id(ledger, "a")
    assert isinstance(lost, Claimed)
    await mark(ledger, "mail")
    told.hints.clear()
    stage.clock.advance(2 * LEASE / SECOND)
    await ledger.hint_overdue(10)
    (held,) = await ledger.held(None)
    assert held.token == lost.token
    assert await stage.lose(held)
    assert (await stage.record("a")).state is State.RETRYING
    assert told.hints == []


async def test_what_waits_for_workers_that_claim_is_written_as_seldom_as_any_backlog(
    stage: Stage, ledger: CountedLedger, told: Told
) -> None:
    await mark(ledger, "mail")
    await stage.submit("a", type="mail")
    begun, looked = stage.clock.now, []
    for _ in range(40):
        if await ledger.hint_overdue(10):
            looked.append((stage.clock.now - begun) // SECOND)
        stage.clock.advance(PATIENCE / SECOND)
    assert looked == [PATIENCE // SECOND * 2**n for n in range(6)]
    assert told.hints == []


class Unreadable:
    """A client whose queries bring no answer."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return self._lose if name == "query" else getattr(self._client, name)

    def _lose(self, **_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="here")


async def test_where_it_cannot_be_read_what_is_marked_queues_are_told(
    table: Table, clock: Clock, told: Told
) -> None:
    client = Unreadable(table.client)
    ledger = table.ledger(clock, announce=told, client=client, retrying=at_once())
    await Stage(ledger, clock, never).submit("a")
    assert names(told) == ["a"]
    await ledger.close()
