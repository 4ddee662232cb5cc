"""Messages that are not ours, kept in the table: what came into our queues must not be lost just
because nobody can read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.writes import Put
from unlost.policy import cut
from unlost.task import Micros

PARTITION: Final = "unparseable"

MOST_KEPT: Final = 256 * 1024
"""Bytes of a message that are kept: an item holds 400 KB."""


class Strangers:
    """The messages under pk `unparseable`, by their ids."""

    def __init__(self, calls: Calls, clock: Callable[[], Micros]) -> None:
        self._calls = calls
        self._clock = clock

    async def keep(self, message_id: str, body: str, why: str) -> None:
        """Keep a message; the same again is the same.  Raises LedgerUnavailable."""
        item = {"body": cut(body, MOST_KEPT), "why": cut(why, 1024), "kept_at": self._clock()}
        await self._calls.write(Put({"pk": PARTITION, "sk": message_id, **item}))

    async def all(self) -> dict[str, str]:
        """The bodies of what is kept, by message id.  Raises LedgerUnavailable."""
        found: dict[str, str] = {}
        async for items in self._calls.walk(PARTITION):
            found |= {item["sk"]: item["body"] for item in items}
        return found
