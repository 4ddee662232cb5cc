"""Controls: what people set for a type of tasks."""

from __future__ import annotations

from unlost.ledger.memory.store import Store
from unlost.limits.control import Change, Control, Pause


class Controls(Store):
    """Keeps the promises of `protocol.Controls`."""

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        self._controls.pause(Pause(task_type, self._now(), by, reason))

    async def resume(self, task_type: str) -> None:
        self._controls.resume(task_type)
        self._hints.wake()

    async def change(self, task_type: str, change: Change) -> None:
        self._controls.change(task_type, change)
        self._hints.wake()

    async def controls(self) -> list[Control]:
        return self._controls.listed()
