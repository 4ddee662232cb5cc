"""Follow-ups: tasks that a handler submits with its success, all of them or none."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, Stage, ended, follow_up, must_add_up, submission
from unlost import carried
from unlost.carried import Parent
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claimed, Query, Settled, Settlement
from unlost.task import Event, Outcome, State, Submission


def success(attempt: Claimed, *tasks: Submission, result: str | None = None) -> Settlement:
    """The end of an attempt that submits these."""
    end = ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED, result=result)
    return replace(end, submit=tuple(follow_up(attempt, task) for task in tasks))


async def settle(stage: Stage, *ends: Settlement) -> list[Settled]:
    return await stage.ledger.settle(ends)


async def accepted(stage: Stage) -> int:
    return (await stage.ledger.counts()).accepted


async def test_a_success_brings_its_follow_ups_which_know_their_parent(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    tasks = [submission("x", '{"n": 1}', type="mail", key="ann"), submission("y")]
    assert await settle(stage, success(a, *tasks, result='"done"')) == [Settled.HELD]
    assert (await stage.record("a")).result == '"done"'
    record = await stage.record("x")
    assert (record.state, record.type, record.key) == (State.QUEUED, "mail", "ann")
    assert record.payload == '{"n": 1}'
    assert carried.read(record.carried).parent == Parent("a", 1)
    assert {one.task_id for one in await stage.claim(9)} == {"x", "y"}
    assert await accepted(stage) == 3
    await must_add_up(stage.ledger)


async def test_a_refused_settlement_brings_none(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await stage.ledger.cancel("a", None, None)
    assert await settle(stage, success(a, submission("x"))) == [Settled.REFUSED]
    assert await stage.ledger.get("x") is None
    assert await accepted(stage) == 1
    await must_add_up(stage.ledger)


async def test_a_repeated_settlement_brings_them_once(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    end = success(a, submission("x"), submission("y"))
    assert await settle(stage, end, end) == [Settled.HELD, Settled.REFUSED]
    assert await settle(stage, end) == [Settled.REFUSED]
    assert await accepted(stage) == 3
    await must_add_up(stage.ledger)


async def test_one_that_is_there_already_alike_stays_as_it_is(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await stage.submit("known", type="mail")
    end = success(a, submission("known", type="mail"), submission("x"), submission("x"))
    assert await settle(stage, end) == [Settled.HELD]
    assert (await stage.record("a")).state is State.SUCCEEDED
    assert carried.read((await stage.record("known")).carried).parent is None
    assert await stage.walk(Query(parent="a")) == ["x"]
    assert await accepted(stage) == 3
    await must_add_up(stage.ledger)


@pytest.mark.parametrize("other", ['{"n": 2}', "type"])
async def test_a_conflict_makes_the_task_dead_and_brings_nothing(stage: Stage, other: str) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await stage.submit("known", payload='{"n": 1}')
    different = (
        submission("known", other) if other != "type" else submission("known", '{"n": 1}', type="m")
    )
    end = success(a, submission("x"), different, submission("y"), result='"done"')
    assert await settle(stage, end) == [Settled.CONFLICT]
    record = await stage.record("a")
    assert (record.state, record.result) == (State.DEAD, None)
    assert record.error is not None
    assert record.error.type == "FollowUpConflict"
    assert record.attempts[-1].outcome is Outcome.FAILED
    assert (await stage.record("known")).payload == '{"n": 1}'
    assert await stage.ledger.get("x") is None
    assert await stage.ledger.get("y") is None
    assert await stage.walk(Query(parent="a")) == []
    assert await settle(stage, end) == [Settled.REFUSED]
    assert await accepted(stage) == 2
    await must_add_up(stage.ledger)


async def test_two_of_one_attempt_may_be_in_conflict_and_so_may_its_own_id(stage: Stage) -> None:
    await stage.submit("a", "b")
    a, b = await stage.claim(2)
    twice = success(a, submission("x", '{"n": 1}'), submission("x", '{"n": 2}'))
    own = success(b, submission(b.task_id, '{"n": 1}'))
    assert await settle(stage, twice, own) == [Settled.CONFLICT] * 2
    assert await stage.ledger.get("x") is None
    assert await accepted(stage) == 2
    await must_add_up(stage.ledger)


async def test_a_conflict_takes_nothing_from_others_settled_with_it(stage: Stage) -> None:
    await stage.submit("a")
    await stage.submit("b", "c", "d")
    a, b, c, d = sorted(await stage.claim(4), key=lambda one: one.task_id)
    await stage.submit("known", payload='{"n": 1}')
    notice = submission("notice of a", type="mail")
    ends = [
        replace(success(a, submission("x", '{"n": 1}')), follow=notice),
        success(b, submission("known"), submission("y")),
        ended(c, Outcome.FAILED, Event.RETRY, error=BOOM),
        success(d, submission("y", '{"n": 3}'), submission("z")),
    ]
    expected = [Settled.HELD, Settled.CONFLICT, Settled.HELD, Settled.HELD]
    assert await settle(stage, *ends) == expected
    assert (await stage.record("y")).payload == '{"n": 3}'
    assert await stage.walk(Query(parent="a")) == ["x"]
    assert {*await stage.walk(Query(parent="d"))} == {"y", "z"}
    assert (await stage.record("notice of a")).type == "mail"
    await must_add_up(stage.ledger)


async def test_what_is_told_of_a_conflict_is_told_in_the_same_step(stage: Stage) -> None:
    await stage.submit("a", "b")
    a, b = await stage.claim(2)
    good, bad = submission("a succeeded"), submission("a died")
    await stage.submit("known", payload='{"n": 1}')

    def told(attempt: Claimed, task: Submission) -> Settlement:
        end = success(attempt, task)
        (one,) = end.submit
        conflict = replace(one.conflict, follow=bad)
        return replace(end, submit=(replace(one, conflict=conflict),), follow=good)

    assert await settle(stage, told(a, submission("known"))) == [Settled.CONFLICT]
    assert await stage.ledger.get("a succeeded") is None
    assert (await stage.record("a died")).state is State.QUEUED
    assert await settle(stage, told(b, submission("x"))) == [Settled.HELD]
    assert (await stage.record("a succeeded")).state is State.QUEUED


async def test_as_many_and_as_large_as_one_attempt_may_submit(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    payload = '{"text": "' + "x" * (26 * 1024) + '"}'
    tasks = [submission(f"x{number:02}", payload) for number in range(40)]
    end = replace(success(a, *tasks, result='"' + "r" * 60_000 + '"'), follow=submission("told"))
    assert await settle(stage, end) == [Settled.HELD]
    assert await stage.walk(Query(parent="a", limit=7)) == [one.task_id for one in tasks[::-1]]
    assert (await stage.record("x39")).payload == payload
    assert await accepted(stage) == 42
    await must_add_up(stage.ledger)


async def test_a_list_by_parent_has_filters_and_pages_as_any(stage: Stage) -> None:
    await stage.submit("a", "b")
    a, b = await stage.claim(2)
    await settle(
        stage, success(a, submission("x", type="m"), submission("y"), submission("z", type="m"))
    )
    await settle(stage, success(b, submission("other")))
    assert await stage.walk(Query(parent="a", limit=1)) == ["z", "y", "x"]
    assert await stage.walk(Query(parent="a", type="m")) == ["z", "x"]
    assert await stage.walk(Query(parent="a", types=("m",), id_prefix="x")) == ["x"]
    assert await stage.walk(Query(parent="nobody")) == []
    assert await stage.walk(Query(parent="a", state=State.SUCCEEDED)) == []
    (x,) = await stage.claim(types=("m",))
    await stage.succeed(x)
    assert await stage.walk(Query(parent="a", state=State.SUCCEEDED)) == [x.task_id]
    at = (await stage.record("x")).submitted_at
    assert await stage.walk(Query(parent="a", since=at + 1)) == []
    assert await stage.walk(Query(parent="a", until=at + 1)) == ["z", "y", "x"]


async def test_a_purge_of_the_parent_leaves_them_and_their_list(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await settle(stage, success(a, submission("x", '{"n": 1}')))
    stage.clock.advance(3_600)
    assert await stage.ledger.purge(stage.clock.now, 100) == 1
    assert (await stage.record("a")).purged_at is not None
    assert (await stage.record("x")).payload == '{"n": 1}'
    assert await stage.walk(Query(parent="a")) == ["x"]
    await must_add_up(stage.ledger)


async def test_they_are_due_as_they_ask(stage: Stage) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    later = submission("later", delay=60)
    await settle(stage, success(a, later))
    assert await stage.claim() == []
    stage.clock.advance(60)
    assert [one.task_id for one in await stage.claim()] == ["later"]


async def test_of_those_that_race_for_an_id_one_gets_it(stage: Stage) -> None:
    other = await stage.another()
    names = [f"p{number}" for number in range(8)]
    await stage.submit(*names)
    attempts = await stage.claim(8)
    ends = [
        success(one, submission("x", f'{{"of": "{one.task_id}"}}'), submission(f"{one.task_id}.1"))
        for one in attempts
    ]
    racing = (
        ledger.settle([end]) for ledger, end in zip([stage.ledger, other] * 4, ends, strict=True)
    )
    answers = [answer for [answer] in await asyncio.gather(*racing)]
    assert sorted(answers) == [Settled.HELD, *[Settled.CONFLICT] * 7]
    (winner,) = [
        one.task_id for one, answer in zip(attempts, answers, strict=True) if answer is Settled.HELD
    ]
    assert (await stage.record("x")).payload == f'{{"of": "{winner}"}}'
    assert await stage.walk(Query(parent=winner)) == [f"{winner}.1", "x"]
    assert await accepted(stage) == 8 + 2
    await must_add_up(stage.ledger)
    await other.close()


async def test_the_list_by_parent_moves_with_them(stage: Stage, other: Ledger) -> None:
    await stage.submit("a")
    (a,) = await stage.claim()
    await settle(stage, success(a, submission("x"), submission("y")))
    copies = [copy for _, copy in await stage.ledger.copies(0, 10)]
    for _ in range(2):  # an import may be repeated
        await other.restore(copies)
        page = await other.page(Query(parent="a"))
        assert [one.task_id for one in page.records] == ["y", "x"]
    await must_add_up(other)


async def test_a_parent_knows_how_many_were_new(stage: Stage) -> None:
    await stage.submit("a", "b")
    (a, b) = await stage.claim(2)
    await stage.submit("known")
    ends = [success(a, submission("x"), submission("known"), submission("y")), success(b)]
    assert await settle(stage, *ends) == [Settled.HELD] * 2
    assert [(await stage.entry(one)).brought for one in ("a", "b", "x")] == [2, None, None]
    copies = [copy for _, copy in await stage.ledger.copies(0, 10)]
    assert {one.record.task_id: one.brought for one in copies if one.brought} == {"a": 2}


async def test_two_parents_of_one_id_count_it_once(stage: Stage) -> None:
    await stage.submit("a", "b")
    both = await stage.claim(2)
    ends = [success(one, submission("x"), submission(f"of {one.task_id}")) for one in both]
    assert await settle(stage, *ends) == [Settled.HELD] * 2
    assert sum([(await stage.entry(one)).brought or 0 for one in "ab"]) == 3
    await must_add_up(stage.ledger)
