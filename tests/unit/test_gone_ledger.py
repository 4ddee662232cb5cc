"""What a worker and the loops beside it do once the ledger's file is gone, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.stage import Unreliable, stage
from tests.unit.virtual import clock, in_virtual_time
from unlost.handlers import Task
from unlost.ledger.protocol import LedgerGone
from unlost.ledger.values import Claim, Claimed, Report, Settled, Settlement
from unlost.task import Micros, State
from unlost.upkeep.monitor import Monitor
from unlost.worker.ending import Ending


class Gone(Unreliable):
    """Its steps are refused once it is `gone`, whatever they have done."""

    gone = False

    def _refuse(self) -> None:
        if self.gone:
            raise LedgerGone("gone")

    async def claim(self, claim: Claim) -> list[Claimed]:
        claimed = await super().claim(claim)
        self._refuse()
        return claimed

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        self._refuse()
        return await super().settle(settlements)

    async def claim_reports(self, limit: int, lease: Micros) -> list[Report]:
        self._refuse()
        return await super().claim_reports(limit, lease)


@in_virtual_time
async def test_it_starts_nothing_more_and_ends_without_waiting_for_what_cannot_be_settled() -> None:
    ran: list[str] = []

    async def handler(task: Task) -> None:
        ran.append(task.id)
        await asyncio.sleep(1)

    async with stage(handler, ledger=Gone(clock)) as play:
        await play.submit("running")
        await play.running("running")
        play.ledger.gone = True  # type: ignore[attr-defined]
        await play.submit("later")
        await asyncio.sleep(30)
        began = asyncio.get_running_loop().time()
        assert await play.drained() is Ending.DRAINED
        assert asyncio.get_running_loop().time() < began + 3
        assert ran == ["running"]
        assert (await play.record("running")).state is State.RUNNING  # who starts next reaps it


@in_virtual_time
async def test_the_loops_leave_it_to_the_ledger_to_say_so(caplog: pytest.LogCaptureFixture) -> None:
    async def write(_: bytes) -> None: ...

    ledger = Gone(clock)
    ledger.gone = True
    monitor = asyncio.create_task(Monitor(ledger, write).run())
    async with stage(lambda _: None, ledger=ledger):
        await asyncio.sleep(30)
    monitor.cancel()
    assert [record.message for record in caplog.records] == []
