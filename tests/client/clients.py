"""Both clients behind one face, so that one test is for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

from unlost import AsyncClient, Client


class Blocking:
    """An AsyncClient, or a part of it, whose calls wait in a loop of their own."""

    def __init__(self, target: object, runner: asyncio.Runner) -> None:
        self._target = target
        self._runner = runner

    def __getattr__(self, name: str) -> object:
        found = getattr(self._target, {"close": "aclose"}.get(name, name))
        return self._blocking(found) if callable(found) else Blocking(found, self._runner)

    def _blocking(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def blocking(*args: Any, **named: Any) -> Any:
            made = call(*args, **named)
            if isinstance(made, Awaitable):
                return self._runner.run(_awaited(made))
            return self._each(made) if isinstance(made, AsyncIterator) else made

        return blocking

    def _each(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        iterator = aiter(items)
        try:
            while True:
                try:
                    item = self._runner.run(_awaited(anext(iterator)))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if close := getattr(iterator, "aclose", None):
                self._runner.run(close())


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made


Made = Callable[..., Client]
"""Makes a client of the kind that the test is for; it is closed after the test."""


def make(kind: object, runner: asyncio.Runner, *args: Any, **named: Any) -> Client:
    """A client of this kind."""
    if kind is AsyncClient:
        return cast("Client", Blocking(AsyncClient(*args, **named), runner))
    return Client(*args, **named)
