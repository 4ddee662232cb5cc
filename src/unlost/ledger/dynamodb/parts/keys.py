"""API keys."""

from __future__ import annotations

from collections.abc import Mapping

from unlost.access.keys import Key
from unlost.ledger.dynamodb.keys import keeping
from unlost.ledger.dynamodb.parts.opened import Opened
from unlost.task import Micros


class Keys(Opened):
    """Keeps the promises of `protocol.Keys`."""

    async def add_key(self, key: Key) -> Key | None:
        return await keeping.add(self._calls, key)

    async def keys(self) -> list[Key]:
        return await keeping.keys(self._calls)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        return await keeping.rotate(self._calls, name, digest, until)

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await keeping.revoke(self._calls, name, at)

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await keeping.note_use(self._calls, used)
