"""The plots, and the live view on terminals of every width."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from unlost.cli.client.answers import GroupSeen, StatsSeen
from unlost.cli.show.plots import axis, bar, binned, sparkline
from unlost.cli.show.stats import View, lines

AT = datetime(2030, 1, 31, tzinfo=UTC)
STATES = {"queued": 900, "running": 1, "retrying": 0, "succeeded": 1_000_000, "dead": 7}


def view(**more: object) -> View:
    seen = View("http://127.0.0.1:8080", oldest=75.0, at="12:00:00Z", **more)  # type: ignore[arg-type]
    for number in range(200):
        rates = {"submittedPerSecond": float(number), "settledPerSecond": 1.0}
        seen.observe(StatsSeen(1_000_908, 901, 0, STATES, rates, ["mail"]))
    return seen


def text(seen: View, width: int) -> str:
    return "\n".join(line.plain for line in lines(seen, width))


def test_a_sparkline_has_the_newest_values_and_tells_little_from_nothing() -> None:
    assert sparkline([9, 0, 1, 100], 3) == "▁▂█"
    assert sparkline([0, 0], 8) == "▁▁"
    assert sparkline([1], 0) == sparkline([], 5) == ""


def test_a_bar_is_as_long_as_its_share_and_never_empty_for_something() -> None:
    assert bar(10, 10, 4) == "████"
    assert bar(5, 10, 4) == "██"
    assert bar(1, 1_000_000, 4) == "▏"
    assert bar(0, 10, 4) == bar(1, 0, 4) == bar(1, 1, 0) == ""


def test_times_are_counted_where_they_lie() -> None:
    assert binned([0, 1, 9.9, 10, 11, -1], 0, 10, 2) == [2, 2]
    assert [axis(age) for age in (0, 61, 90_000)] == [60, 600, 7 * 86_400]


@pytest.mark.parametrize("width", [8, 20, 30, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    groups = (GroupSeen("f" * 16, "ValueError", "no such customer " * 9, 7, AT, AT),)
    for line in lines(view(groups=groups, trouble="x" * 300), width):
        assert line.cell_len <= width


def test_the_counts_come_before_the_plots_where_there_is_no_room() -> None:
    narrow = text(view(), 24)
    assert "succeeded      1000000" in narrow
    assert not set("█▁") & set(narrow)
    assert "█" in text(view(), 80)


def test_the_plots_use_the_width_there_is() -> None:
    (row,) = (line for line in text(view(), 80).splitlines() if line.startswith("submitted/s"))
    assert len(row) == 80
    assert row.endswith("█")


def test_it_says_what_wants_somebody_to_look() -> None:
    groups = [GroupSeen("f", "ValueError", "no such\x1b[31m customer", 7, AT, AT)] * 6
    shown = text(view(groups=groups), 80)
    assert "oldest waiting 1 min 15 s" in shown
    assert "no worker for  mail" in shown
    assert "42 dead letters in 6 groups" in shown
    assert shown.count("ValueError: no such\\x1b[31m customer") == 5


def test_before_anything_was_seen_there_is_the_trouble() -> None:
    assert text(View("http://x", trouble="no service"), 40).splitlines()[-1] == "no service"
