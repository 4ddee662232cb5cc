"""Lists: newest first, page by page, each task that was there throughout exactly once."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.stage import BOOM, OTHER, Clock, Stage, pages, submission
from tests.conftest import LEDGERS
from unlost.audit import audit
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Order, Part, Query
from unlost.limits.control import Change
from unlost.task import SECOND, State

DIED = Query(order=Order.DIED)


async def test_an_empty_list_ends_at_once(ledger: Ledger) -> None:
    for order in Order:
        page = await ledger.page(Query(order=order))
        assert (page.records, page.next_cursor) == ([], None)


async def test_tasks_are_listed_newest_first(stage: Stage) -> None:
    await stage.submit("a", "b")
    stage.clock.advance(1)
    await stage.submit("c")
    assert await stage.walk(Query()) == ["c", "b", "a"]


async def test_dead_letters_are_listed_by_death_newest_first(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "alive")
    for task_id in ("c", "a", "b"):
        stage.clock.advance(1)
        await stage.die(await stage.run(task_id))
    assert await stage.walk(DIED) == ["b", "a", "c"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_pages_never_hold_more_than_their_limit_and_miss_nothing(
    stage: Stage, limit: int
) -> None:
    ids = [f"t{number}" for number in range(7)]
    await stage.bury(*ids)
    for order in Order:
        query = Query(order=order, limit=limit)
        page = await stage.ledger.page(query)
        assert len(page.records) <= limit
        assert await stage.walk(query) == ids[::-1]


async def test_a_list_shows_each_task_once_while_others_come(stage: Stage) -> None:
    ids = [f"t{number}" for number in range(20)]
    await stage.submit(*ids)
    query, seen = Query(limit=3), []
    async for page in pages(stage.ledger, query):
        seen += [record.task_id for record in page.records]
        await stage.submit(f"new{len(seen)}")
        stage.clock.advance(1)
    assert seen == ids[::-1]


async def test_a_list_shows_each_task_once_while_tasks_move(stage: Stage) -> None:
    ids = [f"t{number}" for number in range(12)]
    await stage.submit(*ids)
    query, seen = Query(limit=2), []
    async for page in pages(stage.ledger, query):
        seen += [record.task_id for record in page.records]
        stage.clock.advance(1)
        for attempt in await stage.claim(2):
            await (stage.succeed if attempt.task_id < "t5" else stage.die)(attempt)
    assert seen == ids[::-1]


async def test_a_list_of_dead_letters_shows_each_once_while_others_die_and_leave(
    stage: Stage,
) -> None:
    ids = [f"t{number}" for number in range(12)]
    await stage.bury(*ids)
    query, seen = Query(order=Order.DIED, limit=2), []
    left, numbers = iter(["t11", "t0", "t10", "t1"]), count()
    async for page in pages(stage.ledger, query):
        seen += [record.task_id for record in page.records]
        stage.clock.advance(1)
        await stage.bury(f"new{next(numbers)}")
        if task_id := next(left, None):
            await stage.ledger.discard(task_id, None, None)
    assert len(seen) == len(set(seen))
    assert [task_id for task_id in seen if task_id in ids[2:10]] == ids[2:10][::-1]


async def test_deaths_of_one_moment_are_all_listed(stage: Stage) -> None:
    ids = [f"t{number}" for number in range(9)]
    await stage.submit(*ids)
    for attempt in await stage.claim(9):
        await stage.die(attempt)
    assert sorted(await stage.walk(Query(order=Order.DIED, limit=2))) == ids


@pytest.mark.parametrize("state", State)
async def test_a_list_may_be_of_one_state(stage: Stage, state: State) -> None:
    for each in State:
        await stage.into(each, f"{each}1")
        await stage.into(each, f"{each}2")
    assert await stage.walk(Query(state=state, limit=1)) == [f"{state}2", f"{state}1"]


@pytest.mark.parametrize("purged", [False, True])
async def test_a_list_of_what_succeeded_has_all_of_it_among_what_waits_and_never_ran(
    stage: Stage, purged: bool
) -> None:
    done = ["a2", "b0", "b4", "c1"]
    for name in "abc":
        await stage.submit(*(f"{name}{n}" for n in range(5)))
        stage.clock.advance(1)
    for name in done:
        await stage.succeed(await stage.run(name))
    if purged:
        assert await stage.ledger.purge(stage.clock.advance(60), 100) == len(done)
    for query in (Query(), Query(limit=1), Query(limit=1, type="default")):
        assert await stage.walk(replace(query, state=State.SUCCEEDED)) == done[::-1]
    at = (await stage.record("b0")).submitted_at
    assert await stage.walk(Query(state=State.SUCCEEDED, until=at)) == ["a2"]
    assert await stage.walk(Query(state=State.SUCCEEDED, since=at)) == ["c1", "b4", "b0"]


async def test_a_list_of_what_was_cancelled_shows_each_once_whatever_was_done_before(
    stage: Stage,
) -> None:
    for name in ("discarded", "redriven"):
        await stage.bury(name)
        await stage.ledger.redrive(name, None, None)
        await stage.die(await stage.run(name))
    await stage.ledger.discard("discarded", None, None)
    await stage.submit("cancelled", "queued")
    await stage.ledger.cancel("cancelled", None, None)
    assert await stage.walk(Query(state=State.CANCELLED)) == ["cancelled", "discarded"]
    stage.clock.advance(10)
    assert await stage.ledger.purge(stage.clock.now, 10) == 1  # the other death is unreported
    assert await stage.walk(Query(state=State.CANCELLED)) == ["cancelled", "discarded"]
    assert await stage.walk(Query(state=State.CANCELLED, id_prefix="d")) == ["discarded"]


@pytest.mark.parametrize("home", LEDGERS)
async def test_a_list_of_what_was_cancelled_has_what_came_without_its_history(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, home: str
) -> None:
    """An export's line may be without it; an audit then says that it is missing."""
    memory = MemoryLedger(clock)
    await memory.submit([submission("old"), submission("later")])
    for name in ("old", "later"):
        await memory.cancel(name, None, None)
    came = [copy for _, copy in await memory.copies(0, 10)]
    bare = replace(came[0], record=replace(came[0].record, history=()))
    async with LEDGERS[home](request, tmp_path, clock) as opener:
        stage = Stage(await opener(), clock, opener)
        await stage.ledger.restore([bare, came[1]])
        stage.clock.advance(1)
        await stage.submit("new", "queued")
        await stage.ledger.cancel("new", None, None)
        cancelled = Query(state=State.CANCELLED, limit=1)
        assert await stage.walk(cancelled) == ["new", "later", "old"]
        assert (await stage.ledger.counts()).states[State.CANCELLED] == 3
        assert [one.task_id for one in (await audit(stage.ledger)).violations] == ["old"]


