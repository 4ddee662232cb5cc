"""Dead letters: what people do about tasks that died."""

from __future__ import annotations

from typing import Protocol

from unlost.ledger.values import Group, Selection


class DeadLetters(Protocol):
    """Looking at dead letters, and deciding on them."""

    async def groups(self) -> list[Group]:
        """Dead letters counted by fingerprint, most first."""
        ...

    async def redrive(
        self, task_id: str, by: str | None, reason: str | None, payload: str | None = None
    ) -> None:
        """Give a dead letter a fresh set of attempts, due now.  Raises UnknownTask, Refused.

        A new `payload` replaces the old one for attempts; replays are still compared with what
        was first submitted.
        """
        ...

    async def redrive_many(
        self, selection: Selection, by: str | None, reason: str | None
    ) -> tuple[int, bool]:
        """Redrive dead letters, oldest death first; how many, and whether the run has more."""
        ...

    async def discard(self, task_id: str, by: str | None, reason: str | None) -> None:
        """Make a dead letter cancelled, its history kept.  Raises UnknownTask, Refused."""
        ...
