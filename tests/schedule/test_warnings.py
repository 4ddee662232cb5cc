"""What a schedule does that whoever wrote it may not expect is told, and nothing else is."""

from __future__ import annotations

from datetime import datetime

import pytest

from unlost.schedule.times import parse
from unlost.schedule.warnings import warnings
from unlost.task import SECOND

NOW = int(datetime.fromisoformat("2026-08-01T00:00:00Z").timestamp()) * SECOND
EITHER = "day of month and day of week are both set: it is due on days that fit either"


def _told(zone: str, **body: object) -> dict[str, str]:
    return {one.kind: one.detail for one in warnings(parse({"timezone": zone} | body), NOW)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 0 13 * 5", True),
        ("0 0 1-7 * MON", True),
        ("0 0 13 * *", False),
        ("0 0 * * 5", False),
        ("0 0 */2 * 5", False),
        ("0 0 13 * */2", False),
    ],
)
def test_both_days(text: str, told: bool) -> None:
    assert _told("UTC", cron=text) == ({"either-day": EITHER} if told else {})


def test_what_is_skipped_and_what_comes_twice() -> None:
    assert _told("Europe/Berlin", cron="30 2 * * *") == {
        "repeated": "the clock goes from 2026-10-25 03:00 to 02:00: what is due in between (02:30)"
        " is made the first time only",
        "skipped": "the clock goes from 2027-03-28 02:00 to 03:00: what is due in between (02:30)"
        " is made at 03:00, once",
    }
    assert _told("Europe/Berlin", cron="*/10 2 * * *") == {
        "repeated": "the clock goes from 2026-10-25 03:00 to 02:00: what is due in between"
        " (02:00, 02:10, 02:20, …) is made both times",
        "skipped": "the clock goes from 2027-03-28 02:00 to 03:00: what is due in between"
        " (02:00, 02:10, 02:20, …) is not made",
    }


def test_the_half_hour_of_lord_howe() -> None:
    assert _told("Australia/Lord_Howe", cron="0 * * * *") == {
        "skipped": "the clock goes from 2026-10-04 02:00 to 02:30: what is due in between (02:00)"
        " is not made",
    }
    assert _told("Australia/Lord_Howe", cron="45 * * * *").keys() == {"repeated"}


@pytest.mark.parametrize(
    ("zone", "body"),
    [
        ("Europe/Berlin", {"cron": "0 3 * * *"}),  # the first moment after the gap, and after
        ("Europe/Berlin", {"cron": "59 1 * * *"}),
        ("Europe/Berlin", {"cron": "30 2 * 5 *"}),  # not in the month of a change
        ("Europe/Berlin", {"cron": "*/5 * * * *"}),  # goes on as if nothing were
        ("Europe/Berlin", {"cron": "30 * * * *"}),
        ("Europe/Berlin", {"every": 60}),
        ("Asia/Kathmandu", {"cron": "30 2 * * *"}),
        ("UTC", {"cron": "30 2 * * *"}),
    ],
)
def test_what_no_change_meets_has_no_warning(zone: str, body: dict[str, object]) -> None:
    assert _told(zone, **body) == {}
