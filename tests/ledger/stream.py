"""A table's real stream, brought to the counters as Lambda would bring it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.records import counting


class Stream:
    """Reads a table's stream from its beginning; `client` is boto3's for DynamoDB Streams.

    One at a time may drain it, as Lambda has one batch of a shard under way.
    """

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self._arn = arn
        self._iterators: dict[str, str | None] = {}
        self._one_at_a_time = asyncio.Lock()

    async def drain(self, calls: Calls) -> int:
        """Count all that the stream has; how many changes were counted now."""
        counted = 0
        async with self._one_at_a_time:
            for batch in await asyncio.to_thread(lambda: list(self.batches())):
                counted += await counting.apply(calls, batch)
        return counted

    def batches(self) -> Iterator[list[Any]]:
        """What came since the last call."""
        for shard in self._shards():
            while iterator := self._iterators[shard]:
                answer = self._client.get_records(ShardIterator=iterator)
                self._iterators[shard] = answer.get("NextShardIterator")
                if not answer["Records"]:
                    break
                yield answer["Records"]

    def _shards(self) -> Iterator[str]:
        """All shards, parents before their children as the stream lists them."""
        last: dict[str, str] = {}
        while True:
            told = self._client.describe_stream(StreamArn=self._arn, **last)["StreamDescription"]
            for shard in told["Shards"]:
                name = shard["ShardId"]
                if name not in self._iterators:
                    answer = self._client.get_shard_iterator(
                        StreamArn=self._arn, ShardId=name, ShardIteratorType="TRIM_HORIZON"
                    )
                    self._iterators[name] = answer["ShardIterator"]
                yield name
            if "LastEvaluatedShardId" not in told:
                return
            last = {"ExclusiveStartShardId": told["LastEvaluatedShardId"]}
