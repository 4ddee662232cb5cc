"""Attempts, and the workers that may claim them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from unlost.ledger.values import Claim, Claimed, Enlisted, Held, Settled, Settlement, Worker
from unlost.limits.control import Claimant
from unlost.task import Micros


class Workers(Protocol):
    """Who may claim, and until when."""

    async def enlist(self, worker: Worker, lease: Micros) -> None:
        """Let this worker claim, for `lease` from now.

        Of one that is enlisted already, word that it is starting, which may come late, changes
        the lease alone.  Strikes off the workers that hold nothing and whose lease has been over
        for as long as one lasts: after an outage their heartbeats come yet.
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


class Attempts(Protocol):
    """How attempts start, run and end."""

    async def claim(self, claim: Claim) -> list[Claimed]:
        """Start attempts: highest priority first, then oldest due (approximately).

        None starts for which its type's `Control` leaves no room, or which it gives to others; what
        is passed over so is found once that changes.  The attempts are recorded and counted before
        this returns.  After an unknown outcome, `held` names what was claimed.  Raises LeaseOver.
        """
        ...

    async def due_in(
        self,
        types: Collection[str] | None,
        *,
        alone: bool = False,
        claimant: Claimant = Claimant.LOCAL,
        after: Claim | None = None,
    ) -> Micros | None:
        """How long until a claim of this kind could find a task; None if nothing waits.

        A duration, by the ledger's clock: the caller's own may be off.  What waits for a rate is
        due when it lets it start.  Types and keys that have no room otherwise are left out, and
        with `Claimant.PULL` what is not due for an hour may be.  So may what came `after` a claim
        of this kind: a hint tells of that.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End attempts; false for each whose token is not the running attempt's.

        The settlements that held survive a crash of everything once this returns.
        """
        ...

    async def held(self, worker: str | None) -> list[Held]:
        """The running attempts of this worker; None: of all workers whose lease is over."""
        ...

    async def dropped(self, tokens: Mapping[str, str]) -> list[str]:
        """Of these tokens (each with its task id), those that no longer run."""
        ...
