"""Tasks that a queue leads to: claimed by id, hinted again, their deaths announced."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.conformance.stage import BOOM, LEASE, Clock, Stage, must_add_up
from tests.ledger.dynamodb_steps import LARGE, LIMITS, Told, never
from tests.ledger.tables import CountedLedger, Table
from unlost.ledger.dynamodb import PATIENCE, DynamoLedger
from unlost.ledger.dynamodb.attempts.claiming_by_id import NotClaimed
from unlost.ledger.dynamodb.hints.telling import Hint
from unlost.ledger.dynamodb.upkeep.overdue import LONGEST, UNREPORTED
from unlost.ledger.values import Claimed, Worker
from unlost.policy import WORKER_LOST, Limits
from unlost.task import SECOND, Event, Micros, Outcome, State


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


async def claim(
    ledger: DynamoLedger,
    task_id: str,
    token: str = "t-1",
    *,
    limits: dict[str, Limits] | None = None,
    lease: Micros = LEASE,
) -> Claimed | NotClaimed:
    return await ledger.claim_task(
        task_id, token=token, worker="function", limits=limits, defaults=LIMITS, lease=lease
    )


async def claimed(ledger: DynamoLedger, task_id: str, token: str = "t-1", **how: Any) -> Claimed:
    attempt = await claim(ledger, task_id, token, **how)
    assert isinstance(attempt, Claimed)
    return attempt


async def test_a_task_is_claimed_by_its_id_with_no_worker_enlisted(
    ledger: CountedLedger, stage: Stage
) -> None:
    submitted_at = stage.clock.now
    await stage.submit("a", payload=LARGE, type="mail", max_retries=5)
    now = stage.clock.advance(1)
    attempt = await claimed(ledger, "a", limits={"mail": Limits(1, 20.0)})
    assert attempt == Claimed(
        "a", "t-1", "mail", LARGE, 1, 1, 5, 20.0, now + 20 * SECOND, 0, submitted_at, now, None
    )
    entry = await stage.entry("a")
    assert (entry.record.state, entry.worker, entry.claimable) == ("running", "function", False)
    assert await stage.succeed(attempt, '"done"')
    assert (await stage.record("a")).result == '"done"'


async def test_what_is_not_claimed_says_why(ledger: CountedLedger, stage: Stage) -> None:
    await stage.submit("later", delay=7)
    await stage.submit("a")
    assert await claim(ledger, "nobody") == NotClaimed("unknown")
    assert await claim(ledger, "later") == NotClaimed("not_due", stage.clock.now + 7 * SECOND)
    assert await claim(ledger, "a", limits={"mail": Limits()}) == NotClaimed("unhandled")
    attempt = await claimed(ledger, "a")
    assert await claim(ledger, "a", "t-2") == NotClaimed("running")
    await stage.succeed(attempt)
    assert await claim(ledger, "a", "t-3") == NotClaimed("terminal")


async def test_the_same_token_again_is_answered_with_the_attempt_that_it_started(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a", payload=LARGE)
    attempt = await claimed(ledger, "a")
    assert await claim(ledger, "a") == attempt
    assert (await stage.record("a")).attempt_count == 1


async def test_no_enlisted_worker_claims_what_runs_under_a_lease_of_its_own(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a")
    await claimed(ledger, "a")
    assert await stage.claim(5) == []
    assert await ledger.due_in(None) is None
    assert (await ledger.counts()).oldest_due is None


async def test_an_attempt_whose_own_lease_is_over_is_found_once_the_sweep_has_met_it(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a")
    attempt = await claimed(ledger, "a", lease=100 * SECOND)
    stage.clock.advance(PATIENCE / SECOND)
    assert await ledger.hint_overdue(10) == 0
    assert await ledger.held(None) == []
    stage.clock.advance(39.999999)
    assert await ledger.held(None) == []
    stage.clock.advance(0.000001)
    (held,) = await ledger.held(None)
    assert (held.task_id, held.token, held.worker) == ("a", "t-1", "function")
    await ledger.dismiss(held.worker, expired=True)
    assert await stage.lose(attempt)
    assert await ledger.held(None) == []
    assert await ledger.dropped({"t-1": "a"}) == ["t-1"]


async def test_an_attempt_that_the_sweep_has_met_is_settled_as_any_other(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a")
    attempt = await claimed(ledger, "a", lease=100 * SECOND)
    stage.clock.advance(90)
    await ledger.hint_overdue(10)
    assert await stage.retry(attempt, wait=1)
    assert (await stage.entry("a")).claimable
    stage.clock.advance(1)
    await claimed(ledger, "a", "t-2")


async def test_the_lease_of_a_task_that_was_long_overdue_is_over_as_soon_as_any_other(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a")
    stage.clock.advance(40 * 60)
    assert await ledger.hint_overdue(10) == 1  # and looked at again in another forty minutes
    await claimed(ledger, "a", lease=100 * SECOND)
    stage.clock.advance(100)
    assert [held.token for held in await ledger.held(None)] == ["t-1"]


async def test_what_is_due_is_told_after_each_step_with_its_delay(
    ledger: CountedLedger, stage: Stage, told: Told
) -> None:
    await stage.submit("a", delay=2)
    stage.clock.advance(2)
    attempt = await claimed(ledger, "a")
    await stage.retry(attempt, wait=1.5)
    stage.clock.advance(1.5)
    await stage.release(await claimed(ledger, "a", "t-2"))
    await stage.die(await claimed(ledger, "a", "t-3"))
    await ledger.redrive("a", None, None)
    await ledger.cancel("a", None, None)
    await stage.submit("a", delay=2)
    assert told.hints == [Hint("a", delay) for delay in (2 * SECOND, 1_500_000, 0, 0)]


async def test_a_death_is_told_with_all_that_its_report_holds(
    ledger: CountedLedger, stage: Stage, told: Told
) -> None:
    await stage.submit("a", payload=LARGE)
    await stage.die(await claimed(ledger, "a"), BOOM)
    (report,) = told.reports
    assert (report.task_id, report.payload, report.error) == ("a", LARGE, BOOM)
    assert await ledger.claim_report(report.id, LEASE) == report
    assert await ledger.claim_report(report.id, LEASE) is None
    stage.clock.advance(LEASE / SECOND)
    assert await ledger.claim_report(report.id, LEASE) == report
    await ledger.reported([report.id])
    stage.clock.advance(LEASE / SECOND)
    assert await ledger.claim_report(report.id, LEASE) is None
    assert await ledger.claim_report(12345, LEASE) is None


async def test_an_announcement_that_fails_is_logged_and_costs_nothing_else(
    table: Table, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def due(self, hints: Sequence[Hint]) -> None:
            raise OSError("no queue")

        async def died(self, reports: Sequence[Any]) -> None:
            raise OSError("no queue")

    ledger = table.ledger(clock, announce=Broken())
    stage = Stage(ledger, clock, never)
    with caplog.at_level(logging.WARNING):
        (answer,) = await stage.submit("a")
    assert answer.verdict == "accepted"
    assert [record.message for record in caplog.records] == ["hints.lost"]
    await stage.die(await claimed(ledger, "a"))
    assert (await stage.record("a")).state is State.DEAD
    assert len(await ledger.claim_reports(9, LEASE)) == 1
    await ledger.close()


async def test_a_task_that_stays_overdue_is_hinted_again_after_twice_the_time(
    ledger: CountedLedger, stage: Stage, told: Told
) -> None:
    await stage.submit("a", "b")
    await stage.submit("later", delay=LONGEST)
    patience = PATIENCE // SECOND
    hinted = []
    for _ in range(40):
        told.hints.clear()
        count = await ledger.hint_overdue(10)
        assert count == len(told.hints)
        if count:
            hinted.append((stage.clock.now - 1_700_000_000 * SECOND) // SECOND)
            assert sorted(hint.task_id for hint in told.hints) == ["a", "b"]
            assert {hint.delay for hint in told.hints} == {0}
        stage.clock.advance(patience)
    assert hinted == [patience * 2**n for n in range(6)]


async def test_a_task_that_waits_for_its_time_is_not_hinted(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a", delay=900)
    stage.clock.advance(900)
    assert await ledger.hint_overdue(10) == 0
    stage.clock.advance(PATIENCE / SECOND)
    assert await ledger.hint_overdue(10) == 1


async def test_what_no_queue_could_hold_back_so_long_is_hinted_when_it_is_due(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a", delay=901)
    await stage.submit("b")
    await stage.retry(await claimed(ledger, "b"), wait=901)
    stage.clock.advance(900.999999)
    assert await ledger.hint_overdue(10) == 0
    stage.clock.advance(0.000001)
    assert await ledger.hint_overdue(10) == 2


async def test_what_runs_keeps_the_sweep_from_nothing_that_waits_behind_it(
    ledger: CountedLedger, stage: Stage
) -> None:
    running = [f"r{number}" for number in range(8)]
    await stage.submit(*running)
    await stage.submit("a")
    for task_id in running:
        await claimed(ledger, task_id, f"token of {task_id}")
    stage.clock.advance(PATIENCE / SECOND)
    assert await ledger.hint_overdue(2) == 1


async def test_a_sweep_looks_at_no_more_than_it_is_told_to(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit(*(f"t{number}" for number in range(9)))
    stage.clock.advance(PATIENCE / SECOND)
    counts = [await ledger.hint_overdue(4) for _ in range(6)]
    assert sum(counts) == 9
    assert max(counts) <= 4


async def test_a_poller_finds_what_was_pushed_on_when_it_is_told_to_nobody(
    table: Table, clock: Clock
) -> None:
    ledger = table.ledger(clock)
    stage = Stage(ledger, clock, never)
    await stage.submit("a")
    stage.clock.advance(3600)
    assert await ledger.hint_overdue(10) == 0
    assert [attempt.task_id for attempt in await stage.claim()] == ["a"]
    await ledger.close()


async def test_a_death_that_nobody_reports_is_announced_again(
    ledger: CountedLedger, stage: Stage, told: Told
) -> None:
    await stage.bury("a", "b", payload=LARGE)
    first = list(told.reports)
    told.reports.clear()
    assert await ledger.hint_deaths(10) == 0
    stage.clock.advance(UNREPORTED / SECOND)
    assert await ledger.hint_deaths(1) == 1
    assert await ledger.hint_deaths(10) == 1
    assert told.reports == first
    assert await ledger.hint_deaths(10) == 0
    leased = await ledger.claim_reports(1, 2 * UNREPORTED)
    assert leased == first[:1]
    stage.clock.advance(UNREPORTED / SECOND)
    assert await ledger.hint_deaths(10) == 1
    assert told.reports[-1] == first[1]


async def test_an_enlisted_worker_and_functions_may_share_a_table(
    ledger: CountedLedger, stage: Stage
) -> None:
    await stage.submit("a", "b")
    mine = await claimed(ledger, "a")
    (theirs,) = await stage.claim(5)
    assert theirs.task_id == "b"
    await ledger.dismiss("worker")
    assert [held.task_id for held in await ledger.held(None)] == ["b"]
    error = WORKER_LOST
    assert await stage.settle(theirs, Outcome.LOST, Event.RETRY, error=error)
    assert await stage.succeed(mine)
    await ledger.enlist(Worker("solo", None, alone=True), LEASE)
    assert isinstance(await claim(ledger, "b", "t-9"), Claimed)
