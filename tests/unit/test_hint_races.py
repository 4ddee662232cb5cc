"""Who follows a hint at once, and who a little later."""

from __future__ import annotations

from unlost.ledger.postgres.hints.racing import LATER, LOOKS, Race


def claim(race: Race, *, found: bool) -> None:
    race.end(hinted=race.begin(None), found=found)


def test_who_found_nothing_after_a_hint_follows_the_next_ones_later_until_it_finds_something() -> (
    None
):
    race = Race()
    assert race.hinted(None) == 0
    claim(race, found=False)
    assert race.hinted(None) == LATER
    claim(race, found=False)
    assert race.hinted(None) == LATER
    claim(race, found=True)
    assert race.hinted(None) == 0


def test_who_looks_without_a_hint_and_finds_nothing_has_lost_no_race() -> None:
    race = Race()
    claim(race, found=False)
    assert race.hinted(None) == 0


def test_a_hint_while_a_claim_is_under_way_may_be_about_what_that_finds() -> None:
    race = Race()
    hinted = race.begin(None)
    assert race.hinted(None) == 0
    race.end(hinted=hinted, found=True)
    claim(race, found=False)
    assert race.hinted(None) == 0


def test_who_lost_looks_first_but_claims_now_and_then_all_the_same() -> None:
    race = Race()
    assert not race.looks_first(hinted=True)
    race.hinted(None)
    claim(race, found=False)
    assert not race.looks_first(hinted=False)
    turns = [race.looks_first(hinted=True) for _ in range(2 * (LOOKS + 1))]
    assert turns == 2 * [*([True] * LOOKS), False]


def test_hints_of_other_types_than_the_last_claims_are_about_no_race_of_its_own() -> None:
    race = Race()
    race.end(hinted=race.begin({"mail"}), found=False)
    race.hinted(frozenset({"other"}))
    assert not race.begin({"mail"})
    race.end(hinted=False, found=False)
    race.hinted(frozenset({"mail", "other"}))
    assert race.begin({"mail"})
