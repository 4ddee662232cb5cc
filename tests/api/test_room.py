"""Room for bodies: never more than there is, and nobody waits for ever."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unlost.api.http.connection.room import Room

SIZE, LARGEST = 96, 64


class Body:
    """A body of which a part comes whenever it may be read on."""

    def __init__(self, room: Room, size: int) -> None:
        self.room = room
        self.left = size
        self.held_up = False
        self.refused = False

    def hold_up(self) -> None:
        self.held_up = True

    def go_on(self) -> None:
        self.held_up = False

    def cut(self) -> None:
        self.left = 0

    def is_held_up(self) -> bool:
        return self.held_up

    def come(self, size: int) -> None:
        size = min(size, self.left)
        if not self.room.take(self, size):
            self.refused = True
            self.room.give_back(self)
            return
        self.left -= size
        if self.left:
            self.room.read_on(self, self)
        else:
            self.room.whole(self)


def test_two_of_the_largest_size_are_read_one_after_the_other() -> None:
    room = Room(SIZE, LARGEST)
    one, two = Body(room, 64), Body(room, 64)
    while not two.is_held_up():
        one.come(1)
        if not two.is_held_up():
            two.come(1)
    while one.left:
        one.come(4)
        assert not one.is_held_up()
        assert room.taken <= SIZE
    assert two.is_held_up()
    room.give_back(one)
    assert not two.is_held_up()
    while two.left:
        two.come(4)
    assert not two.refused


def test_who_has_waited_longest_goes_on_first() -> None:
    room = Room(SIZE, LARGEST)
    large, *small = Body(room, 50), Body(room, 20), Body(room, 20), Body(room, 20)
    large.come(49)
    for body in small:
        body.come(13)
    assert [body.held_up for body in small] == [True] * 3
    room.give_back(large)
    assert [body.held_up for body in small] == [False, True, True]
    room.give_back(small[0])
    assert [body.held_up for body in small[1:]] == [False, True]


def test_what_does_not_fit_is_refused_and_takes_nothing() -> None:
    room = Room(SIZE, LARGEST)
    assert room.take("one", 90)
    assert not room.take("two", 7)
    room.give_back("two")
    assert room.taken == 90


def test_a_call_that_ends_while_its_body_waits_is_read_on_so_that_the_rest_can_be_thrown_away() -> (
    None
):
    room = Room(SIZE, LARGEST)
    large, small = Body(room, 60), Body(room, 50)
    large.come(50)
    small.come(33)
    assert small.held_up
    room.give_back(small)
    assert not small.held_up


class Looked(dict[object, int]):
    """Counts how often somebody goes through all of it."""

    times = 0

    def __iter__(self) -> Iterator[object]:
        self.times += 1
        return super().__iter__()

    def __reversed__(self) -> Iterator[object]:
        self.times += 1
        return super().__reversed__()

    def values(self) -> Any:
        self.times += 1
        return super().values()


def is_held_up(body: Body) -> bool:
    return body.held_up


def test_the_one_that_has_the_most_is_not_looked_for_at_each_end() -> None:
    room = Room(1_200, 200)
    by = room._by = Looked()
    large = [Body(room, 10) for _ in range(110)]
    waiting = Body(room, 20)
    waiting.come(1)
    for body in large:
        body.come(10)
    waiting.come(1)
    assert is_held_up(waiting)
    for body in large:
        room.give_back(body)
    assert not is_held_up(waiting)
    assert by.times <= 2


@given(
    st.lists(st.integers(1, LARGEST), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_all_are_read_in_the_end(sizes: list[int], random: object) -> None:
    """Whatever comes first: each goes on once those before it have ended, and the room is empty
    again.  At most one chunk is beyond the bound of reading on."""
    room = Room(SIZE, LARGEST)
    bodies = [Body(room, size) for size in sizes]
    waiting = deque(bodies)
    handled: list[Body] = []
    idle = 0
    while waiting:
        body = waiting.popleft()
        if not body.held_up:
            body.come(random.randint(1, 3))  # type: ignore[attr-defined]
            idle = 0
        else:
            idle += 1
        assert room.taken <= SIZE
        if body.refused:
            continue
        if body.left:
            waiting.append(body)
        else:
            handled.append(body)
        if handled and (random.random() < 0.2 or idle > len(bodies)):  # type: ignore[attr-defined]
            room.give_back(handled.pop(0))
            idle = 0
        assert idle <= len(bodies) + 1 or handled
    for body in handled:
        room.give_back(body)
    assert room.taken == 0
