"""The monitor: reports each dead letter in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from unlost.ledger.protocol import LedgerUnavailable, Reports
from unlost.ledger.unavailable import log_unavailable
from unlost.ledger.values import Report
from unlost.task import SECOND
from unlost.telemetry import logs
from unlost.telemetry.logs import Log
from unlost.telemetry.redaction import NOTHING, Redaction
from unlost.times import rfc3339

INTERVAL = 0.5
"""Seconds between looks for deaths that are not reported."""

LEASE = 30 * SECOND
"""How long a report is this monitor's own; should it crash, another one reports it after that."""

AT_ONCE = 100

log = Log("unlost.monitor")


class Monitor:
    """Writes a line for each death, and records it only once that line is written.

    `write` returns when the line is out of this process, and raises OSError if it cannot be.
    """

    def __init__(
        self,
        ledger: Reports,
        write: Callable[[bytes], Awaitable[None]],
        redaction: Redaction = NOTHING,
    ) -> None:
        self._ledger = ledger
        self._redaction = redaction
        self._write = write
        self._unrecorded: set[int] = set()  # written, but the ledger does not know
        self._turn = asyncio.Lock()
        self._reporting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            try:
                await self.report()
            except LedgerUnavailable as error:
                log_unavailable(log, error)
            await asyncio.sleep(INTERVAL)

    async def report(self) -> None:
        """Report all deaths that nobody has reported.  Raises LedgerUnavailable.

        Goes on if its caller is cancelled, since what it has leased nobody else reports before
        that lease is over; whoever calls next waits for it.
        """
        self._reporting = asyncio.create_task(self._report())
        await asyncio.shield(self._reporting)

    async def _report(self) -> None:
        async with self._turn:
            await self._record()
            while reports := await self._ledger.claim_reports(AT_ONCE, LEASE):
                if not all(await self.tell(reports)):
                    return  # what could not be written comes again after its lease

    async def tell(self, reports: Sequence[Report]) -> list[bool]:
        """Write these reports, which are leased, and record those that are written; which are.

        Raises LedgerUnavailable.
        """
        written = [await self._write_once(report) for report in reports]
        await self._record()
        return written

    async def _record(self) -> None:
        if self._unrecorded:
            await self._ledger.reported(self._unrecorded)
            self._unrecorded.clear()

    async def _write_once(self, report: Report) -> bool:
        if report.id in self._unrecorded:
            return True
        try:
            await self._write(line(report, self._redaction))
        except OSError:
            return False
        self._unrecorded.add(report.id)
        return True


def line(report: Report, redaction: Redaction = NOTHING) -> bytes:
    """A death as a line of the log, with the payload's own text but for what is not shown."""
    return logs.encode(
        {
            "at": rfc3339(report.died_at),
            "level": "error",
            "event": "task.dead_lettered",
            "taskId": report.task_id,
            "type": report.type,
            "payload": msgspec.Raw(redaction.mask(report.payload, report.type).encode()),
            "error": {"type": report.error.type, "message": report.error.message},
            "attemptCount": report.attempt_count,
            "submittedAt": rfc3339(report.submitted_at),
        }
    )
