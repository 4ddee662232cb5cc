"""What people set for types."""

from __future__ import annotations

from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.limits.control import Change, Control, Pause


class Controls(Opened):
    """Keeps the promises of `protocol.Controls`."""

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        await self._controls.pause(Pause(task_type, self._clock(), by, reason))

    async def resume(self, task_type: str) -> None:
        now = self._clock()
        async with self._telling(now) as tell:
            await self._controls.resume(task_type, tell)

    async def change(self, task_type: str, change: Change) -> None:
        now = self._clock()
        async with self._telling(now) as tell:
            await self._controls.change(task_type, change, tell, now)

    async def controls(self) -> list[Control]:
        return await self._controls.all()
