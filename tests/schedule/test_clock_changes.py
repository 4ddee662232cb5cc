"""The times around every change of a clock are those that a walk through all minutes finds."""

from __future__ import annotations

from itertools import takewhile
from random import Random

import pytest

from tests.schedule.walking import DAY, EXPRESSIONS, ZONES, Expression, changes, minute, shown, walk
from unlost.schedule import zones
from unlost.schedule.times import Times, newest, parse, upcoming
from unlost.task import SECOND

MINUTE = 60 * SECOND


def _differing(times: Times, expected: list[int], low: int, high: int) -> list[int]:
    """The minutes from `low` to just before `high` that only one of the two ways has."""
    before, last = (low - 1) * MINUTE, (high - 1) * MINUTE
    found = list(takewhile(lambda one: one <= last, upcoming(times, before, len(expected) + 1)))
    assert times.count(before, last) == len(expected)
    assert newest(times, before, last, 7) == [one * MINUTE for one in expected[-7:]]
    return sorted({one // MINUTE for one in found} ^ set(expected))


@pytest.mark.parametrize("zone", ZONES)
def test_two_days_around_each_change_of_ten_years(zone: str) -> None:
    expressions = {text: Expression(text) for text in EXPRESSIONS}
    found = list(changes(zone, ZONES[zone], 10))
    assert found or zone == "Asia/Kathmandu"
    for change in found or [minute("2026-01-01T00:00:00+00:00")]:
        low, high = change - DAY, change + DAY
        clock = shown(zone, low, high)
        for text, expression in expressions.items():
            expected = walk(expression, clock, low)
            times = parse({"cron": text, "timezone": zone})
            assert _differing(times, expected, low, high) == [], text


@pytest.mark.soak
@pytest.mark.parametrize("zone", ZONES)
def test_all_of_ten_years(zone: str) -> None:
    low = minute(f"{ZONES[zone]}-01-01T00:00:00+00:00")
    high = minute(f"{ZONES[zone] + 10}-01-01T00:00:00+00:00")
    clock = shown(zone, low, high)
    for text in EXPRESSIONS:
        expected = walk(Expression(text), clock, low)
        times = parse({"cron": text, "timezone": zone})
        assert _differing(times, expected, low, high) == [], text


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"])
def test_from_any_second_the_next_time_is_later_and_the_first(zone: str) -> None:
    year = ZONES[zone]
    for change in list(changes(zone, year, 3))[:4]:
        low, high = change - 180, change + 180
        clock = shown(zone, low, high + 2 * DAY)
        for text in ("30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *"):
            times = parse({"cron": text, "timezone": zone})
            due = [one * 60 for one in walk(Expression(text), clock, low)]
            for at in range(low * 60, high * 60, 53):
                expected = next(one for one in due if one > at) * SECOND
                assert times.after(at * SECOND) == expected
                assert times.after(at * SECOND + 999_999) == expected


def _random_field(random: Random, low: int, high: int) -> str:
    def term() -> str:
        first, last = sorted((random.randint(low, high), random.randint(low, high)))
        return random.choice([str(first), f"{first}-{last}", f"{first}-{last}/{max(1, first)}"])

    return random.choice(
        ["*", f"*/{random.randint(1, high)}", ",".join(term() for _ in range(random.randint(1, 3)))]
    )


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_any_expression_around_any_change_of_any_zone(seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        zone = random.choice(sorted(zones.names()))
        found = list(changes(zone, random.randint(1980, 2060), 1))
        if not found:
            continue
        low = random.choice(found) - DAY - random.randint(0, 300)
        clock = shown(zone, low, low + 2 * DAY)
        for _ in range(6):
            bounds = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7))
            text = " ".join(_random_field(random, *bound) for bound in bounds)
            expected = walk(Expression(text), clock, low)
            times = parse({"cron": text, "timezone": zone})
            assert _differing(times, expected, low, low + 2 * DAY) == [], (zone, text)
