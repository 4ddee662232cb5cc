"""Schedules: every ledger moves the next time on in the step that accepts the task."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random

from msgspec.structs import replace

from tests.conformance.scheduling import at, decided, kept, made, plan, tick
from tests.conformance.stage import Stage, submission
from unlost import carried
from unlost.carried import Scheduled
from unlost.ledger.values import ROOM, Verdict
from unlost.schedule import acting
from unlost.schedule.deciding import decide
from unlost.schedule.planned import times_of, tzdata
from unlost.schedule.schedule import (
    KEPT_TICKS,
    Due,
    Missed,
    Move,
    Moved,
    Overlap,
    Reason,
    Schedule,
    Tick,
    stepped,
    tick_id,
)
from unlost.schedule.times import Every
from unlost.task import SECOND, State
from unlost.upkeep.scheduler import Scheduler


async def test_a_schedule_is_kept_whole(stage: Stage) -> None:
    new = await made(
        stage, payload='{"ü": "\\u0000 \U0001f600"}', cron="0 2 * * *", every=None,
        timezone="Europe/Berlin", priority=-3, max_retries=7, timeout=2.5, key="ann",
        callback_url="https://example.com/", missed=Missed.ALL, grace=5 * SECOND, set_by="shop",
    )  # fmt: skip
    await stage.reopen()
    assert await kept(stage) == new
    assert (new.due, new.last, new.paused) == (0, None, False)


async def test_a_tick_submits_its_task_and_moves_the_next_time_on(stage: Stage) -> None:
    new = await made(stage, priority=5, max_retries=1, timeout=9.0, key="ann", set_by="shop")
    time = new.next
    assert time is not None
    assert time - stage.clock.now == 10 * SECOND
    assert decided(new, stage) == []
    stage.clock.advance(10)
    assert await tick(stage) == [Moved.DONE]
    task_id = tick_id("nightly", time)
    assert task_id == "nightly@2023-11-14T22:13:30Z"
    record = await stage.record(task_id)
    assert (record.state, record.type, record.payload) == (State.QUEUED, "mail", '{"n": 1}')
    assert (record.priority, record.max_retries, record.timeout, record.key) == (5, 1, 9.0, "ann")
    assert carried.read(record.carried).schedule == Scheduled("nightly", time)
    assert carried.read(record.carried).submitted_by == "shop"
    now = await kept(stage)
    assert now.next == time + 10 * SECOND
    assert (now.due, now.made, now.skipped) == (1, 1, 0)
    assert (now.last, now.last_task) == (Tick(time, task_id), task_id)
    assert await stage.ledger.ticks("nightly", 10) == [Tick(time, task_id)]
    assert (await stage.claim(types=("mail",)))[0].task_id == task_id


async def test_of_two_who_look_at_once_one_makes_the_tick(stage: Stage) -> None:
    schedule = await made(stage)
    other = await stage.another()
    stage.clock.advance(10)
    moves = decided(schedule, stage)
    assert await other.move_schedules(moves) == [Moved.DONE]
    assert await stage.ledger.move_schedules(moves) == [Moved.STALE]
    assert (await stage.ledger.counts()).accepted == 1
    assert len(await stage.ledger.ticks("nightly", 10)) == 1


async def test_a_step_whose_id_is_taken_changes_nothing(stage: Stage) -> None:
    schedule = await made(stage)
    await made(stage, "other")
    await stage.submit(tick_id("nightly", schedule.next or 0))
    stage.clock.advance(10)
    both = decided(schedule, stage) + decided(await kept(stage, "other"), stage)
    assert await stage.ledger.move_schedules(both) == [Moved.TAKEN, Moved.DONE]
    assert await kept(stage) == schedule
    assert await stage.ledger.ticks("nightly", 10) == []
    second = {schedule.next or 0: 2}
    assert await tick(stage, choices=second) == [Moved.DONE]
    assert (await kept(stage)).last_task == tick_id("nightly", schedule.next or 0, 2)


async def test_steps_of_one_schedule_follow_each_other_in_one_call(stage: Stage) -> None:
    schedule = await made(stage)
    stage.clock.advance(30)
    moves = decided(schedule, stage)
    assert [len(move.ticks) for move in moves] == [1, 1, 1]
    assert await stage.ledger.move_schedules(moves) == [Moved.DONE] * 3
    assert await stage.ledger.move_schedules(moves) == [Moved.STALE] * 3
    now = await kept(stage)
    assert (now.due, now.made, now.revision) == (3, 3, moves[-1].schedule.revision)
    times = [tick.time for tick in await stage.ledger.ticks("nightly", 2)]
    assert times == [at(stage, 0), at(stage, -10)]


async def test_after_a_step_that_failed_those_that_build_on_it_fail(stage: Stage) -> None:
    schedule = await made(stage)
    await stage.submit(tick_id("nightly", (schedule.next or 0) + 10 * SECOND))
    stage.clock.advance(30)
    moves = decided(schedule, stage)
    assert await stage.ledger.move_schedules(moves) == [Moved.DONE, Moved.TAKEN, Moved.STALE]
    assert (await kept(stage)).due == 1
    assert (await stage.ledger.counts()).accepted == 2


async def test_skipped_times_are_kept_with_their_reasons(stage: Stage) -> None:
    await made(stage, missed=Missed.SKIP, grace=15 * SECOND)
    stage.clock.advance(40)
    await tick(stage)
    now = await kept(stage)
    assert (now.due, now.made, now.skipped) == (4, 2, 2)
    assert [tick.reason for tick in await stage.ledger.ticks("nightly", 9)] == [
        None, None, Reason.MISSED, Reason.MISSED,
    ]  # fmt: skip


async def test_the_newest_ticks_are_kept(stage: Stage) -> None:
    await made(stage, every=1, missed=Missed.SKIP, grace=0)
    stage.clock.advance(KEPT_TICKS + 200)
    await tick(stage)
    stage.clock.advance(5)
    await tick(stage)
    now = await kept(stage)
    assert (now.due, now.made) == (KEPT_TICKS + 205, 4)
    ticks = await stage.ledger.ticks("nightly", KEPT_TICKS + 100)
    assert len(ticks) == KEPT_TICKS
    assert ticks[0].time - ticks[-1].time == (KEPT_TICKS - 1) * SECOND
    stage.clock.advance(10_000)  # more than one look goes through
    await tick(stage)
    assert (await kept(stage)).due == KEPT_TICKS + 10_205
    ticks = await stage.ledger.ticks("nightly", KEPT_TICKS + 100)
    assert [one.time for one in ticks] == [at(stage, -number) for number in range(KEPT_TICKS)]


async def test_a_schedule_is_made_once(stage: Stage) -> None:
    schedule = await made(stage)
    again = acting.created("nightly", plan('{"n": 2}'), _Never(), stage.clock.now, "", paused=False)
    assert await stage.ledger.move_schedules([again]) == [Moved.STALE]
    assert await kept(stage) == schedule


async def test_a_changed_plan_is_kept_and_a_step_leaves_it(stage: Stage) -> None:
    schedule = await made(stage)
    [move] = acting.changed(
        schedule, plan('{"n": 2}', digest=b"e"), _Never(), _Never(), stage.clock.now, "2026b"
    )
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    assert (await kept(stage)).plan.payload == '{"n": 2}'
    stage.clock.advance(10)
    await tick(stage)
    assert await kept(stage) == replace(
        move.schedule, revision=(await kept(stage)).revision, next=at(stage, 10), tzdata="2026a",
        due=1, made=1,
        last=Tick(stage.clock.now, tick_id("nightly", stage.clock.now)),
        last_task=tick_id("nightly", stage.clock.now),
    )  # fmt: skip


async def test_a_dropped_schedule_is_gone_with_its_ticks_and_its_tasks_stay(stage: Stage) -> None:
    schedule = await made(stage)
    stage.clock.advance(10)
    moves = decided(schedule, stage)
    await stage.ledger.move_schedules(moves)
    assert await stage.ledger.drop_schedule("nightly")
    assert not await stage.ledger.drop_schedule("nightly")
    assert await stage.ledger.schedule("nightly") == (stage.clock.now, None)
    assert await stage.ledger.ticks("nightly", 10) == []
    assert await stage.ledger.move_schedules(moves) == [Moved.STALE]
    assert (await stage.ledger.counts()).accepted == 1
    stage.clock.advance(1)
    again = await made(stage)
    assert await stage.ledger.ticks("nightly", 10) == []
    # What was decided on the one before is not taken for a step of this one.
    assert await stage.ledger.move_schedules(moves) == [Moved.STALE]
    assert await kept(stage) == again


async def test_what_is_due_comes_first_and_when_the_others_are(stage: Stage) -> None:
    assert await stage.ledger.due_schedules(10) == _due(stage, [], None)
    late = await made(stage, "late", every=5)
    soon = await made(stage, "soon", every=2)
    also = await made(stage, "also", every=2)
    later = await made(stage, "later", every=20)
    await made(stage, "paused", paused=True)
    assert await stage.ledger.due_schedules(10) == _due(stage, [], soon.next)
    stage.clock.advance(6)
    assert await stage.ledger.due_schedules(10) == _due(stage, [also, soon, late], later.next)
    assert await stage.ledger.due_schedules(2) == _due(stage, [also, soon], late.next)
    assert await stage.ledger.due_schedules(0) == _due(stage, [], also.next)


async def test_what_is_due_comes_within_its_room(stage: Stage) -> None:
    for name in "abc":
        await made(stage, name, payload='{"n": "' + "x" * 10_000 + '"}')
    stage.clock.advance(10)
    some = await stage.ledger.due_schedules(10, room=15_000)
    assert [one.id for one in some.schedules] == ["a", "b"]
    assert some.next == stage.clock.now
    assert len(await stage.ledger.schedules("", 10, room=15_000)) == 2
    bare = await stage.ledger.schedules("", 10, room=15_000, payloads=False)
    assert [(one.id, one.plan.payload) for one in bare] == [("a", ""), ("b", ""), ("c", "")]
    assert len(await stage.ledger.schedules("", 10, room=501, payloads=False)) == 2


async def test_schedules_are_listed_by_id(stage: Stage) -> None:
    made_ = {name: await made(stage, name) for name in ("b", "B", "a:1", "a", "b.c")}
    every = [made_[name] for name in sorted(made_)]
    assert await stage.ledger.schedules("", 10) == every
    assert await stage.ledger.schedules("", 2) == every[:2]
    assert await stage.ledger.schedules(every[1].id, 10, ROOM) == every[2:]


async def test_which_tasks_have_not_ended(stage: Stage) -> None:
    for state in State:
        await stage.into(state, state.value)
    asked = [state.value for state in State] + ["never was"]
    assert await stage.ledger.unended(asked) == {"queued", "running", "retrying"}
    assert await stage.ledger.unended([]) == set()


async def test_a_task_asked_for_by_hand_is_submitted_with_the_step(stage: Stage) -> None:
    schedule = await made(stage, overlap=Overlap.SKIP)
    move = acting.run(schedule, None, stage.clock.now, "ann")
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    record = await stage.record("nightly@2023-11-14T22:13:20.000Z!run")
    assert carried.read(record.carried).schedule == Scheduled(
        "nightly", stage.clock.now, by_hand=True
    )
    now = await kept(stage)
    assert (now.next, now.due, now.last_run) == (schedule.next, 0, record.task_id)
    assert now.waits_for == (record.task_id,)


class _Never:
    def after(self, at: int) -> int | None:
        return None

    def count(self, low: int, high: int) -> int:
        return 0


def _due(stage: Stage, schedules: list[Schedule], later: int | None) -> Due:
    return Due(stage.clock.now, schedules, later)


async def test_of_several_who_look_at_once_one_makes_each_tick(stage: Stage) -> None:
    names = [f"s{number}" for number in range(stage.many(60))]
    for name in names:
        await made(stage, name)
    ledgers = [stage.ledger, await stage.another(), await stage.another()]
    for _ in range(3):
        stage.clock.advance(10)
        await asyncio.gather(*(Scheduler(one, Random(1)).look() for one in ledgers))
    found = await stage.ledger.schedules("", 100)
    assert [(one.due, one.made) for one in found] == [(3, 3)] * len(names)
    assert (await stage.ledger.counts()).accepted == 3 * len(names)
    for name in names[:3]:
        ticks = await stage.ledger.ticks(name, 10)
        assert [one.time for one in ticks] == [at(stage, -10 * turn) for turn in range(3)]


async def test_of_several_who_make_or_drop_one_at_once_one_does(stage: Stage) -> None:
    ledgers = [stage.ledger, await stage.another(), await stage.another()]
    asked = [plan(f'{{"n": {number}}}') for number in range(3)]
    for _ in range(3):
        moves = [
            acting.created("nightly", one, Every(10), stage.clock.advance(1), "", paused=False)
            for one in asked
        ]
        results = await asyncio.gather(
            *(one.move_schedules([move]) for one, move in zip(ledgers, moves, strict=True))
        )
        assert sorted(results) == [[Moved.DONE], [Moved.STALE], [Moved.STALE]]
        dropped = await asyncio.gather(*(one.drop_schedule("nightly") for one in ledgers))
        assert sorted(dropped) == [False, False, True]


async def test_a_submit_of_a_ticks_id_beside_it_is_stored_or_the_tick_is(stage: Stage) -> None:
    """One of the two gets the id, and neither is half done."""
    other = await stage.another()
    for number in range(stage.many(10)):
        schedule = await made(stage, f"s{number}")
        task_id = tick_id(schedule.id, schedule.next or 0)
        later = schedule.next or 0
        moves = decide(schedule, Every(10), later, "")
        [moved], [stored] = await asyncio.gather(
            stage.ledger.move_schedules(moves), other.submit([submission(task_id)])
        )
        now = await kept(stage, schedule.id)
        if moved is Moved.DONE:
            assert (stored.verdict, now.made) == (Verdict.CONFLICT, 1)
        else:
            assert (moved, stored.verdict) == (Moved.TAKEN, Verdict.ACCEPTED)
            assert now == schedule


async def test_other_time_zone_data_make_one_tick_of_a_night(stage: Stage) -> None:
    """02:30 in Berlin is 01:30 in UTC that night, and the data before said 00:30."""
    stage.clock.now = _utc("2026-11-30T23:00")
    asked = plan(cron="30 2 * * *", every=None, timezone="Europe/Berlin")
    move = acting.created("nightly", asked, times_of(asked), stage.clock.now, "2020a", paused=False)
    early = replace(move.schedule, next=_utc("2026-12-01T00:30"), offset=2 * 3600)
    assert await stage.ledger.move_schedules([replace(move, schedule=early)]) == [Moved.DONE]
    await stage.reopen()
    assert await kept(stage) == early
    scheduler = Scheduler(stage.ledger, Random(1))
    for moment in ("2026-12-01T00:30", "2026-12-01T01:30", "2026-12-01T23:00"):
        stage.clock.now = _utc(moment)
        await scheduler.look()
    now = await kept(stage)
    assert (now.due, now.made, now.next) == (1, 1, _utc("2026-12-02T01:30"))
    assert now.last == Tick(_utc("2026-12-01T01:30"), "nightly@2026-12-01T01:30:00Z")
    assert (now.offset, now.tzdata) == (3600, tzdata())
    assert (await stage.ledger.counts()).accepted == 1
    assert await stage.ledger.ticks("nightly", 10) == [now.last]


async def test_a_step_of_the_same_plan_leaves_its_payload(stage: Stage) -> None:
    schedule = await made(stage)
    [bare] = await stage.ledger.schedules("", 1, payloads=False)
    move = Move(stepped(bare, next=at(stage, 5)), schedule.revision)
    assert await stage.ledger.move_schedules([move]) == [Moved.DONE]
    assert await kept(stage) == replace(move.schedule, plan=schedule.plan)


async def test_what_is_to_come_sooner_by_newer_time_zone_data_comes_then(stage: Stage) -> None:
    stage.clock.now = _utc("2026-11-30T23:00")
    asked = plan(cron="30 2 * * *", every=None, timezone="Europe/Berlin")
    move = acting.created("nightly", asked, times_of(asked), stage.clock.now, "2020a", paused=False)
    late = replace(move.schedule, next=_utc("2026-12-01T02:30"), offset=0)
    assert await stage.ledger.move_schedules([replace(move, schedule=late)]) == [Moved.DONE]
    scheduler = Scheduler(stage.ledger, Random(1))
    await scheduler.step()
    now = await kept(stage)
    assert (now.next, now.plan, now.due) == (_utc("2026-12-01T01:30"), asked, 0)
    stage.clock.now = _utc("2026-12-01T01:30")
    await scheduler.step()
    assert (await kept(stage)).last_task == "nightly@2026-12-01T01:30:00Z"


def _utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND
