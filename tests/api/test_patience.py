"""How long a client is waited for, second by second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unlost.api.http.connection.patience import (
    HEAD_WITHIN,
    OVER,
    READ_WITHIN,
    ROOM_WITHIN,
    SLOWEST,
    Overdue,
    Patience,
)


def second(patience: Patience, unread: int = 0, **held: bool) -> Overdue | None:
    return patience.second(unread, **{"paused": False, "no_room": False, **held})


def test_a_head_has_ten_seconds_and_an_idle_connection_has_no_bound_here() -> None:
    patience = Patience()
    assert [second(patience) for _ in range(100)] == [None] * 100
    patience.head_begins()
    assert [second(patience) for _ in range(HEAD_WITHIN)] == [None] * 9 + [Overdue.HEAD]


def test_seconds_in_which_nothing_is_read_do_not_count() -> None:
    patience = Patience()
    patience.head_begins()
    for _ in range(9):
        assert second(patience) is None
        assert second(patience, paused=True) is None
    assert second(patience) is Overdue.HEAD


@given(st.lists(st.integers(0, 3 * SLOWEST), max_size=60))
def test_a_body_is_too_slow_over_any_twenty_seconds(came: list[int]) -> None:
    patience = Patience()
    patience.body_begins()
    for at in range(len(came)):
        patience.came(came[at])
        last = came[max(0, at + 1 - OVER) : at + 1]
        slow = len(last) == OVER and sum(last) < OVER * SLOWEST
        assert second(patience) is (Overdue.BODY if slow else None)


def test_a_body_waits_for_room_for_ten_seconds_in_a_row_and_is_not_slow_meanwhile() -> None:
    patience = Patience()
    patience.body_begins()
    for _ in range(5):
        waited = [second(patience, paused=True, no_room=True) for _ in range(ROOM_WITHIN - 1)]
        assert waited == [None] * (ROOM_WITHIN - 1)
        assert second(patience) is None
    for _ in range(ROOM_WITHIN - 1):
        assert second(patience, no_room=True) is None
    assert second(patience, no_room=True) is Overdue.ROOM


def test_who_reads_nothing_for_ten_seconds_is_overdue_and_who_reads_a_little_is_not() -> None:
    patience = Patience()
    for unread in range(100, 50, -1):
        assert second(patience, unread) is None
    seen = [second(patience, 50) for _ in range(READ_WITHIN + 1)]
    assert seen.index(Overdue.READING) == READ_WITHIN
    assert second(Patience(), 0) is None