async def test_a_list_of_a_state_that_none_has_is_empty(stage: Stage) -> None:
    await stage.submit("queued")
    for state in set(State) - {State.QUEUED}:
        assert await stage.walk(Query(state=state)) == []


async def test_a_common_beginning_of_ids_leaves_no_task_out(stage: Stage) -> None:
    await stage.submit("a-first", "b-first")
    await stage.submit(*(f"a{number:03}" for number in range(120)))
    await stage.submit("b-last")
    expected = [*(f"a{number:03}" for number in reversed(range(120))), "a-first"]
    assert await stage.walk(Query(id_prefix="a", limit=7)) == expected
    assert await stage.walk(Query(id_prefix="b", limit=2)) == ["b-last", "b-first"]


async def test_a_list_may_be_of_one_type(stage: Stage) -> None:
    await stage.bury("a", "c", type="mail")
    await stage.bury("b", "d", type="sms")
    for order in Order:
        assert await stage.walk(Query(order=order, type="mail", limit=1)) == ["c", "a"]
        assert await stage.walk(Query(order=order, type="fax")) == []


async def test_a_list_of_what_waits_of_a_type_has_all_that_does(stage: Stage) -> None:
    """Due or not, by itself or not, and also where its key has no room."""
    await stage.ledger.change("mail", Change(key_limit=1))
    await stage.submit("runs", type="mail", key="k")
    await stage.claim()
    await stage.submit("parked", type="mail", key="k")
    await stage.submit("other", type="sms")
    await stage.ledger.pause("sms", None, None)
    assert await stage.claim(9) == []
    await stage.submit("lost", "tried", type="mail")
    for attempt in await stage.claim(2):
        await (stage.lose if attempt.task_id == "lost" else stage.retry)(attempt)
    await stage.submit("due", type="mail")
    await stage.submit("later", type="mail", delay=SECOND)
    queued = Query(state=State.QUEUED, type="mail", limit=1)
    assert await stage.walk(queued) == ["later", "due", "parked"]
    bounded = replace(queued, type=None, types=("mail", "fax", "mail"))
    assert await stage.walk(bounded) == ["later", "due", "parked"]
    assert await stage.walk(replace(queued, types=("sms",))) == []
    assert await stage.walk(replace(queued, type=None, types=("sms",))) == ["other"]
    assert await stage.walk(replace(queued, type="fax")) == []
    retrying = Query(state=State.RETRYING, type="mail")
    assert await stage.walk(retrying) == ["tried", "lost"]


