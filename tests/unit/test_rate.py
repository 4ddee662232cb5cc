"""A rate keeps its promise over any time, whoever asks when, and is not slower than it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlost.limits import rate
from unlost.limits.rate import HIGHEST, LOWEST, NEVER_STARTED, SET_BACK
from unlost.task import SECOND, Micros

NOW: Micros = 1_700_000_000 * SECOND

rates = st.floats(LOWEST, HIGHEST)


@pytest.mark.parametrize(
    ("limit", "at_once"), [(0.001, 1), (0.999, 1), (1, 1), (2.5, 2), (10, 10), (HIGHEST, HIGHEST)]
)
def test_one_seconds_worth_may_start_at_once_and_one_in_any_case(
    limit: float, at_once: int
) -> None:
    assert rate.allowed(limit, NEVER_STARTED, NOW) == at_once
    at = rate.after(limit, NEVER_STARTED, NOW, at_once)
    assert rate.allowed(limit, at, NOW) == 0


@given(rates)
def test_after_a_burst_one_starts_each_interval_and_after_a_second_of_rest_all(
    limit: float,
) -> None:
    at = rate.after(limit, NEVER_STARTED, NOW, rate.burst(limit))
    following = rate.next_start(limit, at, NOW)
    assert following - NOW == pytest.approx(SECOND / limit, rel=1e-4, abs=1)
    assert rate.allowed(limit, at, following - 1) == 0
    assert rate.allowed(limit, at, following) >= 1
    rested = rate.full(at)
    assert rested - NOW <= max(SECOND, SECOND / limit) * 1.0001 + 1
    assert rate.allowed(limit, at, rested) == rate.burst(limit)


@given(rates, st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(0, 20)), max_size=60))
def test_no_time_sees_more_starts_than_its_share_and_one_burst(
    limit: float, calls: list[tuple[Micros, int]]
) -> None:
    """`calls`: how long after the last one it is claimed, and for how many slots."""
    at, now = NEVER_STARTED, NOW
    starts: list[tuple[Micros, int]] = []
    for later, slots in calls:
        now += later
        started = min(slots, rate.allowed(limit, at, now))
        assert (started == slots) or rate.next_start(limit, at, now) >= now
        at = rate.after(limit, at, now, started)
        starts.append((now, started))
    for first, (begin, _) in enumerate(starts):
        total = 0
        for end, number in starts[first:]:
            total += number
            most = limit * (end - begin) / SECOND + max(1, limit)
            assert total <= most * (1 + 1e-4), f"{total} in {end - begin} µs"


@given(st.floats(2, 500), st.lists(st.integers(1, SECOND // 3), min_size=1, max_size=100))
def test_who_looks_often_enough_gets_all_that_the_rate_gives(
    limit: float, looks: list[Micros]
) -> None:
    at, now, total = NEVER_STARTED, NOW, 0
    for later in looks:
        now += later
        started = rate.allowed(limit, at, now)
        at, total = rate.after(limit, at, now, started), total + started
    least = limit * (now - NOW - looks[0]) / SECOND * 0.999 - 1
    assert total >= least


@given(rates, st.integers(0, 60 * SECOND))
def test_when_the_next_may_start_is_when_one_is_allowed(limit: float, ahead: Micros) -> None:
    at = (NOW + min(ahead, rate.burst(limit) * SECOND)) * 1_000
    following = rate.next_start(limit, at, NOW)
    assert rate.allowed(limit, at, following) >= 1
    assert following == NOW or rate.allowed(limit, at, following - 1) == 0


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    at = rate.after(10, NEVER_STARTED, NOW, 10)
    before = NOW - 3_600 * SECOND
    assert rate.next_start(10, at, before) == before
    assert rate.allowed(10, at, before) == 1
    at = rate.after(10, at, before, 1)
    assert rate.allowed(10, at, before) == 0
    assert rate.next_start(10, at, before) == before + SECOND // 10


def test_steps_that_take_now_for_a_little_earlier_get_nothing_more() -> None:
    at = rate.after(10, NEVER_STARTED, NOW, 10)
    assert rate.allowed(10, at, NOW - SET_BACK) == 0
