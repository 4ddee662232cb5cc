"""Controls: what people set for a type of tasks."""

from __future__ import annotations

from typing import Protocol

from unlost.limits.control import Change, Control


class Controls(Protocol):
    """What is set for types of tasks; see `unlost.limits.control`."""

    async def pause(self, task_type: str, by: str | None, reason: str | None) -> None:
        """Let no claim take a task of this type until `resume`; what runs goes on.

        Where it is paused already, that pause stays.
        """
        ...

    async def resume(self, task_type: str) -> None:
        """Let claims take tasks of this type again."""
        ...

    async def change(self, task_type: str, change: Change) -> None:
        """Set limits, rates or a breaker for a type; holds for all claims that begin after it."""
        ...

    async def controls(self) -> list[Control]:
        """What is set for types, and how their breakers stand; by type."""
        ...
