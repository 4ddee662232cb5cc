"""API keys: who may call the service over this ledger."""

from __future__ import annotations

from collections.abc import Mapping

from unlost.access.keys import Key, revoked, rotated, used
from unlost.ledger.memory.store import Store
from unlost.ledger.protocol import UnknownKey
from unlost.task import Micros


class Keys(Store):
    """Keeps the promises of `protocol.Keys`."""

    async def add_key(self, key: Key) -> Key | None:
        for known in self._keys.values():
            if known.name == key.name or known.has(key.secrets[0].digest):
                return known
        self._keys[key.name] = key
        return None

    async def keys(self) -> list[Key]:
        return sorted(self._keys.values(), key=lambda key: key.name)

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        known = self._keys.get(name)
        if known is None or known.revoked_at is not None:
            raise UnknownKey(name)
        self._keys[name] = rotated(known, digest, until)
        return self._keys[name]

    async def revoke_key(self, name: str, at: Micros) -> Key:
        if name not in self._keys:
            raise UnknownKey(name)
        self._keys[name] = revoked(self._keys[name], at)
        return self._keys[name]

    async def used_keys(self, used_: Mapping[str, Micros]) -> None:
        for name, at in used_.items():
            if name in self._keys:
                self._keys[name] = used(self._keys[name], at)
