"""Effects of which handlers say that they have happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from unlost.ledger.values import EffectPage, NewEffect


@runtime_checkable
class Effects(Protocol):
    """The effects that attempts declared, by attempt and turn."""

    async def declare_effects(self, new: Sequence[NewEffect]) -> None:
        """Record effects, whether their attempts still run or not: what happened has happened.

        Of tasks that are there, and not purged; what is recorded already stays as it is.  It
        survives a crash of everything once this returns.
        """
        ...

    async def list_effects(self, cursor: str | None, limit: int) -> EffectPage:
        """A page of all that is recorded, at most `limit`.  Raises BadCursor."""
        ...
