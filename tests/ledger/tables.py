"""Fresh tables in the emulator, and ledgers on them whose counters follow the real stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from types import TracebackType
from typing import Any, Literal, Self

import boto3
from botocore.config import Config

from tests.aws.emulator import REGION
from tests.ledger.stream import Stream
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.connection.retrying import once
from unlost.ledger.dynamodb.schema import definition
from unlost.ledger.values import Counts
from unlost.task import Micros

Service = Literal["dynamodb", "dynamodbstreams"]

SHARDS = 2
_numbers = count(1)


@cache
def client(url: str, service: Service) -> Any:
    """A client for the emulator at `url`; making one takes as long as a whole test."""
    return new_client(url, service)


def new_client(url: str, service: Service = "dynamodb", **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=once(64).merge(Config(**config)),
    )


class CountedLedger(DynamoLedger):
    """A ledger whose counters have caught up with its stream whenever they are asked for."""

    stream: Stream

    async def counts(self) -> Counts:
        await self.stream.drain(self._calls)
        return await super().counts()


class Table:
    """A new table, gone in the end; a context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = client(url, "dynamodb")
        self.name = f"tasks-{next(_numbers)}"
        made = self.client.create_table(**definition(self.name))
        arn = made["TableDescription"]["LatestStreamArn"]
        self.stream = Stream(client(url, "dynamodbstreams"), arn)

    def ledger(self, clock: Callable[[], Micros], **options: Any) -> CountedLedger:
        """A ledger on this table."""
        ledger = CountedLedger(
            self.name, clock, **{"shards": SHARDS, "client": self.client, **options}
        )
        ledger.stream = self.stream
        return ledger

    def item(self, pk: str, sk: str) -> dict[str, Any] | None:
        """An item as it is stored."""
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        answer = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        found: dict[str, Any] | None = answer.get("Item")
        return found

    def items(self) -> Iterator[dict[str, Any]]:
        """All items, as they are stored."""
        for page in self.client.get_paginator("scan").paginate(TableName=self.name):
            yield from page["Items"]

    def drop(self) -> None:
        """Remove it with everything in it."""
        self.client.delete_table(TableName=self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()
