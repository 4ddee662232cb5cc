"""Redrives: giving many dead letters a fresh set of attempts, step by step, until they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from unlost.ledger.values import RedriveCopy, RedrivePlace, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros


class Redrives(Protocol):
    """Redrives that go on by steps; see `unlost.redrive`, which decides what a step does."""

    async def add_redrive(self, new: Redrive, named: Named) -> tuple[Redrive, bool]:
        """Begin a redrive, of what is dead by now; the redrive, and whether it is new.

        Where one has its id already, that one, as it is.  Nothing is taken before its first step.
        """
        ...

    async def begun(self, seconds: float) -> None:
        """Return when a redrive may have begun, or after `seconds`: a hint, which may be lost, and
        which not all ledgers give."""
        ...

    async def get_redrive(self, redrive_id: str) -> Redrive | None:
        """The redrive as it is now."""
        ...

    async def list_redrives(self, query: RedriveQuery) -> list[Redrive]:
        """Redrives, newest first (by `started_at`, then by id)."""
        ...

    async def stop_redrive(self, redrive_id: str, why: str) -> Redrive:
        """Let a redrive take nothing more; what it took goes on.  Raises UnknownRedrive.

        One that takes nothing anyway stays as it is.
        """
        ...

    async def step_redrive(self, redrive_id: str) -> Redrive:
        """Count what has ended, and take what may go next.  Raises UnknownRedrive.

        The redrive as that leaves it; where somebody else makes a step of it, as it is.
        """
        ...

    async def open_redrives(
        self, limit: int, after: RedrivePlace | None = None
    ) -> list[RedrivePlace]:
        """Redrives that steps may still change, oldest first: those after `after`, at most
        `limit`."""
        ...

    async def count_redrives(self) -> dict[RedriveState, int]:
        """How many there are in each state in which there are any."""
        ...

    async def purge_redrives(self, before: Micros, limit: int) -> int:
        """Remove redrives that no step changes any more, last changed before `before`; how many
        (at most `limit`).  What they did stays in the letters' histories."""
        ...

    async def copy_redrives(self, after: str, limit: int) -> list[RedriveCopy]:
        """Redrives with an id above `after`, by id, with all that is kept of them."""
        ...

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        """Keep redrives as another ledger kept them, once their letters are there.

        One whose id is there already stays as it is.
        """
        ...
