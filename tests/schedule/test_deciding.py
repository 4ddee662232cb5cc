"""What becomes of each due time: every one is counted once, as made or skipped with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from unlost.schedule import acting
from unlost.schedule.deciding import CATCH_UP, MOVES, WALK, decide, settle_up
from unlost.schedule.schedule import (
    KEPT_TICKS,
    Missed,
    Move,
    Overlap,
    Plan,
    Reason,
    Schedule,
    Tick,
    owner,
    run_id,
    tick_id,
)
from unlost.schedule.times import Cron, Every, upcoming
from unlost.task import SECOND

START = 1_700_000_000 * SECOND
MINUTE = Every(60)
FIRST = MINUTE.after(START) or 0


def plan(**options: Any) -> Plan:
    return Plan("mail", "{}", b"d", every=60, **options)


def new(**options: Any) -> Schedule:
    return acting.created("s", plan(**options), MINUTE, START, "2026a", paused=False).schedule


def looked(schedule: Schedule, seconds: float, **how: Any) -> list[Move]:
    """What is decided so many seconds after its first time."""
    return decide(schedule, MINUTE, FIRST + round(seconds * SECOND), "2026a", **how)


def reasons(moves: Iterable[Move]) -> list[Reason | None]:
    return [tick.reason for move in moves for tick in move.ticks]


def test_nothing_is_due_before_its_time_and_a_task_is_at_it() -> None:
    schedule = new()
    assert looked(schedule, -0.000001) == []
    [move] = looked(schedule, 0)
    assert move.task is not None
    assert move.task.task_id == "s@2023-11-14T22:14:00Z"
    assert move.ticks == (Tick(FIRST, move.task.task_id),)
    assert (move.expected, move.schedule.next) == (schedule.revision, FIRST + 60 * SECOND)
    assert looked(move.schedule, 0) == []


def test_a_time_is_missed_once_it_is_later_than_the_grace() -> None:
    schedule = new(missed=Missed.SKIP, grace=30 * SECOND)
    assert reasons(looked(schedule, 30)) == [None]
    assert reasons(looked(schedule, 30.000001)) == [Reason.MISSED]


def test_last_makes_one_task_for_the_newest_time_that_was_missed() -> None:
    moves = looked(new(), 3600 + 30)
    assert reasons(moves) == [Reason.SUPERSEDED] * 59 + [None, None]
    assert [move.schedule.last.time for move in moves if move.schedule.last] == [
        FIRST + 59 * 60 * SECOND,  # the newest of those that were missed
        FIRST + 60 * 60 * SECOND,  # within the grace
    ]
    assert looked(moves[-1].schedule, 3600 + 30) == []


def test_skip_makes_none_and_all_makes_one_for_each() -> None:
    assert reasons(looked(new(missed=Missed.SKIP), 600 + 70)) == [Reason.MISSED] * 11 + [None]
    assert reasons(looked(new(missed=Missed.ALL), 600 + 70)) == [None] * 12


@pytest.mark.parametrize("minutes", [CATCH_UP + 7, WALK - 1, WALK, WALK + 1, 3 * WALK + 5])
@pytest.mark.parametrize("how", Missed)
def test_a_long_stop_is_made_good_look_by_look(minutes: int, how: Missed) -> None:
    ticks: list[Tick] = []
    now, schedule = FIRST + (minutes * 60 + 61) * SECOND, new(missed=how)
    for _ in range(100):
        moves = decide(schedule, MINUTE, now, "2026a")
        if not moves:
            break
        assert sum(move.task is not None for move in moves) <= MOVES
        ticks += [tick for move in moves for tick in move.ticks]
        schedule = moves[-1].schedule
    missed, fresh = minutes + 1, 1
    made = {Missed.LAST: 1, Missed.SKIP: 0, Missed.ALL: CATCH_UP}[how] + fresh
    assert (schedule.due, schedule.made, schedule.skipped) == (
        missed + fresh,
        made,
        missed - made + fresh,
    )
    assert schedule.next == FIRST + (minutes + 2) * 60 * SECOND
    if how is Missed.ALL:
        times = [tick.time for tick in ticks if tick.task_id]
        assert times == [FIRST + n * 60 * SECOND for n in range(missed - CATCH_UP, missed + fresh)]


def test_none_is_made_while_the_last_task_has_not_ended() -> None:
    schedule = new(overlap=Overlap.SKIP)
    assert reasons(looked(schedule, 0, busy=True)) == [Reason.OVERLAP]
    # What a look makes has not ended either.
    patient = new(overlap=Overlap.SKIP, grace=3600 * SECOND)
    assert reasons(looked(patient, 130)) == [None, Reason.OVERLAP, Reason.OVERLAP]
    assert reasons(looked(new(), 0, busy=True)) == [None]


def test_it_waits_for_its_last_task_and_for_the_last_one_by_hand() -> None:
    schedule = new(overlap=Overlap.SKIP)
    assert schedule.waits_for == ()
    [move] = looked(schedule, 0)
    run = acting.run(move.schedule, None, FIRST)
    assert run.schedule.waits_for == (tick_id("s", FIRST), run_id("s", FIRST))
    assert replace(run.schedule, plan=plan()).waits_for == ()


def test_an_id_that_is_taken_is_passed_by_and_a_task_that_is_there_is_not_made_again() -> None:
    [move] = looked(new(), 0, choices={FIRST: 2})
    assert move.task is not None
    assert move.task.task_id == "s@2023-11-14T22:14:00Z!2"
    assert reasons(looked(new(), 0, choices={FIRST: None})) == [Reason.MADE]


def test_a_clock_that_goes_back_makes_nothing_twice() -> None:
    [move] = looked(new(), 0)
    for seconds in (-3600, -1, 59):
        assert looked(move.schedule, seconds) == []
    [paused] = acting.changed(
        move.schedule, plan(), MINUTE, MINUTE, FIRST - 3600 * SECOND, "2026a", paused=True
    )
    [resumed] = acting.changed(
        paused.schedule, plan(), MINUTE, MINUTE, FIRST - 3000 * SECOND, "2026a", paused=False
    )
    assert resumed.schedule.next == FIRST + 60 * SECOND


def test_what_is_due_when_it_is_paused_is_skipped_and_what_passes_then_is_not_due() -> None:
    now = FIRST + 61 * SECOND
    *passed, paused = acting.changed(new(), plan(), MINUTE, MINUTE, now, "2026a", paused=True)
    assert reasons(passed) == [Reason.PAUSED] * 2
    assert (paused.schedule.next, paused.schedule.paused) == (None, True)
    assert decide(paused.schedule, MINUTE, now + 3600 * SECOND, "2026a") == []
    later = now + 3600 * SECOND
    [resumed] = acting.changed(
        paused.schedule, plan(), MINUTE, MINUTE, later, "2026a", paused=False
    )
    assert resumed.schedule.next == FIRST + 62 * 60 * SECOND
    assert (resumed.schedule.due, resumed.schedule.skipped) == (2, 2)


def test_what_is_due_when_its_times_are_changed_is_skipped() -> None:
    now, hourly = FIRST + 1 * SECOND, Every(3600)
    other = replace(plan(), every=3600)
    first, second = acting.changed(new(), other, MINUTE, hourly, now, "2026b")
    assert reasons([first]) == [Reason.CHANGED]
    assert second.schedule.next == hourly.after(now)
    assert second.schedule.tzdata == "2026b"
    assert second.new_plan


def test_another_plan_with_the_same_times_loses_no_time() -> None:
    now = FIRST + 1 * SECOND
    other = replace(plan(), payload='{"n": 2}', digest=b"e")
    [move] = acting.changed(new(), other, MINUTE, MINUTE, now, "2026a")
    assert move.schedule.next == FIRST


def test_what_changes_nothing_does_nothing() -> None:
    same = replace(plan(), payload="{ }", set_by="other")
    assert acting.changed(new(), same, MINUTE, MINUTE, FIRST, "2026a") == []
    assert acting.changed(new(), same, MINUTE, MINUTE, FIRST, "2026a", paused=False) == []


MONTH = 30 * 86_400
EVERY_SECOND = Every(1)


def behind(**options: Any) -> Schedule:
    """One for each second."""
    asked = replace(plan(**options), every=1)
    return acting.created("s", asked, EVERY_SECOND, START, "2026a", paused=False).schedule


@pytest.mark.parametrize("paused", [True, False])
def test_a_month_that_nobody_looked_at_is_skipped_in_one_step(paused: bool) -> None:
    now, schedule = START + MONTH * SECOND, behind()
    other = schedule.plan if paused else plan()
    moves = acting.changed(schedule, other, EVERY_SECOND, MINUTE, now, "2026a", paused=paused)
    assert [move.expected for move in moves] == [schedule.revision, moves[0].schedule.revision]
    [first, second] = moves
    assert (first.schedule.due, first.schedule.skipped, first.schedule.made) == (MONTH, MONTH, 0)
    assert [tick.time for tick in first.ticks] == [
        now - n * SECOND for n in reversed(range(KEPT_TICKS))
    ]
    assert {tick.reason for tick in first.ticks} == {Reason.PAUSED if paused else Reason.CHANGED}
    assert (first.numbered[0][0], first.numbered[-1][0]) == (MONTH - KEPT_TICKS + 1, MONTH)
    assert second.schedule.next == (None if paused else MINUTE.after(now))


@pytest.mark.parametrize("how", Missed)
def test_a_month_that_was_missed_is_counted_in_one_look(how: Missed) -> None:
    now = START + MONTH * SECOND
    schedule = behind(missed=how, grace=10 * SECOND)
    moves = decide(schedule, EVERY_SECOND, now, "2026a")
    late = MONTH - 11  # ten are within the grace, and the eleventh is just so late
    left = {Missed.LAST: 1, Missed.SKIP: 0, Missed.ALL: CATCH_UP}[how]
    first = moves[0].schedule
    assert (first.due, first.skipped) == (late - left, late - left)
    assert first.next == START + (late - left + 1) * SECOND
    assert len(moves[0].ticks) == KEPT_TICKS
    made = [move.task is not None for move in moves]
    if how is Missed.ALL:
        assert made == [False] + [True] * (MOVES - 1)
    else:
        assert made == [False] + [True] * (left + 11)
        assert moves[-1].schedule.next == now + SECOND


@pytest.mark.parametrize("number", range(WALK - 2, WALK + 3))
@pytest.mark.parametrize("how", Missed)
def test_what_is_counted_in_one_step_is_what_is_gone_through(number: int, how: Missed) -> None:
    """The same of each time, however many there are, and by whatever steps."""
    times = Cron("*/7 * * * *", "Europe/Berlin")
    asked = replace(plan(missed=how), every=None, cron="*/7 * * * *")
    schedule = acting.created("s", asked, times, START, "", paused=False).schedule
    due = upcoming(times, START, number)
    now = due[-1] + 61 * SECOND
    while moves := decide(schedule, times, now, ""):
        schedule = moves[-1].schedule
    made = {Missed.LAST: 1, Missed.SKIP: 0, Missed.ALL: CATCH_UP}[how]
    assert (schedule.due, schedule.made) == (number, made)
    assert schedule.next == times.after(due[-1])
    assert schedule.last is not None
    assert schedule.last.time == due[-1]


def test_a_known_time_that_is_none_any_more_is_counted_with_the_others() -> None:
    """Of time-zone data that have changed since."""
    schedule = replace(behind(), next=START + SECOND // 2)
    move = settle_up(schedule, EVERY_SECOND, START + MONTH * SECOND, "", Reason.PAUSED)
    assert move is not None
    assert move.schedule.due == MONTH + 1
    move = settle_up(schedule, EVERY_SECOND, START + 3 * SECOND, "", Reason.PAUSED)
    assert move is not None
    assert [tick.time - START for tick in move.ticks] == [
        SECOND // 2, SECOND, 2 * SECOND, 3 * SECOND
    ]  # fmt: skip


def test_which_ids_are_a_schedules_own() -> None:
    for task_id in (
        tick_id("a.b:c-1", FIRST), tick_id("a.b:c-1", FIRST, 2), run_id("a.b:c-1", FIRST + 1)
    ):  # fmt: skip
        assert owner(task_id) == "a.b:c-1"
    for task_id in (
        "a",
        "a@b",
        "@2023-11-14T22:14:00Z",
        "a@2023-11-14T22:14:00",
        "ü@2023-11-14T22:14:00Z",
    ):
        assert owner(task_id) is None


@given(
    st.lists(st.tuples(st.integers(-90, 4000), st.booleans()), min_size=1, max_size=12),
    st.sampled_from(Missed),
    st.sampled_from(Overlap),
    st.integers(0, 7200),
)
def test_every_time_is_counted_once(
    looks: list[tuple[int, bool]], missed: Missed, overlap: Overlap, grace: int
) -> None:
    """Whenever somebody looks, by whatever clock: no time is left out, and none comes twice."""
    times = Cron("*/7 * * * *", "Europe/Berlin")
    asked = replace(
        plan(missed=missed, overlap=overlap, grace=grace * SECOND), every=None, cron="*/7 * * * *"
    )
    schedule = acting.created("s", asked, times, START, "", paused=False).schedule
    now = START
    ticks: list[Tick] = []
    for seconds, busy in looks:
        now += seconds * SECOND
        for move in decide(schedule, times, now, "", busy=busy):
            assert move.expected == schedule.revision
            assert (move.task is None) == (move.ticks[-1].task_id is None)
            schedule = move.schedule
            ticks += move.ticks
            assert schedule.due == schedule.made + schedule.skipped == len(ticks)
            assert schedule.last == ticks[-1]
    expected, at = [], times.after(START)
    while at is not None and at < (schedule.next or 0):
        expected.append(at)
        at = times.after(at)
    assert [tick.time for tick in ticks] == expected
    assert all((tick.task_id is None) != (tick.reason is None) for tick in ticks)
