"""A worker's calls where nothing moves any more, in virtual time over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest

from tests.pulling.test_connections import CALL, CHUNKED, OK, Stage, serving
from tests.unit.virtual import VirtualLoop, in_virtual_time
from unlost.client.core.wire import Answer, NoAnswer, Reply

PATIENCE = 30.0


@asynccontextmanager
async def stalled(*scripts: list[bytes | None], idle: int) -> AsyncIterator[Stage]:
    """A server of these scripts, to which so many connections are open and idle."""
    loop = cast("VirtualLoop", asyncio.get_running_loop())
    async with AsyncExitStack() as opened:
        with loop.still():  # what sockets do takes no time
            stage = await opened.enter_async_context(serving(*scripts, patience=PATIENCE))
            await asyncio.gather(*(stage.there.ask(CALL) for _ in range(idle)))
        yield stage
        with loop.still():
            await opened.aclose()
            await loop.shutdown_default_executor()  # names are looked up there


async def timed(stage: Stage, within: float | None = None) -> tuple[Reply, float]:
    """What a call was answered, and the seconds for which it waited."""
    began = asyncio.get_running_loop().time()
    reply = await stage.there.ask(CALL, within)
    return reply, asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(
    ("last", "most"),
    [(None, PATIENCE), (CHUNKED, 1.25 * PATIENCE)],
    ids=["nothing comes", "half of it comes"],
)
@in_virtual_time
async def test_a_call_ends_where_nothing_has_moved_for_as_long_as_its_patience(
    last: bytes | None, most: float
) -> None:
    async with stalled([OK, last, None], idle=1) as stage:
        reply, seconds = await timed(stage)
    assert isinstance(reply, NoAnswer)
    assert reply.why.endswith("did not answer in time")
    assert PATIENCE <= seconds <= most


@in_virtual_time
async def test_a_call_that_has_a_time_of_its_own_ends_then() -> None:
    async with stalled([OK, None], idle=1) as stage:
        reply, seconds = await timed(stage, within=5.0)
    assert isinstance(reply, NoAnswer)
    assert reply.why.endswith("did not answer in time")
    assert seconds == 5.0


@in_virtual_time
async def test_the_call_after_one_that_found_no_way_takes_no_connection_of_before() -> None:
    async with stalled([OK, None], [OK, None], [OK], idle=2) as stage:
        reply, _ = await timed(stage, within=5.0)
        assert isinstance(reply, NoAnswer)
        loop = cast("VirtualLoop", asyncio.get_running_loop())
        with loop.still():
            call = asyncio.create_task(stage.there.ask(CALL))
            while len(stage.heads) < 4:  # noqa: ASYNC110  it is the server that notes them
                await asyncio.sleep(0)
            number, _ = stage.heads[-1]
            assert number == 2
            assert await call == Answer(200, b"{}")
