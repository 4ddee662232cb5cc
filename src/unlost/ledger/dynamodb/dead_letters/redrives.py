"""Redrives, which this home does not offer yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from unlost.ledger.protocol import NotHere
from unlost.ledger.values import RedriveCopy, RedriveQuery
from unlost.redrive import Named, Redrive, RedriveState
from unlost.task import Micros

INSTEAD: Final = "POST /dead-letters/redrive"


class Redrives:
    """Has no redrives and begins none: NotHere."""

    async def add_redrive(self, _new: Redrive, _named: Named) -> tuple[Redrive, bool]:
        raise NotHere(INSTEAD)

    async def get_redrive(self, _redrive_id: str) -> Redrive | None:
        raise NotHere(INSTEAD)

    async def list_redrives(self, _query: RedriveQuery) -> list[Redrive]:
        raise NotHere(INSTEAD)

    async def stop_redrive(self, _redrive_id: str, _why: str) -> Redrive:
        raise NotHere(INSTEAD)

    async def step_redrive(self, _redrive_id: str) -> Redrive:
        raise NotHere(INSTEAD)

    async def open_redrives(self) -> list[str]:
        return []

    async def count_redrives(self) -> dict[RedriveState, int]:
        return {}

    async def purge_redrives(self, _before: Micros, _limit: int) -> int:
        return 0

    async def copy_redrives(self, _after: str, _limit: int) -> list[RedriveCopy]:
        return []

    async def restore_redrives(self, copies: Sequence[RedriveCopy]) -> None:
        if copies:
            raise NotHere(INSTEAD)
