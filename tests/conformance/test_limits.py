"""Limits of a type and of a key: no more runs at once, nothing is forgotten, nobody starves."""

from __future__ import annotations

from tests.conformance.stage import BOOM, Stage, ended
from unlost.ledger.values import Claimed, Query, Settled
from unlost.limits.control import Change, Control
from unlost.task import SECOND, Event, Outcome, State


def ids(claimed: list[Claimed]) -> list[str]:
    return [one.task_id for one in claimed]


async def test_no_more_attempts_of_a_type_run_than_its_limit(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=2))
    await stage.submit("a", "b", "c", type="mail")
    await stage.submit("other")
    assert ids(await stage.claim(5)) == ["a", "b", "other"]
    assert ids(await stage.claim(5, worker="another")) == []


async def test_each_attempt_that_ends_leaves_room_for_one(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1))
    await stage.submit("a", "b", "c", "d", type="mail")
    (first,) = await stage.claim(5)
    await stage.succeed(first)
    (second,) = await stage.claim(5)
    await stage.release(second)
    (again,) = await stage.claim(5)
    await stage.ledger.cancel(again.task_id, None, None)
    assert ids(await stage.claim(5)) == ["c"]


async def test_a_type_without_room_gives_no_worker_anything_to_wake_for(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1))
    await stage.submit("a", "b", type="mail")
    await stage.submit("c", delay=30)
    (first,) = await stage.claim(5)
    assert await stage.ledger.due_in(None) == 30 * SECOND
    assert await stage.ledger.due_in(["mail"]) is None
    await stage.succeed(first)
    assert await stage.ledger.due_in(["mail"]) == 0


async def test_a_limit_can_be_raised_lowered_and_taken_away(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1))
    await stage.submit(*"abcdef", type="mail")
    assert ids(await stage.claim(9)) == ["a"]
    await stage.ledger.change("mail", Change(limit=3))
    assert ids(await stage.claim(9)) == ["b", "c"]
    await stage.ledger.change("mail", Change(limit=1))
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(limit=None))
    assert ids(await stage.claim(9)) == ["d", "e", "f"]


async def test_no_more_attempts_of_a_key_run_than_its_limit(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a1", "a2", type="mail", key="ann")
    await stage.submit("b1", type="mail", key="bob")
    await stage.submit("c1", "c2", type="mail")
    assert ids(await stage.claim(9)) == ["a1", "b1", "c1", "c2"]
    assert ids(await stage.claim(9)) == []


async def test_a_tenant_with_many_tasks_does_not_starve_one_with_few(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=2))
    flood = [f"flood-{number:04}" for number in range(stage.many(1_000))]
    await stage.submit(*flood, type="mail", key="big")
    stage.clock.advance(1)
    await stage.submit("small-1", "small-2", type="mail", key="small")
    found: list[str] = []
    for _ in range(100):
        if len(found) < 4:
            found += ids(await stage.claim(4 - len(found)))
    assert found == [*flood[:2], "small-1", "small-2"]


