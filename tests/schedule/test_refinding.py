"""What becomes of a kept time where the time-zone data are of another version.

What the installed data say of Berlin is the new law here; what was kept says which the old one was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from unlost.schedule import refinding, zones
from unlost.schedule.acting import changed, created
from unlost.schedule.deciding import decide
from unlost.schedule.planned import times_of
from unlost.schedule.refinding import found_again
from unlost.schedule.schedule import Move, Plan, Schedule, Tick
from unlost.task import SECOND

HOUR = 3600
OLD, NEW = "2026a", "2026b"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def kept(cron: str, following: str, ahead: float, *, last: str = "2026-11-30T00:30") -> Schedule:
    """A schedule whose next time the old data gave, by which the clock is so many hours ahead."""
    plan = Plan("mail", "{}", b"d", cron=cron, timezone="Europe/Berlin")
    made = created("s", plan, times_of(plan), at("2026-11-01T12:00"), OLD, paused=False).schedule
    return replace(
        made, next=at(following), offset=round(ahead * HOUR), last=Tick(at(last), "s@before"),
        revision=7,
    )  # fmt: skip


def again(schedule: Schedule, now: str) -> Move | None:
    return found_again(schedule, times_of(schedule.plan), at(now), NEW)


def ticks(schedule: Schedule, *, until: str, every: float) -> list[str]:
    """The times that come to tasks, looked for every so many hours."""
    now, found = at("2026-11-30T22:00"), []
    while now <= at(until):
        for move in decide(schedule, times_of(schedule.plan), now, NEW):
            assert move.expected == schedule.revision
            schedule = move.schedule
            found += [tick.time for tick in move.ticks if tick.task_id]
        now += round(every * HOUR) * SECOND
    assert schedule.due == len(found)
    return [datetime.fromtimestamp(one // SECOND, UTC).strftime("%d %H:%M") for one in found]


@pytest.mark.parametrize(
    ("ahead", "known"),
    [(2, "2026-12-01T00:30"), (0, "2026-12-01T02:30"), (0.5, "2026-12-01T02:00")],
    ids=["earlier", "later", "half an hour"],
)
def test_a_night_has_one_task_wherever_the_law_moves_the_clock(ahead: float, known: str) -> None:
    """02:30 in Berlin is 01:30 in UTC on these days, by the data that are installed."""
    schedule = kept("30 2 * * *", known, ahead)
    move = again(schedule, "2026-11-30T23:00")
    assert move is not None
    assert (move.schedule.next, move.schedule.offset) == (at("2026-12-01T01:30"), HOUR)
    assert (move.expected, move.schedule.tzdata, move.ticks) == (schedule.revision, NEW, ())
    assert ticks(schedule, until="2026-12-02T12:00", every=0.25) == ["01 01:30", "02 01:30"]


def test_a_kept_time_that_comes_too_early_is_passed_by_though_nobody_looked_before() -> None:
    assert ticks(
        kept("30 2 * * *", "2026-12-01T00:30", 2), until="2026-12-02T00:45", every=2.5
    ) == ["01 01:30"]


def test_a_time_that_has_passed_by_the_new_data_is_made_late() -> None:
    """It would have been at 01:30, and is known to be at 02:30, when the data come at 02:00."""
    move = again(kept("30 2 * * *", "2026-12-01T02:30", 0), "2026-12-01T02:00")
    assert move is not None
    assert move.schedule.next == at("2026-12-01T01:30")


def test_what_the_clock_had_shown_before_is_not_made_again() -> None:
    """By the old data 02:30 was an hour before, and is made; that is known of the tick after it."""
    schedule = kept("30 2 * * *", "2026-12-02T00:30", 2, last="2026-12-01T00:30")
    move = again(schedule, "2026-12-01T00:45")
    assert move is not None
    assert move.schedule.next == at("2026-12-02T01:30")


def test_what_a_gap_of_the_old_data_put_off_is_made_once() -> None:
    """By the old data the clock went from 02:00 to 03:00 that night, at 01:00 in UTC."""
    schedule = kept("30 2 * * *", "2026-12-01T01:00", 1)
    assert ticks(schedule, until="2026-12-01T12:00", every=0.25) == ["01 01:30"]


def test_a_gap_that_is_new_puts_it_off() -> None:
    """By the old data there was no summer time: 02:30 was at 01:30 in UTC on 29 March 2026."""
    schedule = kept("30 2 * * *", "2026-03-29T00:30", 2, last="2026-03-28T01:30")
    schedule = replace(schedule, updated_at=at("2026-03-01T00:00"))
    move = again(schedule, "2026-03-28T12:00")
    assert move is not None
    assert (move.schedule.next, move.schedule.offset) == (at("2026-03-29T01:00"), HOUR)


def test_times_as_the_clock_shows_them_go_on_with_what_it_shows_now() -> None:
    schedule = kept("*/30 2 * * *", "2026-12-01T00:00", 2)
    move = again(schedule, "2026-11-30T23:00")
    assert move is not None
    assert move.schedule.next == at("2026-12-01T01:00")
    assert again(schedule, "2026-12-01T00:00") is None  # the clock has shown it


@pytest.mark.parametrize(
    "new",
    [
        {"tzdata": NEW},
        {"offset": None},
        {"offset": HOUR, "next": at("2026-12-01T01:30")},
        {"next": None},
    ],
    ids=["the same data", "no clock", "the same law", "no time to come"],
)
def test_a_time_stays_where_nothing_says_otherwise(new: dict[str, Any]) -> None:
    schedule = replace(kept("30 2 * * *", "2026-12-01T00:30", 2), **new)
    assert again(schedule, "2026-11-30T23:00") is None


def test_a_time_stays_where_the_new_one_lies_before_what_is_accounted_for() -> None:
    schedule = kept("0,10 2 * * *", "2026-12-01T02:10", 0, last="2026-12-01T02:00")
    assert again(schedule, "2026-12-01T02:05") is None


def test_a_change_of_anything_else_finds_it_again_too() -> None:
    schedule = kept("30 2 * * *", "2026-12-01T00:30", 2)
    plan = replace(schedule.plan, priority=5)
    times = times_of(plan)
    [move] = changed(schedule, plan, times, times, at("2026-11-30T23:00"), NEW)
    assert (move.schedule.next, move.schedule.tzdata) == (at("2026-12-01T01:30"), NEW)
    assert move.schedule.offset == HOUR


class Laws:
    """The clock of Berlin by one of two versions of the data: as it is in one zone or another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, zone: str, other: str) -> None:
        self._zones = {OLD: zones.zone(zone), NEW: zones.zone(other)}
        self._cached = (zones.changes, refinding._offset)
        self._now = OLD
        monkeypatch.setattr(zones, "zone", lambda _: self._zones[self._now])
        self.use(OLD)

    def use(self, version: str) -> None:
        self._now = version
        for one in self._cached:
            one.cache_clear()


