"""Workers: who may claim, and until when."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from unlost.ledger.values import Enlisted, Worker
from unlost.task import Micros


class Workers(Protocol):
    """Who may claim, and until when."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        """Let this worker claim, for `lease` from now.

        Strikes off the workers whose lease is over and that hold nothing.
        """
        ...

    async def extend(self, workers: Collection[str], lease: Micros) -> set[str]:
        """Extend these workers' leases; returns those that are still enlisted."""
        ...

    async def dismiss(self, worker: str, *, expired: bool = False) -> None:
        """Strike a worker off; with `expired`, only if its lease is over and it holds nothing."""
        ...

    async def workers(self) -> list[Enlisted]:
        """The workers whose leases hold, by id, and what they run."""
        ...
