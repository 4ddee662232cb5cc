"""What the churn bench makes of what it saw."""

from __future__ import annotations

from msgspec.structs import replace

from bench.spells import HEADINGS, Look, Spell, flatness, line, summary

NOTHING = Look(*[0] * len(Look.__struct_fields__))


def spell(rate: int, claim: int) -> Spell:
    after = replace(NOTHING, claim=claim * rate, cpu=7 * rate, updated=4, hot=3, images=9)
    after = replace(after, open_task=2**20)
    return Spell(NOTHING, after, rate, 1.0)


def test_what_slows_down_is_told_from_what_stays_flat() -> None:
    assert flatness([7.0]) == 1
    assert flatness([10, 11, 9, 5, 10, 10, 9, 3, 10]) == 0.9  # single bad minutes do not count
    assert flatness([10, 10, 10, 9, 8, 8, 7, 5, 6]) == 0.6


def test_a_line_holds_each_figure_for_a_task() -> None:
    told = line(spell(200, 30)).split()
    assert told[:2] == ["200", "30.0"]
    assert told[5] == "7"
    assert told[7:10] == ["9", "75%", "1.0"]
    assert len(told) == len(HEADINGS.splitlines()[-1].split()) + 2  # two are in the line above


def test_the_summary_compares_the_end_with_the_beginning() -> None:
    said = summary([spell(100, 10), spell(100, 20), spell(50, 40)])
    assert "rate 0.50" in said
    assert "claim 4.00" in said
