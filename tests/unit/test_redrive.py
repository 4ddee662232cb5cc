"""What a redrive takes next, whatever becomes of its letters: drawn at random."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from unlost.redrive import (
    AHEAD,
    GOING,
    LAST,
    MOST_UNDER_WAY,
    Ends,
    Look,
    Position,
    Redrive,
    RedriveState,
    Taken,
    Window,
    advanced,
    begun,
    ended,
    moved,
    stopped,
    wanted,
)
from unlost.task import SECOND, Micros

NOW: Micros = 1_700_000_000 * SECOND

redrives = st.builds(
    Redrive,
    id=st.just("one"),
    limit=st.none() | st.integers(1, 30),
    interval=st.sampled_from([0, 0, SECOND, 3 * SECOND]),
    canary=st.integers(0, 4),
    tolerate=st.none() | st.integers(0, 5),
    patience=st.sampled_from([30 * SECOND, 600 * SECOND]),
)
fates = st.sampled_from(["succeeded"] * 6 + ["died_again", "cancelled"])


class World:
    """Dead letters, some of which are meant, and what becomes of them."""

    def __init__(self, redrive: Redrive, letters: list[bool], rows: int, most: int) -> None:
        self.now = NOW
        self.redrive = begun(redrive, NOW)
        self.dead = {
            (NOW - 100 + number // 3, number): meant for number, meant in enumerate(letters)
        }
        self.rows, self.most = rows, most
        self.taken = Counter[Position]()
        self.under_way: list[Taken] = []
        self.ends = Counter[str]()

    def step(self) -> None:
        """A step as a ledger makes it, and what must hold after it."""
        before = self.redrive
        redrive = ended(before, Ends(**self.ends), self.now)
        self.ends.clear()
        look = wanted(redrive, self.now, self.most)
        taken: list[Taken] = []
        if look is not None:
            redrive, taken = advanced(redrive, self.window(look), self.now)
        self.must_be_allowed(before, redrive, taken)
        for one in taken:
            del self.dead[one.position]  # type: ignore[arg-type]  # its second part is a number here
            self.taken[one.position] += 1
        self.under_way += taken
        self.redrive = redrive

    def window(self, look: Look) -> Window:
        until = look.until or (self.redrive.started_at, LAST)
        there = sorted(one for one in self.dead if look.after < one <= until)
        found: list[Position] = []
        for turn, position in enumerate(there, 1):
            found += [position] if self.dead[position] else []
            if len(found) == look.most or turn == self.rows:
                return Window(tuple(found), position, more=True)
        return Window(tuple(found), there[-1] if there else look.after, more=False)

    def must_be_allowed(self, before: Redrive, after: Redrive, taken: list[Taken]) -> None:
        assert after.under_way >= 0
        assert after.left is None or after.left >= 0
        assert after.gone >= 0
        assert before.position <= after.position
        if taken:
            assert before.state in GOING
            assert after.selected is not None
            assert len(taken) <= self.most
            assert after.under_way <= MOST_UNDER_WAY
            if after.canary and after.succeeded:
                assert after.under_way <= max(after.succeeded, after.canary)
            elif after.canary:
                assert after.under_way <= after.canary
            if after.tolerate is not None:
                assert after.died_again <= after.tolerate
        starts = [one.due_at for one in taken]
        assert all(start >= self.now for start in starts)
        if after.interval and before.redriven and taken:
            assert starts[0] >= before.last_start + after.interval
            if not after.canary:
                assert starts[-1] <= self.now + AHEAD

    def end(self, fate: str) -> None:
        """Let the letter that starts next come to its end."""
        if self.under_way:
            one = self.under_way.pop(0)
            self.now = max(self.now, one.due_at)
            self.ends[fate] += 1


@given(
    redrives, st.lists(st.sampled_from([True, True, False]), max_size=60), st.integers(1, 9),
    st.integers(1, 9), st.lists(fates, min_size=80, max_size=80), st.data(),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_it_keeps_its_bounds_and_comes_to_its_end(
    redrive: Redrive,
    letters: list[bool],
    rows: int,
    most: int,
    ends: list[str],
    data: st.DataObject,
) -> None:
    world = World(redrive, letters, rows, most)
    stop_at = data.draw(st.none() | st.integers(0, 20), "stop at")
    others = data.draw(st.sets(st.integers(0, 60), max_size=10), "what others take")
    for turn in range(1_000):
        if turn == stop_at:
            world.redrive = stopped(world.redrive, "stopped", world.now)
        if turn in others and world.dead and world.redrive.state in GOING:
            world.dead.pop(next(iter(world.dead)))
        before = world.redrive
        world.step()
        if world.redrive == before:
            world.end(ends.pop() if ends else "succeeded")
        if not world.redrive.open:
            break
    redrive = world.redrive
    assert not redrive.open, "it never ends"
    assert set(world.taken.values()) <= {1}
    assert sum(world.taken.values()) == redrive.redriven
    assert redrive.left is not None
    if redrive.state is RedriveState.DONE:
        assert redrive.left == 0
    else:
        assert redrive.state is RedriveState.STOPPED
        assert redrive.why
        left = [meant for position, meant in world.dead.items() if meant]
        assert redrive.left <= len(left)


def test_what_is_stopped_takes_nothing_and_stays_as_it_is() -> None:
    redrive = stopped(begun(Redrive("one"), NOW), "stopped by ann", NOW + 1)
    assert (redrive.state, redrive.why) == (RedriveState.STOPPED, "stopped by ann")
    assert stopped(redrive, "stopped by bob", NOW + 2) == redrive


def test_it_is_within_the_types_of_a_key_where_it_can_be_about_no_others() -> None:
    assert Redrive("one").within(None)
    assert not Redrive("one").within(("mail",))
    assert Redrive("one", type="mail").within(("mail", "sms"))
    assert not Redrive("one", type="pay").within(("mail",))
    assert Redrive("one", types=("mail",)).within(("mail", "sms"))
    assert not Redrive("one", types=("mail", "pay")).within(("mail",))


def test_in_another_ledger_it_looks_again_at_the_moment_where_it_stood() -> None:
    there = Redrive("one", selected=5, counting=None, position=(7, 70), end=(9, 90))
    here = moved(there)
    assert (here.position, here.end, here.counting) == ((7, -1), (9, LAST), None)
    recounting = moved(replace(there, counting=(8, 80), counted=1))
    assert (recounting.counting, recounting.counted) == ((7, -1), 0)


def test_after_the_clock_was_set_back_a_paced_one_goes_on() -> None:
    redrive = begun(Redrive("one", interval=SECOND, canary=0, tolerate=None), NOW)
    redrive, _ = advanced(redrive, Window(tuple((1, n) for n in range(30)), (1, 30), False), NOW)
    redrive, taken = advanced(redrive, Window(((1, 0),), (1, 0), True), NOW)
    assert [one.due_at for one in taken] == [NOW]
    assert wanted(redrive, NOW - SECOND, 1_000) == Look((1, 0), (1, 30), 9, 509)

    back = NOW - 3_600 * SECOND
    look = wanted(redrive, back, 1_000)
    assert look == Look((1, 0), (1, 30), 11, 511)
    _, taken = advanced(redrive, Window(((1, 1), (1, 2)), (1, 2), True), back)
    assert [one.due_at for one in taken] == [back, back + SECOND]
