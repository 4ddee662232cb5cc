"""API keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from unlost.access.keys import Key
from unlost.ledger.postgres.connection.store import SOON
from unlost.ledger.postgres.keys import keeping
from unlost.ledger.postgres.parts.opened import Opened
from unlost.task import Micros


class Keys(Opened):
    """Keeps the promises of `protocol.Keys`."""

    async def add_key(self, key: Key) -> Key | None:
        return await self._store.write(partial(keeping.add, key=key), SOON)

    async def keys(self) -> list[Key]:
        return await self._store.read(keeping.keys)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        step = partial(keeping.rotate, name=name, digest=digest, until=until)
        return await self._store.write(step, SOON)

    async def revoke_key(self, name: str, at: Micros) -> Key:
        return await self._store.write(partial(keeping.revoke, name=name, at=at), SOON)

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        await self._store.write(partial(keeping.note_use, moments=used), SOON)
