"""What names no times is refused, says which field is wrong, and is not searched for."""

from __future__ import annotations

import pytest

from unlost.schedule import cron
from unlost.schedule.bounds import MAX_EVERY
from unlost.schedule.times import BadTimes, Cron, Every, parse, upcoming
from unlost.task import SECOND

NOW = 1_790_000_000 * SECOND  # in September 2026


def _reasons(**body: object) -> list[tuple[str, str]]:
    with pytest.raises(BadTimes) as refused:
        parse(body, NOW)
    return [(fault.member, fault.reason) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("60 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("30-10 * * * *", "minute"),
        ("5/15 * * * *", "minute"),
        ("H * * * *", "minute"),
        ("-5 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("*/5/2 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* ? * * *", "hour"),
        ("0 0 ? * *", "day of month"),
        ("0 0 0 * *", "day of month"),
        ("0 0 32 * *", "day of month"),
        ("0 0 15W * *", "day of month"),
        ("0 0 LW * *", "day of month"),
        ("0 0 L/2 * *", "day of month"),
        ("0 0 L-3 * *", "day of month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * JANU *", "month"),
        ("0 0 * DEC-JAN *", "month"),
        ("0 0 * * 8", "day of week"),
        ("0 0 * * ?", "day of week"),
        ("0 0 * * MO", "day of week"),
        ("0 0 * * SAT-SUN", "day of week"),
        ("0 0 * * MON#6", "day of week"),
        ("0 0 * * MON#0", "day of week"),
        ("0 0 * * L", "day of week"),
        ("0 0 * * XYZ", "day of week"),
    ],
)
def test_a_wrong_field_is_named(text: str, field: str) -> None:
    [(member, reason)] = _reasons(cron=text)
    assert member == "cron"
    assert reason.startswith(f"{field}: {text.split()[cron.NAMES.index(field)]} "), reason


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("5/15 * * * *", "5-59/15 * * * *"),
        ("0 8/2 * * *", "0 8-23/2 * * *"),
        ("0 0 * * FRI-MON", "0 0 * * 5-7,1"),
        ("0 0 * * sat-sun", "0 0 * * 6-7"),
        ("0 0 * * 5-2", "0 0 * * 5-7,1-2"),
    ],
)
def test_what_has_another_way_to_be_written_is_told_with_it(text: str, instead: str) -> None:
    [(_, reason)] = _reasons(cron=text)
    [written] = {*instead.split()} - {*text.split()}
    assert reason.endswith(f"; write {written}")
    parse({"cron": instead}, NOW)


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 2,4,6 *", "0 0 30-31 feb */2"])
def test_a_day_that_no_chosen_month_has_is_not_searched(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cron.Clock, "after", lambda *_: pytest.fail("searched"))
    [(member, reason)] = _reasons(cron=text)
    assert (member, reason.split(":")[0]) == ("cron", "day of month")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "* * * *", "* * * * * *", "0 * * * * *", "@reboot", "@every 5m", "@", "@dailyx"),
        *("TZ=UTC 0 0 * * *", "0 0 * * *\n", "0\N{NO-BREAK SPACE}0 * * * *", "0 0 * * fr\u0131"),
        *("*" * 10_000, "1," * 5_000, "\u0660 * * * *", "\0 * * * *"),
    ],
)
def test_what_has_not_five_fields_is_refused(text: str) -> None:
    [(member, reason)] = _reasons(cron=text)
    assert member == "cron"
    assert len(reason) < 200


def test_the_longest_expression() -> None:
    text = ",".join(["59"] * 330) + " " * 3 + "* * * *"
    assert len(text) == 999
    assert parse({"cron": text + " "}, NOW) == Cron(text + " ")
    assert _reasons(cron=text + "  ") == [("cron", "has more than 1000 characters")]


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0 0 */29 2 MON#5", "UTC"),  # the 1st is no fifth Monday, a 30th is not in February
        ("*/10 2 * 3 0L", "Europe/Berlin"),  # always in the gap
    ],
)
def test_what_never_comes_is_refused(text: str, zone: str) -> None:
    assert _reasons(cron=text, timezone=zone) == [("cron", "does not come within 50 years")]
    assert parse({"cron": text, "timezone": zone}).after(NOW) is None  # kept: has no next time


def test_what_comes_seldom_is_taken() -> None:
    assert len(upcoming(parse({"cron": "0 0 29 2 */7"}, NOW), NOW, 5)) == 5  # 29 February, a Sunday


@pytest.mark.parametrize(
    "zone",
    [
        *("localtime", "/etc/localtime", "/usr/share/zoneinfo/UTC", "../UTC", "Europe/../UTC"),
        *("Europe", "Europe/", "Factory", "posix/UTC", "tzdata.zi", "", " UTC"),
        *("UTC\0", "Mars/Olympus", "CET-1CEST", "+02:00", None, 5, ["UTC"], {}),
    ],
)
def test_what_is_no_zone_is_refused(zone: object) -> None:
    expected = [("timezone", "must be the name of a time zone, as Europe/Berlin")]
    assert _reasons(cron="0 0 * * *", timezone=zone) == expected
    assert _reasons(every=5, timezone=zone) == expected


def test_a_zone_in_another_case_is_told_which_is_meant() -> None:
    [(member, reason)] = _reasons(every=5, timezone="europe/berlin")
    assert (member, reason.partition("; ")[2]) == ("timezone", "did you mean Europe/Berlin?")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "5", None, MAX_EVERY + 1, 10**30])
def test_a_wrong_interval_is_refused(value: object) -> None:
    [(member, _)] = _reasons(every=value)
    assert member == "every"


@pytest.mark.parametrize("value", [None, 5, ["* * * * *"], {}])
def test_what_is_no_text_is_no_expression(value: object) -> None:
    assert _reasons(cron=value) == [("cron", "must be a string of five fields")]


def test_one_of_cron_and_every() -> None:
    both = [("cron", "or every must be there, one of the two")]
    assert _reasons(cron="* * * * *", every=5) == _reasons() == both


def test_every_fault_at_once() -> None:
    assert [name for name, _ in _reasons(cron="x", timezone="y")] == ["timezone", "cron"]


def test_what_is_taken() -> None:
    assert parse({"every": MAX_EVERY, "type": "x"}, NOW) == Every(MAX_EVERY)
    assert parse({"cron": "0\t0 1 jAn *", "timezone": "US/Eastern"}, NOW) == Cron(
        "0\t0 1 jAn *", "US/Eastern"
    )
