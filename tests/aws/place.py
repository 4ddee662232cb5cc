"""The AWS home in the emulator without its functions: a table, its queues, and what acts on them
as the functions do, on a clock that tests move."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from random import Random
from typing import Any

import boto3

from tests.aws.emulator import REGION
from tests.conformance.stage import Clock, submission
from tests.ledger.tables import SHARDS, CountedLedger, Table
from unlost.aws.attempting import Attempting
from unlost.aws.process import Process
from unlost.aws.queues.messages import hint
from unlost.aws.queues.queue import SqsQueue
from unlost.aws.redriving import Redriving
from unlost.aws.serving import Serving
from unlost.handlers import Handlers, Task
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.protocol import LedgerUnavailable
from unlost.settings import Settings
from unlost.task import Record as TaskRecord
from unlost.task import State

_numbers = count(1)
VISIBILITY = 30
RECEIVES = 3


def record(body: str, message_id: str = "", handle: str = "handle") -> dict[str, Any]:
    """A message as Lambda hands it over from SQS."""
    return {
        "messageId": message_id or f"message-{next(_numbers)}",
        "receiptHandle": handle,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000"},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:tasks",
        "awsRegion": "eu-central-1",
    }


def hints(*task_ids: str) -> list[dict[str, Any]]:
    """Messages that lead to these tasks."""
    return [record(hint(task_id)) for task_id in task_ids]


@dataclass
class Queues:
    """Two new queues, the one redriving to the other, and what is in them."""

    client: Any
    work: str
    dead: str

    @classmethod
    def create(cls, client: Any) -> Queues:
        number = next(_numbers)
        dead = client.create_queue(QueueName=f"dead-{number}")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {
            "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
            "maxReceiveCount": RECEIVES,
        }
        attributes = {
            "VisibilityTimeout": str(VISIBILITY),
            "RedrivePolicy": json.dumps(policy),
        }
        work = client.create_queue(QueueName=f"tasks-{number}", Attributes=attributes)["QueueUrl"]
        return cls(client, work, dead)

    def receive(self, url: str) -> list[dict[str, Any]]:
        """What is visible, as Lambda hands it over."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            if not answer.get("Messages"):
                return found
            found += [
                record(one["Body"], one["MessageId"], one["ReceiptHandle"])
                for one in answer["Messages"]
            ]

    def delete(self, url: str, records: Sequence[Mapping[str, Any]]) -> None:
        for one in records:
            self.client.delete_message(QueueUrl=url, ReceiptHandle=one["receiptHandle"])

    def taken(self, url: str) -> list[Any]:
        """The bodies of what is visible, which is gone then."""
        records = self.receive(url)
        self.delete(url, records)
        return [json.loads(one["body"]) for one in records]

    def remove(self) -> None:
        for url in (self.work, self.dead):
            self.client.delete_queue(QueueUrl=url)


@dataclass
class Place:
    """A ledger on a fresh table with its queues, and the functions' parts over them."""

    table: Table
    queues: Queues
    clock: Clock
    queue: SqsQueue
    ledger: CountedLedger
    calls: Calls
    settings: dict[str, Any] = field(default_factory=dict)

    def process(
        self, handler: Any, *, ledger: Any = None, longest: float = 885.0, **settings: Any
    ) -> Process:
        """`process` with this handler (or `Handlers`)."""
        handlers = handler if isinstance(handler, Handlers) else Handlers.for_every_type(handler)
        attempting = Attempting(
            ledger or self.ledger,
            self.queue,
            handlers,
            Settings(**{"seed": 7, "attempt_timeout": 60.0, "backoff_base": 1.0} | settings),
            longest,
            clock=self.clock,
            random=Random(),
        )
        serving, redriving = Serving(self.ledger, handlers), Redriving(ledger or self.ledger)
        return Process(attempting, redriving, self.queue, serving, Random())

    async def submit(self, *task_ids: str, **options: Any) -> None:
        await self.ledger.submit([submission(one, **options) for one in task_ids])

    async def task(self, task_id: str) -> TaskRecord:
        found = await self.ledger.get(task_id)
        assert found is not None
        return found

    async def states(self, *task_ids: str) -> list[State]:
        return [(await self.task(task_id)).state for task_id in task_ids]


def outcomes(task: TaskRecord) -> list[str | None]:
    """How the attempts of a task ended."""
    return [attempt.outcome and attempt.outcome.value for attempt in task.attempts]


async def succeed(task: Task) -> str:
    return task.id


async def fail(task: Task) -> None:
    raise ValueError("no")


class Shaky:
    """A ledger whose calls fail as planned: "before" without, "after" with their effect."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.plan: dict[str, list[str]] = {}
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        if not callable(method):
            return method

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            fault = self.plan[name].pop(0) if self.plan.get(name) else ""
            if fault == "before":
                raise LedgerUnavailable("it is away")
            answer = await method(*arguments, **named)
            if fault == "after":
                raise LedgerUnavailable("its answer is lost")
            return answer

        return call


@asynccontextmanager
async def place_in(url: str, clock: Clock) -> AsyncIterator[Place]:
    """A new place in the emulator at `url`, gone in the end."""
    client = _client(url)
    queues = Queues.create(client)
    queue = SqsQueue(client, queues.work, queues.dead)
    with Table(url) as table:
        ledger = table.ledger(clock, announce=queue)
        calls = Calls(table.name, table.client, shards=SHARDS)
        yield Place(table, queues, clock, queue, ledger, calls)
        await ledger.close()
        calls.close()
    queue.close()
    queues.remove()


@cache
def _client(url: str) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
