"""Dead letters, and the reports of deaths."""

from __future__ import annotations

from collections.abc import Collection

from unlost.effects import Forget
from unlost.ledger.dynamodb.dead_letters import reporting
from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.ledger.dynamodb.tasks import acts, listing
from unlost.ledger.values import ROOM, Group, Report
from unlost.task import Act, Event, Micros


class DeadLetters(Opened):
    """Keeps the promises of `protocol.DeadLetters` and `Reports`."""

    async def groups(self, room: int = ROOM, types: Collection[str] | None = None) -> list[Group]:
        return await listing.groups(self._calls, room, types)

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
        act = Act(self._clock(), Event.REDRIVE, by, reason, api_key, call)
        async with self._telling(act.at) as tell:
            await acts.redrive(self._calls, tell, task_id, act, payload, self._patience, forget)

    async def discard(
        self,
        task_id: str,
        by: str | None,
        reason: str | None,
        *,
        api_key: str | None = None,
        call: str | None = None,
    ) -> None:
        act = Act(self._clock(), Event.DISCARD, by, reason, api_key, call)
        async with self._telling(act.at) as tell:
            await acts.discard(self._calls, tell, task_id, act)

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        return await reporting.claim_reports(self._calls, limit, lease, self._clock())

    async def claim_report(self, report_id: int, lease: Micros) -> Report | None:
        """Lease this one report; None where it was recorded as made, or is leased."""
        return await reporting.claim_report(self._calls, report_id, lease, self._clock())

    async def reported(self, report_ids: Collection[int]) -> None:
        await reporting.reported(self._calls, report_ids)
