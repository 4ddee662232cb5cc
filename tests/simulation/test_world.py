"""The world itself: nothing waits in it for ever, and what dies does nothing more."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.simulation.process import ActorFailed, Process, Skew
from tests.simulation.world import NothingLeft, Spinning, World


@pytest.fixture
def world() -> World:
    return World(Random(1).random)


def process(world: World, name: str = "p", skew: Skew | None = None) -> Process:
    return Process(world, name, skew or Skew(), lambda _: None)


def test_time_passes_only_where_nothing_is_ready(world: World) -> None:
    times = []

    async def main() -> None:
        for _ in range(3):
            await asyncio.sleep(10)
            times.append(world.now)

    process(world).run(main())
    with pytest.raises(NothingLeft):
        world.run(1e9)
    assert times == pytest.approx([10, 20, 30])


def test_a_wait_for_nothing_is_an_error(world: World) -> None:
    waiting = process(world)
    waiting.run(asyncio.Event().wait())  # type: ignore[arg-type]
    with pytest.raises(NothingLeft):
        world.run(1e9)
    waiting.dispose()


def test_a_loop_in_which_no_time_passes_is_an_error(world: World) -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110  the mistake that is meant
            await asyncio.sleep(0)

    spinning = process(world)
    spinning.run(main())
    with pytest.raises(Spinning):
        world.run(1e9)
    spinning.dispose()


def test_a_wait_that_is_not_simulated_is_an_error(world: World) -> None:
    process(world).run(asyncio.to_thread(print))
    with pytest.raises(ActorFailed):
        world.run(1e9)


def test_the_order_of_what_is_ready_is_drawn() -> None:
    def order(seed: int) -> str:
        world, found = World(Random(seed).random), []

        async def main(name: str) -> None:
            found.append(name)

        for name in "abcdef":
            process(world, name).run(main(name))
        with pytest.raises(NothingLeft):
            world.run(1e9)
        return "".join(found)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(20)}) > 10


def test_who_dies_does_not_even_tidy_up_in_the_world(world: World) -> None:
    done = []

    async def main() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            done.append(dying.alive)

    dying = process(world)
    dying.run(main())
    world.after(5, dying.crash)
    with pytest.raises(NothingLeft):
        world.run(1e9)
    assert done == []
    dying.dispose()
    assert done == [False]


def test_who_is_held_up_does_everything_later(world: World) -> None:
    times = []

    async def main() -> None:
        await asyncio.sleep(1)
        times.append(world.now)

    held_up = process(world)
    held_up.run(main())
    world.after(0.5, held_up.pause, 7.0)
    with pytest.raises(NothingLeft):
        world.run(1e9)
    assert times == pytest.approx([7.5])


def test_clocks_differ_from_the_true_time(world: World) -> None:
    fast = process(world, skew=Skew(ahead=3.0, rate=1.01))
    fast.run(asyncio.sleep(101.0))
    with pytest.raises(NothingLeft):
        world.run(1e9)
    assert world.now == pytest.approx(100)
    assert fast.clock() - world.clock() == pytest.approx(4_000_000)
