"""Claiming: what is due, in order, counted before it runs."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.stage import LEASE, Stage, must_add_up
from unlost.ledger.protocol import LeaseOver
from unlost.ledger.values import Claim, Claimed, Held, Worker
from unlost.policy import Limits
from unlost.task import SECOND, Attempt, State


def ids(claimed: list[Claimed]) -> list[str]:
    return [attempt.task_id for attempt in claimed]


async def test_a_claim_brings_what_the_worker_needs(stage: Stage) -> None:
    await stage.submit("a", payload='{"n": 1}', type="mail", max_retries=4, timeout=9.5)
    submitted_at = stage.clock.now
    now = stage.clock.advance(3)
    (claimed,) = await stage.claim()
    assert claimed == Claimed(
        task_id="a",
        token="token-1",
        type="mail",
        payload='{"n": 1}',
        number=1,
        spent=1,
        max_retries=4,
        timeout=9.5,
        deadline=now + round(9.5 * SECOND),
        redrive_count=0,
        submitted_at=submitted_at,
        started_at=now,
        due_at=submitted_at,
    )


async def test_a_claim_tells_since_when_its_task_was_due(stage: Stage) -> None:
    begun = stage.clock.now
    await stage.submit("a", delay=10)
    stage.clock.advance(12)
    (claimed,) = await stage.claim()
    assert claimed.due_at == begun + 10 * SECOND
    await stage.retry(claimed, wait=5)
    stage.clock.advance(8)
    (claimed,) = await stage.claim()
    assert claimed.due_at == begun + 17 * SECOND


async def test_an_attempt_is_recorded_and_counted_before_it_runs(stage: Stage) -> None:
    await stage.submit("a")
    now = stage.clock.advance(1)
    (claimed,) = await stage.claim(worker="w")
    entry = await stage.entry("a")
    assert entry.record.state is State.RUNNING
    assert entry.record.attempts == (Attempt(1, now),)
    assert entry.record.attempt_count == entry.spent == 1
    assert entry.record.updated_at == now
    assert entry.record.due_at is None
    assert (entry.token, entry.worker) == (claimed.token, "w")


async def test_a_running_task_is_not_claimed_again(stage: Stage) -> None:
    await stage.submit("a")
    assert ids(await stage.claim(5)) == ["a"]
    assert await stage.claim(5, worker="other") == []


async def test_a_claim_takes_as_many_as_it_has_tokens(stage: Stage) -> None:
    await stage.submit(*"abcde")
    claimed = await stage.claim(3)
    assert ids(claimed) == ["a", "b", "c"]
    assert [attempt.token for attempt in claimed] == ["token-1", "token-2", "token-3"]
    assert await stage.claim(0) == []
    assert ids(await stage.claim(3)) == ["d", "e"]


async def test_concurrent_claims_never_share_a_task(stage: Stage) -> None:
    await stage.submit(*(f"t{number}" for number in range(60)))
    other = await stage.another()
    worker = Worker("w")
    await stage.ledger.enlist(worker, LEASE)
    claims = [Claim("w", stage.tokens(7), None, Limits(2, 60.0)) for _ in range(12)]
    answers = await asyncio.gather(
        *(home.claim(claim) for home, claim in zip([stage.ledger, other] * 6, claims, strict=True))
    )
    claimed = [task_id for answer in answers for task_id in ids(answer)]
    assert len(claimed) == len(set(claimed)) == 60


async def test_oldest_due_comes_first(stage: Stage) -> None:
    await stage.submit("late", delay=30)
    await stage.submit("early", delay=10)
    await stage.submit("middle", delay=20)
    stage.clock.advance(60)
    assert ids(await stage.claim(3)) == ["early", "middle", "late"]


async def test_a_higher_priority_comes_first(stage: Stage) -> None:
    await stage.submit("low", priority=-100)
    await stage.submit("normal")
    await stage.submit("high", priority=100)
    assert ids(await stage.claim(3)) == ["high", "normal", "low"]


async def test_priorities_hold_across_types(stage: Stage) -> None:
    await stage.submit("low", type="a", priority=-1)
    await stage.submit("high", type="b", priority=1)
    await stage.submit("normal", type="c")
    assert ids(await stage.claim(2, types=("a", "b", "c"))) == ["high", "normal"]
    assert ids(await stage.claim(2)) == ["low"]


async def test_a_higher_priority_that_is_not_due_holds_nothing_up(stage: Stage) -> None:
    await stage.submit("later", priority=100, delay=60)
    await stage.submit("now")
    assert ids(await stage.claim(2)) == ["now"]


async def test_what_is_not_yet_due_is_not_claimed(stage: Stage) -> None:
    await stage.submit("a", delay=10)
    assert await stage.claim() == []
    stage.clock.advance(9.999999)
    assert await stage.claim() == []
    stage.clock.advance(0.000001)
    assert ids(await stage.claim()) == ["a"]


async def test_a_retry_is_claimed_when_it_is_due_and_not_before(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"), wait=1.5)
    stage.clock.advance(1.499999)
    assert await stage.claim() == []
    stage.clock.advance(0.000001)
    (again,) = await stage.claim()
    assert (again.number, again.spent) == (2, 2)


async def test_types_that_a_worker_does_not_take_are_left(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    await stage.submit("c", type="push")
    assert ids(await stage.claim(9, types=("sms", "push"))) == ["b", "c"]
    assert ids(await stage.claim(9, types=("fax",))) == []
    assert ids(await stage.claim(9, types=())) == []
    assert (await stage.record("a")).state is State.QUEUED


async def test_without_types_a_worker_takes_every_type(stage: Stage) -> None:
    await stage.submit("a", type="mail")
    await stage.submit("b", type="sms")
    assert ids(await stage.claim(9)) == ["a", "b"]


async def test_limits_are_the_submits_else_the_handlers_else_the_services(stage: Stage) -> None:
    await stage.submit("both", type="mail", max_retries=9, timeout=1.0)
    await stage.submit("one", type="mail", max_retries=0)
    await stage.submit("none", type="mail")
    await stage.submit("bare", type="sms")
    await stage.ledger.enlist(Worker("w"), LEASE)
    types = {"mail": Limits(5, 20.0), "sms": Limits(None, 30.0)}
    claim = Claim("w", stage.tokens(4), types, Limits(2, 60.0))
    claimed = {attempt.task_id: attempt for attempt in await stage.ledger.claim(claim)}
    limits = {name: (found.max_retries, found.timeout) for name, found in claimed.items()}
    assert limits == {"both": (9, 1.0), "one": (0, 20.0), "none": (5, 20.0), "bare": (2, 30.0)}
    for name, expected in limits.items():
        record = await stage.record(name)
        assert (record.max_retries, record.timeout) == expected
        assert claimed[name].deadline == stage.clock.now + round(expected[1] * SECOND)


async def test_changed_limits_hold_from_the_next_claim(stage: Stage) -> None:
    await stage.submit("a")
    (first,) = await stage.claim(limits=Limits(2, 60.0))
    await stage.retry(first)
    (second,) = await stage.claim(limits=Limits(7, 5.0))
    assert (second.max_retries, second.timeout) == (7, 5.0)


async def test_a_retry_once_granted_is_made_though_the_limit_was_lowered(stage: Stage) -> None:
    await stage.submit("a")
    for _ in range(3):
        (attempt,) = await stage.claim(limits=Limits(5, 60.0))
        await stage.retry(attempt)
    (attempt,) = await stage.claim(limits=Limits(1, 60.0))
    assert (attempt.spent, attempt.max_retries) == (4, 1)
    await must_add_up(stage.ledger)


async def test_who_is_not_enlisted_claims_nothing(stage: Stage) -> None:
    await stage.submit("a")
    with pytest.raises(LeaseOver):
        await stage.ledger.claim(Claim("stranger", ["t"], None, Limits(2, 60.0)))
    assert (await stage.record("a")).state is State.QUEUED


async def test_who_was_dismissed_claims_nothing(stage: Stage) -> None:
    await stage.submit("a")
    await stage.ledger.enlist(Worker("w"), LEASE)
    await stage.ledger.dismiss("w")
    with pytest.raises(LeaseOver):
        await stage.ledger.claim(Claim("w", ["t"], None, Limits(2, 60.0)))


async def test_a_lease_that_is_over_claims_nothing(stage: Stage) -> None:
    await stage.submit("a")
    await stage.ledger.enlist(Worker("w"), 10 * SECOND)
    stage.clock.advance(10)
    with pytest.raises(LeaseOver):
        await stage.ledger.claim(Claim("w", ["t"], None, Limits(2, 60.0)))
    assert (await stage.record("a")).state is State.QUEUED


async def test_after_an_unknown_outcome_the_worker_finds_what_it_claimed(stage: Stage) -> None:
    await stage.submit("a", "b")
    claimed = await stage.claim(2, worker="w")
    await stage.submit("c")
    await stage.claim(1, worker="other")
    held = await stage.ledger.held("w")
    assert sorted(held, key=lambda item: item.task_id) == [
        Held(
            attempt.task_id, attempt.token, "w", 1, attempt.max_retries, attempt.timeout,
            attempt.deadline - stage.clock(), attempt.type, attempt.number,
        )
        for attempt in claimed
    ]  # fmt: skip


async def test_due_in_tells_when_a_claim_could_find_something(stage: Stage) -> None:
    assert await stage.ledger.due_in(None) is None
    await stage.submit("far", type="mail", delay=60)
    await stage.submit("near", type="sms", delay=20)
    assert await stage.ledger.due_in(None) == 20 * SECOND
    assert await stage.ledger.due_in(["mail", "fax"]) == 60 * SECOND
    assert await stage.ledger.due_in(["fax"]) is None
    assert await stage.ledger.due_in(None, alone=True) is None


async def test_due_in_is_nothing_for_what_is_due(stage: Stage) -> None:
    await stage.submit("a")
    stage.clock.advance(5)
    assert await stage.ledger.due_in(None) == 0


async def test_due_in_passes_over_what_runs_or_is_over(stage: Stage) -> None:
    for state in (State.RUNNING, State.SUCCEEDED, State.DEAD, State.CANCELLED):
        await stage.into(state, state.value)
    assert await stage.ledger.due_in(None) is None


async def test_due_in_knows_retries(stage: Stage) -> None:
    await stage.submit("a")
    await stage.retry(await stage.run("a"), wait=7)
    assert await stage.ledger.due_in(None) == 7 * SECOND


async def test_after_a_claim_due_in_tells_when_there_will_be_more(stage: Stage) -> None:
    await stage.submit("a", "b")
    await stage.submit("later", delay=20)
    await stage.ledger.enlist(Worker("w"), LEASE)

    async def claimed(most: int, types: dict[str, Limits] | None = None) -> tuple[int, int | None]:
        claim = Claim("w", stage.tokens(most), types, Limits(2, 60.0))
        found = await stage.ledger.claim(claim)
        return len(found), await stage.ledger.due_in(types and list(types), after=claim)

    assert await claimed(1) == (1, 0)
    assert await claimed(2) == (1, 20 * SECOND)
    assert await claimed(2) == (0, 20 * SECOND)
    assert await claimed(2, {"mail": Limits()}) == (0, None)


async def test_due_in_after_a_claim_is_of_that_claim(stage: Stage) -> None:
    await stage.submit("later", delay=20)
    await stage.ledger.enlist(Worker("w"), LEASE)
    first, second = (
        Claim("w", stage.tokens(1), {name: Limits()}, Limits(2, 60.0))
        for name in ("default", "mail")
    )
    for claim in (first, second):
        await stage.ledger.claim(claim)
    assert await stage.ledger.due_in(["default"], after=first) == 20 * SECOND
    assert await stage.ledger.due_in(["mail"], after=second) is None