async def test_what_waits_for_its_key_comes_in_order_when_there_is_room(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("low", type="mail", key="ann", priority=-1)
    await stage.submit("first", type="mail", key="ann")
    stage.clock.advance(1)
    await stage.submit("second", type="mail", key="ann")
    order = []
    for _ in range(3):
        (claimed,) = await stage.claim(5)
        assert await stage.claim(5) == []
        order.append(claimed.task_id)
        await stage.succeed(claimed)
        stage.clock.advance(1)
    assert order == ["first", "second", "low"]


async def test_each_end_of_an_attempt_leaves_room_for_the_next_of_its_key(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit(*"abcdef", type="mail", key="ann", max_retries=9)
    await stage.submit("z", type="mail", key="zoe")
    assert ids(await stage.claim(9)) == ["a", "z"]
    for end, then in (
        ((Outcome.FAILED, Event.RETRY, 60), "b"),
        ((Outcome.FAILED, Event.DIE, 0), "c"),
        ((Outcome.SUCCEEDED, Event.SUCCEED, 0), "d"),
    ):
        await settle_running(stage, "ann", *end)
        assert ids(await stage.claim(9)) == [then]
    await stage.ledger.cancel("d", None, None)
    assert ids(await stage.claim(9)) == ["e"]


async def test_a_waiting_task_that_is_cancelled_leaves_its_turn_to_the_next(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a", "b", "c", type="mail", key="ann")
    (a,) = await stage.claim(9)
    assert await stage.claim(9) == []
    await stage.succeed(a)
    await stage.ledger.cancel("b", None, None)
    assert ids(await stage.claim(9)) == ["c"]


async def test_a_task_that_waits_for_its_key_can_be_cancelled_and_is_shown_as_queued(
    stage: Stage,
) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    due = (await stage.record("b")).due_at
    (a,) = await stage.claim(9)
    assert await stage.claim(9) == []
    waiting = await stage.record("b")
    assert (waiting.state, waiting.due_at, waiting.attempt_count) == (State.QUEUED, due, 0)
    assert (await stage.entry("b")).claimable
    await stage.ledger.cancel("b", None, None)
    assert (await stage.record("b")).state is State.CANCELLED
    await stage.succeed(a)
    assert await stage.claim(9) == []


async def test_a_key_limit_can_be_raised_and_taken_away(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit(*"abcdef", type="mail", key="ann")
    assert ids(await stage.claim(9)) == ["a"]
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(key_limit=3))
    assert ids(await stage.claim(9)) == ["b", "c"]
    assert ids(await stage.claim(9)) == []
    await stage.ledger.change("mail", Change(key_limit=None))
    assert ids(await stage.claim(9)) == ["d", "e", "f"]


async def test_keys_of_different_types_have_nothing_to_do_with_each_other(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.ledger.change("sms", Change(key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    await stage.submit("c", "d", type="sms", key="ann")
    await stage.submit("e", "f", type="free", key="ann")
    assert sorted(ids(await stage.claim(9))) == ["a", "c", "e", "f"]


async def test_a_lost_attempt_of_a_key_runs_alone_and_the_key_goes_on(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    (a,) = await stage.claim(9)
    assert await stage.claim(9) == []
    await stage.lose(a)
    (alone,) = await stage.claim(9, worker="solo", alone=True)
    assert alone.task_id == "a"
    assert await stage.claim(9) == []
    await stage.succeed(alone)
    assert ids(await stage.claim(9)) == ["b"]


async def test_a_dead_letter_that_waited_for_its_key_is_redriven_into_it(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("a", "b", type="mail", key="ann")
    (a,) = await stage.claim(9)
    await stage.die(a)
    (b,) = await stage.claim(9)
    await stage.ledger.redrive("a", None, None)
    assert await stage.claim(9) == []
    await stage.succeed(b)
    assert ids(await stage.claim(9)) == ["a"]


async def test_what_is_set_is_seen_by_another_process_and_after_a_restart(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=3, key_limit=2))
    await stage.ledger.change("a b/ü", Change(limit=1))
    expected = [Control("a b/ü", limit=1), Control("mail", limit=3, key_limit=2)]
    other = await stage.another()
    try:
        assert await other.controls() == expected
    finally:
        if other is not stage.ledger:
            await other.close()
    await stage.ledger.change("a b/ü", Change(limit=None))
    await stage.ledger.change("mail", Change(key_limit=5))
    assert await stage.ledger.controls() == [Control("mail", limit=3, key_limit=5)]


async def test_the_key_and_what_is_carried_come_back(stage: Stage) -> None:
    await stage.submit("a", key="änn/1", carried='{"trace":"x"}')
    record = await stage.record("a")
    assert (record.key, record.carried) == ("änn/1", '{"trace":"x"}')
    (claimed,) = await stage.claim(1)
    assert claimed.carried == '{"trace":"x"}'
    (listed,) = (await stage.ledger.page(Query())).records
    assert listed.key == "änn/1"


async def settle_running(
    stage: Stage, key: str, outcome: Outcome, event: Event, wait: float
) -> None:
    for held in await stage.ledger.held("worker"):
        if (await stage.record(held.task_id)).key == key:
            failed = outcome is Outcome.FAILED
            end = ended(held, outcome, event, wait=wait, error=BOOM if failed else None)
            assert await stage.ledger.settle([end]) == [Settled.HELD]
