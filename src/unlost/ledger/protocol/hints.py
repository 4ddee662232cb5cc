"""Hints: they may be lost, repeated and late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from unlost.ledger.values import Transition


class Hints(Protocol):
    """What has become due or has changed, as far as one hears of it."""

    async def wait(self, seconds: float) -> None:
        """Return when a task may have become due, or after `seconds`."""
        ...

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        """What changes from now on."""
        ...
