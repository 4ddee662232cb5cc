"""Steps: what attempts record of effects that are to happen once."""

from __future__ import annotations

from typing import Protocol

from unlost.effects import Recorded, Step
from unlost.ledger.values import NewStep, StepLook


class Steps(Protocol):
    """The steps of tasks; see `unlost.effects`, which decides what becomes of them."""

    async def effect_secret(self) -> bytes:
        """The ledger's own random bytes, always the same: what its effect keys come from."""
        ...

    async def look_step(self, task_id: str, token: str, name: str) -> StepLook:
        """Whether this token is the running attempt's, and if so what stands under the name, with
        its result; both at one moment."""
        ...

    async def record_step(self, new: NewStep) -> Recorded:
        """Record a step, only while its token is the running attempt's.

        It survives a crash of everything once this returns.
        """
        ...

    async def steps_of(self, task_id: str, *, results: bool = False) -> list[Step]:
        """What is recorded of this task's steps, forgotten ones too, by time, then by name; none
        where there is no such task."""
        ...
