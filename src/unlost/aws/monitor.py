"""`monitor`: the function on the dead-letter queue, which reports deaths in the log.

What is reported is what the ledger knows; a message only says where to look.  One that came there
by the queue's own redrive policy leads to a task that `process` could not decide on: it is hinted
again, unless its type is marked `pull`.  What is not ours is kept in the table, since reading a
queue empties it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from unlost.aws import environment, home, sandbox
from unlost.aws.queues import messages
from unlost.aws.queues.messages import Message
from unlost.aws.queues.queue import QueueUnavailable
from unlost.aws.queues.strangers import Strangers
from unlost.aws.tracing import Function
from unlost.ledger.dynamodb import schema
from unlost.ledger.dynamodb.hints.telling import Announce, Hint
from unlost.ledger.opening import wall_clock
from unlost.ledger.protocol import Ledger, LedgerUnavailable
from unlost.ledger.values import Report
from unlost.task import SECOND, TERMINAL, Micros
from unlost.telemetry.logs import Log
from unlost.telemetry.redaction import Redaction
from unlost.upkeep.monitor import LEASE, Monitor

RETURN_DELAY: Final = 60 * SECOND
"""How long a task that nothing could be decided on is left alone before its next message."""

log = Log("unlost.aws.monitor")

Record = Mapping[str, Any]


class ByIdLedger(Ledger, Protocol):
    """A ledger whose reports can be claimed by their ids."""

    async def claim_report(self, report_id: int, lease: Micros) -> Report | None:
        """Lease this report; None where it was recorded as made, or is leased."""
        ...


class Deaths:
    """Goes through the messages of one invocation after another.  `counts` says what they were."""

    def __init__(
        self, ledger: ByIdLedger, monitor: Monitor, announce: Announce, strangers: Strangers
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = ledger
        self._monitor = monitor
        self._announce = announce
        self._strangers = strangers

    async def batch(self, records: Sequence[Record]) -> list[str]:
        """The ids of the messages that have to come again."""
        again: list[str] = []
        reports: dict[str, Report] = {}  # by message
        for record in records:
            try:
                report = await self._look_at(record)
            except (LedgerUnavailable, QueueUnavailable) as error:
                log.warning("message.held", extra=_named(record) | {"why": str(error)})
                again.append(record["messageId"])
            except Exception:  # no report of one task may keep the others from being made
                log.exception("message.failed", extra=_named(record))
                again.append(record["messageId"])
            else:
                if report is not None:
                    reports[record["messageId"]] = report
        return again + await self._tell(reports)

    async def _tell(self, reports: Mapping[str, Report]) -> list[str]:
        """Report these deaths; the messages of those that are not written or not recorded."""
        try:
            written = await self._monitor.tell(list(reports.values()))
        except LedgerUnavailable as error:
            log.warning("ledger.unavailable", extra={"why": str(error)})
            return list(reports)
        self.counts["deathsReported"] += sum(written)
        return [name for name, done in zip(reports, written, strict=True) if not done]

    async def _look_at(self, record: Record) -> Report | None:
        """The report that a message leads to, leased; None where that was all."""
        try:
            message = messages.read(record["body"])
        except messages.NotOurs as wrong:
            await self._keep(record, str(wrong))
            return None
        if message.report_id is not None:
            report = await self._ledger.claim_report(message.report_id, LEASE)
            if report is not None:
                return report
        await self._bring_on(record, message)
        return None

    async def _bring_on(self, record: Record, message: Message) -> None:
        """Have the task looked at again, if it is open."""
        task = await self._ledger.get(message.task_id, ())
        if task is None:
            await self._keep(record, "no task has this id")
        elif task.state not in TERMINAL and message.report_id is None:
            log.warning("message.returned", extra=_named(record) | {"taskId": message.task_id})
            self.counts["messagesReturned"] += 1
            if not any(one.pull and one.type == task.type for one in await self._ledger.controls()):
                mark = None if task.key is None else schema.key_mark(task.key)
                await self._announce.due([Hint(message.task_id, RETURN_DELAY, mark)])

    async def _keep(self, record: Record, why: str) -> None:
        await self._strangers.keep(record["messageId"], record["body"], why)
        log.error("message.unparseable", extra=_named(record) | {"why": why})
        self.counts["messagesUnparseable"] += 1


def _named(record: Record) -> dict[str, object]:
    return {"messageId": record["messageId"]}


def make() -> Function:
    """The function, once in a sandbox."""
    box = sandbox.opened((environment.QUEUE,))
    ledger, queue, calls = home.opened(box)

    async def write(line: bytes) -> None:
        box.logs.output.write(line.decode().removesuffix("\n"))

    monitor = Monitor(ledger, write, Redaction(box.environment.settings.redact))
    deaths = Deaths(ledger, monitor, queue, Strangers(calls, wall_clock))

    def function(event: Any, context: Any) -> Any:
        box.invoked(context)
        again = box.run(deaths.batch(event.get("Records", ())))
        box.logs.measure(deaths.counts)
        deaths.counts.clear()
        return {"batchItemFailures": [{"itemIdentifier": one} for one in again]}

    return box.traced(function)


handler = sandbox.entry(make)
