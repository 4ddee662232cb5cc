"""Who follows a hint at once, and who a little later."""

from __future__ import annotations

from unlost.ledger.racing import LOOKS, Race

LATER = 0.005


def claim(race: Race, *, found: bool) -> None:
    race.end(hinted=race.begin(None), found=found)


def test_who_found_nothing_after_a_hint_follows_the_next_ones_later_until_it_finds_something() -> (
    None
):
    race = Race(LATER)
    assert race.hinted(None) == 0
    claim(race, found=False)
    assert race.hinted(None) == LATER
    claim(race, found=False)
    assert race.hinted(None) == LATER
    claim(race, found=True)
    assert race.hinted(None) == 0


def test_who_looks_without_a_hint_and_finds_nothing_has_lost_no_race() -> None:
    race = Race(LATER)
    claim(race, found=False)
    assert race.hinted(None) == 0


def test_a_hint_while_a_claim_is_under_way_may_be_about_what_that_finds() -> None:
    race = Race(LATER)
    hinted = race.begin(None)
    assert race.hinted(None) == 0
    race.end(hinted=hinted, found=True)
    claim(race, found=False)
    assert race.hinted(None) == 0


def test_who_lost_looks_first_but_claims_now_and_then_all_the_same() -> None:
    race = Race(LATER)
    assert not race.looks_first(hinted=True)
    race.hinted(None)
    claim(race, found=False)
    assert not race.looks_first(hinted=False)
    turns = [race.looks_first(hinted=True) for _ in range(2 * (LOOKS + 1))]
    assert turns == 2 * [*([True] * LOOKS), False]


def test_hints_of_other_types_than_the_last_claims_are_about_no_race_of_its_own() -> None:
    race = Race(LATER)
    race.end(hinted=race.begin({"mail"}), found=False)
    race.hinted(frozenset({"other"}))
    assert not race.begin({"mail"})
    race.end(hinted=False, found=False)
    race.hinted(frozenset({"mail", "other"}))
    assert race.begin({"mail"})


def test_who_is_told_first_claims_at_once_though_it_lost() -> None:
    """What it is told of cannot be seen before it is committed; its claim waits for that."""
    race = Race(LATER)
    race.hinted(None)
    claim(race, found=False)
    assert race.hinted(None, first=True) == 0
    assert not race.looks_first(hinted=race.begin(None))


def test_a_look_that_was_under_way_then_is_followed_by_a_claim() -> None:
    race = Race(LATER)
    race.hinted(None)
    claim(race, found=False)
    race.hinted(None)
    look = race.begin(None)
    assert race.looks_first(hinted=look)
    race.hinted(None, first=True)
    race.end(hinted=look, found=False)
    assert not race.looks_first(hinted=race.begin(None))


def test_what_else_is_heard_before_that_claim_makes_it_no_look() -> None:
    race = Race(LATER)
    race.hinted(None)
    claim(race, found=False)
    race.hinted(None)
    look = race.begin(None)
    assert race.looks_first(hinted=look)
    race.hinted(None, first=True)
    race.end(hinted=look, found=False)
    race.hinted(None)
    hinted = race.begin(None)
    assert not race.looks_first(hinted=hinted)
    race.end(hinted=hinted, found=False)
    race.hinted(None)
    assert race.looks_first(hinted=race.begin(None))
