"""Who follows a hint at once, and who a little later."""

from __future__ import annotations

from unlost.ledger.postgres.hints.racing import LATER, LOOKS, Race


def claim(race: Race, *, found: bool) -> None:
    race.end(hinted=race.begin(), found=found)


def test_who_found_nothing_after_a_hint_follows_the_next_ones_later_until_it_finds_something() -> (
    None
):
    race = Race()
    assert race.hinted() == 0
    claim(race, found=False)
    assert race.hinted() == LATER
    claim(race, found=False)
    assert race.hinted() == LATER
    claim(race, found=True)
    assert race.hinted() == 0


def test_who_looks_without_a_hint_and_finds_nothing_has_lost_no_race() -> None:
    race = Race()
    claim(race, found=False)
    assert race.hinted() == 0


def test_a_hint_while_a_claim_is_under_way_may_be_about_what_that_finds() -> None:
    race = Race()
    hinted = race.begin()
    assert race.hinted() == 0
    race.end(hinted=hinted, found=True)
    claim(race, found=False)
    assert race.hinted() == 0


def test_who_lost_looks_first_but_claims_now_and_then_all_the_same() -> None:
    race = Race()
    assert not race.looks_first(hinted=True)
    race.hinted()
    claim(race, found=False)
    assert not race.looks_first(hinted=False)
    turns = [race.looks_first(hinted=True) for _ in range(2 * (LOOKS + 1))]
    assert turns == 2 * [*([True] * LOOKS), False]
