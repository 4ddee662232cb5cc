"""What people set for types."""

from __future__ import annotations

from functools import partial
from typing import Final

from unlost.batches import BatchSize
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.controls import controlling, pacing
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.protocol import LedgerUnavailable
from unlost.limits.control import Change, Control, shown

BRING_BACK_AT_ONCE: Final = 5_000
"""Parked tasks brought back in one transaction."""


class Controls(Opened):
    """Keeps the promises of `protocol.Controls`."""

    _bringing_back = BatchSize.of(BRING_BACK_AT_ONCE)

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        step = partial(controlling.pause, task_type=task_type, by=by, reason=reason)
        await self._store.write(step, SOON)
        self._controlled = True

    async def resume(self, task_type: str) -> None:
        await self._store.write(partial(controlling.resume, task_type=task_type), SOON)

    async def change(self, task_type: str, change: Change) -> None:
        step = partial(controlling.change, task_type=task_type, change=change)
        lifted = await self._store.write(step, SOON)
        self._controlled = True
        while change.by_key and await self._bring_back(task_type) > 0:
            pass
        if lifted:
            await self._store.write(partial(controlling.forget_key_rate, task_type=task_type), SOON)

    async def _bring_back(self, task_type: str) -> int:
        limit = self._bringing_back.now
        step = partial(pacing.bring_all_back, task_type=task_type, limit=limit)
        try:
            count = await self._store.write(step)
        except LedgerUnavailable:
            self._bringing_back = self._bringing_back.failed(limit)
            raise
        self._bringing_back = self._bringing_back.succeeded()
        return count

    async def controls(self) -> list[Control]:
        return shown(await self._store.read(controlling.controls))
