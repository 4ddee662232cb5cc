"""The two SQS queues: hints for the workers, deaths for the monitor.

A queue is never the truth.  What it loses, repeats, delays or reorders costs time and nothing
else; so what cannot be sent is only told to the caller, who goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import boto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from unlost.aws.queues import messages
from unlost.ledger.dynamodb.connection.retrying import Passing, Retrying, once, passes
from unlost.ledger.dynamodb.hints.telling import Hint, NotTold, Onward
from unlost.ledger.values import Report
from unlost.settings import WrongSetting
from unlost.task import SECOND, Micros

LONGEST_DELAY: Final = 900
"""Seconds that SQS holds a message back at most.  What is due later is hinted by the sweep."""

LONGEST_VISIBILITY: Final = 43_200

AT_ONCE: Final = 10
HEAVIEST: Final = 1024 * 1024
"""Bytes of the messages that go in one call."""

TOGETHER: Final = 5
"""Seconds after the end of a redriven task until the step that counts it."""

THREADS: Final = 8
OUTLASTED: Final = 3.0
"""Seconds for which a call is made again that SQS does not take now: hints are worth no more, since
the sweep finds what they were about."""

T = TypeVar("T")
Entry = dict[str, Any]


class QueueUnavailable(NotTold):
    """SQS did not take it, or not surely."""


class QueueBusy(QueueUnavailable, Passing):
    """It may take it in a moment."""


class Receipt(msgspec.Struct, frozen=True):
    """A message that was received: its id, and what SQS knows this receiving by."""

    message_id: str
    handle: str


class Depths(msgspec.Struct, frozen=True):
    """Messages in the work queue (visible, held back, and in flight) and in the dead-letter one."""

    work: int
    dead_letters: int


def client() -> Any:
    """An SQS client; region, endpoint and credentials as boto3 finds them.  Raises WrongSetting."""
    try:
        return boto3.client("sqs", config=once(THREADS))
    except (BotoCoreError, ValueError) as fault:
        raise WrongSetting(f"there is no way to SQS: {fault}") from None


class SqsQueue:
    """The queues of one table; `client` is a boto3 SQS client, `retrying` says for how long it is
    asked again for what it does not take now."""

    def __init__(
        self,
        client: Any,
        queue_url: str,
        dead_letter_queue_url: str,
        retrying: Retrying | None = None,
    ) -> None:
        self._client = client
        self._retrying = retrying or Retrying(OUTLASTED)
        self._work = queue_url
        self._dead = dead_letter_queue_url
        self._pool = ThreadPoolExecutor(THREADS, "unlost-sqs")

    async def due(self, hints: Sequence[Hint]) -> None:
        """Send hints, held back until their tasks are due; those that SQS cannot hold back for so
        long are left to the sweep.  Raises QueueUnavailable once all was tried."""
        timed = [(hint, _seconds(hint.delay)) for hint in hints]
        await self._send(
            self._work,
            [
                {"MessageBody": messages.hint(hint.task_id), "DelaySeconds": seconds}
                | _fairly(hint)
                for hint, seconds in timed
                if seconds <= LONGEST_DELAY
            ],
        )

    async def died(self, reports: Sequence[Report]) -> None:
        """Send deaths to the dead-letter queue.  Raises QueueUnavailable once all was tried."""
        await self._send(self._dead, [{"MessageBody": messages.death(one)} for one in reports])

    async def onward(self, redrives: Sequence[Onward]) -> None:
        """Send that these redrives may go on.  What has ended waits for others that end about then:
        one step sees them all.  Raises QueueUnavailable once all was tried."""
        await self._send(
            self._work,
            [
                {
                    "MessageBody": messages.onward(one),
                    "DelaySeconds": 0 if one.at is None else TOGETHER,
                }
                for one in redrives
            ],
        )

    async def give_back(self, receipts: Sequence[Receipt], seconds: float) -> None:
        """Let received messages be received again so many seconds from now, rather than when
        their visibility timeout is over.  Raises QueueUnavailable."""
        entries = [
            {
                "ReceiptHandle": receipt.handle,
                "VisibilityTimeout": min(max(0, round(seconds)), LONGEST_VISIBILITY),
            }
            for receipt in receipts
        ]
        await self._in_batches(
            "change_message_visibility_batch", self._work, [_numbered(entries)] if entries else []
        )

    async def depths(self) -> Depths:
        """How many messages there are, approximately.  Raises QueueUnavailable."""
        work, dead = await asyncio.gather(self._depth(self._work), self._depth(self._dead))
        return Depths(work, dead)

    async def _depth(self, url: str) -> int:
        names = ["", "Delayed", "NotVisible"]
        wanted = [f"ApproximateNumberOfMessages{name}" for name in names]
        answer = await self._again(
            lambda: self._once("get_queue_attributes", QueueUrl=url, AttributeNames=wanted)
        )
        return sum(int(answer["Attributes"].get(name, 0)) for name in wanted)

    async def _send(self, url: str, entries: Sequence[Entry]) -> None:
        batches = [_numbered(batch) for batch in packed(entries)]
        await self._in_batches("send_message_batch", url, batches)

    async def _in_batches(self, method: str, url: str, batches: Iterable[list[Entry]]) -> None:
        """Make all calls, then raise the first failure."""
        steps = (self._batch(method, url, batch) for batch in batches)
        for failure in await asyncio.gather(*steps, return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure

    async def _batch(self, method: str, url: str, entries: list[Entry]) -> None:
        async def bring_the_rest() -> None:
            nonlocal entries
            answer = await self._once(method, QueueUrl=url, Entries=entries)
            failed = {one["Id"]: one for one in answer.get("Failed", ())}
            entries = [entry for entry in entries if entry["Id"] in failed]
            if entries:
                kind = QueueUnavailable if any(map(_is_ours, failed.values())) else QueueBusy
                raise kind(
                    f"SQS refuses {len(entries)} messages: {failed[entries[0]['Id']]['Code']}"
                )

        await self._again(bring_the_rest)

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it is answered.  Raises QueueUnavailable."""
        try:
            return await self._retrying(call)
        except TimeoutError as late:
            raise QueueBusy("no time is left to wait for SQS") from late

    async def _once(self, method: str, **arguments: Any) -> Any:
        bound: Callable[..., Any] = getattr(self._client, method)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, lambda: bound(**arguments))
        except (BotoCoreError, ClientError) as fault:
            raise _meaning(fault, arguments["QueueUrl"]) from fault

    def close(self) -> None:
        """Wait for the calls under way."""
        self._pool.shutdown()


