"""Time limits of which a pause of the process takes little."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.virtual import VirtualLoop, in_virtual_time
from unlost.awake import LOOKS, within


async def answer(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answer"


def loop() -> VirtualLoop:
    found = asyncio.get_running_loop()
    assert isinstance(found, VirtualLoop)
    return found


@in_virtual_time
async def test_what_ends_in_time_is_given_at_once() -> None:
    assert await within(5, answer(1)) == "answer"
    assert loop().time() == 1


@in_virtual_time
async def test_a_pause_takes_a_part_of_the_time_however_long_it_is() -> None:
    async def paused() -> str:
        loop().jump(60)
        return await answer(3)

    assert await within(5, paused()) == "answer"


@in_virtual_time
async def test_what_does_not_end_in_time_is_cancelled_before_that_is_told() -> None:
    ended = False

    async def endless() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            ended = True

    with pytest.raises(TimeoutError):
        await within(5, endless())
    assert ended
    assert loop().time() == pytest.approx(6, rel=1 / LOOKS**4)


@in_virtual_time
async def test_who_is_cancelled_cancels_the_step() -> None:
    step = asyncio.create_task(within(5, answer(3)))
    await asyncio.sleep(1)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert len(asyncio.all_tasks()) == 1
