"""API keys: who may call the service over this ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from unlost.access.keys import Key
from unlost.task import Micros


class Keys(Protocol):
    """The keys that were given out; see `unlost.access.keys`.  Times are the caller's."""

    async def add_key(self, key: Key) -> Key | None:
        """Keep a new key.  Where one has its name or its secret, or once had, that one, and
        nothing is kept."""
        ...

    async def keys(self) -> list[Key]:
        """All keys that ever were, by name."""
        ...

    async def rotate_key(self, name: str, digest: str, until: Micros) -> Key:
        """Let this hash take the place of the key's, which is known until then.

        Raises UnknownKey where none has this name, or where it was revoked.
        """
        ...

    async def revoke_key(self, name: str, at: Micros) -> Key:
        """Let the key be known no more.  Raises UnknownKey."""
        ...

    async def used_keys(self, used: Mapping[str, Micros]) -> None:
        """Note when keys were last used; what is not known any more is passed over."""
        ...
