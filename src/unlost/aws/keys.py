"""API keys in the table: pk `keys`, sk the key's digest."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from unlost.keys import Key, KeyScope
from unlost.ledger.dynamodb.connection.calls import Calls
from unlost.ledger.dynamodb.connection.writes import Put

PARTITION: Final = "keys"


class TableKeys:
    """The keys of one table.  Every method raises LedgerUnavailable."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def find(self, digest: str) -> Key | None:
        """The key with this digest."""
        item = await self._calls.get((PARTITION, digest))
        return None if item is None else _key(item)

    async def add(self, digest: str, key: Key) -> None:
        """Keep a key that was given out."""
        scopes = sorted(scope.value for scope in key.scopes)
        item = {"name": key.name, "scopes": scopes, "created_at": key.created_at}
        await self._calls.write(Put({"pk": PARTITION, "sk": digest, **item}))

    async def all(self) -> dict[str, Key]:
        """All keys by digest."""
        found: dict[str, Key] = {}
        async for items in self._calls.walk(PARTITION):
            found |= {item["sk"]: _key(item) for item in items}
        return found

    async def remove(self, digests: Collection[str]) -> None:
        """Let these keys be known no more."""
        await self._calls.delete_many([(PARTITION, digest) for digest in digests])


def _key(item: dict[str, Any]) -> Key:
    scopes = frozenset(map(KeyScope, item["scopes"]))
    return Key(str(item["name"]), scopes, int(item["created_at"]))
