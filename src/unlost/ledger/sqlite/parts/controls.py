"""What people set for types."""

from __future__ import annotations

from functools import partial

from unlost.batches import BatchSize
from unlost.ledger.protocol import LedgerUnavailable
from unlost.ledger.sqlite.controls import controlling, pacing
from unlost.ledger.sqlite.parts.opened import Opened
from unlost.limits.control import Change, Control, shown

BRING_BACK_AT_ONCE = 5_000
"""Parked tasks brought back in one transaction."""


class Controls(Opened):
    """Keeps the promises of `protocol.Controls`."""

    _bringing_back = BatchSize.of(BRING_BACK_AT_ONCE)

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        await self._do(partial(controlling.pause, task_type=task_type, by=by, reason=reason))

    async def resume(self, task_type: str) -> None:
        await self._do(partial(controlling.resume, task_type=task_type))

    async def change(self, task_type: str, change: Change) -> None:
        lifted = await self._do(partial(controlling.change, task_type=task_type, change=change))
        while change.by_key and await self._bring_back(task_type) > 0:
            pass
        if lifted:
            await self._do(partial(controlling.forget_key_rate, task_type=task_type))

    async def _bring_back(self, task_type: str) -> int:
        limit = self._bringing_back.now
        step = partial(pacing.bring_all_back, task_type=task_type, limit=limit)
        try:
            count = await self._do(step, patient=True)
        except LedgerUnavailable:
            self._bringing_back = self._bringing_back.failed(limit)
            raise
        self._bringing_back = self._bringing_back.succeeded()
        return count

    async def controls(self) -> list[Control]:
        return shown(await self._read(controlling.controls))
