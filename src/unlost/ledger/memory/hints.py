"""Hints: they may be lost, repeated and late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from unlost.ledger.memory.store import Store
from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken


class Hints(Store):
    """Keeps the promises of `protocol.Hints`."""

    async def wait(self, seconds: float) -> Woken:
        return await self._hints.wait(seconds)

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        return self._hints.transitions()
