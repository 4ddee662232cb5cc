"""Reports: each death is told, by one monitor."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from unlost.ledger.values import Report
from unlost.task import Micros


class Reports(Protocol):
    """Telling each death once."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        """Deaths not yet reported; nobody else gets them for `lease`."""
        ...

    async def reported(self, report_ids: Collection[int]) -> None:
        """Record that these deaths were reported."""
        ...
