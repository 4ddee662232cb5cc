"""Rates of a type and of a key: no more start a second, nothing is late, nothing is forgotten."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.conformance.stage import Stage
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import Claimed
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change, Control
from unlost.task import SECOND, State


def ids(claimed: list[Claimed]) -> list[str]:
    return [one.task_id for one in claimed]


async def waited(stage: Stage, *types: str) -> float:
    """Wait until something may start; the seconds that it took."""
    due = await stage.ledger.due_in(types or None)
    assert due is not None
    stage.clock.advance(due / SECOND)
    return due / SECOND


async def test_as_many_of_a_type_start_as_its_rate_allows_now(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=2.0))
    await stage.submit(*"abcdef", type="mail")
    await stage.submit("other")
    assert ids(await stage.claim(9)) == ["a", "b", "other"]
    assert ids(await stage.claim(9, worker="another")) == []
    assert await waited(stage) == 0.5
    assert ids(await stage.claim(9)) == ["c"]
    stage.clock.advance(10)
    assert ids(await stage.claim(9)) == ["d", "e"]


async def test_below_one_a_second_one_starts_at_a_time(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=0.1))
    await stage.submit("a", "b", "c", type="mail")
    assert ids(await stage.claim(9)) == ["a"]
    assert await waited(stage) == 10
    assert ids(await stage.claim(9)) == ["b"]
    assert await waited(stage, "mail") == 10
    assert ids(await stage.claim(9)) == ["c"]
    assert await stage.ledger.due_in(None) is None


async def test_over_ten_seconds_all_workers_together_start_what_the_rate_says(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(rate=4.0))
    await stage.submit(*(f"{number:03}" for number in range(60)), type="mail")
    assert len(await stage.claim(9)) == 4
    begun, started = stage.clock.now, 0
    turn = 0
    while stage.clock.now < begun + 10 * SECOND:
        await waited(stage)
        turn += 1
        started += len(await stage.claim(3, worker=f"worker-{turn % 3}"))
    assert started == 40


async def test_a_key_has_a_rate_of_its_own(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.submit("a1", "a2", "a3", type="mail", key="ann")
    await stage.submit("b1", "b2", type="mail", key="bob")
    await stage.submit("c1", "c2", type="mail")
    assert ids(await stage.claim(9)) == ["a1", "b1", "c1", "c2"]
    assert ids(await stage.claim(9)) == []
    assert await waited(stage) == 1
    assert sorted(ids(await stage.claim(9))) == ["a2", "b2"]
    assert await waited(stage, "mail") == 1
    assert ids(await stage.claim(9)) == ["a3"]
    assert await stage.ledger.due_in(None) is None


async def test_keys_of_different_types_have_different_rates(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.ledger.change("sms", Change(key_rate=2.0))
    await stage.submit("a", "b", "c", type="mail", key="ann")
    await stage.submit("d", "e", "f", type="sms", key="ann")
    await stage.submit("g", "h", type="free", key="ann")
    assert sorted(ids(await stage.claim(9))) == ["a", "d", "e", "g", "h"]
    stage.clock.advance(0.5)
    assert ids(await stage.claim(9)) == ["f"]


async def test_what_waits_for_its_keys_rate_comes_in_order(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.submit("low", type="mail", key="ann", priority=-1)
    await stage.submit("first", type="mail", key="ann")
    stage.clock.advance(0.1)
    await stage.submit("second", type="mail", key="ann")
    order = []
    for _ in range(3):
        order += ids(await stage.claim(5))
        assert await stage.claim(5) == []
        stage.clock.advance(1)
    assert order == ["first", "second", "low"]


async def test_a_tenant_with_many_tasks_does_not_hold_up_one_with_few(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=2.0))
    flood = [f"flood-{number:04}" for number in range(stage.many(1_000))]
    await stage.submit(*flood, type="mail", key="big")
    stage.clock.advance(0.1)
    await stage.submit("small-1", "small-2", type="mail", key="small")
    found: list[str] = []
    for _ in range(100):
        if len(found) < 4:
            found += ids(await stage.claim(4 - len(found)))
    assert found == [*flood[:2], "small-1", "small-2"]
    stage.clock.advance(0.5)
    assert ids(await stage.claim(4)) == flood[2:3]


async def test_type_and_key_are_both_kept_to(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=2.0, key_rate=0.5))
    await stage.submit("a1", "a2", type="mail", key="ann")
    await stage.submit("b1", "b2", type="mail", key="bob")
    await stage.submit("c1", type="mail", key="cyd")
    assert ids(await stage.claim(9)) == ["a1", "b1"]
    assert await waited(stage) == 0.5
    assert ids(await stage.claim(9)) == ["c1"]
    assert await waited(stage) == 1.5
    assert ids(await stage.claim(9)) == ["a2", "b2"]


async def test_a_rate_holds_beside_limits(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=2, key_limit=1, rate=3.0, key_rate=1.0))
    await stage.submit("a1", "a2", type="mail", key="ann")
    await stage.submit("b1", type="mail", key="bob")
    await stage.submit("c1", type="mail", key="cyd")
    first, second = await stage.claim(9)
    assert ids([first, second]) == ["a1", "b1"]
    assert await stage.claim(9) == []
    assert await stage.ledger.due_in(["mail"]) is None  # an end is what they wait for
    await stage.succeed(first)
    (third,) = await stage.claim(9)  # ann's rate does not let her second one start yet
    assert third.task_id == "c1"
    await stage.succeed(second)
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["a2"]


async def test_a_key_that_waits_for_its_limit_and_its_rate_goes_on_when_both_let_it(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(key_limit=1, key_rate=1.0))
    await stage.submit("a", "b", "c", type="mail", key="ann")
    (a,) = await stage.claim(9)
    assert await stage.claim(9) == []
    stage.clock.advance(5)
    assert await stage.claim(9) == []  # still full
    assert await stage.ledger.due_in(None) is None
    await stage.succeed(a)
    (b,) = await stage.claim(9)
    await stage.succeed(b)
    assert await stage.claim(9) == []  # too soon
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["c"]


async def test_a_paused_type_waits_for_nothing_but_to_be_resumed(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=1.0, key_rate=1.0))
    await stage.submit("a", "b", type="mail", key="ann")
    assert ids(await stage.claim(9)) == ["a"]
    assert await stage.claim(9) == []
    await stage.ledger.pause("mail", None, None)
    assert await stage.ledger.due_in(None) is None
    stage.clock.advance(5)
    assert await stage.claim(9) == []
    await stage.ledger.resume("mail")
    assert ids(await stage.claim(9)) == ["b"]


async def test_probes_of_a_breaker_are_starts_like_any(stage: Stage) -> None:
    breaker = Breaker(minimum=1, pause=5 * SECOND, probes=2)
    await stage.ledger.change("mail", Change(breaker=breaker, rate=0.5))
    await stage.submit("a", "b", "c", type="mail")
    (a,) = await stage.claim(9)
    await stage.die(a)
    stage.clock.advance(3)
    assert await stage.claim(9) == []
    stage.clock.advance(2)
    assert ids(await stage.claim(9)) == ["b"]
    assert await stage.claim(9) == []
    assert await waited(stage) == 2
    assert ids(await stage.claim(9)) == ["c"]


async def test_an_attempt_that_was_lost_released_or_cancelled_has_used_its_start(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(rate=1.0))
    await stage.submit("a", "b", type="mail")
    (a,) = await stage.claim(9)
    await stage.release(a)
    assert await stage.claim(9) == []
    assert await waited(stage) == 1
    (a,) = await stage.claim(9)
    await stage.lose(a)
    assert await stage.claim(9, worker="solo", alone=True) == []
    stage.clock.advance(1)
    (a,) = await stage.claim(9, worker="solo", alone=True)
    await stage.ledger.cancel("a", None, None)
    assert await stage.claim(9) == []
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["b"]


async def test_waiting_for_a_rate_costs_no_attempt_and_retries_are_starts(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.submit("a", "b", type="mail", key="ann", max_retries=1)
    (a,) = await stage.claim(9)
    await stage.retry(a, wait=0.5)
    assert await stage.claim(9) == []
    stage.clock.advance(0.5)
    assert await stage.claim(9) == []
    assert await waited(stage) == 0.5
    assert ids(await stage.claim(9)) == ["b"]
    assert await stage.claim(9) == []
    waiting = await stage.record("a")
    assert (waiting.state, waiting.attempt_count) == (State.RETRYING, 1)
    assert await waited(stage) == 1
    (a,) = await stage.claim(9)
    assert a.spent == 2


async def test_a_redrive_is_a_start_like_any(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=1.0))
    await stage.submit("a", type="mail")
    (a,) = await stage.claim(9)
    await stage.die(a)
    await stage.ledger.redrive("a", None, None)
    assert await stage.claim(9) == []
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["a"]


async def test_a_task_that_waits_for_its_keys_rate_can_be_cancelled_and_the_next_has_its_turn(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.submit("a", "b", "c", "d", type="mail", key="ann")
    due = (await stage.record("b")).due_at
    assert ids(await stage.claim(9)) == ["a"]
    assert await stage.claim(9) == []
    waiting = await stage.record("b")
    assert (waiting.state, waiting.due_at, waiting.attempt_count) == (State.QUEUED, due, 0)
    assert (await stage.entry("b")).claimable
    await stage.ledger.cancel("b", None, None)
    stage.clock.advance(1)
    await stage.ledger.cancel("c", None, None)
    assert ids(await stage.claim(9)) == ["d"]


async def test_a_task_that_had_its_turn_and_is_cancelled_leaves_it_to_the_next(
    stage: Stage,
) -> None:
    """The one that comes back when its key may start is taken away before any claim takes it."""
    await stage.ledger.change("mail", Change(limit=1, key_rate=1.0))
    await stage.submit("a", "b", "c", type="mail", key="ann")
    await stage.submit("z", type="mail", key="zoe", priority=1, delay=1)
    (a,) = await stage.claim(9)
    await stage.succeed(a)
    assert await stage.claim(9) == []
    stage.clock.advance(1)
    (z,) = await stage.claim(9)
    assert z.task_id == "z"
    await stage.ledger.cancel("b", None, None)
    await stage.succeed(z)
    assert ids(await stage.claim(9)) == ["c"]


async def test_what_runs_alone_after_a_loss_keeps_to_its_keys_rate(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=1.0))
    await stage.submit("a", "b", type="mail", key="ann")
    (a,) = await stage.claim(9)
    await stage.lose(a)
    assert await stage.claim(9) == []
    assert await stage.claim(9, worker="solo", alone=True) == []
    assert await stage.ledger.due_in(None, alone=True) == SECOND
    stage.clock.advance(1)
    (alone,) = await stage.claim(9, worker="solo", alone=True)
    assert alone.task_id == "a"
    await stage.succeed(alone)
    assert await stage.claim(9) == []
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["b"]


async def test_a_rate_that_is_changed_begins_anew_and_one_that_is_set_again_does_not(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(rate=1.0))
    await stage.submit(*"abcdefgh", type="mail")
    assert ids(await stage.claim(9)) == ["a"]
    await stage.ledger.change("mail", Change(rate=1.0, limit=100))
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(rate=4.0))
    assert ids(await stage.claim(9)) == ["b", "c", "d", "e"]
    await stage.ledger.change("mail", Change(rate=0.1))
    assert ids(await stage.claim(9)) == ["f"]
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(rate=None))
    assert ids(await stage.claim(9)) == ["g", "h"]


async def test_a_keys_rate_can_be_changed_and_taken_away(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_rate=0.001))
    await stage.submit(*"abcdef", type="mail", key="ann")
    assert ids(await stage.claim(9)) == ["a"]
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(key_rate=2.0))
    assert ids(await stage.claim(9)) == ["b", "c"]
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(key_rate=None))
    assert ids(await stage.claim(9)) == ["d", "e", "f"]


async def test_a_keys_rate_is_gone_once_it_is_taken_away_whatever_becomes_of_who_does_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.ledger.change("mail", Change(key_rate=0.001))
    await stage.submit(*"abcdef", type="mail", key="ann")
    assert ids(await stage.claim(9)) == ["a"]
    assert ids(await stage.claim(9)) == []

    async def crash(task_type: str) -> int:
        raise LedgerUnavailable(f"while what waits of {task_type} is brought back")

    with monkeypatch.context() as patched, suppress(LedgerUnavailable):
        patched.setattr(stage.ledger, "_bring_back", crash, raising=False)
        await stage.ledger.change("mail", Change(key_rate=None))
    assert await stage.ledger.controls() == []
    assert ids(await stage.claim(9)) == ["b", "c", "d", "e", "f"]
    await stage.ledger.change("mail", Change(key_rate=None))
    await stage.ledger.change("mail", Change(limit=2))
    assert await stage.ledger.controls() == [Control("mail", limit=2)]


async def test_a_clock_that_is_set_back_holds_nothing_up_for_long(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=1.0, key_rate=1.0))
    await stage.submit("a", "b", type="mail", key="ann", run_at=1)
    await stage.submit("c", type="mail", key="ann", run_at=1)
    assert ids(await stage.claim(9)) == ["a"]
    assert await stage.claim(9) == []
    stage.clock.advance(-3_600)
    found: list[str] = []
    for _ in range(30):
        found += ids(await stage.claim(9))
        stage.clock.advance(1)
    assert found == ["b", "c"]


async def test_rates_are_seen_by_another_process_and_after_a_restart(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=2.5, key_rate=0.001, limit=7))
    await stage.ledger.change("sms", Change(rate=100_000.0))
    expected = [
        Control("mail", limit=7, rate=2.5, key_rate=0.001),
        Control("sms", rate=100_000.0),
    ]
    other = await stage.another()
    try:
        assert await other.controls() == expected
    finally:
        if other is not stage.ledger:
            await other.close()
    await stage.ledger.change("sms", Change(rate=None))
    await stage.ledger.change("mail", Change(limit=None, key_rate=None))
    assert await stage.ledger.controls() == [Control("mail", rate=2.5)]
    await stage.ledger.pause("mail", None, None)
    await stage.ledger.resume("mail")
    assert await stage.ledger.controls() == [Control("mail", rate=2.5)]


async def test_what_has_started_counts_after_a_restart(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(rate=1.0, key_rate=0.5))
    await stage.submit("a", "b", type="mail", key="ann")
    assert ids(await stage.claim(9)) == ["a"]
    assert await stage.claim(9) == []
    await stage.reopen()
    assert await stage.claim(9) == []
    stage.clock.advance(1)
    assert await stage.claim(9) == []
    assert await waited(stage) == 1
    assert ids(await stage.claim(9)) == ["b"]


@pytest.mark.parametrize("change", [Change(rate=4.0), Change(key_rate=4.0)])
async def test_each_start_is_counted_however_they_come(stage: Stage, change: Change) -> None:
    await stage.ledger.change("mail", change)
    await stage.submit(*(f"{number:02}" for number in range(20)), type="mail", key="ann")
    found = [len(await stage.claim(most)) for most in (1, 2, 9, 9)]
    for _ in range(4):
        stage.clock.advance(0.5)
        found += [len(await stage.claim(1)) for _ in range(3)]
    assert found == [1, 2, 1, 0, *(1, 1, 0) * 4]


async def test_what_a_key_may_still_start_is_not_forgotten_where_its_type_held_it_up(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(rate=4.0, key_rate=2.0))
    for key in ("ann", "bob", "cyd"):
        await stage.submit(*(f"{key}-{number}" for number in range(8)), type="mail", key=key)
    started = 0
    for _ in range(32):
        started += len(await stage.claim(1))
        stage.clock.advance(0.25)
    assert started == 24


@pytest.mark.parametrize("change", [Change(key_rate=0.2), Change(key_limit=1)])
async def test_what_waits_for_a_key_is_unhandled_too_once_its_workers_are_gone(
    stage: Stage, change: Change
) -> None:
    await stage.ledger.change("mail", change)
    await stage.submit("a", "b", type="mail", key="k")
    [first] = await stage.claim(9)
    await stage.ledger.due_in(None)
    assert (await stage.ledger.counts()).unhandled == ()
    stage.clock.advance(3600)
    assert (await stage.ledger.counts()).unhandled == ("mail",)
    await stage.ledger.pause("mail", None, None)
    assert (await stage.ledger.counts()).unhandled == ()
    assert first.task_id == "a"
