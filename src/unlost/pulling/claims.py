"""One claim after the other, each the same again until it was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Final

from unlost.awake import within
from unlost.ledger.protocol import LedgerUnavailable
from unlost.policy import Limits
from unlost.pulling import wire
from unlost.pulling.service import MOST, Service
from unlost.worker.unavailable import AGAIN

Attempts = tuple[wire.Attempt, ...]

TO_RESOLVE: Final = 3.0
"""Seconds that a worker which ends has, beyond what its claim waits, to hear what that gave."""


class Claims:
    """The claims of one worker."""

    def __init__(
        self,
        service: Service,
        worker: str,
        types: Mapping[str, Limits],
        lease: float,
        random: Random,
    ) -> None:
        self._service = service
        self._worker = worker
        self._types = types
        self._lease = lease
        self._random = random
        self._open: wire.Claim | None = None  # its answer has not come
        self._call: asyncio.Task[Attempts] | None = None

    async def ask(self, limit: int, wait: float, told: asyncio.Event) -> Attempts | None:
        """The attempts that a claim gives which waits so many seconds for some; None once `told`
        is set: then the rest is for `rest`.  Raises LedgerUnavailable."""
        self._open = self._claim(limit, wait)
        self._call = asyncio.create_task(self._service.claim(self._open))
        ends = asyncio.create_task(told.wait())
        await asyncio.wait({self._call, ends}, return_when=asyncio.FIRST_COMPLETED)
        ends.cancel()
        return None if told.is_set() else await self._answer(self._call)

    async def rest(self) -> Attempts:
        """What the last claim gives, if it was not answered; nothing where no answer comes soon."""
        waits = self._open.wait if self._open else 0
        try:
            return await within(waits + TO_RESOLVE, self._resolved())
        except TimeoutError:
            return ()

    async def _resolved(self) -> Attempts:
        tries = 0
        while self._open is not None:
            if self._call is None:
                self._call = asyncio.create_task(self._service.claim(self._claim(1, 0)))
            try:
                return await self._answer(self._call)
            except LedgerUnavailable:
                tries += 1
                await asyncio.sleep(AGAIN.wait(tries, self._random.random()))
        return ()

    async def _answer(self, call: asyncio.Task[Attempts]) -> Attempts:
        try:
            found = await call
        finally:
            self._call = None
        self._open = None
        return found

    def _claim(self, limit: int, wait: float) -> wire.Claim:
        name = f"{self._random.getrandbits(128):032x}" if self._open is None else self._open.claim
        return wire.Claim(
            name,
            self._worker,
            tuple(self._types),
            wire.options(self._types),
            min(limit, MOST),
            self._lease,
            wait,
        )
