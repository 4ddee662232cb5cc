"""Memory that is free goes back to the system, whether an answer was large or none."""

from __future__ import annotations

import asyncio
import ctypes
from types import SimpleNamespace

import pytest

from unlost.api.answers import giving_back


@pytest.mark.parametrize("large", [True, False])
async def test_it_is_given_back_again_and_again(
    monkeypatch: pytest.MonkeyPatch, *, large: bool
) -> None:
    loop, freed = asyncio.get_running_loop(), asyncio.Event()
    given: asyncio.Queue[int] = asyncio.Queue()

    def trim(left: int) -> None:
        loop.call_soon_threadsafe(given.put_nowait, left)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=trim))
    monkeypatch.setattr(giving_back, "SOON", 0.0)
    monkeypatch.setattr(giving_back, "EVERY", 3_600.0 if large else 0.001)
    giving = asyncio.create_task(giving_back.giving_back(freed))
    for _ in range(3):
        if large:
            freed.set()
        assert await asyncio.wait_for(given.get(), 10) == 0
    giving.cancel()
    await asyncio.wait([giving])


async def test_nothing_is_done_where_the_c_library_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    await asyncio.wait_for(giving_back.giving_back(asyncio.Event()), 10)
