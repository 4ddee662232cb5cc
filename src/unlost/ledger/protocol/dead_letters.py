"""Dead letters: what people do about tasks that died, and the report of each death."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from unlost.effects import Forget
from unlost.ledger.values import ROOM, Group, Report
from unlost.task import Micros


class DeadLetters(Protocol):
    """Looking at dead letters, and deciding on them; `api_key` names the key that does it.

    `call` says which call it is, where that may come twice (see `ledger.calls`): one that was made
    on this task before raises Repeated, its id given to another one AnotherCall.
    """

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        """Dead letters counted by fingerprint, most first; with `types`, those of these alone.

        Samples are cut where there are so many that they would weigh more than `room`.
        """
        ...

    async def redrive(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        payload: str | None = None,
        *,
        api_key: str | None = None,
        call: str | None = None,
        forget: Forget | None = None,
    ) -> None:
        """Give a dead letter a fresh set of attempts, due now.

        A new `payload` replaces the old one for attempts; replays are still compared with what
        was first submitted.  `forget` says which of its steps are made again; with a new payload
        it has to be said where any stands.

        Raises UnknownTask, Refused, StepsStand, TooManyForgotten.
        """
        ...

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        """Make a dead letter cancelled, its history kept.  Raises UnknownTask, Refused."""
        ...


class Reports(Protocol):
    """Telling each death once."""

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        """Deaths not yet reported; nobody else gets them for `lease`."""
        ...

    async def reported(self, report_ids: Collection[int]) -> None:
        """Record that these deaths were reported."""
        ...
