"""Calls on the table: what is asked of DynamoDB, and what its failures mean to a ledger.

    calls = Calls(table, client)
    await calls.shards()                      how many shards the table has
    await calls.get(key)                      one item, consistent; None if it is not there
    await calls.get_many(keys)                {key: item}, consistent, any number of keys
    await calls.page(partition, ...)          a page of an index or of the table, and where it
                                              goes on (None at the end)
    async for items in calls.walk(...)        all its pages
    await calls.write(write)                  one write (`writes`: Put, Change, Delete, Add)
    await calls.write_together(writes)        all of them or none, at most 100
    await calls.delete_many(keys)             any number
    await together(coroutines)                side by side, all to their end

Items are plain (see `wire`).  A write whose condition did not hold raises Clash with the item as
it is, and changed nothing.  What passes by itself is outlasted for OUTLASTED seconds (`retrying`):
a write carries an `op`, so that a try that had been applied is known by it and is a success.  All
else that keeps a call from being answered is LedgerUnavailable, its outcome unknown.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from unlost.ledger.dynamodb.connection import connecting
from unlost.ledger.dynamodb.connection.faults import Busy, Clash, Collision, NoTable, meaning
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.dynamodb.connection.writes import (
    Absent,
    Put,
    Same,
    Write,
    request,
    versioned,
    wire_key,
)
from unlost.ledger.dynamodb.schema import (
    CONFIG,
    LOOK,
    MOST_SHARDS,
    SHARDS,
    SUBMITTED,
    VERSION,
    Key,
)
from unlost.ledger.dynamodb.stored.wire import Item, unwired, wired
from unlost.ledger.protocol import LedgerUnavailable, NotALedger

__all__ = ["Calls", "Clash", "Start", "together"]

T = TypeVar("T")
Start = dict[str, Any]
"""Where a page goes on, as DynamoDB names it."""

THREADS = 16
"""Calls under way at once; others wait for their turn."""

OUTLASTED = 8.0
"""Seconds for which a call is made again that is throttled, cut off, not answered, answered in
part, or collides with others.  With a last try that nobody answers it is half of the 30 s that API
Gateway waits."""

GET_AT_ONCE = 100
DELETE_AT_ONCE = 25

INDEX_KEYS = {None: ("pk", "sk"), LOOK: ("o", "at"), SUBMITTED: ("s", "at_submitted")}
SINGLE = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}


class Calls:
    """One table, as this process calls it.

    `client` is a boto3 DynamoDB client; without one a client is made, and closed in the end.
    `shards` is what a table without a config item begins with.  `retrying` says for how long what
    passes by itself is outlasted.
    """

    def __init__(
        self,
        table: str,
        client: Any = None,
        *,
        shards: int | None = None,
        retrying: Retrying | None = None,
    ) -> None:
        if shards is not None and not 1 <= shards <= MOST_SHARDS:
            raise ValueError(f"a table has 1 to {MOST_SHARDS} shards")
        self.table = table
        self._own = client is None
        self._client = connecting.client(THREADS) if client is None else client
        self._retrying = retrying or Retrying(OUTLASTED)
        self._pool = ThreadPoolExecutor(THREADS, "unlost-dynamodb")
        self._begin_with = shards or SHARDS
        self._shards: int | None = None

    @property
    def store(self) -> tuple[str, str]:
        """What names the table among all that this process may reach."""
        return self._client.meta.endpoint_url, self.table

    async def open(self) -> None:
        """See that the table is there, and of this version.

        Raises NotALedger, LedgerUnavailable.
        """
        try:
            await self.shards()
        except NoTable as no_table:
            raise NotALedger(str(no_table)) from None
        except ClientError:  # its keys are not these
            raise NotALedger(f"the table {self.table} is not an unlost ledger") from None

    async def shards(self) -> int:
        """How many shards the table has; the first to ask decides it.  Raises NotALedger."""
        if self._shards is None:
            config = await self.get(CONFIG)
            if config is None:
                new = {"shards": self._begin_with, "version": VERSION}
                try:
                    await self.write(Put({"pk": CONFIG[0], "sk": CONFIG[1], **new}, only_new=True))
                    config = new
                except Clash as clash:
                    config = clash.item or new
            if config["version"] > VERSION:
                raise NotALedger(f"the table {self.table} was made by a newer version of unlost")
            self._shards = int(config["shards"])
        return self._shards

    async def get(self, key: Key) -> Item | None:
        """The item as it is now."""
        answer = await self._on_table("get_item", Key=wire_key(key), ConsistentRead=True)
        return unwired(answer["Item"]) if "Item" in answer else None

    async def get_many(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Those of the items that are there, as they are now."""
        wanted = list(dict.fromkeys(keys))
        chunks = [wanted[at : at + GET_AT_ONCE] for at in range(0, len(wanted), GET_AT_ONCE)]
        found = await together(self._get_chunk(chunk) for chunk in chunks)
        return {(item["pk"], item["sk"]): item for items in found for item in items}

    async def _get_chunk(self, keys: Sequence[Key]) -> list[Item]:
        items: list[Item] = []

        async def ask(left: Any) -> Any:
            answer = await self._once("batch_get_item", RequestItems={self.table: left})
            items.extend(unwired(item) for item in answer["Responses"].get(self.table, ()))
            return answer.get("UnprocessedKeys", {}).get(self.table)

        left = {"Keys": [wire_key(key) for key in keys], "ConsistentRead": True}
        await self._until_done(ask, left)
        return items

    async def delete_many(self, keys: Collection[Key]) -> None:
        """Remove these items, there or not."""
        wanted = list(dict.fromkeys(keys))
        chunks = [wanted[at : at + DELETE_AT_ONCE] for at in range(0, len(wanted), DELETE_AT_ONCE)]

        async def ask(left: Any) -> Any:
            answer = await self._once("batch_write_item", RequestItems={self.table: left})
            return answer.get("UnprocessedItems", {}).get(self.table)

        await together(
            self._until_done(ask, [{"DeleteRequest": {"Key": wire_key(key)}} for key in chunk])
            for chunk in chunks
        )

    async def _until_done(self, ask: Callable[[Any], Awaitable[Any]], left: Any) -> None:
        """Ask again for what DynamoDB left undone."""

        async def ask_for_the_rest() -> None:
            nonlocal left
            left = await ask(left)
            if left:
                raise Busy(f"DynamoDB leaves requests on {self.table} undone: too much load")

        await self._again(ask_for_the_rest)

    async def page(
        self,
        partition: str,
        *,
        index: str | None = None,
        low: str | None = None,
        high: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        start: Start | None = None,
    ) -> tuple[list[Item], Start | None]:
        """Items of a partition with low ≤ sort key ≤ high, in its order; at most 1 MB of them.

        Of the table (`index` None) as they are now; of an index as it knows them.
        """
        low = low or None  # an empty one bounds nothing, and DynamoDB would call it an error
        if low is not None and high is not None and low.encode() > high.encode():
            return [], None  # which DynamoDB would call an error
        arguments = {
            **_span(*INDEX_KEYS[index], partition, low, high),
            "ScanIndexForward": not newest_first,
            "IndexName": index,
            "ConsistentRead": True if index is None else None,
            "Limit": limit,
            "ExclusiveStartKey": start,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        answer = await self._on_table("query", **given)
        return [unwired(item) for item in answer["Items"]], answer.get("LastEvaluatedKey")

    async def walk(self, partition: str, **arguments: Any) -> AsyncIterator[list[Item]]:
        """All pages, from `start` on; arguments as for `page`."""
        start = arguments.pop("start", None)
        while True:
            items, start = await self.page(partition, start=start, **arguments)
            yield items
            if start is None:
                return

    async def write(self, write: Write) -> None:
        """Make one write.  Raises Clash."""
        op = secrets.token_hex(8)
        kind, arguments = request(write, op)
        try:
            await self._on_table(SINGLE[kind], **arguments)
        except Clash as clash:
            if not (versioned(write) and clash.item and clash.item.get("op") == op):
                raise

    async def put_in_vain(self, key: Key) -> None:
        """Put an item on a condition that does not hold where none is: always raises."""
        condition = "attribute_exists(pk)"
        await self._on_table("put_item", Item=wire_key(key), ConditionExpression=condition)

    async def write_together(self, writes: Sequence[Write | Absent | Same]) -> None:
        """Make all these writes or none: twice the cost, unless it is one.  Raises Clash."""
        first, *more = writes
        if not more and not isinstance(first, (Absent, Same)):
            await self.write(first)
            return
        op = secrets.token_hex(8)
        items = []
        for write in writes:
            kind, arguments = request(write, op)
            items.append({kind: {**arguments, "TableName": self.table}})
        turn = 0

        async def call() -> None:
            nonlocal turn
            token = f"{op}-{turn}"
            try:
                await self._once(
                    "transact_write_items", TransactItems=items, ClientRequestToken=token
                )
            except Collision as collision:  # else the token stands for what may have been done
                turn += not collision.under_way
                raise

        try:
            await self._again(call)
        except Clash as clash:
            ours = clash.item is not None and clash.item.get("op") == op
            if not (versioned(writes[clash.index]) and ours):
                raise

    async def _on_table(self, method: str, **arguments: Any) -> Any:
        return await self._again(lambda: self._once(method, TableName=self.table, **arguments))

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it is answered.  Raises Clash, LedgerUnavailable."""
        try:
            return await self._retrying(call)
        except TimeoutError as late:
            raise Busy("no time is left to wait for DynamoDB") from late

    async def _once(self, method: str, **arguments: Any) -> Any:
        """Call the client in a thread.  Raises Clash, LedgerUnavailable (Busy, Collision)."""
        bound = getattr(self._client, method)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, lambda: bound(**arguments))
        except (ClientError, BotoCoreError) as fault:
            raise meaning(fault, self.table, arguments.get("IndexName")) from fault
        except RuntimeError as fault:  # the pool was shut down
            raise LedgerUnavailable("the ledger is closed") from fault

    def close(self) -> None:
        """Wait for the calls under way, and give the client back."""
        self._pool.shutdown()
        if self._own:
            self._client.close()


def _span(
    partition_key: str, sort_key: str, partition: str, low: str | None, high: str | None
) -> dict[str, Any]:
    """The key condition: partition, and low ≤ sort key ≤ high as far as they are given."""
    condition, names = "#p = :p", {"#p": partition_key, "#k": sort_key}
    if low is not None and high is not None:
        condition += " AND #k BETWEEN :low AND :high"
    elif low is not None:
        condition += " AND #k >= :low"
    elif high is not None:
        condition += " AND #k <= :high"
    else:
        del names["#k"]
    return {
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": wired({":p": partition, ":low": low, ":high": high}),
    }


async def together(steps: Iterable[Awaitable[T]]) -> list[T]:
    """Do steps side by side, all to their end; then raise the first failure, if there is one."""
    done = await asyncio.gather(*steps, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]
