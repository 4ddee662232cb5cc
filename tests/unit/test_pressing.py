"""Who writes much makes room for a while after others who write little had to wait for it."""

from __future__ import annotations

from unlost.ledger.sqlite.connection.pressing import BESIDE, FEW, PRESSED, REST, Pressing


def seen(seconds: float, *, moves: int = BESIDE, waited: bool = True) -> Pressing:
    pressing = Pressing()
    pressing.see(100.0, waited=waited, moves=moves, seconds=seconds)
    return pressing


def test_nobody_makes_room_where_nobody_waited() -> None:
    pressing = seen(0.001, waited=False)
    assert (pressing.at(100.0), pressing.rest(100.0)) == (False, 0.0)


def test_room_is_made_for_a_while_after_somebody_waited() -> None:
    pressing = seen(0.001)
    pressing.see(100.0 + PRESSED / 2, waited=False, moves=BESIDE, seconds=0.001)
    for now, pressed in ((100.0, True), (100.0 + PRESSED * 0.9, True), (100.0 + PRESSED, False)):
        assert (pressing.at(now), pressing.rest(now)) == (pressed, 0.001 if pressed else 0.0)


def test_the_lock_is_left_alone_as_long_as_it_was_held_but_not_for_what_a_disk_takes() -> None:
    assert seen(REST / 2).rest(100.0) == REST / 2
    assert seen(REST * 50).rest(100.0) == REST


def test_nobody_rests_after_few_tasks() -> None:
    assert [bool(seen(0.001, moves=moves).rest(100.0)) for moves in (FEW, FEW + 1)] == [False, True]
