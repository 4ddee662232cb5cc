"""Dead letters, and the reports of deaths."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from unlost.effects import Forget
from unlost.ledger.calls import Who
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.dead_letters import grouping, reporting
from unlost.ledger.postgres.parts.opened import Opened
from unlost.ledger.postgres.tasks import acts
from unlost.ledger.values import ROOM, Group, Report
from unlost.task import Micros


class DeadLetters(Opened):
    """Keeps the promises of `protocol.DeadLetters` and `Reports`."""

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        return await self._store.read(partial(grouping.groups, room=room, types=types))

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
        who = Who(by, reason, api_key, call)
        step = partial(acts.redrive, task_id=task_id, who=who, payload=payload, forget=forget)
        await self._store.write(step, SOON)

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        step = partial(acts.discard, task_id=task_id, who=Who(by, reason, api_key, call))
        await self._store.write(step, SOON)

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await self._store.write(partial(reporting.claim_reports, limit=limit, lease=lease))

    async def reported(self, report_ids: Collection[int]) -> None:
        await self._store.write(partial(reporting.reported, report_ids=report_ids))