async def test_a_list_may_be_bounded_to_types(stage: Stage) -> None:
    for number, task_type in enumerate(["mail", "sms", "é'%", "sms", "sms", "mail"]):
        await stage.bury(f"t{number}", type=task_type)
    for order in Order:
        bounded = Query(order=order, types=("mail", "é'%", "fax"), limit=2)
        assert await stage.walk(bounded) == ["t5", "t2", "t0"]
        assert [one.task_id for one in (await stage.ledger.page(bounded)).records] == ["t5", "t2"]
        assert await stage.walk(replace(bounded, type="mail")) == ["t5", "t0"]
        assert await stage.walk(replace(bounded, type="sms")) == []
        assert await stage.walk(replace(bounded, types=("fax", "\0"))) == []


async def test_a_list_may_be_of_ids_that_begin_alike(stage: Stage) -> None:
    ids = ["a", "a/1", "a/2", "a%1", "a_1", "ab", "A/3", "a/\U0010ffff", "b"]
    await stage.bury(*ids)
    for order in Order:
        walk = await stage.walk(Query(order=order, id_prefix="a/", limit=2))
        assert walk == ["a/\U0010ffff", "a/2", "a/1"]
        assert await stage.walk(Query(order=order, id_prefix="a_")) == ["a_1"]
        assert await stage.walk(Query(order=order, id_prefix="a%")) == ["a%1"]
        assert await stage.walk(Query(order=order, id_prefix="")) == ids[::-1]


async def test_a_list_may_be_of_a_span_of_submit_times(stage: Stage) -> None:
    start = stage.clock.now
    for task_id in "abcd":
        await stage.submit(task_id)
        stage.clock.advance(1)
    for attempt in await stage.claim(4):
        await stage.die(attempt)
    for order in Order:
        span = Query(order=order, since=start + SECOND, until=start + 3 * SECOND, limit=1)
        assert sorted(await stage.walk(span)) == ["b", "c"]
        since = Query(order=order, since=start + 3 * SECOND)
        assert await stage.walk(since) == ["d"]
        assert await stage.walk(Query(order=order, until=start)) == []
        assert await stage.walk(Query(order=order, since=start + 4 * SECOND)) == []


async def test_dead_letters_may_be_of_one_error_by_fingerprint_or_type(stage: Stage) -> None:
    alike = replace(BOOM, fingerprint="feedfacefeedface")
    await stage.bury("a", error=BOOM)
    await stage.bury("b", error=OTHER)
    await stage.bury("c", error=alike)
    assert await stage.walk(replace(DIED, error=BOOM.fingerprint)) == ["a"]
    assert await stage.walk(replace(DIED, error="Boom", limit=1)) == ["c", "a"]
    assert await stage.walk(replace(DIED, error="Unheard")) == []


async def test_filters_mean_and(stage: Stage) -> None:
    await stage.bury("x1", "y1", type="mail")
    await stage.submit("x2", type="mail")
    await stage.submit("x3", type="sms")
    query = Query(state=State.QUEUED, type="mail", id_prefix="x")
    assert await stage.walk(query) == ["x2"]
    assert await stage.walk(replace(query, state=State.DEAD)) == ["x1"]
    assert await stage.walk(replace(query, order=Order.DIED)) == []


async def test_a_filter_that_finds_little_still_finds_all_of_it(stage: Stage) -> None:
    await stage.submit("first", type="rare")
    await stage.submit(*(f"t{number}" for number in range(stage.many(6000))))
    await stage.submit("last", type="rare")
    assert await stage.walk(Query(type="rare")) == ["last", "first"]


async def test_records_in_a_list_carry_only_the_parts_asked_for(stage: Stage) -> None:
    await stage.submit("a", payload='{"n": 1}')
    await stage.retry(await stage.run("a"))
    await stage.succeed(await stage.run("a"), "7")
    whole = await stage.record("a")
    assert whole.error is not None
    assert whole.error.traceback is not None
    bare = replace(
        whole, payload=None, result=None, attempts=(), error=replace(whole.error, traceback=None)
    )
    (record,) = (await stage.ledger.page(Query())).records
    assert record == bare
    for part, expected in {
        Part.PAYLOAD: replace(bare, payload='{"n": 1}'),
        Part.RESULT: replace(bare, result="7"),
        Part.ATTEMPTS: replace(bare, attempts=whole.attempts, error=whole.error),
    }.items():
        (record,) = (await stage.ledger.page(Query(parts=frozenset({part})))).records
        assert record == expected
        assert await stage.ledger.get("a", {part}) == expected


async def test_the_history_is_a_part(stage: Stage) -> None:
    await stage.submit("a")
    await stage.ledger.cancel("a", "ann", "why")
    assert (await stage.ledger.page(Query())).records[0].history == ()
    (record,) = (await stage.ledger.page(Query(parts=frozenset({Part.HISTORY})))).records
    assert [(act.by, act.reason) for act in record.history] == [("ann", "why")]
