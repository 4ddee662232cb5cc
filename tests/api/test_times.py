"""Times over the wire: RFC 3339 in, RFC 3339 in UTC out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlost.asked.times import NotATime, parse
from unlost.times import LATEST, rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS))  # noqa: DTZ001
def test_a_time_is_read_as_the_standard_library_reads_it(time: datetime) -> None:
    assert parse(time.isoformat()).micros == (time - EPOCH) // timedelta(microseconds=1)


@given(st.integers(0, LATEST))
def test_what_is_written_is_read_back(at: int) -> None:
    text = rfc3339(at)

    assert parse(text).micros == at
    assert len(text) == len("2025-01-01T00:00:00.000000Z")


def test_a_time_beyond_all_years_is_written_as_the_last_one() -> None:
    assert rfc3339(LATEST + 10**18) == "9999-12-31T23:59:59.999999Z"


SAME = [
    ("2025-01-01T00:00:00Z", "2024-12-31T19:00:00-05:00"),
    ("2025-01-01T00:00:00.5Z", "2025-01-01t00:00:00.500000000z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ("2017-01-01T01:59:60+02:00", "2017-01-01T00:00:00Z"),
    ("2025-01-01T00:00:00-00:00", "2025-01-01T00:00:00+00:00"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_moment_has_the_same_key(one: str, other: str) -> None:
    assert parse(one).key == parse(other).key


def test_moments_that_differ_below_a_microsecond_have_different_keys() -> None:
    assert parse("2025-01-01T00:00:00.0000001Z").key != parse("2025-01-01T00:00:00Z").key


@pytest.mark.parametrize(
    "text",
    [
        "", "2025", "2025-01-01", "2025-01-01T00:00:00", "2025-01-01 00:00:00Z",
        "2025-01-01T00:00Z", "2025-01-01T00:00:00.Z", "2025-1-1T00:00:00Z",
        "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z", "2025-01-01T00:00:61Z", "2025-01-01T00:00:60Z",
        "2025-01-01T00:00:00+24:00", "2025-01-01T00:00:00+00:60", "2025-01-01T00:00:00+0100",
        "2025-01-01T00:00:00+01", " 2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z\n",
        "-2025-01-01T00:00:00Z", "12025-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
        "20250101T000000Z", "2025-W01-1T00:00:00Z",
    ],
)  # fmt: skip
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(NotATime):
        parse(text)
