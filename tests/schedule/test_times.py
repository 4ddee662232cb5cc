"""Times by the expression alone, on a clock that does not change; intervals; long stretches."""

from __future__ import annotations

import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from time import process_time

import pytest

from unlost.schedule import zones
from unlost.schedule.times import newest, parse, shown, upcoming
from unlost.task import SECOND, Micros
from unlost.times import LATEST, rfc3339


def _at(text: str) -> Micros:
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


NOW = _at("2026-03-01T00:00:00Z")  # a Sunday


def _next(text: str, most: int, zone: str = "UTC") -> list[str]:
    times = parse({"cron": text, "timezone": zone}, NOW)
    return [
        datetime.fromtimestamp(one / SECOND, UTC).strftime("%y-%m-%d %H:%M")
        for one in upcoming(times, NOW, most)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@hourly", ["26-03-01 01:00", "26-03-01 02:00"]),
        ("@Daily", ["26-03-02 00:00", "26-03-03 00:00"]),
        ("@midnight", ["26-03-02 00:00", "26-03-03 00:00"]),
        ("@weekly", ["26-03-08 00:00", "26-03-15 00:00"]),
        ("@monthly", ["26-04-01 00:00", "26-05-01 00:00"]),
        ("@yearly", ["27-01-01 00:00", "28-01-01 00:00"]),
        ("@ANNUALLY", ["27-01-01 00:00", "28-01-01 00:00"]),
        ("*/90 3 * * *", ["26-03-01 03:00", "26-03-02 03:00"]),
        ("5-9/4,59 0 * * *", ["26-03-01 00:05", "26-03-01 00:09", "26-03-01 00:59"]),
        ("1-1/5 0 * * *", ["26-03-01 00:01", "26-03-02 00:01"]),  # a range of one keeps to it
        ("0 0 * * mon-wed/2", ["26-03-02 00:00", "26-03-04 00:00", "26-03-09 00:00"]),
        ("0 0 * * 5-7", ["26-03-06 00:00", "26-03-07 00:00", "26-03-08 00:00"]),
        ("0 1 * * 0", ["26-03-01 01:00", "26-03-08 01:00"]),
        ("0 1 * * 7", ["26-03-01 01:00", "26-03-08 01:00"]),
        ("0 0 13 * Fri", ["26-03-06 00:00", "26-03-13 00:00", "26-03-20 00:00"]),  # either
        ("0 0 13 * *", ["26-03-13 00:00", "26-04-13 00:00"]),
        ("0 0 */10 * 3", ["26-03-11 00:00", "26-04-01 00:00"]),  # begins with *: both must hold
        ("0 0 L * *", ["26-03-31 00:00", "26-04-30 00:00"]),
        ("0 0 * * 5L", ["26-03-27 00:00", "26-04-24 00:00"]),
        ("0 0 * * MON#2", ["26-03-09 00:00", "26-04-13 00:00"]),
        ("0 0 29 2 *", ["28-02-29 00:00", "32-02-29 00:00"]),
    ],
)  # fmt: skip
def test_what_an_expression_names(text: str, expected: list[str]) -> None:
    assert _next(text, len(expected)) == expected


def test_an_interval_is_its_multiples_since_1970() -> None:
    times = parse({"every": 7, "timezone": "Europe/Berlin"})
    assert upcoming(times, 20 * SECOND, 3) == [21 * SECOND, 28 * SECOND, 35 * SECOND]
    assert times.after(21 * SECOND - 1) == 21 * SECOND
    assert times.after(21 * SECOND) == 28 * SECOND
    assert times.count(21 * SECOND, 35 * SECOND) == 2
    assert times.count(21 * SECOND - 1, 35 * SECOND - 1) == 2
    assert times.count(5, 4) == 0


def test_times_are_later_than_a_fraction_of_a_second_too() -> None:
    times = parse({"cron": "* * * * *"})
    minute = 60 * SECOND
    assert [times.after(NOW + one) for one in (-1, 0, 1)] == [NOW, NOW + minute, NOW + minute]
    assert [times.count(NOW - 1, NOW + one) for one in (-1, 0, minute)] == [0, 1, 2]


def test_after_the_last_year_there_is_no_time() -> None:
    for body in (
        {"cron": "* * * * *"},
        {"every": 60},
        {"cron": "0 9 * * *", "timezone": "Asia/Tokyo"},
    ):
        assert parse(body).after(LATEST) is None
        assert parse(body).after(LATEST - 366 * 86_400 * SECOND) is not None


def test_a_year_of_minutes_is_counted_and_its_end_listed_at_once() -> None:
    times = parse({"cron": "* * * * *", "timezone": "Europe/Berlin"})
    later = NOW + 365 * 86_400 * SECOND
    started = process_time()
    assert times.count(NOW, later) == 365 * 24 * 60
    found = newest(times, NOW, later, 1000)
    assert process_time() - started < 1
    assert (len(found), found[-1], found[0]) == (1000, later, later - 999 * 60 * SECOND)
    assert newest(times, later - 5 * 60 * SECOND, later, 1000) == found[-5:]


def test_a_time_has_its_offset() -> None:
    times = parse({"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    told = [shown(times, one) for one in upcoming(times, _at("2026-10-24T12:00:00Z"), 2)]
    assert told == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    assert shown(parse({"every": 5}), NOW) == "2026-03-01T00:00:00+00:00"
    assert rfc3339(_at(told[0])).startswith("2026-10-25T00:30:00")


def test_zones_are_the_installed_ones_and_the_process_keeps_its_own() -> None:
    before = zoneinfo.TZPATH
    # Since the tzdata of 2026 Vancouver has no winter time; a system may not know yet.
    assert zones.offset("America/Vancouver", _at("2027-01-15T00:00:00Z") // SECOND) == -7 * 3600
    assert before == zoneinfo.TZPATH
    assert zones.version()[:4].isdigit()


def test_every_zone_can_be_asked() -> None:
    for name in zones.names():
        assert len(zones.changes(name, 2026)) <= 4, name


def test_who_has_no_schedules_does_not_pay_for_the_libraries() -> None:
    program = (
        "import sys, unlost.api.app, unlost.supervisor.child.__main__, unlost.upkeep.sweeper\n"
        "print({'cronsim', 'tzdata', 'zoneinfo', 'yaml'} & sys.modules.keys())"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"
