"""Races: both sides have read before either writes; one of them wins."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from tests.conformance.stage import BOOM, LEASE, Clock, Stage, ended, must_add_up, submission
from tests.ledger.dynamodb_steps import LIMITS, by_id, never
from tests.ledger.faulty import Meeting
from tests.ledger.tables import CountedLedger, Table
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.dead_letters import redrives, stepping
from unlost.ledger.dynamodb.stored.redrives import Kept
from unlost.ledger.protocol import Refused
from unlost.ledger.values import Claimed, Settled, Verdict
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Event, Outcome, State

T = TypeVar("T")


class Race:
    """Some ledgers on one table whose first writes meet, and one beside them that watches."""

    def __init__(self, table: Table, parties: int) -> None:
        self.clock = Clock()
        self.watcher = table.ledger(self.clock)
        self.stage = Stage(self.watcher, self.clock, never)
        client = Meeting(table.client, parties)
        self.ledgers = [table.ledger(self.clock, client=client) for _ in range(parties)]

    async def run(self, *steps: Awaitable[T]) -> list[T | Refused]:
        """What the racers answer, be it a refusal."""
        return await asyncio.gather(*map(refused, steps))

    async def over(self) -> None:
        await must_add_up(self.watcher)
        for ledger in (self.watcher, *self.ledgers):
            await ledger.close()


async def refused(step: Awaitable[T]) -> T | Refused:
    try:
        return await step
    except Refused as refusal:
        return refusal


async def opened(table: Table, parties: int) -> Race:
    race = Race(table, parties)
    await race.watcher.open()
    return race


async def test_two_claimers_of_one_task_by_id(table: Table) -> None:
    race = await opened(table, 2)
    await race.stage.submit("a")
    answers = await race.run(
        *(
            ledger.claim_task(
                "a",
                token=f"token-{number}",
                worker="w",
                limits=None,
                defaults=LIMITS,
                lease=LEASE,
            )
            for number, ledger in enumerate(race.ledgers)
        )
    )
    assert Counter(map(type, answers)) == {Claimed: 1, NotClaimed: 1}
    (winner,) = [answer for answer in answers if isinstance(answer, Claimed)]
    assert NotClaimed("running") in answers
    assert (await race.stage.entry("a")).token == winner.token
    assert (await race.stage.record("a")).attempt_count == 1
    await race.over()


async def test_a_settlement_and_a_cancel(table: Table) -> None:
    race = await opened(table, 2)
    await race.stage.submit("a")
    attempt = await race.stage.run("a")
    success = ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED)
    one, two = race.ledgers
    settled, cancelled = await race.run(one.settle([success]), two.cancel("a", None, None))
    state = (await race.stage.record("a")).state
    if settled == [Settled.HELD]:
        assert state is State.SUCCEEDED
        assert isinstance(cancelled, Refused)
        assert cancelled.state is State.SUCCEEDED
    else:
        assert settled == [Settled.REFUSED]
        assert (state, cancelled) == (State.CANCELLED, None)
    await race.over()


async def test_a_worker_and_the_one_who_reaps_it(table: Table) -> None:
    race = await opened(table, 2)
    await race.stage.submit("a")
    attempt = await race.stage.run("a")
    mine = ended(attempt, Outcome.FAILED, Event.DIE, error=BOOM)
    reaped = ended(attempt, Outcome.LOST, Event.RETRY, error=BOOM)
    one, two = race.ledgers
    answers = await race.run(one.settle([mine]), two.settle([reaped]))
    assert sorted(map(str, answers)) == sorted(map(str, ([Settled.REFUSED], [Settled.HELD])))
    assert len((await race.stage.record("a")).attempts) == 1
    reports = await race.watcher.claim_reports(9, LEASE)
    assert len(reports) == (answers[0] == [Settled.HELD])
    await race.over()


async def test_a_redrive_and_a_discard(table: Table) -> None:
    race = await opened(table, 2)
    await race.stage.bury("a")
    one, two = race.ledgers
    answers = await race.run(one.redrive("a", "ann", None), two.discard("a", "bob", None))
    (refusal,) = [answer for answer in answers if isinstance(answer, Refused)]
    record = await race.stage.record("a")
    assert refusal.state is record.state
    assert len(record.history) == 1
    assert record.history[0].event == ("redrive" if answers[0] is None else "discard")
    await race.over()


async def test_ends_that_another_step_counts_are_counted_once(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepping, "AT_ONCE", 1)
    race = await opened(table, 1)
    await race.stage.bury("a", "b")
    await race.watcher.add_redrive(Redrive("all", canary=0, tolerate=None), Named())
    for _ in range(3):
        await race.watcher.step_redrive("all")
    for task_id in "ab":
        await race.stage.succeed(await race.stage.run(task_id))
    find, looks = redrives.must_find, []

    async def overtaken(calls: Calls, redrive_id: str) -> Kept:
        looks.append(redrive_id)
        if len(looks) == 2:  # one end is counted: another step counts the other one meanwhile
            await race.watcher.step_redrive(redrive_id)
        return await find(calls, redrive_id)

    monkeypatch.setattr(redrives, "must_find", overtaken)
    redrive = await race.ledgers[0].step_redrive("all")
    assert (redrive.state, redrive.succeeded, redrive.under_way) == (RedriveState.DONE, 2, 0)
    await race.over()


@pytest.mark.parametrize("size", [1, 6000])
async def test_submits_of_one_id_with_different_payloads(table: Table, size: int) -> None:
    parties = 8
    race = await opened(table, parties)
    payloads = [f'{{"n": "{number * size}"}}'.ljust(size) for number in range(parties)]
    answers = await race.run(
        *(
            ledger.submit([submission("a", payload)])
            for ledger, payload in zip(race.ledgers, payloads, strict=True)
        )
    )
    verdicts = [answer[0].verdict for answer in answers if isinstance(answer, list)]
    assert Counter(verdicts) == {Verdict.ACCEPTED: 1, Verdict.CONFLICT: parties - 1}
    record = await race.stage.record("a")
    assert record.payload == payloads[verdicts.index(Verdict.ACCEPTED)]
    await race.over()


async def test_submits_of_the_same_task(table: Table) -> None:
    race = await opened(table, 4)
    answers = await race.run(*(ledger.submit([submission("a")]) for ledger in race.ledgers))
    verdicts = [answer[0].verdict for answer in answers if isinstance(answer, list)]
    assert Counter(verdicts) == {Verdict.ACCEPTED: 1, Verdict.REPLAYED: 3}
    await race.over()


async def test_two_monitors_at_one_report(table: Table) -> None:
    race = await opened(table, 2)
    await race.stage.bury("a")
    answers = await race.run(*(ledger.claim_reports(5, LEASE) for ledger in race.ledgers))
    assert sorted(len(answer) for answer in answers if isinstance(answer, list)) == [0, 1]
    await race.over()


async def test_a_sweep_that_pushes_a_task_on_while_it_is_claimed(table: Table) -> None:
    class Nobody:
        async def due(self, hints: object) -> None: ...

        async def died(self, reports: object) -> None: ...

        async def onward(self, redrives: object) -> None: ...

    race = await opened(table, 2)
    await race.stage.submit("a")
    race.clock.advance(3600)
    one, two = race.ledgers
    sweeper = CountedLedger(table.name, race.clock, client=one._calls._client, announce=Nobody())
    attempt, hinted = await race.run(by_id(two, "a"), sweeper.hint_overdue(5))
    assert isinstance(attempt, Claimed)
    assert hinted in (0, 1)
    assert await race.stage.succeed(attempt)
    await sweeper.close()
    await race.over()
