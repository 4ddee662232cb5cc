"""Upkeep: age, health, the end."""

from __future__ import annotations

from typing import Protocol

from unlost.task import Micros


class Upkeep(Protocol):
    """What keeps a ledger small, and its end."""

    async def purge(self, before: Micros, limit: int) -> int:
        """Remove payload, result and attempts of succeeded and cancelled tasks last updated
        before `before`; how many (at most `limit`).  What people did to them stays."""
        ...

    async def ping(self) -> None:
        """Prove that the ledger answers a write."""
        ...

    async def close(self) -> None:
        """Give everything back; safe to call twice."""
        ...
