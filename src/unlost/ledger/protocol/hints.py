"""Hints: they may be lost, repeated and late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from unlost.ledger.values import Transition
from unlost.ledger.waking import Woken


class Hints(Protocol):
    """What has become due or has changed, as far as one hears of it."""

    async def wait(self, seconds: float) -> Woken:
        """Return when a task may have become due, or after `seconds`; the types that this is
        about, None for any."""
        ...

    def transitions(self) -> AbstractAsyncContextManager[AsyncIterator[list[Transition]]]:
        """What changes from now on."""
        ...
