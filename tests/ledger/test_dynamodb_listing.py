"""Lists, bulk redrives and purges of the DynamoDB ledger: budgets, pages, indexes that lag."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import pytest

from tests.aws.emulator import Emulator
from tests.conformance.stage import BOOM, Clock, pages
from tests.ledger.dynamodb_steps import Told
from tests.ledger.place import Place
from tests.ledger.tables import Table
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.schema import Key
from unlost.ledger.dynamodb.tasks import listing
from unlost.ledger.dynamodb.upkeep import purging
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.values import EVERYTHING, NewStep, Order, Query
from unlost.policy import Limits
from unlost.task import State

DIED = Query(order=Order.DIED)


@pytest.fixture
async def place(emulator: Emulator, clock: Clock) -> AsyncIterator[Place]:
    with Table(emulator.url) as table:
        place = Place(table, clock)
        yield place
        await place.own.close()


async def test_what_comes_in_pieces_is_read_whole(place: Place) -> None:
    await place.submit(*(f"t{number}" for number in range(9)))
    await place.bury("a", "b", "c")
    await place.bury("d", payload='{"p": "' + "x" * 9_000 + '"}')
    rough, ledger = place.rough(), place.own
    for query in (Query(limit=4, parts=EVERYTHING), DIED):
        for one, other in zip(
            [page async for page in pages(rough, query)],
            [page async for page in pages(ledger, query)],
            strict=True,
        ):
            assert one.records == other.records
    assert await rough.entries(0, 100) == await ledger.entries(0, 100)
    assert await rough.groups() == await ledger.groups()
    assert await rough.counts() == await ledger.counts()
    assert await rough.cohorts() == await ledger.cohorts()
    await rough.close()


async def test_a_page_looks_at_no_more_than_its_budget_and_the_list_misses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "WALK", 10)
    rare = {0, 1, 17, 34}
    for number in range(35):
        await place.submit(f"t{number}", type="rare" if number in rare else "common")
    found = [page async for page in pages(place.ledger, Query(type="rare", limit=2))]
    ids = [[record.task_id for record in page.records] for page in found]
    assert ids == [["t34"], ["t17"], [], ["t1", "t0"], []]
    assert found[-1].next_cursor is None


async def test_what_the_index_still_lists_is_shown_as_it_is_by_now(place: Place) -> None:
    await place.bury("a", "b", "c")
    await place.ledger.page(DIED)
    place.index.stop()
    await place.ledger.page(DIED)
    await place.ledger.groups()
    await place.ledger.redrive("b", None, None)
    assert await place.walk(DIED) == ["c", "a"]
    (group,) = await place.ledger.groups()
    assert group.sample == BOOM.message
    await place.ledger.discard("a", None, None)
    await place.ledger.discard("c", None, None)
    assert await place.ledger.groups() == []


async def test_a_task_that_died_again_is_listed_at_its_new_death_only(place: Place) -> None:
    await place.bury("a", "b")
    await place.ledger.page(DIED)
    place.clock.advance(1)
    place.index.stop()
    await place.ledger.page(DIED)
    await place.ledger.redrive("a", None, None)
    place.index.go()
    await place.die(await place.run("a"))
    assert await place.walk(DIED) == ["a", "b"]


async def test_a_broken_record_breaks_no_list(place: Place) -> None:
    await place.submit("a", "b", "c")
    place.edit("b", "state", {"S": "nonsense"})
    assert await place.walk(Query()) == ["c", "a"]
    entries = await place.ledger.entries(0, 2)
    assert [entry.record.task_id for entry in entries] == ["a", "c"]


async def test_a_broken_record_keeps_no_other_from_being_swept(place: Place) -> None:
    await place.submit("a", "broken")
    await place.claim(2)
    await place.submit("b", "broken too")
    for name in ("broken", "broken too"):
        place.edit(name, "state", {"S": "nonsense"})
    place.clock.advance(3600)
    assert [held.task_id for held in await place.ledger.held(None)] == ["a"]
    told = Told()
    assert await place.table.ledger(place.clock, announce=told).hint_overdue(10) == 1
    assert [hint.task_id for hint in told.hints] == ["b"]


async def test_a_purge_comes_to_all_that_is_old_however_little_it_looks_at(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "FRONT", 5)
    monkeypatch.setattr(purging, "BACK", 3)
    names = [f"t{number:02}" for number in range(20)]
    await place.submit(*names)
    late = {"t03", "t11"}
    for attempt in await place.claim(20):
        await (place.retry if attempt.task_id in late else place.succeed)(attempt)
    before = place.clock.advance(60)
    assert sum([await place.ledger.purge(before, 4) for _ in range(8)]) == 18
    for attempt in await place.claim(20):
        await place.succeed(attempt)
    later = place.clock.advance(60)
    assert sum([await place.ledger.purge(later, 4) for _ in range(9)]) == 2
    assert {(await place.record(name)).purged_at for name in late} == {later}


async def test_a_purge_leaves_nothing_beside_the_record(place: Place) -> None:
    big = '{"p": "' + "x" * 9_000 + '"}'
    await place.submit("a", payload=big)
    await place.retry(await place.run("a"))
    await place.die(await place.run("a"))
    await place.ledger.redrive("a", None, None, big.replace("x", "y"))
    await place.succeed(await place.run("a"), result=big)
    (report,) = await place.ledger.claim_reports(1, 1)
    before = place.clock.advance(60)
    assert await place.ledger.purge(before, 10) == 0
    await place.ledger.reported([report.id])
    assert await place.ledger.purge(before, 10) == 1
    assert place.items("a") == {"task", "h#000001"}


async def test_a_purge_that_is_cut_off_goes_on_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = '{"p": "' + "x" * 9_000 + '"}'
    await place.submit("a", payload=big)
    await place.retry(await place.run("a"))
    attempt = await place.run("a")
    for number in range(purging.TOGETHER + 5):
        await place.ledger.record_step(NewStep("a", attempt.token, f"s{number}", "1"))
    await place.succeed(attempt, result=big)
    before = place.clock.advance(60)
    delete_many = Calls.delete_many

    async def cut_off(calls: Calls, keys: Collection[Key]) -> None:
        await delete_many(calls, [*keys][:30])
        raise LedgerUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(Calls, "delete_many", cut_off)
        with pytest.raises(LedgerUnavailable):
            await place.ledger.purge(before, 10)
    purged = await place.record("a")
    assert (purged.purged_at, purged.payload, purged.attempts) == (before, None, ())
    assert await place.ledger.steps_of("a") == []
    assert len(place.items("a")) > 2
    assert await place.ledger.purge(place.clock.advance(60), 10) == 1
    assert await place.record("a") == purged
    assert place.items("a") == {"task"}
    assert await place.ledger.purge(place.clock.advance(60), 10) == 0


async def test_what_waits_is_told_from_what_runs_under_a_lease_of_its_own(place: Place) -> None:
    await place.submit("a", "b")
    place.clock.advance(5)
    await place.own.claim_task(
        "a", token="x", worker="w", limits=None, defaults=Limits(2, 60), lease=90_000_000
    )
    counts = await place.ledger.counts()
    assert counts.oldest_due == (await place.record("b")).due_at
    await place.own.claim_task(
        "b", token="y", worker="w", limits=None, defaults=Limits(2, 60), lease=90_000_000
    )
    counts = await place.ledger.counts()
    assert (counts.oldest_due, counts.unhandled) == (None, ())
    assert counts.states[State.RUNNING] == 2
