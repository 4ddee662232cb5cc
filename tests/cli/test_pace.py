"""How fast, and how long still: in virtual time."""

from __future__ import annotations

import pytest

from unlost.cli.show.progress.pace import Pace, span


def test_nothing_is_foretold_before_anything_was_done() -> None:
    pace = Pace(1000, 0, 0, 0)
    assert (pace.rate, pace.left) == (0, None)
    pace.observe(5, 0, 0)
    assert (pace.rate, pace.left) == (0, None)


def test_the_time_left_goes_by_what_is_read_and_the_rate_by_what_is_taken() -> None:
    pace = Pace(1000, 0, 0, 0)
    pace.observe(2, 500, 30)
    assert (pace.rate, pace.left) == (15, 2)


def test_what_an_earlier_run_had_done_makes_no_speed() -> None:
    pace = Pace(1000, 0, 900, 900)
    pace.observe(10, 910, 910)
    assert (pace.rate, pace.left) == (1, 90)


def test_a_work_that_slows_down_is_told_its_new_speed() -> None:
    pace = Pace(100_000, 0, 0, 0)
    for second in range(1, 11):
        pace.observe(second, second * 1000, second * 1000)
    for second in range(11, 41):
        pace.observe(second, 10_000 + second * 10, 10_000 + second * 10)
    assert pace.rate == pytest.approx(10)


def test_a_total_that_nobody_knows_foretells_nothing() -> None:
    pace = Pace(None, 0, 0, 0)
    pace.observe(1, 100, 100)
    assert (pace.rate, pace.left) == (100, None)


def test_more_than_the_total_leaves_nothing() -> None:
    pace = Pace(100, 0, 0, 0)
    pace.observe(1, 150, 150)
    assert pace.left == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (3700, "1 h 01 min"), (90_000, "1 d 01 h")],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text