def _is_ours(failed: Any) -> bool:
    """Whether it is the message's own fault that SQS does not take it."""
    return bool(failed.get("SenderFault"))


def _meaning(fault: ClientError | BotoCoreError, url: str) -> QueueUnavailable:
    """What is not QueueBusy lasts until somebody has mended it: the message says what."""
    if passes(fault):
        return QueueBusy(f"SQS does not answer: {fault}")
    return QueueUnavailable(f"SQS refuses, for {url}: {fault}")


def _seconds(delay: Micros) -> int:
    """A delay in whole seconds, never shorter than asked."""
    return -(-delay // SECOND)


def _fairly(hint: Hint) -> Entry:
    """What makes a queue fair: the key that has much under way waits behind those that have little.
    AWS takes a little more for such messages, so there is none where nobody gave a key."""
    return {} if hint.mark is None else {"MessageGroupId": hint.mark}


def _numbered(entries: Sequence[Entry]) -> list[Entry]:
    return [{"Id": str(number), **entry} for number, entry in enumerate(entries)]


def packed(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries in batches that SQS takes: by their number and by their weight."""
    batch: list[Entry] = []
    weight = 0
    for entry in entries:
        heavy = len(entry["MessageBody"].encode())
        if batch and (len(batch) == AT_ONCE or weight + heavy > HEAVIEST):
            yield batch
            batch, weight = [], 0
        batch.append(entry)
        weight += heavy
    if batch:
        yield batch
