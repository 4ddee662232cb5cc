"""Reports: each death is reported at least once, and not again once that is recorded."""

from __future__ import annotations

from tests.conformance.stage import BOOM, OTHER, Stage
from unlost.ledger.values import Report
from unlost.task import SECOND

LEASE = 30 * SECOND


async def reports(stage: Stage, limit: int = 100) -> list[Report]:
    return await stage.ledger.claim_reports(limit, LEASE)


async def test_a_death_leaves_a_report(stage: Stage) -> None:
    submitted_at = stage.clock.now
    await stage.submit("a", payload='{"n": 1}', type="mail")
    await stage.retry(await stage.run("a"), error=OTHER)
    died_at = stage.clock.advance(5)
    await stage.die(await stage.run("a"), BOOM)
    (report,) = await reports(stage)
    assert report == Report(report.id, "a", "mail", '{"n": 1}', BOOM, 2, submitted_at, died_at)


async def test_nothing_else_leaves_a_report(stage: Stage) -> None:
    await stage.submit("a", "b", "c", "d")
    one, two, three, _four = await stage.claim(4)
    await stage.succeed(one)
    await stage.retry(two)
    await stage.release(three)
    await stage.ledger.cancel("d", None, None)
    assert await reports(stage) == []


async def test_a_report_is_leased_and_comes_again_until_it_is_recorded(stage: Stage) -> None:
    await stage.bury("a")
    (first,) = await reports(stage)
    assert await reports(stage) == []
    stage.clock.advance(29.999999)
    assert await reports(stage) == []
    stage.clock.advance(0.000001)
    (second,) = await reports(stage)
    assert second == first
    await stage.ledger.reported([first.id])
    stage.clock.advance(3600)
    assert await reports(stage) == []


async def test_reports_come_oldest_death_first_up_to_a_limit(stage: Stage) -> None:
    await stage.bury("c", "a", "b")
    first = await reports(stage, 2)
    rest = await reports(stage, 2)
    assert [report.task_id for report in first + rest] == ["c", "a", "b"]
    ids = [report.id for report in first + rest]
    assert ids == sorted(set(ids))


async def test_each_death_of_a_task_has_its_own_report(stage: Stage) -> None:
    await stage.bury("a", error=OTHER)
    await stage.ledger.redrive("a", None, None)
    await stage.die(await stage.run("a"), BOOM)
    first, second = await reports(stage)
    assert (first.task_id, second.task_id) == ("a", "a")
    assert first.id < second.id
    assert (first.error, second.error) == (OTHER, BOOM)
    assert (first.attempt_count, second.attempt_count) == (1, 2)


async def test_ids_are_not_used_again(stage: Stage) -> None:
    await stage.bury("a")
    (first,) = await reports(stage)
    await stage.ledger.reported([first.id])
    await stage.bury("b")
    (second,) = await reports(stage)
    assert second.id > first.id


async def test_a_report_shows_the_task_as_it_died(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}', error=OTHER)
    died_at = stage.clock.now
    stage.clock.advance(5)
    await stage.ledger.redrive("a", None, None, '{"n": 2}')
    await stage.retry(await stage.run("a"), error=BOOM)
    await stage.succeed(await stage.run("a"))
    (report,) = await reports(stage)
    assert (report.payload, report.error, report.attempt_count) == ('{"n": 1}', OTHER, 1)
    assert report.died_at == died_at


async def test_a_death_after_an_edit_shows_the_edited_payload(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.redrive("a", None, None, '{"n": 2}')
    await stage.die(await stage.run("a"))
    await stage.ledger.redrive("a", None, None, '{"n": 3}')
    assert [report.payload for report in await reports(stage)] == ['{"n": 1}', '{"n": 2}']


async def test_a_discarded_dead_letter_is_reported_all_the_same(stage: Stage) -> None:
    await stage.bury("a")
    await stage.ledger.discard("a", None, None)
    assert [report.task_id for report in await reports(stage)] == ["a"]


async def test_a_purge_takes_nothing_from_a_death_not_yet_reported(stage: Stage) -> None:
    await stage.bury("a", payload='{"n": 1}')
    await stage.ledger.discard("a", None, None)
    await stage.ledger.purge(stage.clock.advance(60), 100)
    (report,) = await reports(stage)
    assert (report.payload, report.error) == ('{"n": 1}', BOOM)


async def test_two_monitors_share_the_reports(stage: Stage) -> None:
    await stage.bury("a", "b", "c")
    other = await stage.another()
    mine = await stage.ledger.claim_reports(2, LEASE)
    theirs = await other.claim_reports(2, LEASE)
    assert [report.task_id for report in mine + theirs] == ["a", "b", "c"]


async def test_what_was_recorded_twice_or_never_there_is_no_error(stage: Stage) -> None:
    await stage.bury("a")
    (report,) = await reports(stage)
    await stage.ledger.reported([report.id, report.id, 999])
    await stage.ledger.reported([report.id])
    await stage.ledger.reported([])


async def test_an_unreported_death_outlasts_a_reopening(stage: Stage) -> None:
    await stage.bury("a")
    (before,) = await reports(stage)
    await stage.reopen()
    assert await reports(stage) == []
    stage.clock.advance(30)
    assert await reports(stage) == [before]
