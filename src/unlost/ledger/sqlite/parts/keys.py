"""API keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from unlost.access.keys import Key
from unlost.ledger.sqlite.keys import keeping
from unlost.ledger.sqlite.parts.opened import Opened
from unlost.task import Micros


class Keys(Opened):
    """Keeps the promises of `protocol.Keys`."""

    async def add_key(self, key: Key) -> Key | None:
        return await self._do(partial(keeping.add, key=key))

    async def keys(self) -> list[Key]:
        return await self._read(keeping.keys)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        return await self._do(partial(keeping.rotate, name=name, digest=digest, until=until))

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await self._do(partial(keeping.revoke, name=name, at=at))

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await self._do(partial(keeping.note_use, moments=used))
