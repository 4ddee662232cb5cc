"""Workers that claim by the API: nobody of ours watches them but by their leases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from unlost.ledger.values import Held, Pull, Pulled
from unlost.task import Micros


@runtime_checkable
class Pulling(Protocol):
    """What a ledger does for workers that claim by the API."""

    async def pull(self, wanted: Pull) -> Pulled:
        """Enlist the worker, and start attempts as `Attempts.claim` does.  No claim shortens the
        worker's lease.

        Where attempts of an earlier call of the same claim run, these are given again, and none is
        started.  One that has to run alone is given to a worker that holds nothing, by itself, and
        while it runs nothing else is given to that worker.

        Raises AnothersWorker where the worker was enlisted by another key, or claims otherwise;
        AnotherCall where the claim was another worker's or named other types; LeaseOver where the
        worker's lease is over, and it holds attempts that are lost thereby or the claim `waits`.
        """
        ...

    async def lone(self) -> dict[str, Micros]:
        """The types of tasks that are due, must run alone and have room; and for how long the
        first of each has been due (approximately)."""
        ...

    async def prolong(self, worker: str, owner: str, lease: Micros) -> None:
        """Let the worker's lease end in `lease` from now.

        Raises LeaseOver where it is over, AnothersWorker.
        """
        ...

    async def standing(self, tokens: Mapping[str, str]) -> dict[str, str]:
        """Of these tokens (each with its task id), those whose attempts run and have time left, and
        the worker of each.

        An attempt whose worker's lease is over runs until somebody has settled it as lost.
        """
        ...

    async def overtime(self) -> list[Held]:
        """The running attempts that were pulled, and whose time is over."""
        ...