@pytest.mark.parametrize(
    ("zone", "other"),
    [
        ("Europe/Berlin", "Europe/Athens"),
        ("Africa/Lagos", "Etc/GMT+2"),
        ("Etc/GMT", "Asia/Kolkata"),
    ],
)
def test_whoever_looks_by_whichever_data_each_night_has_one_task(
    monkeypatch: pytest.MonkeyPatch, zone: str, other: str
) -> None:
    """Processes with old and new data beside each other, who look at any times, in the nights in
    which the clocks change as well."""
    laws = Laws(monkeypatch, zone, other)
    for seed in range(10):
        random = Random(seed)
        now, end = at("2026-03-26T12:00"), at("2026-04-01T12:00")
        laws.use(OLD)
        plan = Plan("mail", "{}", b"d", cron="30 2 * * *", timezone="Europe/Berlin")
        schedule = created("s", plan, times_of(plan), now, OLD, paused=False).schedule
        made = []
        while now < end:
            now += random.randrange(1, 5400) * SECOND
            version = random.choice((OLD, NEW))
            laws.use(version)
            if random.random() < 0.3:
                if (move := found_again(schedule, times_of(plan), now, version)) is not None:
                    schedule = move.schedule
                continue
            for move in decide(schedule, times_of(plan), now, version):
                schedule = move.schedule
                made += [tick.time for tick in move.ticks if tick.task_id]
        apart = [(later - one) / SECOND / HOUR for one, later in pairwise(made)]
        assert len(made) == 6, seed
        assert all(17 < one < 31 for one in apart), (seed, apart)
        assert (schedule.due, schedule.made) == (len(made), len(made))
